"""From objectives to alerts: expressions, labels, texts; an alert that can never fire is refused."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.errors import UsageError
from otel_voicebot.exporters.promql import Labels, Pattern, quantile, selector, summed
from otel_voicebot.exporters.slo.burn import USUAL, Burn, burn_of
from otel_voicebot.exporters.slo.forms import Channel, Objective, Objectives, Rule, Severity, seconds
from otel_voicebot.exporters.slo.indicators import INDICATORS, SILENCE, Counted, Indicator, Timed
from otel_voicebot.exporters.slo.targets import TARGETS, Limit, limits_of
from otel_voicebot.exporters.slo.texts import SEGMENT_MEAN, About, annotations, segment_mean
from otel_voicebot.models.targets import Targets

__all__ = ["Alert", "Compiled", "Record", "compile_objectives"]

_BURNS: Final = "slo_burn"
"""The name of all alerts on burn rates; their label ``slo`` says of which objective."""
_LEAST: Final = "1h"
"""Calls are counted over an hour at least: few end in five minutes."""


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expr: str
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """An alerting rule, and what its unit test has to know."""

    name: str
    expr: str
    labels: Labels
    annotations: Labels
    about: About
    gate: str | None
    """The window in which calls are counted; None where none are."""
    minimum: int = 0
    burn: Burn | None = None


@dataclass(frozen=True)
class Compiled:
    """All rules of a file."""

    records: tuple[Record, ...]
    alerts: tuple[Alert, ...]
    left_out: tuple[str, ...]
    """Usual alerts that could never fire for their objective, and why."""
    repeats: tuple[str, ...]
    """How often alerts are sent again: the values of their label."""


def compile_objectives(told: Objectives, targets: Targets) -> Compiled:
    """The rules of a file of objectives.

    Args:
        told: the file.
        targets: the latency targets, for a rule on ``targets``.

    Raises:
        UsageError: an alert could never fire, an indicator or label is unknown, a field is missing.
    """
    if not (told.slos or told.rules):
        msg = "objectives file: it names neither slos nor rules"
        raise UsageError(msg)
    names = [one.name for one in (*told.slos, *told.rules)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"objectives file: {twice!r} names two things; each needs a name of its own"
        raise UsageError(msg)
    records, alerts, left_out = [Record(SEGMENT_MEAN, segment_mean())], list[Alert](), list[str]()
    for slo in told.slos:
        _Objective(told, slo).into(records, alerts, left_out)
    for rule in told.rules:
        alerts += _Rule(told, rule).alerts(targets)
    repeats = sorted({alert.labels["repeat"] for alert in alerts}, key=seconds)
    return Compiled(tuple(records), tuple(alerts), tuple(left_out), tuple(repeats))


class _Judged:
    """What objectives and rules have in common.

    Args:
        told: the file.
        one: the objective or rule.
    """

    def __init__(self, told: Objectives, one: Objective | Rule) -> None:
        self.told = told
        self.one = one
        self.minimum = told.minimum_calls if one.minimum_calls is None else one.minimum_calls

    def wrong(self, reason: str) -> UsageError:
        return UsageError(f"objectives file: {self.one.name}: {reason}")

    def known(self) -> Indicator:
        """The indicator, and whether the labels that are asked for are its own."""
        indicator = INDICATORS.get(self.one.indicator)
        if indicator is None:
            choices = ", ".join([*INDICATORS, *([SILENCE, TARGETS] if isinstance(self.one, Rule) else [])])
            raise self.wrong(f"indicator {self.one.indicator!r} is unknown; there are {choices}")
        self.have(indicator.labels)
        self.leaves(indicator)
        component = self.one.where.get("component")
        if component is not None and component not in indicator.components:
            there = ", ".join(indicator.components)
            raise self.wrong(f"component {component!r} never occurs, so that it could never fire; there are {there}")
        if (self.one.indicator == "calls") != bool(self.one.outcomes):
            raise self.wrong("outcomes says which ends of calls are bad: the indicator calls needs it, no other has it")
        strange = next((name for name in self.one.outcomes if name not in semconv.OUTCOMES), None)
        if strange is not None:
            raise self.wrong(f"outcome {strange!r} is unknown; there are {', '.join(semconv.OUTCOMES)}")
        if isinstance(indicator, Counted) and self.one.outcomes:
            return replace(indicator, bad_labels={"outcome": Pattern("|".join(self.one.outcomes))})
        return indicator

    def have(self, labels: Iterable[str]) -> None:
        """Whether series have the labels that are asked for."""
        missing = next((name for name in (*self.one.where, *self.one.by) if name not in labels), None)
        if missing is not None:
            raise self.wrong(f"{self.one.indicator} has no label {missing!r}; it has {', '.join(labels)}")

    def leaves(self, indicator: Indicator) -> None:
        """Whether the labels that tell bad from good are left to the indicator: apart, each is all bad or never."""
        own = {**indicator.bad_labels, **indicator.all_labels} if isinstance(indicator, Counted) else {}
        taken = next((name for name in (*self.one.where, *self.one.by) if name in own), None)
        if taken is not None:
            raise self.wrong(f"{taken} tells what {self.one.indicator} counts as bad: it can't stand in where or by")

    def where(self) -> dict[str, str]:
        return dict(self.one.where)

    def edge(self, indicator: Timed) -> float:
        """The limit of a time: one of the histogram's edges, for between them nobody knows how many there are."""
        edges, limit = indicator.histogram.buckets, self.one.within_s
        if limit is None:
            raise self.wrong(f"{self.one.indicator} needs within_s, the seconds after which it is too slow")
        if limit not in edges:
            near = sorted(sorted(edges, key=lambda edge: abs(edge - limit))[:2])
            raise self.wrong(
                f"within_s {limit:g} is no edge of the histogram {indicator.histogram.name}: take "
                f"{' or '.join(f'{edge:g}' for edge in near)}"
            )
        return limit

    def share(self, indicator: Indicator, window: str) -> str:
        """The share of bad ones in a window."""
        if isinstance(indicator, Timed):
            return indicator.share(window, self.one.by, self.where(), self.edge(indicator))
        counted = self.counted(indicator)
        return counted.share(window, self.one.by, self.where())

    def counted(self, indicator: Indicator) -> Counted:
        if not isinstance(indicator, Counted):
            raise self.wrong(f"{self.one.indicator} is a time: it can't be counted")
        if self.one.within_s is not None:
            raise self.wrong(f"within_s is the limit of a time, and {self.one.indicator} is none")
        return indicator

    def bad(self, indicator: Indicator) -> str:
        """What is bad, in words."""
        return indicator.bad.format(within_s=self.one.within_s or 0, outcomes=" or ".join(self.one.outcomes))

    def gated(self, expr: str, window: str) -> str:
        """The expression, where enough calls have ended."""
        if not self.minimum:
            return expr
        # a call has no component: where series are judged by more than a call has, its bot's calls count
        by = [name for name in self.one.by if name in semconv.SESSIONS.labels]
        where = {name: value for name, value in self.one.where.items() if name in semconv.SESSIONS.labels}
        calls = summed("increase", selector(semconv.SESSIONS, "_total", where), window, by)
        return f"{expr} and on ({', '.join(by)}) {calls} >= {self.minimum}"

    def labels(self, severity: Severity, **more: str) -> dict[str, str]:
        usual: tuple[Channel, ...] = self.told.channels.get(severity, ())
        channels = usual if self.one.channels is None else self.one.channels
        repeat = self.one.repeat or self.told.repeat
        return {"severity": severity, "channels": ",".join(channels), "repeat": repeat, **more}


class _Objective(_Judged):
    one: Objective

    def into(self, records: list[Record], alerts: list[Alert], left_out: list[str]) -> None:
        """Add what the objective needs."""
        slo, period = self.one, self.told.period
        indicator = self.known()
        burns = []
        for policy in slo.alerts or USUAL:
            burn = burn_of(policy, slo.objective, period)
            reason = burn.why_never(slo.objective, period)
            if reason is None:
                burns.append(burn)
            elif slo.alerts is not None:
                raise self.wrong(f"the alert over {policy.long} could never fire: {reason}")
            else:
                left_out.append(f"{slo.name}: the usual alert over {policy.long} could never fire: {reason}")
        if not burns:
            raise self.wrong(f"no usual alert could ever fire; name alerts of its own. {left_out[-1]}")
        windows = sorted({window for burn in burns for window in (burn.policy.long, burn.policy.short)}, key=seconds)
        of = {"slo": slo.name}
        records += [Record(_ratio(window), self.share(indicator, window), of) for window in windows]
        left = f"1 - ({self.share(indicator, period)}) / {1 - slo.objective:.10g}"
        records += [
            Record("voicebot:slo_objective:ratio", f"vector({slo.objective:g})", of),
            Record("voicebot:slo_budget_left:ratio", left, of),
        ]
        alerts += [self._alert(indicator, burn) for burn in burns]

    def _alert(self, indicator: Indicator, burn: Burn) -> Alert:
        slo, policy = self.one, burn.policy
        chosen = f'{{slo="{slo.name}"}}'
        both = [f"{_ratio(window)}{chosen} > {burn.share:.10g}" for window in (policy.long, policy.short)]
        said = (
            f"{{{{ $value | humanizePercentage }}}} {self.bad(indicator)} in {policy.long}, where "
            f"{1 - slo.objective:.4g} is allowed: {policy.budget:.4g} of the budget of {self.told.period} went then"
        )
        about = About(indicator, slo.by, slo.where)
        return Alert(
            name=_BURNS,
            expr=self.gated(" and ".join(both), policy.long),
            labels=self.labels(policy.severity, slo=slo.name, window=policy.long),
            annotations=annotations(said, about, indicator.look, self.told.runbook_url),
            about=about,
            gate=policy.long if self.minimum else None,
            minimum=self.minimum,
            burn=burn,
        )


class _Rule(_Judged):
    one: Rule

    def alerts(self, targets: Targets) -> list[Alert]:
        """The rule's alerts: several where it is on targets."""
        rule = self.one
        self._one_threshold()
        if rule.indicator == SILENCE:
            return [self._silence()]
        if rule.indicator == TARGETS:
            limits = limits_of(targets)
            if not limits:
                raise self.wrong("the targets file names no latency targets")
            if rule.where:
                raise self.wrong("where is not for targets: each says itself what it is of")
            return [self._limit(one) for one in limits]
        indicator = self.known()
        if rule.above is not None:
            if rule.above >= 1 and not indicator.beyond_one:
                raise self.wrong(f"above {rule.above:g}: a share is never above 1, so that it could never fire")
            said = f"{{{{ $value | humanizePercentage }}}} {self.bad(indicator)} in {rule.over}"
            return [self._alert(f"{self.share(indicator, rule.over)} > {rule.above:g}", said, indicator)]
        if rule.more_than is not None:
            count = self.counted(indicator).count("increase", rule.over, rule.by, self.where())
            what = self.bad(indicator).removeprefix("of ")
            said = f'{{{{ printf "%.0f" $value }}}} {what} in {rule.over}'
            return [self._alert(f"{count} > {rule.more_than}", said, indicator, gate=False)]
        if not isinstance(indicator, Timed):
            raise self.wrong(f"{rule.indicator} is no time: it has no quantile; say above, a share")
        limit = Limit(indicator, {}, rule.quantile or 0, rule.above_s or 0, rule.name)
        return [self._limit(limit)]

    def _one_threshold(self) -> None:
        rule = self.one
        given = [name for name in ("above", "quantile", "above_s", "more_than") if getattr(rule, name) is not None]
        free = rule.indicator in (SILENCE, TARGETS)
        if free and given:
            raise self.wrong(f"{rule.indicator} takes no threshold, and {given[0]} is one")
        if not free and given not in (["above"], ["quantile", "above_s"], ["more_than"]):
            raise self.wrong(
                "say one of above (a share), quantile with above_s (of a time), more_than (a count); "
                f"it says {', '.join(given) or 'none'}"
            )
        if rule.minimum_calls and (rule.more_than is not None or rule.indicator == SILENCE):
            raise self.wrong("minimum_calls is of shares and quantiles; what counts things itself needs none")

    def _limit(self, limit: Limit) -> Alert:
        """An alert on a quantile."""
        metric, most = limit.indicator.histogram, limit.indicator.histogram.buckets[-1]
        if limit.above_s >= most:
            raise self.wrong(
                f"{limit.name}: above {limit.above_s:g} s: what Prometheus reads from the histogram {metric.name} is "
                f"never above its last edge, {most:g} s, so that it could never fire"
            )
        where = {**self.where(), **limit.where}
        self.have((*limit.indicator.labels, *where))
        times = summed("rate", selector(metric, "_bucket", where), self.one.over, [*self.one.by, "le"])
        measured = quantile(limit.quantile, times)
        said = (
            f"the p{limit.quantile * 100:g} of {limit.name} is {{{{ $value | humanizeDuration }}}} in {self.one.over}, "
            f"above {limit.above_s:g} s"
        )
        more = {"target": limit.name, "quantile": f"p{limit.quantile * 100:g}"}
        return self._alert(f"{measured} > {limit.above_s:g}", said, limit.indicator, where=where, more=more)

    def _silence(self) -> Alert:
        rule = self.one
        self.have(semconv.SESSIONS_ACTIVE.labels)
        there = summed("min_over_time", selector(semconv.SESSIONS_ACTIVE, "", rule.where), rule.over, rule.by)
        answered = {**rule.where, "outcome": "answered"}
        answers = summed("increase", selector(semconv.TURNS, "_total", answered), rule.over, rule.by)
        expr = f"{there} > 0 unless on ({', '.join(rule.by)}) {answers} > 0"
        said = f"{{{{ $value }}}} callers are on the line, and none had an answer in {rule.over}"
        return self._alert(expr, said, None, gate=False)

    def _alert(
        self,
        expr: str,
        said: str,
        indicator: Indicator | None,
        *,
        gate: bool = True,
        where: Labels | None = None,
        more: Labels | None = None,
    ) -> Alert:
        rule = self.one
        about = About(indicator, rule.by, rule.where if where is None else where)
        window = max(rule.over, _LEAST, key=seconds)
        gated = gate and bool(self.minimum)
        look = indicator.look if indicator is not None else "otel-voicebot slow"
        return Alert(
            name=rule.name,
            expr=self.gated(expr, window) if gated else expr,
            labels=self.labels(rule.severity, **(more or {})),
            annotations=annotations(said, about, look, self.told.runbook_url),
            about=about,
            gate=window if gated else None,
            minimum=self.minimum if gated else 0,
        )


def _ratio(window: str) -> str:
    return f"voicebot:slo_bad:ratio_rate{window}"
