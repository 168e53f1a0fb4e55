"""How a comparison is written: for people, for programs, as a data frame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from otel_voicebot.reports.compare import Compared, Comparison, Side, Value
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.inference import POWER
from otel_voicebot.reports.measures import Measure
from otel_voicebot.reports.sides import PERIOD
from otel_voicebot.reports.values import MISSING, duration, instant, plain, quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["document", "frame", "grid", "head"]


def document(found: Comparison) -> dict[str, object]:
    """The JSON document of ``compare --json``."""
    return {
        **found.scope.document("compare"),
        "by": found.sides.by,
        "a": _side(str(found.sides.a), found.a),
        "b": _side(str(found.sides.b), found.b),
        "split_p": plain(found.split_p),
        "alpha": found.plan.alpha,
        "power": POWER,
        "primary": found.plan.deciding,
        "prices": found.prices,
        "verdict": found.verdict,
        "reason": found.reason,
        "kpis": {kpi.measure.name: _kpi(kpi) for kpi in found.kpis},
    }


def _side(name: str, side: Side) -> dict[str, object]:
    return {"name": name, "sessions": side.sessions, "first": plain(side.first), "last": plain(side.last)}


def _kpi(kpi: Compared) -> dict[str, object]:
    effect = kpi.effect
    return {
        "unit": kpi.measure.unit,
        "bad": kpi.measure.bad,
        "a": _value(kpi.a),
        "b": _value(kpi.b),
        "exclusion": kpi.measure.exclusion,
        "difference": plain(kpi.difference),
        "relative": plain(kpi.relative),
        "interval": [plain(effect.low), plain(effect.high)] if effect else None,
        "p": plain(effect.p) if effect else None,
        "p_adjusted": plain(kpi.p_adjusted),
        "detectable": plain(effect.detectable) if effect else None,
        "verdict": kpi.verdict,
        "note": kpi.note,
    }


def _value(value: Value) -> dict[str, object]:
    return {
        "value": plain(value.value),
        "numerator": plain(value.numerator),
        "denominator": plain(value.denominator),
        "excluded": plain(value.excluded),
        "sessions": value.calls,
    }


def frame(found: Comparison) -> "pd.DataFrame":
    """One row a KPI, its values unrounded; what is unknown is missing."""
    import pandas as pd  # noqa: PLC0415 - the command line does without it

    return pd.DataFrame([{key: row[key] for key in row if not key.startswith("_")} for row in _rows(found)])


def head(found: Comparison) -> list[str]:
    """What was compared, and the verdict."""
    a, b = found.a, found.b
    lines = found.scope.lines(f"{a.sessions} and {b.sessions} sessions")
    for letter, side in (("A", a), ("B", b)):
        ran = f"from {instant(side.first)} to {instant(side.last)}"
        lines.append(f"{letter}: {found.sides.by} {side.name}, {side.sessions} sessions, {ran}")
    if found.split_p is not None:
        lines.append(f"sample ratio: p = {_p(found.split_p)}")
    elif found.sides.by != PERIOD:
        lines.append("not split by chance: what differs may be who calls")
    if found.prices is not None:
        lines.append(found.prices)
    if found.sides.by != PERIOD and (a.last < b.first or b.last < a.first):
        lines.append("the sides did not run at the same time: what differs may be the time")
    verdict = "no verdict" if found.verdict == "refused" else f"B is {found.verdict}"
    if found.verdict in ("no evidence", "too few", "not measured"):
        verdict = found.verdict
    return [*lines, f"{verdict}: {found.reason}"]


def grid(found: Comparison) -> Grid:
    """A table: one KPI a line."""
    columns = (
        Column("_name", "KPI"),
        Column("_a", "A", right=True),
        Column("_b", "B", right=True),
        Column("_difference", "B - A", right=True, style="bold"),
        Column("_interval", f"{1 - found.plan.alpha:.0%} interval".replace("%", " %"), right=True),
        Column("_p", "p", right=True),
        Column("_detectable", "detectable", right=True),
        Column("verdict", "verdict"),
        Column("_note", "note", style="dim"),
    )
    notes = (
        "* decides; its p value is its own, those of the others are adjusted for their number (Holm)",
        f"detectable: a difference so large is found in {POWER:.0%} of experiments of this size".replace("%", " %"),
    )
    return Grid("kpis", "B beside A", columns, tuple(_rows(found)), "no KPI was asked for", notes)


def _rows(found: Comparison) -> list[Mapping[str, object]]:
    return [_row(kpi, decides=kpi.measure.name == found.plan.deciding) for kpi in found.kpis]


def _row(kpi: Compared, *, decides: bool) -> dict[str, object]:
    effect, measure = kpi.effect, kpi.measure
    return {
        "kpi": measure.name,
        "primary": decides,
        "unit": measure.unit,
        "bad": measure.bad,
        **{f"a_{key}": value for key, value in _value(kpi.a).items()},
        **{f"b_{key}": value for key, value in _value(kpi.b).items()},
        "exclusion": measure.exclusion,
        "difference": kpi.difference,
        "relative": kpi.relative,
        "low": effect.low if effect else None,
        "high": effect.high if effect else None,
        "p": effect.p if effect else None,
        "p_adjusted": kpi.p_adjusted,
        "detectable": effect.detectable if effect else None,
        "verdict": kpi.verdict,
        "note": kpi.note,
        "_name": f"{measure.name} *" if decides else measure.name,
        "_a": _shown(kpi.a.value, measure),
        "_b": _shown(kpi.b.value, measure),
        "_difference": _signed(kpi.difference, measure),
        "_interval": f"{_signed(effect.low, measure)} to {_signed(effect.high, measure)}" if effect else MISSING,
        "_p": _p(kpi.p_adjusted),
        "_detectable": _signed(effect.detectable if effect else None, measure).lstrip("+"),
        "_note": kpi.note or _left(kpi),
    }


def _left(kpi: Compared) -> str:
    if not kpi.a.excluded and not kpi.b.excluded:
        return ""
    return f"left out {kpi.a.excluded:.0f} and {kpi.b.excluded:.0f} ({kpi.measure.exclusion})"


def _shown(value: float | None, measure: Measure) -> str:
    return quantity(value, "ratio" if measure.share else measure.unit)


def _signed(value: float | None, measure: Measure) -> str:
    """A difference with its sign; of shares in percentage points."""
    if value is None:
        return MISSING
    if measure.share:
        return f"{value * 100:+.1f} pp" if abs(value) >= 0.01 else f"{value * 100:+.2f} pp"  # error rates are small
    return f"{'+' if value >= 0 else ''}{duration(value)}" if measure.unit == "s" else f"{value:+.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
