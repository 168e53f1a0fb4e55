"""Is B better or worse than A? Two groups of calls, KPI by KPI, with the call as the unit."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.errors import NoDataError, UnreadableDataError, UsageError
from otel_voicebot.models import Selection, Terms
from otel_voicebot.models.pricing import Prices
from otel_voicebot.reports import inference, source
from otel_voicebot.reports.measures import MEASURES, PRIMARY, Measure
from otel_voicebot.reports.resampling import Clustered, quantiles
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.sides import PERIOD, Sides, calls, others
from otel_voicebot.reports.source import Opened

__all__ = ["FEWEST_CALLS", "Compared", "Comparison", "Plan", "Side", "Value", "Verdict", "between", "compute", "of"]

Verdict = Literal["better", "worse", "different", "no evidence", "too few", "not measured", "refused"]
"""Of B beside A. ``different``: of a KPI of which neither direction is bad. ``refused``: they can't be compared."""

FEWEST_CALLS: Final = 100
"""With fewer calls on one of two unequal sides false positives of a skewed KPI rise above 6 %."""
_SMALLEST_GROUP: Final = 10
_FEWEST_ANSWERS: Final = 30
"""Calls that a KPI must be of on each side: not every call has a survey."""
_MISMATCH: Final = 0.001
"""Below it the split is no chance. The usual threshold: the check is made on every look, and must not cry wolf."""
_EVENTS: Final = 5
"""Calls with, and calls without, that a share needs on each side for its difference to be about normal (Cochran)."""
_TAIL: Final = 10
"""Exchanges beyond a percentile on each side, else it is hardly more than the largest values."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How sides are compared; better fixed before one looks at them."""

    kpis: tuple[str, ...] = ()
    """Names of ``MEASURES``; none: all of them."""
    primary: str | None = None
    """The KPI that decides; None: ``PRIMARY``, or the first of ``kpis`` where that isn't among them."""
    split: tuple[float, float] | None = None
    """Intended sizes of A and B; None: equal for variants, and nothing to check for other columns and periods."""
    fewest: int = FEWEST_CALLS
    """Calls that each side needs."""
    alpha: float = 0.05
    """A difference is found where its adjusted p value is below it; intervals cover 1 - alpha."""
    seed: int = 1
    """Of the bootstrap: the same calls and seed give the same numbers."""

    def __post_init__(self) -> None:
        for name in (*self.kpis, *filter(None, (self.primary,))):
            if name not in MEASURES:
                msg = f"there is no KPI {name!r} to compare by; there are {', '.join(MEASURES)}"
                raise UsageError(msg)
        if self.primary and self.kpis and self.primary not in self.kpis:
            msg = f"the primary KPI {self.primary} is not among those asked: {', '.join(self.kpis)}"
            raise UsageError(msg)
        if self.split and min(self.split) <= 0:
            msg = f"a split of {self.split[0]:g}:{self.split[1]:g} leaves a side without calls"
            raise UsageError(msg)
        if self.fewest < _SMALLEST_GROUP:
            msg = f"{self.fewest} calls a side are too few for any statistics: ask for at least {_SMALLEST_GROUP}"
            raise UsageError(msg)

    @property
    def deciding(self) -> str:
        """The name of the primary KPI."""
        if self.primary:
            return self.primary
        return PRIMARY if not self.kpis or PRIMARY in self.kpis else self.kpis[0]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is compared, in the order of ``MEASURES``."""
        return tuple(measure for name, measure in MEASURES.items() if not self.kpis or name in self.kpis)


@dataclass(frozen=True, slots=True)
class Side:
    """One group of calls."""

    name: str
    """As people read it."""
    sessions: int
    first: datetime
    """Start of the first call."""
    last: datetime
    """Start of the last one."""


@dataclass(frozen=True, slots=True)
class Value:
    """A KPI of one side. ``value`` is None where nothing was measured; ``calls``: calls that it is of."""

    value: float | None
    numerator: float | None
    denominator: float
    excluded: float
    calls: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One KPI of both sides.

    Attributes:
        measure: which KPI.
        a: of the one side.
        b: of the other.
        effect: B minus A with interval and p value; None where it isn't judged, and ``note`` says why.
        p_adjusted: of the primary KPI its own p value, of the others Holm's over them.
        verdict: what it says of B.
        note: why there is no verdict, where there is none.
    """

    measure: Measure
    a: Value
    b: Value
    effect: inference.Effect | None
    p_adjusted: float | None
    verdict: Verdict
    note: str | None = None

    @property
    def difference(self) -> float | None:
        """B minus A, in the KPI's unit; None where one of them is unknown."""
        return None if self.a.value is None or self.b.value is None else self.b.value - self.a.value

    @property
    def relative(self) -> float | None:
        """The difference as a share of A's value."""
        return self.difference / abs(self.a.value) if self.difference is not None and self.a.value else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. ``reason`` says in a sentence why the verdict is what it is."""

    scope: Scope
    sides: Sides
    plan: Plan
    a: Side
    b: Side
    split_p: float | None
    """How likely the sides' sizes are by chance; None: not checked."""
    kpis: tuple[Compared, ...]
    verdict: Verdict
    reason: str
    prices: str | None = None
    """Where the prices are from and of which day, in a sentence; None: no cost was asked for."""

    def kpi(self, name: str) -> Compared:
        """One KPI; raises KeyError where it was not asked for."""
        return {kpi.measure.name: kpi for kpi in self.kpis}[name]


def between(
    data: Path | str,
    sides: Sides,
    plan: Plan | None = None,
    *,
    prices: Prices | None = None,
    as_of: datetime | None = None,
) -> Comparison:
    """Compare two groups of the calls in a data directory; ``of`` for a part of them.

    Args:
        data: the directory.
        sides: what is compared.
        plan: by which rules; None: the usual ones.
        prices: where prices come from; None: known model calls only have one.
        as_of: what ended after this (aware) moment is left out; None: nothing is.

    Raises:
        NoDataError: one of the sides has no call.
        UnreadableDataError: none of the data can be read.
    """
    window = Selection(sides.window.since, sides.window.until, as_of=as_of)
    terms = Terms(as_of=as_of or datetime.now(UTC))
    found = partial(of, sides=sides, plan=plan or Plan(), prices=prices or Prices())
    brief = sides.by == PERIOD  # a brief engine doesn't know variants and bots
    return source.ask(Path(data), window, terms.as_of, found, brief=brief, cut=False, terms=terms)


def of(opened: Opened, sides: Sides, plan: Plan, prices: Prices) -> Comparison:
    """Compare two groups of the calls of an open data directory; raises as ``between``."""
    told = prices.give(opened.engine) if any(measure.unit == "USD" for measure in plan.measures) else None
    table, scope = calls(opened, sides), opened.scope
    for side, name in zip("ab", sides.names, strict=True):
        if not pc.any(pc.equal(table["side"], side)).as_py():
            filters = "".join(f", {key} {value}" for key, value in scope.filters.items())
            message = f"no sessions of {sides.by} {name}: {scope.window()}{filters}, in {scope.data}"
            if scope.unreadable:
                paths = tuple(item.path for item in scope.unreadable)
                raise UnreadableDataError(f"{message}; what can't be read was left out: {', '.join(paths[:3])}", paths)
            raise NoDataError(message + others(opened, sides))
    return replace(compute(table, scope, sides, plan), prices=told)


def compute(table: pa.Table, scope: Scope, sides: Sides, plan: Plan) -> Comparison:
    """Compare the calls of both sides.

    Args:
        table: as ``sides.calls`` gives it, with at least one call a side.
        scope: what they are of.
        sides: what the sides are.
        plan: what is compared, and by which rules.
    """
    groups = tuple(table.filter(pc.equal(table["side"], side)) for side in "ab")
    a, b = (_side(name, group) for name, group in zip(sides.names, groups, strict=True))
    split = plan.split or ((1.0, 1.0) if sides.by == "variant" else None)
    split_p = inference.sample_ratio(a.sessions, b.sessions, split) if split else None
    if split and split_p is not None and split_p < _MISMATCH:
        kpis = tuple(
            Compared(measure, _value(groups[0], measure), _value(groups[1], measure), None, None, "refused")
            for measure in plan.measures
        )
        return Comparison(scope, sides, plan, a, b, split_p, kpis, "refused", _mismatch(a, b, split, split_p))
    kpis = _judged(_compared(groups, plan), plan)
    return Comparison(scope, sides, plan, a, b, split_p, kpis, *_verdict(a, b, kpis, plan))


def _side(name: str, group: pa.Table) -> Side:
    span = pc.min_max(group["start_time"]).as_py()
    return Side(name, len(group), span["min"], span["max"])


def _mismatch(a: Side, b: Side, split: tuple[float, float], p: float) -> str:
    wanted = ":".join(f"{100 * share / sum(split):.3g}" for share in split)
    return (
        f"{a.sessions} to {b.sessions} calls is no {wanted} split (p = {p:.1g}): calls of one side are missing or were "
        "routed otherwise, so that the sides differ in more than what is tested; if the split was planned, name it"
    )


def _column(group: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(group[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _ratio(group: pa.Table, measure: Measure) -> inference.Ratio:
    return inference.ratio(_column(group, measure.name) * measure.factor, _column(group, f"{measure.name}_of"))


def _value(group: pa.Table, measure: Measure) -> Value:
    if measure.quantile is None:
        found = _ratio(group, measure)
        excluded = float(np.nansum(_column(group, f"{measure.name}_out")))
        numerator = None if found.value is None else found.numerator / measure.factor
        return Value(found.value, numerator, found.denominator, excluded, found.calls)
    gaps = _gaps(group)
    excluded = float(np.nansum(_column(group, "response_gap_mean_s_out")))
    value = float(quantiles(gaps, [measure.quantile])[0]) if len(gaps.values) else None
    return Value(value, value, len(gaps.values), excluded, gaps.calls)


def _gaps(group: pa.Table) -> Clustered:
    lists = group["response_gaps_s"].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return Clustered.of(values, np.repeat(np.arange(len(lengths)), lengths))


def _compared(groups: tuple[pa.Table, ...], plan: Plan) -> list[Compared]:
    """Each KPI with what can be said of its difference, before adjustment."""
    found = []
    for measure in plan.measures:
        a, b = (_value(group, measure) for group in groups)
        verdict, note = _measurable(groups, measure, (a, b), plan)
        found.append(Compared(measure, a, b, None, None, verdict, note))
    judged = [kpi.measure for kpi in found if kpi.verdict == "no evidence"]
    effects = _effects(groups, judged, plan)
    return [_with(kpi, effects.get(kpi.measure.name)) for kpi in found]


def _with(kpi: Compared, effect: inference.Effect | None) -> Compared:
    return Compared(kpi.measure, kpi.a, kpi.b, effect, None, kpi.verdict, kpi.note)


def _measurable(
    groups: tuple[pa.Table, ...], measure: Measure, values: tuple[Value, Value], plan: Plan
) -> tuple[Verdict, str | None]:
    """``no evidence``, as yet, of a KPI that can be judged; else why not."""
    if any(value.value is None for value in values):
        lacking = [side for side, value in zip("AB", values, strict=True) if value.value is None]
        return "not measured", f"nothing was measured on {' and '.join(lacking)}"
    fewest, needed = min(value.calls for value in values), min(plan.fewest, _FEWEST_ANSWERS)
    if fewest < needed:
        return "too few", f"{fewest} calls have it on one side, {needed} are needed"
    if measure.quantile is not None:
        beyond = min(value.denominator for value in values) * min(measure.quantile, 1 - measure.quantile)
        if beyond < _TAIL:
            return "too few", f"{beyond:.0f} exchanges lie beyond it on one side, {_TAIL} are needed"
    if measure.share and (rare := _rarest(groups, measure) * fewest) < _EVENTS:
        return "too few", f"hardly a call differs in it: {rare:.1f} to be expected on one side, {_EVENTS} are needed"
    return "no evidence", None


def _rarest(groups: tuple[pa.Table, ...], measure: Measure) -> float:
    """The share of calls in which it happened at all, or in which it did not always: the smaller."""
    above = np.concatenate([_column(group, measure.name) for group in groups])
    below = np.concatenate([_column(group, f"{measure.name}_of") for group in groups])
    counted = below > 0
    above, below = np.nan_to_num(above[counted]), below[counted]
    return min(float(np.mean(above > 0)), float(np.mean(above < below)))


def _effects(groups: tuple[pa.Table, ...], measures: list[Measure], plan: Plan) -> dict[str, inference.Effect]:
    # what Holm's first step asks of one of several: an effect of the detectable size is found at least as often
    several = max(sum(measure.name != plan.deciding for measure in measures), 1)
    levels = {m.name: plan.alpha if m.name == plan.deciding else plan.alpha / several for m in measures}
    effects = {}
    for measure in measures:
        if measure.quantile is None:
            a, b = (_ratio(group, measure) for group in groups)
            effects[measure.name] = inference.ratio_effect(a, b, plan.alpha, levels[measure.name])
    percentiles = {measure.name: measure.quantile for measure in measures if measure.quantile is not None}
    if percentiles:
        a_gaps, b_gaps = (_gaps(group) for group in groups)
        wanted = [levels[name] for name in percentiles]
        shares = list(percentiles.values())
        found = inference.quantile_effects(a_gaps, b_gaps, shares, (plan.alpha, wanted), plan.seed)
        effects.update(zip(percentiles, found, strict=True))
    return effects


def _judged(kpis: list[Compared], plan: Plan) -> tuple[Compared, ...]:
    """With adjusted p values and verdicts. The primary KPI is one question asked before: it stands by itself."""
    p = {kpi.measure.name: kpi.effect.p for kpi in kpis if kpi.effect}
    family = [name for name in p if name != plan.deciding]
    adjusted = {**p, **dict(zip(family, inference.holm([p[name] for name in family]), strict=True))}
    return tuple(_decided(kpi, adjusted[kpi.measure.name], plan.alpha) if kpi.effect else kpi for kpi in kpis)


def _decided(kpi: Compared, p: float, alpha: float) -> Compared:
    verdict: Verdict = "no evidence"
    if p < alpha and kpi.difference:
        rises = kpi.difference > 0
        bad = kpi.measure.bad
        verdict = "different" if bad is None else "worse" if rises == (bad == "up") else "better"
    return Compared(kpi.measure, kpi.a, kpi.b, kpi.effect, p, verdict)


def _verdict(a: Side, b: Side, kpis: tuple[Compared, ...], plan: Plan) -> tuple[Verdict, str]:
    """The verdict of all, and why. In experiments without a difference ``worse`` comes in at most alpha of them."""
    fewest = min(a.sessions, b.sessions)
    if fewest < plan.fewest:
        return "too few", f"one side has {fewest} calls, {plan.fewest} are needed"
    names = {verdict: [kpi.measure.name for kpi in kpis if kpi.verdict == verdict] for verdict in ("better", "worse")}
    primary = next(kpi for kpi in kpis if kpi.measure.name == plan.deciding)
    if names["worse"]:
        return "worse", f"worse in {', '.join(names['worse'])}"
    if primary.verdict in ("better", "different"):
        return primary.verdict, f"{primary.verdict} in {plan.deciding}, which decides, and worse in nothing"
    if primary.effect is None:
        return primary.verdict, f"{plan.deciding}, which decides, can't be judged: {primary.note}"
    also = f"; better in {', '.join(names['better'])}, which do not decide" if names["better"] else ""
    return "no evidence", f"{plan.deciding}, which decides, is not shown to differ{also}"
