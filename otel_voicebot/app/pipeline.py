"""One embedded pipeline: spans that ended become rows on disk, turns, sessions and metrics."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import pyarrow as pa
from opentelemetry.sdk.trace import ReadableSpan

from otel_voicebot.app.policy import policy_of
from otel_voicebot.errors import CannotStartError
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.processors import prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_ROWS_DROPPED
from otel_voicebot.settings import Settings
from otel_voicebot.spans import TABLES, collect
from otel_voicebot.store import Commit, GroupCommit, SpanStore

__all__ = ["Pipeline"]

Table = Literal["turns", "sessions"]
_ROWS_KEPT: Final = 50_000
"""Rows of one table that wait for a disk that refuses."""
_RETRY_S: Final = 1.0
_TICK_SHARE: Final = 75
"""A tick has a fixed cost, so it is made at most every so many times the CPU seconds of the last: 1.3 % of a core."""


class Pipeline:
    """What the worker feeds: see ``embedded.Consumer``. Lives on the worker's thread.

    Metrics don't wait for the disk: a turn shows while the call goes on, its spans are durable a commit interval later.

    Args:
        settings: where, how often, how much.
        metrics: the package's own counters.
        on_commit: called after each durable commit, on the worker's thread.
    """

    def __init__(
        self, settings: Settings, metrics: SelfMetrics, on_commit: Callable[[Commit], None] | None = None
    ) -> None:
        self.aggregator = Aggregator()
        self._metrics = metrics
        self._policy = policy_of(settings)
        self._store = _LazyStore(partial(SpanStore, settings.data, metrics=metrics, on_commit=on_commit))
        self._commits = GroupCommit(
            self._store, metrics, max_rows=settings.commit_rows, max_age_s=settings.commit_interval
        )
        self._tick_interval_s = settings.tick_interval
        self._tick_at = time.monotonic()
        self._computed = _Computed(self._store, metrics, settings.commit_interval)
        self._live = Live(
            self.aggregator,
            metrics,
            self._computed.add,
            idle_timeout_s=settings.session_idle_timeout,
            max_sessions=settings.max_sessions,
            max_spans=settings.max_spans,
        )

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Make rows of the spans, for the disk and for the live state."""
        rows = prepare(collect(spans), self._policy, self._metrics, "sdk", time.time_ns() // 1000)
        self._commits.add(rows)
        self._contain(partial(self._live.add, rows))

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began."""
        for session_id, bot in sessions:
            self._live.started(session_id, bot)

    def tick(self) -> None:
        """Compute what is final; commit what is due. Computing costs tens of milliseconds: not done at each look."""
        now = time.monotonic()
        if now >= self._tick_at and self._live.due():
            began = time.thread_time()
            self._contain(self._live.tick)
            spent = time.thread_time() - began
            self._tick_at = now + max(self._tick_interval_s, _TICK_SHARE * spent)
        if self._commits.due() or self._computed.due():
            self.flush()

    def drain(self) -> None:
        """Take as final what has ended, without waiting for late spans."""
        self._live.tick(drain=True)

    def flush(self) -> bool:
        """Put all rows on disk; False while the disk refuses, and then they wait."""
        try:
            self._commits.flush()
            self._computed.flush()
        except CannotStartError as error:
            self._metrics.contained("commit", error)
            return False
        self._metrics.recovered("commit")
        return True

    def _contain(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - what the live state can't do must not keep spans from the disk
            self._metrics.contained("live", error)

    def active(self) -> dict[str, int]:
        """Sessions under way, by bot. Safe from any thread."""
        return self._live.active()

    def interrupt(self) -> None:
        """Break off the query that runs, from another thread."""
        self._live.interrupt()

    def close(self) -> None:
        """Free the engine."""
        self._live.close()


class _LazyStore:
    """A store that is opened when it is first needed, so that a disk that refuses at the start may still come back."""

    def __init__(self, make: Callable[[], SpanStore]) -> None:
        self._make = make
        self._store: SpanStore | None = None

    def _open(self) -> SpanStore:
        if self._store is None:
            self._store = self._make()
        return self._store

    def commit(self, rows: Sequence[pa.RecordBatch]) -> Commit:
        """See ``SpanStore.commit``."""
        return self._open().commit(rows)

    def write_rows(self, table: Table, rows: pa.Table) -> None:
        """See ``SpanStore.write_rows``."""
        self._open().write_rows(table, rows)


class _Computed:
    """Turn and session rows on their way to the disk.

    Bounded: while the disk refuses the oldest are dropped and counted; they can be computed again from spans.
    """

    def __init__(self, store: _LazyStore, metrics: SelfMetrics, max_age_s: float) -> None:
        self._store = store
        self._metrics = metrics
        self._max_age_s = max_age_s
        self._writer = f"embedded-{os.getpid()}"
        self._waiting: dict[Table, list[pa.Table]] = {"turns": [], "sessions": []}
        self._due_at = float("inf")

    def add(self, table: Table, rows: pa.Table) -> None:
        """Take rows of a model."""
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC"))
        known = {
            **{name: rows[name] for name in rows.schema.names},
            "computed_at": pa.repeat(now, rows.num_rows),
            "writer": pa.repeat(self._writer, rows.num_rows),
        }
        schema = TABLES[table]
        waiting = self._waiting[table]
        waiting.append(pa.table([known[field.name].cast(field.type) for field in schema], schema=schema))
        while sum(part.num_rows for part in waiting) > _ROWS_KEPT:
            self._metrics.add(SELF_ROWS_DROPPED, waiting.pop(0).num_rows, table)
        self._due_at = min(self._due_at, time.monotonic() + self._max_age_s)

    def due(self) -> bool:
        """True when the oldest has waited long enough."""
        return time.monotonic() >= self._due_at

    def flush(self) -> None:
        """Write all that waits.

        Raises:
            CannotStartError: the disk refused; the rows still wait, for a second at least.
        """
        self._due_at = time.monotonic() + _RETRY_S
        for table, waiting in self._waiting.items():
            if waiting:
                self._store.write_rows(table, pa.concat_tables(waiting))
                waiting.clear()
        self._due_at = float("inf")
