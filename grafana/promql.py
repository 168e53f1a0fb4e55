"""PromQL over the metrics of ``semconv``: a metric or a label that they don't have is refused.

Every selector filters by the dashboard's variables, as far as the metric has such labels. ``where`` takes label=value,
or label=(operator, value).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric
from otel_voicebot.exporters.prometheus import prometheus_name

__all__ = [
    "ALERTS",
    "FILTERS",
    "RANGE",
    "RATE",
    "filters_of",
    "heights",
    "increase",
    "level",
    "mean",
    "metrics_of",
    "quantile",
    "rate",
    "share",
    "total",
    "within",
]

FILTERS: Final = ("bot", "environment", "variant")
"""Labels that are variables of every dashboard."""
RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
ALERTS: Final = 'ALERTS{alertstate=~"pending|firing"}'
"""Prometheus' own series: one per alert that isn't inactive."""
_SUFFIXES: Final = {"counter": "_total", "gauge": "", "histogram": "_count"}

Where = str | tuple[str, str]


def _known(metric: Metric, labels: Iterable[str]) -> None:
    if wrong := set(labels) - {*metric.labels}:
        msg = f"{metric.name} has no label {', '.join(sorted(wrong))}; it has {', '.join(metric.labels)}"
        raise ValueError(msg)


def _selector(metric: Metric, suffix: str, only: tuple[str, ...], where: Mapping[str, Where]) -> str:
    _known(metric, set(where) - {"le"} if suffix == "_bucket" else where)
    matchers = [f'{name}=~"${name}"' for name in only if name in metric.labels]
    for name, value in where.items():
        operator, text = ("=", value) if isinstance(value, str) else value
        matchers.append(f'{name}{operator}"{text}"')
    return f"{prometheus_name(metric)}{suffix}" + (f"{{{', '.join(matchers)}}}" if matchers else "")


def _sum(by: tuple[str, ...], of: str) -> str:
    return f"sum by ({', '.join(by)}) ({of})" if by else f"sum({of})"


@dataclass(frozen=True, slots=True)
class _Window:
    """The change of a metric's sample over a window."""

    metric: Metric
    suffix: str
    length: str
    before: bool = False
    only: tuple[str, ...] = FILTERS
    where: Mapping[str, Where] = field(default_factory=dict)

    def sum(self, function: str, by: tuple[str, ...]) -> str:
        _known(self.metric, [name for name in by if name != "le"])
        back = f" offset {RANGE}" if self.before else ""
        selector = _selector(self.metric, self.suffix, self.only, self.where)
        return _sum(by, f"{function}({selector}[{self.length}]{back})")


def rate(metric: Metric, *by: str, window: str = RATE, only: tuple[str, ...] = FILTERS, **where: Where) -> str:
    """Events a second (of a histogram: observations), summed by labels."""
    return _Window(metric, _SUFFIXES[metric.kind], window, only=only, where=where).sum("rate", by)


def increase(metric: Metric, *by: str, window: str = RANGE, before: bool = False, **where: Where) -> str:
    """Events in a window (of a histogram: observations); ``before``: in the one before it."""
    return _Window(metric, _SUFFIXES[metric.kind], window, before, where=where).sum("increase", by)


def total(metric: Metric, *by: str, window: str = RATE, before: bool = False, only: tuple[str, ...] = FILTERS) -> str:
    """What a histogram's observations add up to, a second."""
    return _Window(metric, "_sum", window, before, only).sum("rate", by)


def mean(metric: Metric, *by: str, window: str = RATE, before: bool = False) -> str:
    """A histogram's mean."""
    counts = _Window(metric, "_count", window, before).sum("rate", by)
    return f"{total(metric, *by, window=window, before=before)} / {counts}"


def quantile(part: float, metric: Metric, *by: str, window: str = RATE, before: bool = False) -> str:
    """A histogram's quantile, linear between the edges of a bucket."""
    return f"histogram_quantile({part:g}, {_Window(metric, '_bucket', window, before).sum('rate', (*by, 'le'))})"


def heights(metric: Metric) -> str:
    """Observations by bucket, of each step: what a heatmap draws."""
    return _Window(metric, "_bucket", RATE).sum("increase", ("le",))


def within(edge: float, metric: Metric, *by: str, window: str = RATE) -> str:
    """The share of observations up to an edge of the histogram's buckets: exact."""
    if edge not in metric.buckets:
        msg = f"{edge:g} is no edge of {metric.name}: {metric.buckets}"
        raise ValueError(msg)
    below = _Window(metric, "_bucket", window, where={"le": repr(float(edge))}).sum("rate", by)
    return share(below, rate(metric, *by, window=window))


def share(part: str, whole: str) -> str:
    """A ratio; 0 where there is a whole and no such part, as a series begins with its first event."""
    return f"({part} or 0 * {whole}) / {whole}"


def level(metric: Metric, *by: str, before: bool = False, **where: Where) -> str:
    """A gauge's value, summed by labels; ``before``: one time range ago."""
    _known(metric, by)
    return _sum(by, _selector(metric, "", FILTERS, where) + (f" offset {RANGE}" if before else ""))


def filters_of(metric: Metric) -> tuple[str, ...]:
    """The variables that a metric has as labels."""
    return tuple(name for name in FILTERS if name in metric.labels)


_BY_NAME: Final = {
    prometheus_name(metric) + suffix: metric
    for metric in semconv.METRICS.values()
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else (_SUFFIXES[metric.kind],))
}


def metrics_of(expression: str) -> dict[str, Metric]:
    """Samples that an expression reads, and their metrics."""
    names = re.findall(r"\b(?:voicebot|orchestrator)_\w+", expression)
    return {name: _BY_NAME[name] for name in names}
