"""Turn and session rows on their way to the disk."""

import time
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

import pyarrow as pa

from otel_voicebot.app.call_log import CallLog
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_ROWS_DROPPED
from otel_voicebot.spans import TABLES

__all__ = ["Computed", "RowStore", "Table"]

Table = Literal["turns", "sessions"]
_ROWS_KEPT: Final = 50_000
"""Rows of one table that wait for a disk that refuses."""
_RETRY_S: Final = 1.0


class RowStore(Protocol):
    """Where rows go; ``SpanStore`` is one."""

    def write_rows(self, table: Table, rows: pa.Table) -> object:
        """Write rows, whole or not at all; raises CannotStartError while the disk refuses."""


class Computed:
    """Collects rows of models until they are written. For one thread.

    Bounded: while the disk refuses the oldest are dropped and counted; they can be computed again from spans.

    Args:
        store: where they go.
        metrics: counts what is dropped.
        max_age_s: due when the oldest has waited so many seconds.
        writer: who computed them, for the column of that name.
        calls: logs calls that are over; None: nobody is told.
    """

    def __init__(
        self, store: RowStore, metrics: SelfMetrics, max_age_s: float, writer: str, calls: CallLog | None
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._max_age_s = max_age_s
        self._writer = writer
        self._waiting: dict[Table, list[pa.Table]] = {"turns": [], "sessions": []}
        self._due_at = float("inf")
        self._calls = calls

    def add(self, table: Table, rows: pa.Table) -> None:
        """Take rows of a model; a call that is over is logged."""
        if self._calls is not None:
            self._calls.add(table, rows)
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

    @property
    def waits(self) -> bool:
        """Whether any rows are not on disk yet."""
        return any(self._waiting.values())

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
