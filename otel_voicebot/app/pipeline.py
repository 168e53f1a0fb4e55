"""One embedded pipeline: spans that ended become rows on disk, turns, sessions and metrics."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import pyarrow as pa
from opentelemetry.sdk.trace import ReadableSpan

from otel_voicebot.app.policy import policy_of
from otel_voicebot.errors import CannotStartError
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.processors import prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings
from otel_voicebot.spans import TABLES, collect
from otel_voicebot.store import Commit, GroupCommit, SpanStore

__all__ = ["Pipeline"]

_log = logging.getLogger("otel_voicebot")
_ROWS_KEPT: Final = 50_000
"""Turn and session rows that wait for a disk that refuses. They can be computed again from spans."""


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
        self._store = _LazyStore(settings, metrics, on_commit)
        self._commits = GroupCommit(
            self._store, metrics, max_rows=settings.commit_rows, max_age_s=settings.commit_interval
        )
        self._tick_interval_s = settings.tick_interval
        self._ticked = time.monotonic()
        self._computed: dict[Literal["turns", "sessions"], list[pa.Table]] = {"turns": [], "sessions": []}
        self._writer = f"embedded-{os.getpid()}"
        self._live = Live(
            self.aggregator,
            metrics,
            self._emit,
            idle_timeout_s=settings.session_idle_timeout,
            max_sessions=settings.max_sessions,
            max_spans=settings.max_spans,
        )

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Make rows of the spans, for the disk and for the live state."""
        rows = prepare(collect(spans), self._policy, self._metrics, "sdk", time.time_ns() // 1000)
        self._commits.add(rows)
        try:
            self._live.add(rows)
        except Exception as error:  # noqa: BLE001 - what the live state can't take is on disk all the same
            self._metrics.contained("live", error)

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began."""
        for session_id, bot in sessions:
            self._live.started(session_id, bot)

    def tick(self) -> None:
        """Compute what is final; commit what is due. A tick costs tens of milliseconds: it isn't made at each look."""
        now = time.monotonic()
        if now - self._ticked >= self._tick_interval_s and self._live.due():
            self._ticked = now
            self._live.tick()
        if self._commits.due():
            self.flush()

    def drain(self) -> None:
        """Take as final what has ended, without waiting for late spans."""
        self._live.tick(drain=True)

    def flush(self) -> None:
        """Put all rows on disk."""
        self._commits.flush()
        for table, waiting in self._computed.items():
            if waiting:
                self._store.write_rows(table, pa.concat_tables(waiting))
                waiting.clear()

    def _emit(self, table: Literal["turns", "sessions"], rows: pa.Table) -> None:
        now = datetime.now(UTC)
        known = {
            **{name: rows[name] for name in rows.schema.names},
            "computed_at": pa.repeat(pa.scalar(now, pa.timestamp("us", tz="UTC")), rows.num_rows),
            "writer": pa.repeat(self._writer, rows.num_rows),
        }
        schema = TABLES[table]
        waiting = self._computed[table]
        waiting.append(pa.table([known[field.name].cast(field.type) for field in schema], schema=schema))
        while sum(part.num_rows for part in waiting) > _ROWS_KEPT:
            waiting.pop(0)

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

    def __init__(self, settings: Settings, metrics: SelfMetrics, on_commit: Callable[[Commit], None] | None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_commit = on_commit
        self._store: SpanStore | None = None
        self._told = False

    def _open(self) -> SpanStore:
        if self._store is None:
            self._store = SpanStore(self._settings.data, metrics=self._metrics, on_commit=self._on_commit)
        return self._store

    def commit(self, rows: Sequence[pa.RecordBatch]) -> Commit:
        """See ``SpanStore.commit``; the first refusal is logged in full, as the user can do something about it."""
        try:
            commit = self._open().commit(rows)
        except CannotStartError as error:
            if not self._told:
                _log.warning("otel_voicebot: spans can't be stored, the bot and its metrics go on: %s", error)
                self._told = True
            raise
        self._told = False
        return commit

    def write_rows(self, table: Literal["turns", "sessions"], rows: pa.Table) -> None:
        """See ``SpanStore.write_rows``."""
        self._open().write_rows(table, rows)
