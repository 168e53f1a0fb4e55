"""The charts of a report's page, as figures of plotly: plain JSON, drawn by its JavaScript in the reader's browser.

Colours are names of the page's style (``--tts``): its script puts in what they are in light and in dark.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_voicebot.reports.groups import Group
from otel_voicebot.reports.pictures import Pictures, Spread
from otel_voicebot.reports.report import Report
from otel_voicebot.reports.values import duration, shown
from otel_voicebot.semconv import COMPONENTS

__all__ = ["Chart", "charts"]

_SERVICES: Final = 12
"""Bars of a chart by service: more can't be read."""
_LONGEST: Final = 34
_COLOURS: Final = frozenset({"stt", "nlu", "rag", "tool", "llm", "tts", "cache"})
_OUTCOMES: Final = {
    "resolved": "--bot",
    "escalated": "--llm",
    "unresolved": "--rag",
    "abandoned": "--tool",
    "failed": "--bad",
}
_RATES: Final = (
    ("containment", "contained", "--bot", "solid"),
    ("escalation_rate", "escalated", "--llm", "dash"),
    ("abandonment_rate", "abandoned", "--tool", "dot"),
    ("error_rate", "operations failed", "--bad", "dashdot"),
)

Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        name: of the element that it is drawn into.
        title: above it.
        says: what it shows, in a sentence, for who doesn't see it.
        figure: ``data`` and ``layout`` of plotly.
        height: pixels.
    """

    name: str
    title: str
    says: str
    figure: Figure
    height: int = 280


def charts(report: Report) -> tuple[Chart, ...]:
    """What can be drawn of a report; nothing without ``report.pictures``."""
    pictures = report.pictures
    if pictures is None:
        return ()
    found = [
        _spread(pictures.spread) if pictures.spread is not None else None,
        _components(report),
        *(_trend(pictures) if pictures.unit is not None else ()),
        _intents(pictures),
        _outcomes(report),
        _costs(pictures),
    ]
    return tuple(chart for chart in found if chart is not None)


def name(text: object) -> str:
    """A sender's text as plotly may show it: without markup, which it would follow, and cut where it is very long."""
    plain = shown(str(text))
    return html.escape(plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…", quote=False)


def service(row: Any) -> str:
    """Component and whose it is."""
    parts = [row[key] for key in ("provider", "model") if row.get(key)]
    return name(f"{row['component']} {'/'.join(map(str, parts))}".strip())


def _distinct(names: Sequence[str]) -> list[str]:
    """Bars of one name would be laid on each other: cut ones may be the same."""
    seen: dict[str, int] = {}
    found = []
    for one in names:
        seen[one] = seen.get(one, 0) + 1
        found.append(one if seen[one] == 1 else f"{one} ({seen[one]})")
    return found


def _colour(component: object) -> str:
    return f"--{component}" if component in _COLOURS and component in COMPONENTS else "--framework"


def _layout(**more: Any) -> Figure:
    return {
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "xaxis": {"automargin": True, "fixedrange": True, **more.pop("xaxis", {})},
        "yaxis": {"automargin": True, "fixedrange": True, **more.pop("yaxis", {})},
        "showlegend": False,
        "hovermode": "closest",
        **more,
    }


_LEGEND: Final = {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}}


def _spread(spread: Spread) -> Chart:
    step = spread.step_s
    middles = [round((place + 0.5) * step, 6) for place in range(len(spread.counts))]
    text = [f"{place * step:.10g} to {(place + 1) * step:.10g} s: {n}" for place, n in enumerate(spread.counts)]
    bars = {
        "type": "bar",
        "x": middles,
        "y": list(spread.counts),
        "hovertext": text,
        "hoverinfo": "text",
        "marker": {"color": "--tts"},
        "width": step * 0.94,
    }
    marks = [(label, at) for label, at in spread.quantiles.items() if at <= len(spread.counts) * step * 1.05]
    lines = [
        {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"}
        | {"line": {"color": "--ink", "width": 1, "dash": "dot"}}
        for _, at in marks
    ]
    labels = [
        {"x": at, "y": 1.0 - 0.11 * place, "yref": "paper", "yanchor": "top", "xanchor": "left", "showarrow": False}
        | {"text": f"{label} {duration(at)}", "font": {"color": "--ink"}, "xshift": 3}
        for place, (label, at) in enumerate(marks)
    ]
    longer = f"; {spread.longer} turns waited longer" if spread.longer else ""
    said = ", ".join(f"{label} {duration(at)}" for label, at in spread.quantiles.items())
    layout = _layout(
        xaxis={"title": {"text": f"response gap, s{longer}"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "answered turns"}, **_counted(spread.counts)},
        shapes=lines,
        annotations=labels,
    )
    return Chart("spread", "How long callers waited for an answer", said, {"data": [bars], "layout": layout})


def _components(report: Report) -> Chart | None:
    rows = [row for row in report.components if row["p50_s"] is not None]
    rows = sorted(rows, key=lambda row: -float(str(row["p95_s"])))[:_SERVICES][::-1]
    if not rows:
        return None
    names = _distinct([service(row) for row in rows])
    colours = [_colour(row["component"]) for row in rows]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": key,
            "x": [row[f"{key}_s"] for row in rows],
            "y": names,
            "marker": {"color": colours, "opacity": opacity},
            "hovertemplate": "%{y}<br>" + key + " %{x:.3f} s<extra></extra>",
        }
        for key, opacity in (("p99", 0.3), ("p95", 0.6), ("p50", 1.0))
    ]
    layout = _layout(xaxis={"title": {"text": "s: p50 full, p95 paler, p99 palest"}}, barmode="overlay", bargap=0.3)
    says = "; ".join(f"{one} p95 {duration(float(str(row['p95_s'])))}" for one, row in zip(names, rows, strict=True))
    height = max(200, 90 + 30 * len(rows))
    return Chart("components", "Latency by component", says, {"data": data, "layout": layout}, height)


def _counted(counts: Sequence[int]) -> Figure:
    """Of an axis of counts: whole numbers at its ticks."""
    step = 1
    while max(counts, default=0) / step > 6:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return {"dtick": step, "rangemode": "tozero"}


def _trend(pictures: Pictures) -> tuple[Chart, Chart]:
    x = [str(group.values[0]) for group in pictures.trend]
    kpis = [_by_name(group) for group in pictures.trend]
    calls = {
        "type": "bar",
        "name": "calls",
        "x": x,
        "y": [group.sessions for group in pictures.trend],
        "yaxis": "y2",
        "marker": {"color": "--unknown"},
    }
    waits = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": f"gap {key}",
            "x": x,
            "y": [one.get(f"response_gap_{key}_s") for one in kpis],
            "line": {"color": colour, "width": 2},
            "hovertemplate": "%{x}: %{y:.2f} s<extra>" + key + "</extra>",
        }
        for key, colour in (("p50", "--tts"), ("p95", "--llm"))
    ]
    rates = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": title,
            "x": x,
            "y": [one.get(key) for one in kpis],
            "line": {"color": colour, "width": 2, "dash": dash},
            "connectgaps": False,
            "hovertemplate": "%{x}: %{y:.1%}<extra>" + title + "</extra>",
        }
        for key, title, colour, dash in _RATES
    ]
    across = {"type": "date", "nticks": 8}
    two = _layout(
        xaxis=across,
        yaxis={"title": {"text": "gap, s"}, "rangemode": "tozero", "overlaying": "y2", "tickmode": "auto", "nticks": 6},
        yaxis2={
            "title": {"text": "calls"},
            "side": "right",
            "fixedrange": True,
            "showgrid": False,
            "automargin": True,
            **_counted([group.sessions for group in pictures.trend]),
        },
        **_LEGEND,
    )
    share = _layout(xaxis=across, yaxis={"tickformat": ".0%", "rangemode": "tozero"}, **_LEGEND)
    said = f"from {x[0]} to {x[-1]}, by {pictures.unit}; the numbers: report --group-by {pictures.unit}"
    return (
        Chart("trend", f"Calls and waits by {pictures.unit}", said, {"data": [calls, *waits], "layout": two}),
        Chart("rates", f"How calls went, by {pictures.unit}", said, {"data": rates, "layout": share}),
    )


def _by_name(group: Group) -> dict[str, float | None]:
    return {kpi.name: kpi.value for kpi in group.kpis}


def _bars(names: Sequence[str], values: Sequence[Any], colours: Sequence[str], axis: str) -> Figure:
    """A bar for each name; amounts of money have another scale than counts."""
    money = axis == "USD"
    data = {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": _distinct(names),
        "marker": {"color": list(colours)},
        "hovertemplate": "%{y}: %{x:.4f} USD<extra></extra>" if money else "%{y}: %{x}<extra></extra>",
    }
    across = {"title": {"text": axis}, "rangemode": "tozero", **({} if money else _counted(values))}
    return {"data": [data], "layout": _layout(xaxis=across, bargap=0.35)}


def _tall(rows: Sequence[object]) -> int:
    return max(180, 84 + 26 * len(rows))


def _intents(pictures: Pictures) -> Chart | None:
    rows = pictures.intents[::-1]
    if not rows:
        return None
    names = [name("(none)" if row["intent"] is None else row["intent"]) for row in rows]
    counts = [row["classifications"] for row in rows]
    figure = _bars(names, counts, ["--caller"] * len(rows), "classifications")
    return Chart("intents", "What callers wanted", _said(names, counts), figure, _tall(rows))


def _outcomes(report: Report) -> Chart | None:
    counted: dict[str, int] = {}
    for row in report.outcomes:
        counted[str(row["outcome"])] = counted.get(str(row["outcome"]), 0) + int(str(row["sessions"]))
    rows = sorted(counted.items(), key=lambda item: item[1])[-_SERVICES:]
    if not rows:
        return None
    colours = [_OUTCOMES.get(outcome, "--framework") for outcome, _ in rows]
    names, counts = [name(outcome) for outcome, _ in rows], [count for _, count in rows]
    figure = _bars(names, counts, colours, "calls")
    return Chart("outcomes", "How calls ended", _said(names, counts), figure, _tall(rows))


def _costs(pictures: Pictures) -> Chart | None:
    rows = pictures.costs[::-1]
    if not rows:
        return None
    names = [service(row) for row in rows]
    figure = _bars(names, [row["cost_usd"] for row in rows], [_colour(row["component"]) for row in rows], "USD")
    return Chart("costs", "What it cost", _said(names, [row["cost_usd"] for row in rows]), figure, _tall(rows))


def _said(names: Sequence[str], values: Sequence[Any]) -> str:
    return "; ".join(f"{html.unescape(one)}: {value:g}" for one, value in zip(names, values, strict=True))
