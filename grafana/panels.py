"""What a dashboard is put together of: panels with a unit, a description and a legend, in rows that don't overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.promql import FILTERS, filters_of, metrics_of
from otel_voicebot import semconv
from otel_voicebot.conventions import prometheus_name

__all__ = ["Panel", "Query", "Sheet", "heat", "lines", "number", "rows", "sheet"]

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG: Final = "otel-voicebot"
REFRESH: Final = "15s"
WIDTH: Final = 24
_ALL: Final = ".*"  # not Grafana's own list of values: series without the label belong to All, too
_STEP: Final = "15s"
"""What Prometheus scrapes by in deploy/prometheus.yml: no shorter step."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression; ``legend`` names what it gives, with ``{{label}}`` for a label's value."""

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel before it has a place. ``width`` of 24 columns."""

    kind: str
    title: str
    unit: str
    about: str
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 8
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A dashboard: rows of panels, each with a heading."""

    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def lines(title: str, unit: str, about: str, *queries: Query, width: int = 8, stacked: bool = False) -> Panel:
    """Curves over time."""
    return Panel("timeseries", title, unit, about, queries, width, 8, stacked)


def number(title: str, unit: str, about: str, *queries: Query, width: int = 4) -> Panel:
    """Numbers of the whole time range."""
    return Panel("stat", title, unit, about, queries, width, 5)


def rows(title: str, unit: str, about: str, *queries: Query, width: int = 12) -> Panel:
    """A table: a line per set of labels, a column per query."""
    return Panel("table", title, unit, about, queries, width, 8)


def heat(title: str, unit: str, about: str, query: Query, width: int = 12) -> Panel:
    """A histogram over time."""
    return Panel("heatmap", title, unit, about, (query,), width, 9)


def sheet(found: Sheet) -> dashboards.Dashboard:
    """The dashboard that Grafana loads."""
    built = (
        dashboards.Dashboard(found.title)
        .uid(found.uid)
        .description(found.about)
        .tags([TAG])
        .refresh(REFRESH)
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboards.DashboardLink("Voicebot dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in _variables():
        built = built.with_variable(variable)
    number_, top = 0, 0
    for heading, panels in found.rows:
        built = built.with_row(dashboards.Row(heading).id(number_ + 1).grid_pos(GridPos(h=1, w=WIDTH, x=0, y=top)))
        number_, top, left, tallest = number_ + 1, top + 1, 0, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left, tallest = top + tallest, 0, 0
            number_ += 1
            place = GridPos(h=panel.height, w=panel.width, x=left, y=top)
            built = built.with_panel(_BUILDERS[panel.kind](panel).id(number_).grid_pos(place))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return built


def _variables() -> Sequence[Any]:
    every = VariableOption(selected=True, text=["All"], value=["$__all"])
    labelled = {"bot": semconv.TURNS, "environment": semconv.TURNS, "variant": semconv.TURNS}
    found: list[Any] = [dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus")]
    for name in FILTERS:
        asked = f"label_values({prometheus_name(labelled[name])}_total, {name})"
        found.append(
            dashboards.QueryVariable(name)
            .label(name.capitalize())
            .datasource(SOURCE)
            .query({"query": asked, "refId": name})
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(_ALL)
            .current(every)
        )
    return found


def description(panel: Panel) -> str:
    """What the panel is about, and which variables don't apply to it."""
    read = [metric for query in panel.queries for metric in metrics_of(query.expr).values()]
    apart = [name for name in FILTERS if any(name not in filters_of(metric) for metric in read)]
    if not read or not apart:
        return panel.about
    if len(apart) == len(FILTERS):
        return f"{panel.about} Of the whole service: bot, environment and variant don't apply."
    which = " and ".join(apart)
    return f"{panel.about} {which.capitalize()} {'do' if len(apart) > 1 else 'does'}n't apply: there is no such label."


def _lettered(panel: Panel) -> list[tuple[str, Query]]:
    """The queries, each with the letter that Grafana knows it by."""
    return [(ascii_uppercase[place], query) for place, query in enumerate(panel.queries)]


def _targets(panel: Panel) -> list[Any]:
    found = []
    for letter, query in _lettered(panel):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter).datasource(SOURCE)
        target = target.instant() if panel.kind in ("stat", "table") else target.range()
        if panel.kind == "table":
            target = target.format(PromQueryFormat.TABLE)
        elif panel.kind == "heatmap":
            target = target.format(PromQueryFormat.HEATMAP)
        found.append(target.exemplar(query.exemplars))
    return found


def _common(builder: Any, panel: Panel) -> Any:
    built = builder.title(panel.title).description(description(panel)).unit(panel.unit).datasource(SOURCE)
    return built.targets(_targets(panel)).interval(_STEP)


def _lines(panel: Panel) -> Any:
    legend = common_builders.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    built = (
        _common(timeseries.Panel(), panel)
        .legend(legend.placement(common.LegendPlacement.BOTTOM).calcs([]))
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .fill_opacity(60 if panel.stacked else 8)
        .line_width(1)
    )
    if panel.stacked:
        built = built.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    return built


def _number(panel: Panel) -> Any:
    reduced = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")
    return (
        _common(stat.Panel(), panel)
        .reduce_options(reduced)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
    )


def _rows(panel: Panel) -> Any:
    """The queries side by side: merged by their labels, each column named as its query's legend."""
    built = _common(table.Panel(), panel)
    renamed = {f"Value #{letter}": one.legend for letter, one in _lettered(panel)}
    if len(panel.queries) == 1:
        renamed["Value"] = panel.queries[0].legend
    built = built.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    organised = {"excludeByName": {"Time": True}, "renameByName": renamed}
    built = built.with_transformation(DataTransformerConfig(id_val="organize", options=organised))
    plain = [DynamicConfigValue(id_val="unit", value="string")]
    read = [metric for one in panel.queries for metric in metrics_of(one.expr).values()]
    for label in sorted({name for metric in read for name in metric.labels}):
        built = built.override_by_name(label, plain)
    return built.show_header(True).align(common.FieldTextAlignment.AUTO)


def _heat(panel: Panel) -> Any:
    return (
        _common(heatmap.Panel(), panel)
        .calculate(False)
        .scale_distribution(common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.LINEAR))
        .y_axis(heatmap.YAxisConfig().unit(panel.unit).axis_placement(common.AxisPlacement.LEFT))
        .show_legend()
        .exemplars_color("rgba(255,0,255,0.7)")
        .color(heatmap.HeatmapColorOptions().scheme("Oranges").steps(64))
    )


_BUILDERS: Final = {"timeseries": _lines, "stat": _number, "table": _rows, "heatmap": _heat}
