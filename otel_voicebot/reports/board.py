"""A report as one HTML page that needs nothing from elsewhere: what ``report --format html`` writes.

Cards with the main KPIs and how they changed, charts that answer to the mouse, the tables, and the document of
``report --json`` for programs (``#report``). Charts are drawn by
plotly's own script, which ships in its wheel and stands in the page. That script sets styles as it draws, so the policy
allows styles written in the page; scripts only by their digests, and nothing is loaded (``pages``).
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from otel_voicebot.reports import pages
from otel_voicebot.reports.grid import Grid, as_html
from otel_voicebot.reports.kpis import Kpi, effect
from otel_voicebot.reports.plots import charts
from otel_voicebot.reports.report import Report, document, head
from otel_voicebot.reports.values import quantity, shown

__all__ = ["CARDS", "render"]

CARDS: Final = {
    "sessions": "calls",
    "response_gap_p50_s": "response gap, median",
    "response_gap_p95_s": "response gap, p95",
    "containment": "containment",
    "fcr_7d": "first call resolution, 7 days",
    "escalation_rate": "escalation",
    "abandonment_rate": "abandonment",
    "error_rate": "operations failed",
    "aht_s": "average handle time",
    "csat_mean": "satisfaction, 1 to 5",
    "cost_per_session_usd": "cost a call, USD",
    "cost_usd": "cost, USD",
}
"""The KPIs that stand on cards, and what they are called there."""


def render(report: Report, grids: Sequence[Grid]) -> str:
    """The page, with these tables below cards and charts."""
    drawn = charts(report)
    scripts = [_plotly(), pages.file("report.js")] if drawn else []
    view = {
        "title": "Voicebot report",
        "policy": pages.policy(scripts, "'unsafe-inline'") if scripts else pages.policy(["none"], "'unsafe-inline'"),
        "style": pages.file("base.css") + pages.file("report.css"),
        "scripts": scripts,
        "facts": [shown(line) for line in head(report)],
        "cards": [_card(kpi, CARDS[kpi.name], report) for kpi in _chosen(report.kpis)],
        "charts": drawn,
        "figures": pages.embedded({chart.name: chart.figure for chart in drawn}),
        "document": pages.embedded(document(report)),
        "tables": [as_html(grid) for grid in grids],
    }
    return pages.template("report.html.jinja").render(view)


def _chosen(kpis: Sequence[Kpi]) -> list[Kpi]:
    known = {kpi.name: kpi for kpi in kpis}
    return [known[name] for name in CARDS if name in known]


def _card(kpi: Kpi, title: str, report: Report) -> dict[str, object]:
    return {
        "name": kpi.name,
        "title": title,
        "value": kpi.shown,
        "note": kpi.note or _partial(kpi, report),
        "compared": report.before is not None,
        "change": kpi.shown_change if kpi.change is not None else "",
        "effect": effect(kpi) or "",
        "arrow": "" if not kpi.change else "▲" if kpi.change > 0 else "▼",
    }


def _partial(kpi: Kpi, report: Report) -> str:
    """What a number doesn't hold yet, or never will."""
    if kpi.provisional:
        return f"still provisional: {quantity(kpi.provisional)}"
    if kpi.unit == "USD" and kpi.excluded and (share := report.value("priced_share")) is not None:
        return f"{quantity(share, 'ratio')} of what was used has a price"
    return ""


@cache
def _plotly() -> str:
    """Plotly's script. A browser reads one kind of line end, and takes the digest of that."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - only where a page is written

    text: str = get_plotlyjs()
    return text.replace("\r\n", "\n").replace("\r", "\n")
