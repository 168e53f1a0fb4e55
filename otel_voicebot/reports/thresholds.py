"""Thresholds: which figures can be watched, which direction of each is bad, and whether one was crossed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from otel_voicebot.errors import UsageError
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.measures import BAD, MEASURES
from otel_voicebot.reports.observed import Observed, spelled
from otel_voicebot.reports.service_kpis import BEYOND
from otel_voicebot.reports.values import duration, plain, quantity
from otel_voicebot.semconv import OPERATION_DURATION, OPERATIONS, RESPONSE_GAP

__all__ = ["WATCHED", "Evaluation", "Limit", "Watched", "limit"]

Bad = Literal["up", "down"]
State = Literal["quiet", "crossed", "too_few", "unknown"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A figure that a threshold can be set on.

    Attributes:
        kpi: its name in the report; with ``{q}`` in it a percentile is chosen.
        bad: which direction is worse.
        lowest, highest: between which a threshold makes sense, in the unit of the KPI.
        component: it is the latency of this component, not a KPI of the report.
    """

    kpi: str
    bad: Bad
    lowest: float = 0.0
    highest: float = 1.0
    component: str | None = None

    @property
    def unit(self) -> Literal["s", "share", "points"]:
        """Of a threshold: a time, a share from 0 to 1, or points of a scale."""
        return "s" if "{q}" in self.kpi else "share" if (self.lowest, self.highest) == (0.0, 1.0) else "points"


_DAY: Final = 86_400.0
_NOT_COMPARED: Final = ("strict_containment_24h", "automation_rate", "session_success_rate", "completion_rate")
_SHARES: Final[dict[str, Bad]] = {
    **{one.name: one.bad for one in MEASURES.values() if one.bad and one.share and one.quantile is None},
    **{name: BAD[name] for name in _NOT_COMPARED},
}
WATCHED: Final[Mapping[str, Watched]] = {
    "latency": Watched("response_gap_{q}_s", "up", 0.0, _DAY),
    **{f"{name}_latency": Watched("{q}_s", "up", 0.0, _DAY, component=name) for name in OPERATIONS},
    **{name: Watched(name, bad) for name, bad in _SHARES.items()},
    "mos": Watched("mos", BAD["mos"], 1.0, 5.0),
    "csat": Watched("csat_mean", BAD["csat_mean"], 1.0, 5.0),
    "nps": Watched("nps", BAD["nps"], -100.0, 100.0),
}
"""By the name that ``--metric`` takes. ``latency`` is the caller's whole wait: the response gap."""

_NUMBER: Final = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)\s*(ms|s|%)?")
_OF_UNIT: Final = {"s": ("", "ms", "s"), "share": ("", "%"), "points": ("",)}
_DIVISOR: Final = {("s", ""): 1000, ("s", "ms"): 1000, ("share", "%"): 100}
_HINT: Final = {
    "s": "milliseconds, or a time such as 500ms or 0.5s",
    "share": "a share from 0 to 1, or a percentage such as 10%",
    "points": "a number from {0.lowest:g} to {0.highest:g}",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """What is watched.

    Attributes:
        metric: its name in ``WATCHED``.
        quantile: p50, p95 or p99; None where it has none.
        threshold: in the unit of the KPI: seconds, a share, points.
        least: with fewer observations nothing is said.
    """

    metric: str
    quantile: str | None
    threshold: float
    least: int

    @property
    def watched(self) -> Watched:
        """What it is."""
        return WATCHED[self.metric]

    def evaluate(self, found: Observed) -> "Evaluation":
        """Whether the threshold is crossed."""
        kpi = self._kpi(found)
        n = int(kpi.denominator or 0)
        if kpi.value is None or n < self.least:
            state: State = "too_few"
        else:
            state = "crossed" if self.beyond(kpi.value) else "quiet"
        return Evaluation(self, state, kpi, n, found)

    def beyond(self, value: float) -> bool:
        """Whether a value is on the bad side of the threshold."""
        return value > self.threshold if self.watched.bad == "up" else value < self.threshold

    def head(self, found: Observed, window_s: float | None = None) -> list[str]:
        """What is watched, and where; ``window_s``: each look is over the last so many seconds."""
        bad = "above" if self.watched.bad == "up" else "below"
        counted = "counted while it is watched" if found.service else "calls that began"
        span = None if window_s is None else f"{counted}, in the last {spelled(window_s)} at each look"
        return [f"{self.name} {bad} {self.shown(self.threshold)} is bad", *found.head(span)]

    def check_service(self) -> None:
        """Whether a service's histograms tell when it is crossed; a directory always does.

        Raises:
            UsageError: their last bucket begins at the threshold or below it, so that nothing could ever cross it.
        """
        if self.watched.unit != "s":
            return
        last = (RESPONSE_GAP if self.watched.component is None else OPERATION_DURATION).buckets[-1]
        if self.threshold >= last:
            raise UsageError(
                f"--threshold {self.shown(self.threshold)}: a service counts what takes longer than {self.shown(last)} "
                f"in one bucket, so {self.metric} could never cross it: take less, or ask the data directory (--data)"
            )

    def _kpi(self, found: Observed) -> Kpi:
        name = self.watched.kpi.format(q=self.quantile)
        if self.watched.component is None:
            return found.kpi(name)
        row = next((row for row in found.components if row["component"] == self.watched.component), None)
        value, n = (row[name], row["timed"]) if row else (None, 0)
        note = None if row else found.untold or f"no {self.watched.component} operation"
        if row and name in row.get("beyond", ()):  # type: ignore[operator]
            note = BEYOND
        return Kpi(name, value, "s", value, n, None, None, note)  # type: ignore[arg-type]

    def shown(self, value: float | None) -> str:
        """A value as a person reads it."""
        match self.watched.unit:
            case "s":
                return duration(value)
            case "share":
                return quantity(value, "ratio")
        return quantity(value)

    @property
    def name(self) -> str:
        """The metric, and its percentile."""
        return f"{self.metric} {self.quantile}" if self.quantile else self.metric


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look: ``crossed`` or ``quiet``, or ``too_few`` observations to say."""

    limit: Limit
    state: State
    kpi: Kpi
    observations: int
    found: Observed

    def line(self) -> str:
        """For people: when, what, how much against which threshold, of how many, of which time."""
        limit, value = self.limit, self.kpi.value
        if value is None:
            what = f"{limit.name} unknown: {self.kpi.note or 'nothing was measured'}"
        else:
            beyond = ("above" if limit.watched.bad == "up" else "below") if limit.beyond(value) else "within"
            more = " or more" if self.kpi.note == BEYOND else ""
            what = f"{limit.name} {limit.shown(value)}{more}, {beyond} {limit.shown(limit.threshold)}"
        of = [f"n {self.observations}" + (f" of {limit.least} needed" if self.state == "too_few" else "")]
        if self.found.lasted_s is not None:
            of.append(spelled(self.found.lasted_s))
        time = f"{self.found.scope.as_of:%Y-%m-%d %H:%M:%SZ}"
        return f"{time}  {self.state.replace('_', ' '):<7}  {what}  ({', '.join(of)})"

    def document(self) -> dict[str, object]:
        """For programs. Value and threshold are in the unit of the report's KPI: seconds, shares, points."""
        limit = self.limit
        return {
            "time": plain(self.found.scope.as_of),
            "state": self.state,
            "crossed": {"crossed": True, "quiet": False}.get(self.state),
            "metric": limit.metric,
            "quantile": limit.quantile,
            "value": plain(self.kpi.value),
            "unit": self.kpi.unit,
            "threshold": limit.threshold,
            "bad": "above" if limit.watched.bad == "up" else "below",
            "observations": self.observations,
            "least": limit.least,
            "note": self.kpi.note,
            "of": self.found.span,
            "window": {"since": plain(self.found.scope.since), "until": plain(self.found.scope.until)},
        }


def limit(metric: str, threshold: str, quantile: str | None, least: int) -> Limit:
    """What a user asked to watch.

    Args:
        metric: a name of ``WATCHED``.
        threshold: a number, with or without its unit.
        quantile: p50, p95 or p99; None: p95 where there is one.
        least: observations that it takes.

    Raises:
        UsageError: there is no such metric, the threshold can't be one of it, or it has no percentiles.
    """
    if metric not in WATCHED:
        raise UsageError(f"--metric {metric!r} can't be watched; there is {', '.join(WATCHED)}")
    watched = WATCHED[metric]
    if quantile and watched.unit != "s":
        raise UsageError(f"--quantile {quantile}: {metric} has no percentiles")
    found = _NUMBER.fullmatch(threshold.strip())
    hint = _HINT[watched.unit].format(watched)
    if not found or (found[2] or "") not in _OF_UNIT[watched.unit]:
        raise UsageError(f"--threshold {threshold!r} is no threshold of {metric}: write {hint}")
    value = float(found[1]) / _DIVISOR.get((watched.unit, found[2] or ""), 1)
    if not watched.lowest <= value <= watched.highest:
        raise UsageError(f"--threshold {threshold} is none that {metric} could cross: write {hint}")
    return Limit(metric, (quantile or "p95") if watched.unit == "s" else None, value, least)
