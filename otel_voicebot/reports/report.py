"""The report of a window: KPIs with numerator, denominator and exclusions, waits, components, outcomes, errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_voicebot.reports import censored, groups, kpis
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.groups import Grouped
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.sections import ON_REQUEST, Asked
from otel_voicebot.reports.tables import Tables
from otel_voicebot.reports.values import plain, quantity, seconds

if TYPE_CHECKING:
    from otel_voicebot.reports.pictures import Pictures
    from otel_voicebot.reports.shares import Share

__all__ = ["SECTIONS", "Before", "Kpi", "Report", "compute", "document", "grids", "head"]

Row = Mapping[str, object]

SECTIONS = ("kpis", "waits", "components", "outcomes", "errors", "segments", *ON_REQUEST)


@dataclass(frozen=True, slots=True)
class Before:
    """The period before: as long, just before.

    Attributes:
        period: which.
        sessions: that began in it.
    """

    period: Period
    sessions: int

    def line(self) -> str:
        """What it is, in words."""
        if not self.sessions:
            return f"compared with {self.period}, of which there is no session: what was before is missing"
        return f"compared with {self.period}, {self.sessions} sessions"


@dataclass(frozen=True, slots=True)
class Report:
    """What a window holds."""

    scope: Scope
    kpis: tuple[Kpi, ...]
    waits: tuple[Row, ...]
    components: tuple[Row, ...]
    outcomes: tuple[Row, ...]
    errors: tuple[Row, ...]
    segments: "tuple[Share, ...] | None" = None
    """Where the waits went; None where nobody asked, as it takes longer than all the rest."""
    prices: str | None = None
    """Where prices are from and of which day; None where nobody looked for any."""
    asked: tuple[Asked, ...] = ()
    """Sections that are only computed when somebody asks for them."""
    before: Before | None = None
    """What KPIs are compared with; None where nobody asked."""
    grouped: Grouped | None = None
    """KPIs by group; None where nobody asked."""
    pictures: "Pictures | None" = None
    """What the charts show beside sections; None where nobody asked."""

    def value(self, name: str) -> float | None:
        """The value of one KPI; None when it is unknown or not computed."""
        return next((kpi.value for kpi in self.kpis if kpi.name == name), None)


def compute(tables: Tables, scope: Scope) -> Report:
    """The report of the sessions in ``tables``."""
    return Report(
        scope=scope,
        kpis=kpis.computed(tables),
        waits=tuple(tables.table("wait_ends").to_pylist()),
        components=tuple(tables.table("components").to_pylist()),
        outcomes=tuple(tables.table("outcomes").to_pylist()),
        errors=tuple(tables.table("errors").to_pylist()),
    )


def document(report: Report) -> dict[str, object]:
    """The JSON document of ``report --json``."""
    return {
        **report.scope.document("report"),
        **({} if report.before is None else {"against": _against(report.before)}),
        "kpis": {
            kpi.name: {**kpis.told(kpi), **({} if report.before is None else kpis.changed(kpi))} for kpi in report.kpis
        },
        "sections": {
            "waits": [plain(dict(row)) for row in report.waits],
            "components": [plain(dict(row)) for row in report.components],
            "outcomes": [plain(dict(row)) for row in report.outcomes],
            "errors": [plain(dict(row)) for row in report.errors],
            **({} if report.segments is None else {"segments": [plain(dict(row)) for row in report.segments]}),
            **{one.name: [plain(dict(row)) for row in one.rows] for one in report.asked},
        },
        **({} if report.grouped is None else groups.document(report.grouped)),
        "notes": {
            "waits": list(censored.notes(report.waits)),
            **({} if report.prices is None else {"prices": [report.prices]}),
            **({} if report.grouped is None else {"groups": list(report.grouped.notes())}),
        },
    }


def _against(before: Before) -> dict[str, object]:
    return {"since": plain(before.period.since), "until": plain(before.period.until), "sessions": before.sessions}


def head(report: Report) -> list[str]:
    """What was counted, when, and what was left out."""
    counts = [f"{quantity(report.value(name))} {name}" for name in ("sessions", "turns")]
    lines = report.scope.lines(", ".join(counts))
    return lines if report.before is None else [*lines, report.before.line()]


def grids(report: Report) -> dict[str, Grid]:
    """The sections as tables, by name."""
    return {
        "kpis": kpis.grid(
            report.kpis,
            against=report.before is not None,
            notes=() if report.prices is None else (report.prices,),
        ),
        "waits": censored.grid(report.waits),
        "components": Grid("components", "Components", _COMPONENTS, report.components, empty="no operation was seen"),
        "outcomes": Grid("outcomes", "Outcomes", _OUTCOMES, report.outcomes, empty="no session was seen"),
        "errors": Grid("errors", "Errors", _ERRORS, report.errors, empty="no operation failed"),
        **({} if report.segments is None else {"segments": _segments(report.segments)}),
        **{one.name: one.grid() for one in report.asked},
        **({} if report.grouped is None else {"groups": groups.grid(report.grouped)}),
    }


def _segments(shares: "tuple[Share, ...]") -> Grid:
    from otel_voicebot.reports.shares import grid  # noqa: PLC0415 - few ask for it

    return grid(shares)


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
