"""The service's live state: committed rows become turns, sessions and metrics, on a thread of its own."""

import threading
import time
from collections import deque
from functools import partial
from typing import Final

import pyarrow as pa

from otel_voicebot.app.call_log import CallLog
from otel_voicebot.app.computed import Computed, RowStore
from otel_voicebot.app.derived import Derived, Ticks
from otel_voicebot.app.notes import Notes
from otel_voicebot.app.staged import Staged
from otel_voicebot.live import Engines, Left, Resumable
from otel_voicebot.models.prepared import NARROW
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_QUEUE
from otel_voicebot.settings import Settings

__all__ = ["LiveThread"]

_TICK_S: Final = 2.0
_TICK_SHARE: Final = 4
"""Ticks cost at most a quarter of the time."""
_BACKLOG_ROWS: Final = 200_000
"""Rows that wait, beyond which no more requests are let in: counts are never dropped."""
_GATHER_S: Final = 1.0
"""Rows are taken together for so long: each time costs some milliseconds, however few they are."""
_GATHER_ROWS: Final = 20_000
"""As many are taken at once."""


class LiveThread:
    """Takes rows that are on disk. Turn and session rows are written before they are counted.

    Args:
        settings: as of the live state.
        metrics: the package's own counters.
        store: takes turn and session rows.
        writer: who computes them.
        notes: takes what the next process needs to know beside these rows.
    """

    def __init__(self, settings: Settings, metrics: SelfMetrics, store: RowStore, writer: str, notes: Notes) -> None:
        self.aggregator = Staged()
        self._metrics = metrics
        self._computed = Computed(store, metrics, 0.0, writer, CallLog())
        self._notes = notes
        self._noted: list[pa.Array] = []
        make = partial(Resumable, note=self._noted.append, engines=Engines(settings.short_session_s))
        ticks = Ticks(settings.tick_interval or _TICK_S, _TICK_SHARE)
        self.derived = Derived(settings, metrics, self.aggregator, self._computed.add, ticks, make)
        self._changed = threading.Condition()
        self._rows: deque[pa.RecordBatch] = deque()
        self._waiting = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="otel-voicebot-live", daemon=True)

    # ---- other threads ------------------------------------------------------------------------------------------

    def put(self, rows: pa.RecordBatch) -> None:
        """Take rows, each span once. Never blocks; see ``backlog``."""
        rows = rows.select(NARROW.names)  # what people said, and all that nobody reads here, is let go
        with self._changed:
            self._rows.append(rows)
            self._waiting += rows.num_rows
            self._metrics.set(SELF_QUEUE, self._waiting)
            if self._waiting >= _GATHER_ROWS:
                self._changed.notify_all()

    def backlog(self) -> str | None:
        """Why no more should be put now; None when it may."""
        return "overloaded: computing is behind" if self._waiting > _BACKLOG_ROWS else None

    def resume(self, left: Left) -> None:
        """Go on with what another process has left. Before ``start``.

        Raises:
            OSError: the notes can't be written.
        """
        self.derived.live.resume(left)
        self._notes.keep(self.derived.live.counted())
        self._settle()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; also before start, and when it was told to end."""
        return self._stopping or self._thread.ident is None or self._thread.is_alive()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Work off what waits, within so many seconds, and end; False when it took longer.

        Calls under way stay open: their spans are on disk, the next process goes on with them.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is None:
            self._notes.close()
            self.derived.close()
            return True
        deadline = time.monotonic() + timeout_s
        self._thread.join(timeout_s * 0.8)
        while self._thread.is_alive() and time.monotonic() < deadline:
            self.derived.interrupt()  # a thread inside the engine at the interpreter's exit would abort the process
            self._thread.join(0.05)
        return not self._thread.is_alive()

    # ---- its own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            rows = self._take()
            if rows is None:
                break
            try:
                if rows:
                    self.derived.add(pa.concat_batches(rows))
                    rows.clear()  # the tick needs room
                self.derived.tick()
                self._settle()
            except BaseException as error:  # noqa: BLE001 - without this thread the service would take nothing any more
                self._metrics.contained("live", error)
        self._notes.close()
        self.derived.close()

    def _take(self) -> list[pa.RecordBatch] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting >= _GATHER_ROWS or self._stopping, _GATHER_S)
            if self._stopping and not self._rows:
                return None
            rows = list(self._rows)
            self._rows.clear()
            self._waiting = 0
            self._metrics.set(SELF_QUEUE, 0)
            return rows

    def _settle(self) -> None:
        """Write the rows that were computed and note what has none, then count what they come of."""
        try:
            if self._computed.due():
                self._computed.flush()
            if self._noted and not self._computed.waits:
                self._note()
        except Exception as error:  # noqa: BLE001 - a full disk, or a defect: the thread must live on
            self._metrics.contained("rows", error)
            return
        if not self._computed.waits:
            self._metrics.recovered("rows")
            self.aggregator.release()

    def _note(self) -> None:
        self._notes.add(self._noted)
        self._noted.clear()
        if self._notes.large:
            self._notes.keep(self.derived.live.counted())
