"""Anomalies as a picture, PNG: each series over time, what is usual, and the time in which it was worse."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from otel_voicebot.errors import CannotStartError, NoDataError
from otel_voicebot.reports.anomalies import MEASURES, Found, Incident, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["picture"]

_LINE, _USUAL, _INK, _HIT = "#2a6f97", "#888888", "#333333", "#c1121f"
_PICTURES = 6
"""As many as can be read below each other."""
_AROUND_S = 12 * 3600
"""So long before and after an incident is drawn."""


def picture(found: Found, path: Path) -> Path:
    """Draw the anomalies, those that stand out most. Returns ``path``.

    Raises:
        NoDataError: there is none.
        CannotStartError: the picture can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - a second to import, and pyplot keeps state
    from matplotlib.figure import Figure  # noqa: PLC0415

    if not found.incidents:
        msg = "no picture of anomalies: there is none"
        raise NoDataError(msg)
    both = sorted(zip(found.incidents, found.tracks, strict=True), key=lambda pair: -pair[0].z)[:_PICTURES]
    figure = Figure(figsize=(11, 0.6 + 2.4 * len(both)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(both), 1, squeeze=False)[:, 0]
    for each, (incident, track) in zip(axes, both, strict=True):
        _draw(each, incident, track)
    more = f" (the {len(both)} that stand out most)" if len(both) < len(found.incidents) else ""
    figure.suptitle(f"Anomalies: {len(found.incidents)}{more}", fontsize=12, fontweight="bold", color=_INK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        msg = f"can't write the picture {path}: {error.strerror or error}"
        raise CannotStartError(msg) from None
    return path


def _draw(axes: "Axes", incident: Incident, track: Track) -> None:
    start, end = incident.start.timestamp(), incident.end.timestamp()
    width = track.minutes * 60
    near = (track.start_s > start - _AROUND_S) & (track.start_s < end + _AROUND_S) & np.isfinite(track.observed)
    unit = MEASURES[incident.series.measure].unit
    scale = 100 if unit == "ratio" else 1
    middle = np.array(track.start_s[near] + width // 2, "datetime64[s]")
    begin, finish = (np.datetime64(int(at), "s") for at in (start, end))
    axes.axvspan(begin, finish, color=_HIT, alpha=0.12, linewidth=0)  # type: ignore[arg-type]
    axes.plot(
        middle, scale * track.observed[near], color=_LINE, marker=".", markersize=4, linewidth=1, label="observed"
    )
    axes.plot(middle, scale * track.usual[near], color=_USUAL, linestyle="--", linewidth=1.2, label="usual")
    what = f"{MEASURES[incident.series.measure].title}, {incident.series.name}"
    axes.set_title(
        f"{what}: {incident.change:.2g} times the usual, z {incident.z:.1f}",
        fontsize=10,
        color=_INK,
        loc="left",
    )
    axes.set_ylabel("%" if unit == "ratio" else unit, color=_INK)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
