"""What an executive asks of a period: KPIs of the report, each beside the period before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from otel_voicebot.reports import kpis
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.measures import MEASURES
from otel_voicebot.reports.observed import remark
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.tables import Tables
from otel_voicebot.reports.values import instant, plain, quantity

__all__ = ["EXECUTIVE", "Dashboard", "Priced", "dashboard", "document", "figures", "grid", "head"]

EXECUTIVE: Final = (
    *("sessions", "containment", "automation_rate", "fcr_7d", "session_success_rate", "completion_rate"),
    *("escalation_rate", "abandonment_rate", "csat_mean", "csat_share", "nps", "aht_s", "response_gap_p95_s"),
    *("error_rate", "cost_usd", "cost_per_session_usd", "cost_per_resolved_usd", "cost_savings_usd"),
)
"""The KPIs, in their order."""

_UP: Final = ("automation_rate", "fcr_7d", "session_success_rate", "completion_rate", "cost_savings_usd")
_DOWN: Final = ("cost_per_session_usd", "cost_per_resolved_usd")
_GOOD: Final[Mapping[str, int]] = {
    **{name: 1 if one.bad == "down" else -1 for name, one in MEASURES.items() if one.bad},
    **dict.fromkeys(_UP, 1),
    **dict.fromkeys(_DOWN, -1),
}
"""Which direction of a KPI is better; neither where it isn't there: more calls aren't better, nor are shorter ones."""


@dataclass(frozen=True, slots=True)
class Priced:
    """The KPIs of a period, and where their prices are from."""

    scope: Scope
    kpis: tuple[Kpi, ...]
    prices: str

    def value(self, name: str) -> float | None:
        """The value of one KPI."""
        return next((kpi.value for kpi in self.kpis if kpi.name == name), None)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Two periods beside each other.

    Attributes:
        scope: of the later one.
        before: the one before.
        kpis: each with its ``previous``, where the period before had calls.
        prices: where prices are from.
    """

    scope: Scope
    before: Period
    kpis: tuple[Kpi, ...]
    prices: str
    calls_before: float


def figures(tables: Tables) -> tuple[Kpi, ...]:
    """The KPIs of ``EXECUTIVE``."""
    found = {kpi.name: kpi for kpi in kpis.computed(tables)}
    return tuple(found[name] for name in EXECUTIVE)


def dashboard(this: Priced, before: Priced | None, period: Period) -> Dashboard:
    """Put two periods beside each other; ``before``: None where no data is that old."""
    old = {kpi.name: kpi for kpi in before.kpis} if before is not None and before.value("sessions") else {}
    joined = tuple(replace(kpi, previous=old.get(kpi.name)) for kpi in this.kpis)
    calls = before.value("sessions") if before is not None else None
    return Dashboard(this.scope, period, joined, this.prices, calls or 0)


def verdict(kpi: Kpi) -> str | None:
    """Whether a change is ``better`` or ``worse``; ``same`` where there is none; None where neither can be said."""
    if kpi.change is None or kpi.name not in _GOOD:
        return None
    direction = kpi.change * _GOOD[kpi.name]
    return "same" if not direction else "better" if direction > 0 else "worse"


def head(found: Dashboard) -> list[str]:
    """What is compared with what, and what was left out."""
    value = next(kpi.value for kpi in found.kpis if kpi.name == "sessions")
    before = f"from {instant(found.before.since)} to {instant(found.before.until)}"
    lines = found.scope.lines(f"{quantity(value)} sessions")
    return [*lines, f"before: {quantity(found.calls_before)} sessions, {before}"]


def grid(found: Dashboard) -> Grid:
    """One KPI a row."""
    rows = tuple({**kpis.row(kpi, against=True), "verdict": verdict(kpi), "_remark": remark(kpi)} for kpi in found.kpis)
    return Grid("dashboard", "Business dashboard", _COLUMNS, rows, notes=(found.prices,))


_COLUMNS: Final = (
    Column("kpi", "KPI"),
    Column("_shown", "value", right=True, style="bold"),
    Column("_of", "from", right=True),
    Column("_previous", "before", right=True),
    Column("_change", "change", right=True),
    Column("verdict", "", show=lambda value: str(value or "")),
    Column("_remark", "note", style="dim"),
)


def document(found: Dashboard) -> dict[str, object]:
    """The JSON document."""
    return {
        **found.scope.document("business-dashboard"),
        "before": {"since": plain(found.before.since), "until": plain(found.before.until)},
        "kpis": {kpi.name: {**kpis.told(kpi), **kpis.changed(kpi), "verdict": verdict(kpi)} for kpi in found.kpis},
        "notes": {"prices": [found.prices]},
    }
