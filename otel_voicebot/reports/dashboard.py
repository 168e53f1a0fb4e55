"""What an executive asks of a period: KPIs of the report, each beside the period before."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from otel_voicebot.reports import kpis
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.observed import remark
from otel_voicebot.reports.report import Before, Report
from otel_voicebot.reports.values import instant, plain, quantity

__all__ = ["EXECUTIVE", "document", "executive", "grid", "head"]

EXECUTIVE: Final = (
    *("sessions", "containment", "automation_rate", "fcr_7d", "session_success_rate", "completion_rate"),
    *("escalation_rate", "abandonment_rate", "csat_mean", "csat_share", "nps", "aht_s", "response_gap_p95_s"),
    *("error_rate", "cost_usd", "cost_per_session_usd", "cost_per_resolved_usd", "cost_savings_usd"),
)
"""The KPIs, in their order."""


def executive(found: Report) -> Report:
    """The report with the KPIs of ``EXECUTIVE`` only."""
    by_name = {kpi.name: kpi for kpi in found.kpis}
    return replace(found, kpis=tuple(by_name[name] for name in EXECUTIVE))


def head(found: Report) -> list[str]:
    """What is compared with what, and what was left out."""
    lines = found.scope.lines(f"{quantity(found.value('sessions'))} sessions")
    if found.before is None:
        return lines
    period = f"{instant(found.before.period.since)} to {instant(found.before.period.until)}"
    return [*lines, f"before: {_counted(found.before)} from {period}"]


def _counted(before: Before) -> str:
    return f"{before.sessions} sessions" if before.sessions else "no session"


def grid(found: Report) -> Grid:
    """One KPI a row. It fits 80 columns: remarks stand below."""
    rows = tuple(
        {**kpis.row(kpi, against=True), "verdict": kpis.effect(kpi), "_short": _short(kpi)} for kpi in found.kpis
    )
    return Grid("dashboard", "Business dashboard", _COLUMNS, rows, notes=(*_remarks(found.kpis), found.prices or ""))


def _short(kpi: Kpi) -> str:
    """The change: points of a share, else relative to the value before."""
    points, _, _ = kpi.shown_change.partition(" (")
    share = kpi.shown_change.partition(" pp")[1]
    return points if share or kpi.relative is None else f"{kpi.relative * 100:+.1f} %"


def _remarks(found: Sequence[Kpi]) -> list[str]:
    told: dict[str, list[str]] = {}
    for kpi in found:
        if text := remark(kpi):
            told.setdefault(text, []).append(kpi.name)
    return [f"{', '.join(names)}: {text}" for text, names in told.items()]


_COLUMNS: Final = (
    Column("kpi", "KPI"),
    Column("_shown", "value", right=True, style="bold"),
    Column("_of", "from", right=True),
    Column("_previous", "before", right=True),
    Column("_short", "change", right=True),
    Column("verdict", "", show=lambda value: str(value or "")),
)


def document(found: Report) -> dict[str, object]:
    """The JSON document."""
    before = found.before
    return {
        **found.scope.document("business-dashboard"),
        "before": None
        if before is None
        else {
            "since": plain(before.period.since),
            "until": plain(before.period.until),
            "sessions": before.sessions,
        },
        "kpis": {kpi.name: {**kpis.told(kpi), **kpis.changed(kpi), "verdict": kpis.effect(kpi)} for kpi in found.kpis},
        "notes": {"prices": [found.prices]},
    }
