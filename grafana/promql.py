"""PromQL over the metrics of ``semconv``: a metric or a label that they don't have is refused.

Every selector filters by the dashboard's variables, as far as the metric has such labels. ``where`` takes label=value;
a ``Pattern`` stands for any of its words, an ``Other`` for any value but it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric, prometheus_name
from otel_voicebot.exporters import promql
from otel_voicebot.exporters.promql import Labels, Pattern, added

__all__ = [
    "ALERTS",
    "FILTERS",
    "RANGE",
    "RATE",
    "filters_of",
    "heights",
    "increase",
    "latest",
    "level",
    "mean",
    "metrics_of",
    "quantile",
    "rate",
    "total",
    "within",
]

FILTERS: Final = ("bot", "environment", "variant")
"""Labels that are variables of every dashboard."""
RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
ALERTS: Final = 'ALERTS{alertstate=~"pending|firing"}'
"""Prometheus' own series: one per alert that isn't inactive."""
_OWN: Final = tuple(one for name, one in vars(semconv).items() if name.startswith("SELF_"))
"""What the package counts of itself: these don't say when they began."""
_SUFFIXES: Final = {"counter": "_total", "gauge": "", "histogram": "_count"}


def _known(metric: Metric, labels: Iterable[str]) -> None:
    if wrong := set(labels) - {*metric.labels}:
        msg = f"{metric.name} has no label {', '.join(sorted(wrong))}; it has {', '.join(metric.labels)}"
        raise ValueError(msg)


def _selector(metric: Metric, suffix: str, only: tuple[str, ...], where: Labels) -> str:
    _known(metric, set(where) - {"le"} if suffix == "_bucket" else where)
    filters = {name: Pattern(f"${name}") for name in only if name in metric.labels}
    return promql.selector(metric, suffix, filters | dict(where), between=", ")


@dataclass(frozen=True, slots=True)
class _Window:
    """The change of a metric's sample over a window."""

    metric: Metric
    suffix: str
    length: str
    before: bool = False
    only: tuple[str, ...] = FILTERS
    where: Labels = field(default_factory=dict)
    function: str = "rate"

    def sum(self, by: tuple[str, ...]) -> str:
        _known(self.metric, [name for name in by if name != "le"])
        return added(self._rise() if self.length == RANGE else f"{self.function}({self._ranged()})", by)

    def _selected(self, suffix: str | None = None) -> str:
        where = dict(self.where)
        if suffix is not None:
            where.pop("le", None)
        return _selector(self.metric, self.suffix if suffix is None else suffix, self.only, where)

    def _ranged(self) -> str:
        return f"{self._selected()}[{self.length}]" + (f" offset {RANGE}" if self.before else "")

    def _rise(self) -> str:
        """What was counted in the time range, also by series that began in it.

        ``increase`` knows what a series has grown by, not what it began with. Ours say when that was: the whole of one
        that was created in the range is the range's, unless it was there before and has only begun anew.
        """
        grown = f"increase({self._ranged()})"
        if self.metric in _OWN:
            return grown
        apart = " ignoring (le)" if self.suffix == "_bucket" else ""
        if self.before:
            value, created = (f"{self._selected(one)} offset {RANGE}" for one in (None, "_created"))
            return f"({value} and{apart} {created} > time() - 2 * {RANGE}_s) or {grown}"
        created = self._selected("_created")
        fresh = f"{self._selected()} and{apart} {created} > time() - {RANGE}_s"
        return f"({fresh} unless {self._selected()} offset {RANGE}) or {grown}"


def rate(metric: Metric, *by: str, only: tuple[str, ...] = FILTERS, **where: str) -> str:
    """Events a second (of a histogram: observations), summed by labels."""
    return _Window(metric, _SUFFIXES[metric.kind], RATE, only=only, where=where).sum(by)


def increase(metric: Metric, *by: str, before: bool = False, **where: str) -> str:
    """Events in the time range (of a histogram: observations); ``before``: in the one before it."""
    return _Window(metric, _SUFFIXES[metric.kind], RANGE, before, where=where).sum(by)


def total(metric: Metric, *by: str, window: str = RATE, before: bool = False) -> str:
    """What a histogram's observations add up to, a second or in the time range."""
    return _Window(metric, "_sum", window, before).sum(by)


def mean(metric: Metric, *by: str, window: str = RATE, before: bool = False) -> str:
    """A histogram's mean."""
    counts = _Window(metric, "_count", window, before).sum(by)
    return f"{total(metric, *by, window=window, before=before)} / {counts}"


def quantile(part: float, metric: Metric, *by: str, window: str = RATE) -> str:
    """A histogram's quantile, linear between the edges of a bucket."""
    return promql.quantile(part, _Window(metric, "_bucket", window).sum((*by, "le")))


def heights(metric: Metric) -> str:
    """Observations by bucket, of each step: what a heatmap draws."""
    return _Window(metric, "_bucket", RATE, function="increase").sum(("le",))


def within(edge: float, metric: Metric) -> str:
    """The share of observations up to an edge of the histogram's buckets: exact."""
    if edge not in metric.buckets:
        msg = f"{edge:g} is no edge of {metric.name}: {metric.buckets}"
        raise ValueError(msg)
    return promql.share(_Window(metric, "_bucket", RATE, where={"le": repr(float(edge))}).sum(()), rate(metric))


def level(metric: Metric, *by: str, before: bool = False, **where: str) -> str:
    """A gauge's value, summed by labels; ``before``: one time range ago."""
    _known(metric, by)
    return added(_selector(metric, "", FILTERS, where) + (f" offset {RANGE}" if before else ""), by)


def latest(metric: Metric, *by: str) -> str:
    """The largest value of a gauge: of a time, which can't be summed over services."""
    _known(metric, by)
    selector = _selector(metric, "", FILTERS, {})
    return f"max by ({', '.join(by)}) ({selector})" if by else f"max({selector})"


def filters_of(metric: Metric) -> tuple[str, ...]:
    """The variables that a metric has as labels."""
    return tuple(name for name in FILTERS if name in metric.labels)


_BY_NAME: Final = {
    prometheus_name(metric) + suffix: metric
    for metric in semconv.METRICS.values()
    for suffix in (
        "_created",
        *(("_bucket", "_sum", "_count") if metric.kind == "histogram" else (_SUFFIXES[metric.kind],)),
    )
}


def metrics_of(expression: str) -> dict[str, Metric]:
    """Samples that an expression reads, and their metrics."""
    names = re.findall(r"\b(?:voicebot|orchestrator)_\w+", expression)
    return {name: _BY_NAME[name] for name in names}
