"""The charts of a report as PNG files: the same as on its page (``plots``), drawn by matplotlib without a display."""

import html
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_voicebot.errors import CannotStartError, NoDataError
from otel_voicebot.reports import pages, png
from otel_voicebot.reports.plots import Chart, charts
from otel_voicebot.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_WIDTH: Final = 8.0
_DPI: Final = 130
_PIXELS: Final = 78
"""Of a chart's height on the page to an inch here."""
_DASHES: Final = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


def draw(report: Report, directory: Path) -> list[Path]:
    """Draw what can be drawn of a report with ``pictures``, one file a chart; returns the files.

    Raises:
        NoDataError: nothing can be drawn.
        CannotStartError: a picture can't be written.
    """
    found = charts(report)
    if not found:
        raise NoDataError("no chart: there is nothing to draw")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [_draw(chart, directory / f"{chart.name}.png") for chart in found]
    except OSError as error:
        msg = f"can't write the charts into {directory}: {error.strerror or error}"
        raise CannotStartError(msg) from None


def _draw(chart: Chart, path: Path) -> Path:
    figure = png.canvas(_WIDTH, max(chart.height, 280) / _PIXELS, _DPI)
    axes = figure.subplots()
    layout = chart.figure["layout"]
    _dress(axes, chart.title, layout["xaxis"], layout["yaxis"])
    second = axes.twinx() if "yaxis2" in layout else axes
    if second is not axes:
        _behind(axes, second, layout["yaxis2"])
    for trace in chart.figure["data"]:
        _trace(second if trace.get("yaxis") == "y2" else axes, trace)
    for line, label in zip(layout.get("shapes", ()), layout.get("annotations", ()), strict=True):
        axes.axvline(line["x0"], color=_colour("--ink"), linestyle=":", linewidth=1)
        near: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "fontsize": 9, "va": "top"}
        axes.annotate(
            label["text"], (label["x"], label["y"]), xycoords=("data", "axes fraction"), **near
        ).set_in_layout(False)
    if layout["yaxis"].get("rangemode") == "tozero":
        axes.set_ylim(bottom=0)
    if layout["showlegend"]:
        parts = [part for one in (second, axes) for part in one.get_legend_handles_labels()[0]]
        known = {str(part.get_label()): part for part in parts}
        figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name may have letters that the font lacks: boxes stand there
        figure.savefig(path, format="png")
    return path


def _trace(axes: "Axes", trace: Mapping[str, Any]) -> None:
    if trace["type"] == "scatter":
        line = trace["line"]
        values = [float("nan") if value is None else value for value in trace["y"]]
        style: dict[str, Any] = {"color": _colour(line["color"]), "linestyle": _DASHES[line.get("dash", "solid")]}
        when: Any = _times(trace["x"])
        axes.plot(when, values, label=trace["name"], marker="o", markersize=3.5, linewidth=1.8, **style)
        return
    marker = trace["marker"]
    colours = marker["color"]
    colour = [_colour(one) for one in colours] if isinstance(colours, list) else _colour(colours)
    if trace.get("orientation") == "h":
        names = [html.unescape(str(one)) for one in trace["y"]]
        axes.barh(range(len(names)), trace["x"], color=colour, alpha=marker.get("opacity", 1), height=0.66)
        axes.set_yticks(range(len(names)), names)
        for label in axes.get_yticklabels():
            label.set_parse_math(False)  # a name with dollar signs is no formula
    elif trace.get("yaxis") == "y2":
        begins = _times(trace["x"])
        apart = min((after - before for before, after in pairwise(begins)), default=None)
        width: Any = 0.8 if apart is None else apart * 0.8
        axes.bar(begins, trace["y"], color=colour, width=width, label=trace["name"])  # type: ignore[arg-type]
    else:
        axes.bar(trace["x"], trace["y"], color=colour, width=trace["width"])


def _times(texts: Sequence[str]) -> list[datetime]:
    return [datetime.fromisoformat(text if len(text) > len("2026-03") else f"{text}-01") for text in texts]


def _behind(axes: "Axes", second: "Axes", layout: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.set_zorder(second.get_zorder() + 1)
    axes.patch.set_visible(False)
    second.set_ylabel(layout["title"]["text"], color=_colour("--quiet"))
    second.spines[["top", "left", "bottom"]].set_visible(False)
    second.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    second.tick_params(colors=_colour("--quiet"))
    second.spines["right"].set_color(_colour("--line"))


def _dress(axes: "Axes", title: str, across: Mapping[str, Any], up: Mapping[str, Any]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator, PercentFormatter  # noqa: PLC0415

    ink = _colour("--quiet")
    axes.set_title(title, fontsize=12, fontweight="bold", color=_colour("--ink"), loc="left")
    axes.set_xlabel(across.get("title", {}).get("text", ""), color=ink)
    axes.set_ylabel(up.get("title", {}).get("text", ""), color=ink)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_colour("--line"), linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink)
    if across.get("type") == "date":
        places = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(places)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(places))  # type: ignore[no-untyped-call]
    if up.get("tickformat"):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axis, told in ((axes.xaxis, across), (axes.yaxis, up)):
        if "dtick" in told:
            axis.set_major_locator(MaxNLocator(6, integer=True))


def _colour(name: str) -> str:
    """What a colour of the page's style is in light."""
    found = re.search(rf"{re.escape(name)}: (#[0-9a-f]+)", pages.file("base.css"))
    return found[1] if found else "#333333"
