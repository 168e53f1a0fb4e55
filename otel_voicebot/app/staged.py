"""Metrics that wait for the disk."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import pyarrow as pa

from otel_voicebot.conventions import Metric
from otel_voicebot.live import Aggregator

__all__ = ["Staged"]

_KEPT: Final = 10_000
"""Columns that wait, at most; beyond, the oldest are counted whatever the disk says."""


class Staged(Aggregator):
    """An aggregator that counts what it was given when it is told to: when the rows it comes of are on disk.

    So a row on disk was counted by the process that wrote it, or by nobody: the next process need not count it again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Callable[[], None]] = deque()

    def count(
        self, metric: Metric, labels: Mapping[str, object], amounts: pa.ChunkedArray | None = None, rows: int = 0
    ) -> None:
        """See ``Aggregator.count``; for one thread here."""
        self._wait(partial(super().count, metric, labels, amounts, rows))

    def observe(
        self,
        metric: Metric,
        labels: Mapping[str, object],
        column: pa.ChunkedArray,
        traces: pa.ChunkedArray | None = None,
    ) -> None:
        """See ``Aggregator.observe``; for one thread here."""
        self._wait(partial(super().observe, metric, labels, column, traces))

    def _wait(self, step: Callable[[], None]) -> None:
        self._waiting.append(step)
        if len(self._waiting) > _KEPT:
            self._waiting.popleft()()

    def release(self) -> None:
        """Count all that waits."""
        while self._waiting:
            self._waiting.popleft()()
