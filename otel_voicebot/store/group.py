"""Group commit: many small batches become one file, so that a day leaves thousands of files, not a hundred thousand."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import pyarrow as pa

from otel_voicebot.errors import CannotStartError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_DROPPED
from otel_voicebot.store.writer import Commit

__all__ = ["Commits", "GroupCommit"]

_RETRY_S: Final = 1.0
"""Seconds between two tries while the disk refuses."""


class Commits(Protocol):
    """Where rows go; ``SpanStore`` is one."""

    def commit(self, rows: Sequence[pa.RecordBatch]) -> Commit:
        """Put rows on disk; raises CannotStartError while the disk refuses."""
        ...


class GroupCommit:
    """Collects span rows until a commit is due. For one thread.

    Bounded: while the disk refuses, rows wait up to ``cap_rows``; then the oldest are dropped and counted (reason
    ``disk``), so that the bot lives on.

    Args:
        store: where they go.
        metrics: counts what is dropped.
        max_rows: due when so many rows wait.
        max_age_s: due when the oldest row has waited so many seconds.
        cap_rows: at most so many rows wait.
        clock: monotonic nanoseconds.
    """

    def __init__(
        self,
        store: Commits,
        metrics: SelfMetrics,
        *,
        max_rows: int = 5000,
        max_age_s: float = 10.0,
        cap_rows: int = 200_000,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.pending_rows = 0
        self._store = store
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_age_ns = int(max_age_s * 1e9)
        self._cap_rows = cap_rows
        self._clock = clock
        self._pending: deque[pa.RecordBatch] = deque()
        self._oldest = 0
        self._retry_at: int | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows (schema SPANS). Never touches the disk."""
        if not rows.num_rows:
            return
        if not self._pending:
            self._oldest = self._clock()
        self._pending.append(rows)
        self.pending_rows += rows.num_rows
        if self._retry_at is not None:
            self._trim()

    def due(self) -> bool:
        """True when it is time to flush: enough rows, old enough rows, and not just refused by the disk."""
        now = self._clock()
        if not self._pending or (self._retry_at is not None and now < self._retry_at):
            return False
        return self.pending_rows >= self._max_rows or now - self._oldest >= self._max_age_ns

    def flush(self) -> Commit | None:
        """Commit all that waits, in one file; None when nothing waits.

        Raises:
            CannotStartError: the disk refused; the rows still wait, and the next try is due in a second.
        """
        if not self._pending:
            return None
        try:
            commit = self._store.commit(tuple(self._pending))
        except CannotStartError:
            self._retry_at = self._clock() + int(_RETRY_S * 1e9)
            self._trim()
            raise
        self._pending.clear()
        self.pending_rows = 0
        self._retry_at = None
        return commit

    def _trim(self) -> None:
        excess = self.pending_rows - self._cap_rows
        if excess <= 0:
            return
        self._metrics.add(SELF_DROPPED, excess, "disk")
        self.pending_rows -= excess
        while excess:
            oldest = self._pending.popleft()
            if oldest.num_rows > excess:
                self._pending.appendleft(oldest.slice(excess))
                return
            excess -= oldest.num_rows
