"""Figures at one moment: KPIs and component latencies, from a data directory or from a running service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from otel_voicebot.reports import kpis as kpi_forms
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.samples import NotSplitError, Samples
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.service_kpis import BEYOND, ELSEWHERE, component_rows, service_kpis, unknown_to_services
from otel_voicebot.reports.source import Opened
from otel_voicebot.reports.values import instant, plain, quantity, seconds

__all__ = ["Observed", "of_directory", "of_nothing", "of_service", "remark", "spelled"]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen.

    Attributes:
        scope: where, when, and of which sessions; ``data`` is the service's URL where a service was asked.
        span: what the figures are of, in words.
        kpis: by the report's definitions; ``active_sessions`` stands first.
        components: one row per component, as the model ``component_latencies`` has them.
        untold: why there are none, where it isn't that no operation was seen.
        service: it is a service's. Its percentiles are interpolated in the buckets of histograms.
        lasted_s: the figures are of the last so many seconds; None where no such window was asked for.
    """

    scope: Scope
    span: str
    kpis: tuple[Kpi, ...]
    components: tuple[Row, ...] = field(default=())
    service: bool = False
    lasted_s: float | None = None
    untold: str | None = None

    def kpi(self, name: str) -> Kpi:
        """One KPI; one that isn't there says why."""
        found = next((one for one in self.kpis if one.name == name), None)
        if found is None and not self.service:
            return Kpi(name, None, "1", None, None, None, None, "no call began then")
        return found or unknown_to_services(name)

    def some(self, names: Sequence[str]) -> "Observed":
        """The same with these KPIs only, in this order."""
        return replace(self, kpis=tuple(self.kpi(name) for name in names))

    def head(self, span: str | None = None) -> list[str]:
        """What the figures are of (or ``span``), where they are from, and what was left out."""
        where = "service" if self.service else "data"
        lines = [span or self.span, f"{where} {self.scope.data}, as of {instant(self.scope.as_of)}"]
        if self.scope.filters:
            lines.append("only " + ", ".join(f"{name} {value}" for name, value in self.scope.filters.items()))
        return lines + [f"left out, can't be read: {one.path} ({one.reason})" for one in self.scope.unreadable]

    def grid(self, title: str) -> Grid:
        """The KPIs as a table."""
        found = kpi_forms.grid(self.kpis)
        rows = tuple({**row, "_remark": remark(kpi)} for row, kpi in zip(found.rows, self.kpis, strict=True))
        columns = tuple(column for column in found.columns if column.key not in ("_left", "note"))
        return replace(found, title=title, columns=(*columns, _REMARK), rows=rows)

    def latencies(self) -> Grid:
        """The components as a table."""
        notes = [_BUCKETS] if self.service and self.components else []
        for row in self.components:
            if beyond := row.get("beyond"):
                names = ", ".join(name.removesuffix("_s") for name in beyond)  # type: ignore[attr-defined]
                notes.append(f"{row['component']} {names}: {BEYOND}")
        empty = self.untold or "no operation was seen"
        return Grid("components", "Components", _COLUMNS, self.components, empty=empty, notes=tuple(notes))

    def document(self, name: str) -> dict[str, object]:
        """The JSON document of a command."""
        head = self.scope.document(name)
        return {
            **({("service" if key == "data" else key): value for key, value in head.items()} if self.service else head),
            "of": self.span,
            "kpis": {one.name: kpi_forms.told(one) for one in self.kpis},
            "sections": {"components": [plain(dict(row)) for row in self.components]},
            **({} if self.untold is None else {"notes": {"components": [self.untold]}}),
        }


def remark(kpi: Kpi) -> str:
    """What is to be known beside the value: why it is missing, what waits for its window, what has no price."""
    parts = [kpi.note or ""]
    if kpi.provisional:
        parts.append(f"{quantity(kpi.provisional)} provisional")
    if kpi.excluded and kpi.unit == "USD":
        parts.append(f"{quantity(kpi.excluded)} things with {kpi.exclusion}")
    return ", ".join(filter(None, parts))


_REMARK: Final = Column("_remark", "note", style="dim")
_BUCKETS: Final = "percentiles are interpolated between the edges of histogram buckets, as Prometheus does"
_COLUMNS: Final = (
    Column("component", "component", style="bold"),
    Column("operations", "n", right=True),
    Column("errors", "failed", right=True),
    Column("p50_s", "p50", seconds, right=True),
    Column("p95_s", "p95", seconds, right=True),
    Column("p99_s", "p99", seconds, right=True),
)


def of_directory(opened: Opened, window_s: float | None = None) -> Observed:
    """The figures of the selected sessions, exact; ``window_s``: those are the last so many seconds."""
    active = opened.engine.table("active_sessions").to_pylist()[0]["active"]
    found = kpi_forms.computed(opened.engine)
    kinds = [row["mos_kind"] for row in opened.engine.table("mos_kinds").to_pylist()]
    named = tuple(replace(kpi, note=kinds[0]) if kpi.name == "mos" and kpi.value is not None else kpi for kpi in found)
    under_way = Kpi("active_sessions", active, "{session}", active, None, None, None, None)
    return Observed(
        opened.scope,
        f"calls that began {_words(opened.scope, window_s)}",
        (under_way, *named),
        tuple(opened.engine.table("component_latencies").to_pylist()),
        lasted_s=window_s,
    )


def of_nothing(scope: Scope, window_s: float) -> Observed:
    """The figures of a window in which nothing came in: no call, no turn, and nothing else is known."""
    none = (Kpi(name, 0, unit, 0, None, None, None, None) for name, unit in _COUNTED)
    return Observed(scope, f"calls that began {_words(scope, window_s)}", tuple(none), lasted_s=window_s)


_COUNTED: Final = (("sessions", "{session}"), ("turns", "{turn}"))


def _words(scope: Scope, window_s: float | None) -> str:
    if window_s is not None:
        return f"in the last {spelled(window_s)}"
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
        span = f"counted in the last {spelled(lasted)}"
    scope = Scope(url, now, since, filters=dict(samples.only))
    components: tuple[Row, ...] = ()
    untold = None
    try:
        components = component_rows(samples)
    except NotSplitError as error:
        untold = f"{error}; {ELSEWHERE}"
    return Observed(scope, span, service_kpis(samples), components, service=True, lasted_s=lasted, untold=untold)


def spelled(seconds: float) -> str:
    """A length of time in its largest unit that fits: ``5 min``, ``90 s``, ``7 days``."""
    whole = round(seconds)
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if whole >= size and not whole % size:
            return f"{whole // size} {unit if whole > size or unit != 'days' else 'day'}"
    return f"{whole} s" if seconds >= 10 or abs(seconds - whole) < 0.05 else f"{seconds:.1f} s"
