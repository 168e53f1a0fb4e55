"""What a service's /metrics says: our samples, what was added between two scrapes, and sums and quantiles of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric, prometheus_name

__all__ = ["NotSplitError", "Samples", "added", "parse", "together"]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels in order."""

_OURS: Final = {prometheus_name(metric): metric for metric in semconv.METRICS.values()}
_STARTED: Final = "process_start_time_seconds"
_GAUGES: Final = tuple(name for name, metric in _OURS.items() if metric.kind == "gauge")


class NotSplitError(Exception):
    """A metric isn't told by a label that was asked for: it has none, or too many values of it."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a scrape, or what was added between two.

    Attributes:
        values: counters, gauges and the parts of histograms.
        started: when the service was started, where it says.
        only: the labels that are asked for.
    """

    values: Mapping[Key, float]
    started: datetime | None = None
    only: Mapping[str, str] = field(default_factory=dict)

    def of(self, **only: str) -> "Samples":
        """The same, of these label values only."""
        return replace(self, only=only)

    def total(self, metric: Metric, part: str = "_total", **where: str) -> float:
        """The sum over all series with these labels; 0 where there is none.

        Args:
            metric: one of ours.
            part: the end of the sample's name: ``_total`` of a counter, ``_sum`` or ``_count`` of a histogram, empty
                of a gauge.
            where: label values, beside those that are asked for.

        Raises:
            NotSplitError: the metric isn't told by a label that is asked for.
        """
        return sum(value for _, value in self._series(metric, part, where))

    def by(self, metric: Metric, label: str, part: str = "_total", *, partly: bool = False) -> dict[str, float]:
        """Sums by the values of one label; raises as ``total``.

        ``partly``: also where some aren't told by it; these are under OVERFLOW, or, of a service without the label,
        under an empty text.
        """
        found: dict[str, float] = {}
        for labels, value in self._series(metric, part, {}):
            if not partly:
                _check_told(metric, label, labels)
            text = labels.get(label, "")
            found[text] = found.get(text, 0) + value
        return found

    def quantile(self, metric: Metric, quantile: float, **where: str) -> tuple[float | None, bool]:
        """A quantile of a histogram as Prometheus' ``histogram_quantile`` has it: linear within its bucket.

        Returns:
            The value, None where nothing was observed; whether it lies beyond the last edge, which is then given.

        Raises:
            NotSplitError: as ``total``.
        """
        counts: dict[float, float] = {}
        for labels, value in self._series(metric, "_bucket", where):
            edge = float(labels["le"])
            counts[edge] = counts.get(edge, 0) + value
        return _interpolated(sorted(counts.items()), quantile)

    def _series(self, metric: Metric, part: str, where: Mapping[str, str]) -> Iterator[tuple[dict[str, str], float]]:
        wanted = {**self.only, **where}
        if lacking := [label for label in wanted if label not in metric.labels]:
            raise NotSplitError(f"the service doesn't count {metric.name} by {lacking[0]}")
        name = prometheus_name(metric) + part
        for (found, pairs), value in self.values.items():
            if found == name:
                labels = dict(pairs)
                for label in wanted:
                    _check_told(metric, label, labels)
                if all(labels.get(label) == text for label, text in wanted.items()):
                    yield labels, value


def _check_told(metric: Metric, label: str, labels: Mapping[str, str]) -> None:
    """Raises NotSplitError where a series doesn't tell a label of its metric."""
    if label not in labels:  # another version's
        raise NotSplitError(f"the service doesn't count {metric.name} by {label}")
    if labels[label] == semconv.OVERFLOW:
        raise NotSplitError(f"{metric.name} has so many series that the service no longer tells all by {label}")


def _interpolated(buckets: Sequence[tuple[float, float]], quantile: float) -> tuple[float | None, bool]:
    if len(buckets) < 2 or not buckets[-1][1]:
        return None, False
    rank = quantile * buckets[-1][1]
    place = next(at for at, (_, count) in enumerate(buckets) if count >= rank)
    if place == len(buckets) - 1:
        return buckets[-2][0], True
    low, before = buckets[place - 1] if place else (0.0, 0.0)
    edge, count = buckets[place]
    return low + (edge - low) * ((rank - before) / (count - before)), False


def parse(text: str) -> Samples | None:
    """Our samples of a page; None where there is none of ours, or it is no such page."""
    values: dict[Key, float] = {}
    started, ours = None, False
    try:
        for family in text_string_to_metric_families(text):
            ours = ours or family.name in _OURS
            for sample in family.samples:
                if sample.name == _STARTED:
                    started = datetime.fromtimestamp(sample.value, UTC)
                elif family.name in _OURS and not sample.name.endswith("_created"):
                    values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    except (ValueError, OverflowError):
        return None
    return Samples(values, started) if ours else None


def added(before: Samples, after: Samples) -> Samples:
    """What was counted between two scrapes; gauges stay as they are.

    Where the service was started again in between its counters began at 0: all of them is what was added since then.
    """
    old: Mapping[Key, float] = {} if _restarted(before, after) else before.values
    values = {key: value if _gauge(key) else value - old.get(key, 0) for key, value in after.values.items()}
    return replace(after, values=values)


def _restarted(before: Samples, after: Samples) -> bool:
    if before.started and after.started:
        return before.started != after.started
    return any(after.values.get(key, -1) < value for key, value in before.values.items() if not _gauge(key))


def _gauge(key: Key) -> bool:
    return key[0] in _GAUGES


def together(parts: Sequence[Samples]) -> Samples:
    """The sum of what was added in several steps, in their order; gauges are those of the last."""
    values = dict(parts[-1].values)
    for part in parts[:-1]:
        for key, value in part.values.items():
            if not _gauge(key):
                values[key] = values.get(key, 0) + value
    return replace(parts[-1], values=values)
