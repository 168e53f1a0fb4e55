"""Unit tests of the compiled rules, for ``promtool test rules``.

Three worlds: everything goes bad, and each alert fires; the same with fewer calls than an alert asks for, and it is
silent; everything is well, and all are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

import yaml

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric
from otel_voicebot.exporters.promql import matchers, selector
from otel_voicebot.exporters.slo.compiled import Alert, Compiled
from otel_voicebot.exporters.slo.forms import seconds
from otel_voicebot.exporters.slo.indicators import Counted

__all__ = ["unit_tests_file"]

_MINUTES: Final = 30
"""The shares in a long window are those of what there is of it."""
_A_MINUTE: Final = 60
"""So many of everything happen in a minute."""
_NAMES: Final = {"bot": "any", "component": "llm", "provider": "provider", "model": "model", "channel": "phone"}
"""Labels of the worlds' series, where an alert doesn't ask for its own."""


class World(Enum):
    """How things are."""

    BAD = "everything is bad"
    FEW = "everything is bad, but hardly anybody calls"
    GOOD = "everything is well"


def unit_tests_file(compiled: Compiled, rules: str) -> str:
    """The tests (YAML).

    Args:
        compiled: the rules.
        rules: the name of the rules' file, from where the tests' file lies.
    """
    tests = [_test(alerts, world) for alerts in _together(compiled.alerts) for world in World]
    whole = {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}
    return yaml.safe_dump(whole, sort_keys=False, width=1000)


def _together(alerts: Iterable[Alert]) -> list[list[Alert]]:
    """The alerts that can share a world: what is bad for one is not another's good, which would halve the share."""
    groups: list[tuple[dict[str, object], list[Alert]]] = []
    for alert in alerts:
        needs = _needs(alert)
        for taken, group in groups:
            if all(taken.get(name, what) == what for name, what in needs.items()):
                taken.update(needs)
                group.append(alert)
                break
        else:
            groups.append((needs, [alert]))
    return [group for _, group in groups]


def _needs(alert: Alert) -> dict[str, object]:
    """What an alert takes a counter for."""
    indicator = alert.about.indicator
    needs: dict[str, object] = {semconv.SESSIONS.name: "calls"} if alert.gate else {}
    if isinstance(indicator, Counted):
        needs[indicator.numerator.name] = dict(alert.about.bad_labels)
    return needs


def _test(alerts: Sequence[Alert], world: World) -> dict[str, object]:
    series: dict[str, str] = {}
    for alert in alerts:
        series |= dict(_series(alert, world))
    return {
        "name": world.value,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [_expected(one, world) for one in alerts if world is not World.FEW or one.gate],
    }


def _expected(alert: Alert, world: World) -> dict[str, object]:
    chosen = {"alertname": alert.name, "alertstate": "firing", **alert.labels, **_bot(alert)}
    return {
        "expr": f"count(ALERTS{{{matchers(chosen)}}}) or vector(0)",
        "eval_time": f"{_MINUTES}m",
        "exp_samples": [{"labels": "{}", "value": int(world is World.BAD)}],
    }


def _bot(alert: Alert) -> dict[str, str]:
    return {"bot": alert.about.where.get("bot", _NAMES["bot"])} if "bot" in alert.about.by else {}


def _series(alert: Alert, world: World) -> Iterator[tuple[str, str]]:
    """What the alert reads, in a world."""
    where = dict(alert.about.where)
    indicator = alert.about.indicator
    good = world is World.GOOD
    # of as many calls as it asks for in the window half come
    few = max(0.0, (alert.minimum - 1) / seconds(alert.gate or "1h") * 60 / 2)
    of_calls = semconv.SESSIONS in indicator.metrics if indicator is not None else False
    if indicator is None:
        yield selector(semconv.SESSIONS_ACTIVE, "", _labels(semconv.SESSIONS_ACTIVE, where)), f"3+0x{_MINUTES}"
        yield _counter(semconv.TURNS, "_total", {**where, "outcome": "answered"}, rises=good)
    elif isinstance(indicator, Counted):
        bad = selector(indicator.numerator, "_total", _labels(indicator.numerator, {**where, **_bad(alert)}))
        yield bad, _rising(few if world is World.FEW and of_calls else 0 if good else _A_MINUTE)
        if indicator.denominator is not indicator.numerator:
            yield _counter(indicator.denominator, indicator.of, where, rises=True)
        else:
            yield _counter(indicator.denominator, "_total", {**where, **_well(alert, indicator)}, rises=good)
    else:
        yield from _histogram(indicator.metrics[0], where, good=good)
    if alert.gate and not of_calls:
        calls = _labels(semconv.SESSIONS, {**where, "outcome": "resolved"})
        plenty = float(max(_A_MINUTE, alert.minimum))
        yield selector(semconv.SESSIONS, "_total", calls), _rising(few if world is World.FEW else plenty)


def _histogram(metric: Metric, where: Mapping[str, str], *, good: bool) -> Iterator[tuple[str, str]]:
    for edge in metric.buckets:
        yield _counter(metric, "_bucket", {**where, "le": repr(float(edge))}, rises=good)
    yield _counter(metric, "_bucket", {**where, "le": "+Inf"}, rises=True)
    yield _counter(metric, "_count", where, rises=True)
    yield _counter(metric, "_sum", where, rises=True)


def _counter(metric: Metric, suffix: str, where: Mapping[str, str], *, rises: bool) -> tuple[str, str]:
    return selector(metric, suffix, _labels(metric, where)), _rising(_A_MINUTE if rises else 0)


def _rising(a_minute: float) -> str:
    return f"0+{a_minute:.6g}x{_MINUTES}"


def _labels(metric: Metric, where: Mapping[str, str]) -> dict[str, str]:
    own = {name: where.get(name, _NAMES.get(name, "")) for name in metric.labels}
    return own | ({"le": where["le"]} if "le" in where else {})


def _bad(alert: Alert) -> dict[str, str]:
    """Labels of what is bad: one of the values that a pattern allows."""
    return {name: value.split("|")[0] for name, value in alert.about.bad_labels.items()}


def _well(alert: Alert, indicator: Counted) -> dict[str, str]:
    """The labels of what is not bad: any that is counted among all, but not among the bad."""
    well = {}
    for name, value in alert.about.bad_labels.items():
        bad = value.split("|")
        among = indicator.all_labels.get(name, "well").split("|")
        well[name] = next(one for one in among if one not in bad)
    return well
