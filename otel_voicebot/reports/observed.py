"""Figures at one moment: KPIs and component latencies, from a data directory or from a running service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.report import Kpi, Report, compute, document, grids
from otel_voicebot.reports.samples import Samples
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.service_kpis import component_rows, service_kpis, unknown_to_services
from otel_voicebot.reports.source import Opened
from otel_voicebot.reports.values import instant, plain, seconds

__all__ = ["Observed", "of_directory", "of_service"]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen.

    Attributes:
        scope: where, when, and of which sessions; ``data`` is the service's URL where a service was asked.
        span: what the figures are of, in words.
        kpis: by the report's definitions; ``active_sessions`` stands first.
        components: one row per component, as the model ``component_latencies`` has them.
        service: it is a service's. Its percentiles are interpolated in the buckets of histograms.
    """

    scope: Scope
    span: str
    kpis: tuple[Kpi, ...]
    components: tuple[Row, ...] = field(default=())
    service: bool = False

    def kpi(self, name: str) -> Kpi:
        """One KPI; one that a service can't tell says so."""
        return next((one for one in self.kpis if one.name == name), None) or unknown_to_services(name)

    def some(self, names: Sequence[str]) -> "Observed":
        """The same with these KPIs only, in this order."""
        return replace(self, kpis=tuple(self.kpi(name) for name in names))

    def head(self) -> list[str]:
        """What the figures are of, where they are from, and what was left out."""
        where = "service" if self.service else "data"
        lines = [self.span, f"{where} {self.scope.data}, as of {instant(self.scope.as_of)}"]
        if self.scope.filters:
            lines.append("only " + ", ".join(f"{name} {value}" for name, value in self.scope.filters.items()))
        return lines + [f"left out, can't be read: {one.path} ({one.reason})" for one in self.scope.unreadable]

    def grid(self, title: str) -> Grid:
        """The KPIs as a table."""
        found = grids(self._report())["kpis"]
        columns = [column for column in found.columns if column.key != "_left"]
        return replace(found, name="kpis", title=title, columns=tuple(columns))

    def latencies(self) -> Grid:
        """The components as a table."""
        notes = (_BUCKETS,) if self.service and self.components else ()
        return Grid("components", "Components", _COLUMNS, self.components, empty="no operation was seen", notes=notes)

    def document(self, name: str) -> dict[str, object]:
        """The JSON document of a command."""
        head = self.scope.document(name)
        return {
            **({("service" if key == "data" else key): value for key, value in head.items()} if self.service else head),
            "of": self.span,
            "kpis": document(self._report())["kpis"],
            "sections": {"components": [plain(dict(row)) for row in self.components]},
        }

    def _report(self) -> Report:
        return Report(self.scope, self.kpis, waits=(), components=(), outcomes=(), errors=())


_BUCKETS: Final = "percentiles are interpolated between the edges of histogram buckets, as Prometheus does"
_COLUMNS: Final = (
    Column("component", "component", style="bold"),
    Column("operations", "n", right=True),
    Column("errors", "failed", right=True),
    Column("p50_s", "p50", seconds, right=True),
    Column("p95_s", "p95", seconds, right=True),
    Column("p99_s", "p99", seconds, right=True),
)


def of_directory(opened: Opened) -> Observed:
    """The figures of the selected sessions, exact."""
    active = opened.engine.table("active_sessions").to_pylist()[0]["active"]
    under_way = Kpi("active_sessions", active, "{session}", active, None, None, None, None)
    return Observed(
        opened.scope,
        f"calls that began {_words(opened.scope)}",
        (under_way, *compute(opened.engine, opened.scope).kpis),
        tuple(opened.engine.table("component_latencies").to_pylist()),
    )


def _words(scope: Scope) -> str:
    return scope.window() if scope.since or scope.until else "at any time"


def of_service(url: str, samples: Samples, now: datetime, lasted: float | None) -> Observed:
    """The figures of a service.

    Args:
        url: where it was asked.
        samples: what it counted, and of which labels it is asked.
        now: when.
        lasted: of how many seconds they are; None: since the service was started.
    """
    since = samples.started if lasted is None else now - timedelta(seconds=lasted)
    if lasted is None:
        span = "counted since the service was started" + (f", {instant(since)}" if since else "")
    else:
        span = f"counted in the last {seconds(lasted)}"
    scope = Scope(url, now, since, filters=dict(samples.only))
    return Observed(scope, span, service_kpis(samples), component_rows(samples), service=True)
