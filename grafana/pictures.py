"""Draws what each dashboard's queries answer: ``python -m grafana.pictures http://127.0.0.1:9090 --minutes 10``.

Asked of a Prometheus as Grafana asks, with every variable at All, and drawn by matplotlib: not a Grafana screen.
"""

import argparse
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from PIL import Image

from grafana.asking import Asked, Range, asked, expand, loaded

__all__ = ["main"]

DIRECTORY: Final = Path(__file__).parents[1] / "docs" / "dashboards"
NOTE: Final = "drawn from the queries' results on the demo's calls, not a Grafana screen"
_CELL: Final = 0.3
"""Inches a row of the grid."""
_SHOWN: Final = 6
"""Lines of a table, and names of a legend, that fit."""
Series = list[dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    """Write a PNG per dashboard; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", help="its address, such as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=10.0, help="the time range, up to now")
    parser.add_argument("--scrape", type=int, default=15, help="seconds between two scrapes")
    given = parser.parse_args(arguments)
    now = time.time()
    over = Range(now - 60 * given.minutes, now, scrape_s=given.scrape, step_s=given.scrape)
    mpl.use("agg")
    plt.rcParams.update({"font.size": 6, "axes.linewidth": 0.4, "lines.linewidth": 0.9, "font.family": "DejaVu Sans"})
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for uid, dashboard in loaded().items():
        answers = {one: _answer(given.prometheus, one, over) for one in asked() if one.dashboard == uid}
        path = DIRECTORY / f"{uid}.png"
        path.write_bytes(_picture(dashboard, answers, over))
        sys.stderr.write(f"{path.name}: {path.stat().st_size // 1024} KB\n")
    return 0


def _answer(prometheus: str, one: Asked, over: Range) -> Series:
    expr = expand(one.expr, over)
    if one.instant:
        path, more = "query", {"time": over.end}
    else:
        path, more = "query_range", {"start": over.start, "end": over.end, "step": over.step_s}
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode({'query': expr, **more})}"
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the address that was given
        found: Series = json.load(answer)["data"]["result"]
    return found


def _picture(dashboard: dict[str, Any], answers: dict[Asked, Series], over: Range) -> bytes:
    panels = dashboard["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 2
    figure = plt.figure(figsize=(12, height * _CELL), dpi=90)
    figure.text(0.01, 1 - 0.8 / height, f"{dashboard['title']}", fontsize=11, weight="bold")
    figure.text(0.99, 1 - 0.8 / height, NOTE, fontsize=8, ha="right", color="#a33")
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / 24, place["w"] / 24
        low = 1 - (place["y"] + place["h"] + 1.5) / height
        if panel["type"] == "row":
            figure.text(0.01, low + 0.2 / height, panel["title"], fontsize=8, color="#555", weight="bold")
            continue
        axes = figure.add_axes((left + 0.03, low + 1.1 / height, width - 0.04, (place["h"] - 2.3) / height))
        axes.set_title(panel["title"], fontsize=7, loc="left", pad=3)
        mine = [(one, found) for one, found in answers.items() if one.panel == panel["title"] and one.id == panel["id"]]
        _DRAWN[panel["type"]](axes, panel, mine, over)
    packed = BytesIO()
    figure.savefig(packed, format="png")
    plt.close(figure)
    small = BytesIO()
    Image.open(packed).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    return small.getvalue()


def _named(one: Asked, metric: dict[str, str]) -> str:
    text = one.legend
    for label in set(metric) | {"owner", "model", "provider", "level", "bot"}:
        text = text.replace(f"{{{{{label}}}}}", metric.get(label, ""))
    return text.strip() or "(none)"


def _said(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    if unit == "percentunit":
        return f"{100 * value:.1f} %"
    if unit == "s":
        return (
            f"{value:.2f} s"
            if abs(value) < 120
            else f"{value / 60:.1f} min"
            if abs(value) < 7200
            else f"{value / 86400:.1f} d"
        )
    return f"$ {value:.4f}" if unit == "currencyUSD" else f"{value:,.4g}"


def _empty(axes: Axes) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, "no data", ha="center", va="center", color="#999", transform=axes.transAxes)


def _lines(axes: Axes, panel: dict[str, Any], answers: list[tuple[Asked, Series]], over: Range) -> None:
    found = [(_named(one, series["metric"]), series["values"]) for one, all_ in answers for series in all_]
    if not found:
        _empty(axes)
        return
    steps = np.arange(over.start, over.end + 1, over.step_s)
    times = [datetime.fromtimestamp(at, UTC) for at in steps]
    columns = {}
    for name, values in found:
        known = {round((at - over.start) / over.step_s): float(value) for at, value in values}
        columns[name] = np.array([known.get(index, math.nan) for index in range(len(steps))])
    factor = 100 if (unit := panel["fieldConfig"]["defaults"]["unit"]) == "percentunit" else 1
    if panel["fieldConfig"]["defaults"]["custom"].get("stacking"):
        axes.stackplot(
            times, [factor * np.nan_to_num(one) for one in columns.values()], labels=list(columns), alpha=0.8
        )
    else:
        for name, values in columns.items():
            axes.plot(times, factor * values, marker=".", markersize=2, label=name)
    axes.set_xlim(times[0], times[-1])
    shown = np.concatenate([factor * one[~np.isnan(one)] for one in columns.values()])
    if len(shown) and shown.any():
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    else:
        axes.set_ylim(-0.05, 1)
    axes.set_ylabel({"percentunit": "%", "currencyUSD": "$"}.get(unit, unit), labelpad=1)
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))
    axes.tick_params(length=2, pad=1)
    axes.grid(linewidth=0.2)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[:_SHOWN], names[:_SHOWN], fontsize=5, loc="upper left", framealpha=0.6, borderpad=0.2)


def _numbers(axes: Axes, panel: dict[str, Any], answers: list[tuple[Asked, Series]], _: Range) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    found = [(_named(one, each["metric"]), float(each["value"][1])) for one, all_ in answers for each in all_]
    if not found:
        _empty(axes)
        return
    axes.axis("off")
    for index, (name, value) in enumerate(found[:4]):
        at = (index + 0.5) / min(len(found), 4)
        axes.text(at, 0.55, _said(value, unit), ha="center", fontsize=9 if len(found) > 1 else 12, color="#2a6")
        axes.text(at, 0.15, name, ha="center", fontsize=6, color="#555")


def _table(axes: Axes, panel: dict[str, Any], answers: list[tuple[Asked, Series]], _: Range) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    lines: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for one, all_ in answers:
        for each in all_:
            lines.setdefault(tuple(sorted(each["metric"].items())), {})[one.legend] = float(each["value"][1])
    if not lines:
        _empty(axes)
        return
    axes.axis("off")
    labels = sorted({name for key in lines for name, _ in key})
    columns = [*labels, *(one.legend for one, _ in answers)]
    ordered = sorted(lines.items(), key=lambda item: -max(item[1].values()))[:_SHOWN]
    cells = [
        [
            *(dict(key).get(name, "")[:28] for name in labels),
            *(_said(values.get(one.legend, math.nan), unit) for one, _ in answers),
        ]
        for key, values in ordered
    ]
    table = axes.table(cells, colLabels=columns, loc="upper center", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(6)


def _heat(axes: Axes, _: dict[str, Any], answers: list[tuple[Asked, Series]], over: Range) -> None:
    [(_, series)] = answers
    if not series:
        _empty(axes)
        return
    series = sorted(series, key=lambda one: float(one["metric"]["le"]))
    steps = round((over.end - over.start) / over.step_s) + 1
    counts = np.zeros((len(series), steps))
    for row, one in enumerate(series):
        for at, value in one["values"]:
            counts[row, round((at - over.start) / over.step_s)] = float(value)
    counts = np.diff(counts, axis=0, prepend=0)
    names = [one["metric"]["le"] for one in series]
    axes.pcolormesh(counts, cmap="Oranges")
    axes.set_yticks(np.arange(0, len(names), 4) + 1, names[::4])
    axes.set_xticks([])
    axes.set_ylabel("up to, s", labelpad=1)


_DRAWN: Final = {"timeseries": _lines, "stat": _numbers, "table": _table, "heatmap": _heat}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
