"""The report of a window: KPIs with numerator, denominator and exclusions, waits, components, outcomes, errors."""

from collections.abc import Mapping
from dataclasses import dataclass

from otel_voicebot.reports import censored
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.sections import ON_REQUEST, Asked
from otel_voicebot.reports.shares import Share
from otel_voicebot.reports.shares import grid as segment_grid
from otel_voicebot.reports.tables import Tables
from otel_voicebot.reports.values import plain, quantity, seconds

__all__ = ["SECTIONS", "Kpi", "Report", "compute", "document", "grids", "head"]

Row = Mapping[str, object]

SECTIONS = ("kpis", "waits", "components", "outcomes", "errors", "segments", *ON_REQUEST)


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI. ``value`` is None when it is unknown, and ``note`` says why."""

    name: str
    value: float | None
    unit: str
    numerator: float | None
    denominator: float | None
    excluded: float | None
    """Rows that its definition leaves out; ``exclusion`` says which."""
    exclusion: str | None
    note: str | None
    provisional: float | None = None
    """What is in neither numerator nor denominator because its window is still open; None where there is no window."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a window holds."""

    scope: Scope
    kpis: tuple[Kpi, ...]
    waits: tuple[Row, ...]
    components: tuple[Row, ...]
    outcomes: tuple[Row, ...]
    errors: tuple[Row, ...]
    segments: tuple[Share, ...] | None = None
    """Where the waits went; None where nobody asked, as it takes longer than all the rest."""
    prices: str | None = None
    """Where prices are from and of which day; None where nobody looked for any."""
    asked: Asked | None = None
    """A section that is only computed when somebody asks for it."""

    def value(self, name: str) -> float | None:
        """The value of one KPI; None when it is unknown or not computed."""
        return next((kpi.value for kpi in self.kpis if kpi.name == name), None)


def compute(tables: Tables, scope: Scope) -> Report:
    """The report of the sessions in ``tables``."""
    return Report(
        scope=scope,
        kpis=tuple(_kpi(row) for row in tables.table("all_kpis").to_pylist()),
        waits=tuple(tables.table("wait_ends").to_pylist()),
        components=tuple(tables.table("components").to_pylist()),
        outcomes=tuple(tables.table("outcomes").to_pylist()),
        errors=tuple(tables.table("errors").to_pylist()),
    )


def _kpi(row: Row) -> Kpi:
    name, value, unit = str(row["name"]), _float(row["value"]), str(row["unit"])
    return Kpi(
        name=name,
        value=_whole(value) if unit.startswith("{") else value,
        unit=unit,
        numerator=_whole(_float(row["numerator"])),
        denominator=_whole(_float(row["denominator"])),
        excluded=_whole(_float(row["excluded"])),
        exclusion=str(row["exclusion"]) if row.get("exclusion") else None,
        note=_missing(name, row) if value is None else None,
        provisional=_whole(_float(row.get("provisional"))),
    )


def _missing(name: str, row: Row) -> str:
    if name in _CENSORED and row["denominator"]:
        return censored.NOT_REACHED
    if name in _WINDOWED and row.get("provisional"):
        return "no window has passed yet: all is provisional"
    if name in _COSTS and row["numerator"] is None and row["excluded"]:
        return "no price is known of anything that was used"
    if name == "cost_per_resolved_usd" and row["numerator"] is not None:
        return "no call was resolved"
    if name == "mos" and row["denominator"] is None:
        return "scores of several kinds are never mixed: see the section mos"
    return _MISSING.get(name, "nothing was measured")


def _float(value: object) -> float | None:
    return value if isinstance(value, (int, float)) else None


def _whole(value: float | None) -> float | None:
    """Counts come as doubles, as sums of seconds do: whole numbers are written as such."""
    return int(value) if value is not None and float(value).is_integer() else value


_ANSWERED = ("response_gap_p50_s", "response_gap_p95_s", "response_gap_p99_s")
_CENSORED = ("wait_km_p50_s", "wait_km_p95_s", "wait_km_p99_s")
_WINDOWED = ("fcr_1d", "fcr_7d", "fcr_30d", "strict_containment_24h")
_COSTS = ("cost_usd", "cost_per_session_usd", "cost_per_resolved_usd", "cost_per_talk_minute_usd")
_MISSING = {
    **dict.fromkeys(_ANSWERED, "no answered turn"),
    **dict.fromkeys(_CENSORED, "no exchange with a known wait"),
    **dict.fromkeys(("csat_share", "csat_mean", "nps"), "no survey answers"),
    **dict.fromkeys(("input_tokens", "output_tokens"), "no model call says its tokens"),
    **dict.fromkeys(("containment", "escalation_rate", "abandonment_rate"), "no eligible session"),
    **dict.fromkeys(("low_confidence_rate", "fallback_rate"), "no intent was classified"),
    "abandoned_wait_rate": "no exchange",
    "interruption_rate": "no bot speech",
    "error_rate": "no operation",
    "wer": "no reference texts",
    "mos": "no opinion scores",
    **dict.fromkeys(_WINDOWED, "no call of a known caller and intent (without a hash key no caller is known)"),
    **dict.fromkeys(("automation_rate", "csat_response_rate", "nps_response_rate", "cost_savings_usd"), "no session"),
    "session_success_rate": "no session with a known outcome",
    "completion_rate": "no workflow was started (event workflow_started)",
    **dict.fromkeys((*_COSTS, "priced_share"), "nothing that is paid for was used"),
    "aht_s": "no session with an answered turn",
    "cache_hit_rate": "no cache lookups",
}
"""Why a KPI is missing."""

_SCORES = ("csat_mean", "mos")
"""Of unit 1 and yet no shares."""


def document(report: Report) -> dict[str, object]:
    """The JSON document of ``report --json``."""
    return {
        **report.scope.document("report"),
        "kpis": {
            kpi.name: {
                "value": plain(kpi.value),
                "unit": kpi.unit,
                "numerator": plain(kpi.numerator),
                "denominator": plain(kpi.denominator),
                "excluded": plain(kpi.excluded),
                **({} if kpi.provisional is None else {"provisional": kpi.provisional}),
                "exclusion": kpi.exclusion,
                "note": kpi.note,
            }
            for kpi in report.kpis
        },
        "sections": {
            "waits": [plain(dict(row)) for row in report.waits],
            "components": [plain(dict(row)) for row in report.components],
            "outcomes": [plain(dict(row)) for row in report.outcomes],
            "errors": [plain(dict(row)) for row in report.errors],
            **({} if report.segments is None else {"segments": [plain(dict(row)) for row in report.segments]}),
            **({} if report.asked is None else {report.asked.name: [plain(dict(row)) for row in report.asked.rows]}),
        },
        "notes": {
            "waits": list(censored.notes(report.waits)),
            **({} if report.prices is None else {"prices": [report.prices]}),
        },
    }


def head(report: Report) -> list[str]:
    """What was counted, when, and what was left out."""
    counts = [f"{quantity(report.value(name))} {name}" for name in ("sessions", "turns")]
    return report.scope.lines(", ".join(counts))


def grids(report: Report) -> dict[str, Grid]:
    """The sections as tables, by name."""
    return {
        "kpis": _kpis(report),
        "waits": censored.grid(report.waits),
        "components": Grid("components", "Components", _COMPONENTS, report.components, empty="no operation was seen"),
        "outcomes": Grid("outcomes", "Outcomes", _OUTCOMES, report.outcomes, empty="no session was seen"),
        "errors": Grid("errors", "Errors", _ERRORS, report.errors, empty="no operation failed"),
        **({} if report.segments is None else {"segments": segment_grid(report.segments)}),
        **({} if report.asked is None else {report.asked.name: report.asked.grid()}),
    }


def _kpis(report: Report) -> Grid:
    rows = tuple(
        {
            "kpi": kpi.name,
            "value": kpi.value,
            "unit": kpi.unit,
            "numerator": kpi.numerator,
            "denominator": kpi.denominator,
            "excluded": kpi.excluded,
            "provisional": kpi.provisional,
            "exclusion": kpi.exclusion,
            "note": kpi.note,
            "_shown": quantity(kpi.value, "ratio" if kpi.unit == "1" and kpi.name not in _SCORES else kpi.unit),
            "_of": _fraction(kpi),
            "_left": _left(kpi),
        }
        for kpi in report.kpis
    )
    columns = (
        Column("kpi", "KPI"),
        Column("_shown", "value", right=True, style="bold"),
        Column("_of", "from", right=True),
        Column("_left", "left out"),
        Column("note", "note", show=lambda value: str(value or ""), style="dim"),
    )
    notes = () if report.prices is None else (report.prices,)
    return Grid("kpis", "KPIs", columns, rows, empty="no KPI could be computed", notes=notes)


def _left(kpi: Kpi) -> str:
    """What a KPI doesn't count, and what it will count once its window has passed."""
    parts = [f"{quantity(kpi.excluded)} ({kpi.exclusion})"] if kpi.excluded else []
    if kpi.provisional:
        parts.append(f"{quantity(kpi.provisional)} provisional")
    return ", ".join(parts)


def _fraction(kpi: Kpi) -> str:
    """Numerator and denominator, where the KPI is a ratio; how many values there were, where it is a percentile."""
    if kpi.denominator is None:
        return ""
    if kpi.numerator is None or kpi.name in (*_ANSWERED, *_CENSORED):
        return f"n = {quantity(kpi.denominator)}"
    return f"{quantity(kpi.numerator)} / {quantity(kpi.denominator)}"


_NAMES = (
    Column("component", "component", style="bold"),
    Column("provider", "provider"),
)
_COMPONENTS = (
    *_NAMES,
    Column("model", "model"),
    Column("operations", "n", right=True),
    Column("errors", "failed", right=True),
    Column("p50_s", "p50", seconds, right=True),
    Column("p95_s", "p95", seconds, right=True),
    Column("p99_s", "p99", seconds, right=True),
    Column("first_chunk_p50_s", "first chunk p50", seconds, right=True),
    Column("first_chunk_p95_s", "p95", seconds, right=True),
)
_OUTCOMES = (
    Column("outcome", "outcome", style="bold"),
    Column("end_reason", "end reason"),
    Column("sessions", "sessions", right=True),
    Column("mean_duration_s", "mean length", seconds, right=True),
    Column("mean_turns", "mean turns", right=True),
)
_ERRORS = (*_NAMES, Column("error_type", "error", style="red"), Column("errors", "n", right=True))
