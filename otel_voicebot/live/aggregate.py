"""Counts, sums and bucket counts per series, filled column by column."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.conventions import Metric
from otel_voicebot.semconv import FOLDED_FIRST, OVERFLOW, SERIES_OVERFLOW

__all__ = ["EXEMPLAR_AGE_S", "Aggregator", "Encoded", "Exemplar", "Series", "encoded"]

EXEMPLAR_AGE_S: Final = 900.0
"""An exemplar older than this is given out no more: Prometheus has long scraped it, and whose call it was may have been
erased."""


class Exemplar(NamedTuple):
    """An observation that can be looked at: the trace it comes of."""

    trace_id: str
    """Lowercase hex."""
    value: float
    at: float
    """Unix seconds at which it was counted, by the aggregator's clock: a sender's may be wrong, and Prometheus takes
    nothing that is older than what it has."""


@dataclass(slots=True)
class Series:
    """One series: a counter or gauge has ``total`` only; a histogram ``counts`` per bucket (the last is +Inf) too."""

    created: float
    """Unix seconds."""
    total: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    exemplars: dict[int, Exemplar] = field(default_factory=dict)
    """By bucket the latest observation that came with a trace."""


class Encoded(NamedTuple):
    """A column of labels: the position of each row's text in ``texts``."""

    codes: NDArray[np.int32]
    texts: list[str]


class Aggregator:
    """Series by metric and label values. Any thread may add or read; nothing here blocks for long.

    Args:
        max_series: per metric; what comes on top goes to one series labelled ``_overflow`` and is counted.
        clock: unix seconds, for the time a series was created.
    """

    def __init__(self, max_series: int = 2000, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._max_series = max_series
        self._clock = clock
        self._series: dict[str, dict[tuple[str, ...], Series]] = {}

    def count(
        self, metric: Metric, labels: Mapping[str, object], amounts: pa.ChunkedArray | None = None, rows: int = 0
    ) -> None:
        """Raise a counter, row by row.

        Args:
            metric: a counter.
            labels: label name -> a column of ``rows`` values, plain or encoded, or one string for all rows.
            amounts: how much each row adds (null: unknown, adds nothing; a 0 is known); None counts rows.
            rows: number of rows, where ``amounts`` is None.
        """
        values = np.ones(rows) if amounts is None else _floats(amounts)
        known = ~np.isnan(values)
        if not known.any():
            return
        for key, indexes in _groups(metric, labels, len(values)):
            chosen = indexes[known[indexes]]
            if len(chosen):
                with self._lock:
                    self._find(metric, key, len(chosen)).total += float(values[chosen].sum())

    def observe(
        self,
        metric: Metric,
        labels: Mapping[str, object],
        column: pa.ChunkedArray,
        traces: pa.ChunkedArray | None = None,
    ) -> None:
        """Put the values of a column into a histogram; nulls are left out.

        Args:
            metric: a histogram.
            labels: as in ``count``.
            column: the values.
            traces: the trace id (hex, or null) of each; None where no value is to be an exemplar.
        """
        values = _floats(column)
        known = ~np.isnan(values)
        if not known.any():
            return
        buckets = np.searchsorted(np.asarray(metric.buckets), values)
        for key, indexes in _groups(metric, labels, len(values)):
            chosen = indexes[known[indexes]]
            if len(chosen):
                counts = np.bincount(buckets[chosen], minlength=len(metric.buckets) + 1)
                exemplars = self._exemplars(buckets, values, chosen, traces)
                with self._lock:
                    series = self._find(metric, key, len(chosen))
                    series.counts = counts if not len(series.counts) else series.counts + counts
                    series.total += float(values[chosen].sum())
                    series.exemplars.update(exemplars)

    def _exemplars(
        self,
        buckets: NDArray[np.int64],
        values: NDArray[np.float64],
        chosen: NDArray[np.intp],
        traces: pa.ChunkedArray | None,
    ) -> dict[int, Exemplar]:
        """Of the chosen rows the last of each bucket, if it has a trace: at most as many as there are buckets."""
        if traces is None:
            return {}
        now = self._clock()
        last = np.full(int(buckets[chosen].max()) + 1, -1)
        last[buckets[chosen]] = chosen  # the later of several stays
        filled = np.flatnonzero(last >= 0)
        rows = last[filled]
        found = zip(filled.tolist(), traces.take(pa.array(rows)).to_pylist(), values[rows].tolist(), strict=True)
        return {bucket: Exemplar(trace, value, now) for bucket, trace, value in found if trace}

    def _find(self, metric: Metric, key: tuple[str, ...], observations: int) -> Series:
        by_labels = self._series.setdefault(metric.name, {})
        if key not in by_labels and len(by_labels) >= self._max_series:
            key = self._folded(metric, key, observations)
        if key not in by_labels:
            by_labels[key] = Series(self._clock())
        return by_labels[key]

    def _folded(self, metric: Metric, key: tuple[str, ...], observations: int) -> tuple[str, ...]:
        """The series for what gets none of its own: the one without the names that are too many, where it fits."""
        by_labels, whole = self._series[metric.name], (OVERFLOW,) * len(key)
        if key != whole:
            self._find(SERIES_OVERFLOW, (metric.name,), 1).total += observations
        named = zip(metric.labels, key, strict=True)
        partly = tuple(OVERFLOW if label in FOLDED_FIRST else value for label, value in named)
        # a tenth more for them, so that sums by the other labels stay right
        room = partly in by_labels or len(by_labels) < self._max_series * 1.1
        return partly if room and partly != key else whole

    def read(self) -> dict[str, dict[tuple[str, ...], Series]]:
        """A copy: metric name -> label values (in the metric's order) -> series, with the exemplars that are recent."""
        oldest = self._clock() - EXEMPLAR_AGE_S
        with self._lock:
            return {
                name: {key: _copy(one, oldest) for key, one in by_labels.items()}
                for name, by_labels in self._series.items()
            }


def _copy(one: Series, oldest: float) -> Series:
    recent = {bucket: exemplar for bucket, exemplar in one.exemplars.items() if exemplar.at >= oldest}
    return Series(one.created, one.total, one.counts.copy(), recent)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The values; NaN where null. An integer beyond 2**53 is rounded: a sender's nonsense must not stop the others."""
    filled = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def encoded(column: pa.ChunkedArray) -> Encoded:
    """A column of labels, of any type; a null is the empty text. Used for several metrics it is encoded once."""
    texts = pc.fill_null(pc.cast(column, pa.string()), "").combine_chunks().dictionary_encode()
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return Encoded(texts.indices.to_numpy(), texts.dictionary.to_pylist())


def _groups(
    metric: Metric, labels: Mapping[str, object], rows: int
) -> Sequence[tuple[tuple[str, ...], NDArray[np.intp]]]:
    """Row indexes by label values, in the order of the metric's labels."""
    if not rows:
        return []
    codes = np.zeros(rows, np.int64)
    values: list[list[str]] = []
    combinations = 1
    for name in metric.labels:
        column = labels[name]
        if isinstance(column, str):
            values.append([column])
            continue
        one = column if isinstance(column, Encoded) else encoded(column)
        values.append(one.texts)
        codes = codes * len(one.texts) + one.codes
        combinations *= len(one.texts)
    # NumPy's stable sort of 16-bit integers is a radix sort, several times faster than that of wider ones.
    order = np.argsort(codes.astype(np.int16) if combinations <= np.iinfo(np.int16).max else codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return [(_key(int(codes[part[0]]), values), part) for part in np.split(order, cuts)]


def _key(code: int, values: list[list[str]]) -> tuple[str, ...]:
    key = []
    for choices in reversed(values):
        code, position = divmod(code, len(choices))
        key.append(choices[position])
    return tuple(reversed(key))
