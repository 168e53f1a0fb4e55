"""Anomalies as a picture, PNG: each series over time, what is usual, and the time in which it was worse."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from otel_voicebot.errors import NoDataError
from otel_voicebot.reports import png
from otel_voicebot.reports.anomalies import MEASURES, Found, Incident, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["picture"]

_USUAL = "#888888"
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
    if not found.incidents:
        msg = "no picture of anomalies: there is none"
        raise NoDataError(msg)
    both = sorted(zip(found.incidents, found.tracks, strict=True), key=lambda pair: -pair[0].z)[:_PICTURES]
    figure = png.canvas(11, 0.6 + 2.4 * len(both), 110)
    axes = figure.subplots(len(both), 1, squeeze=False)[:, 0]
    for each, (incident, track) in zip(axes, both, strict=True):
        _draw(each, incident, track)
    more = f" (the {len(both)} that stand out most)" if len(both) < len(found.incidents) else ""
    png.headed(figure, f"Anomalies: {len(found.incidents)}{more}")
    return png.save(figure, path)


def _draw(axes: "Axes", incident: Incident, track: Track) -> None:
    start, end = incident.start.timestamp(), incident.end.timestamp()
    width = track.minutes * 60
    near = (track.start_s > start - _AROUND_S) & (track.start_s < end + _AROUND_S) & np.isfinite(track.observed)
    unit = MEASURES[incident.series.measure].unit
    scale = 100 if unit == "ratio" else 1
    middle = np.array(track.start_s[near] + width // 2, "datetime64[s]")
    begin, finish = (np.datetime64(int(at), "s") for at in (start, end))
    axes.axvspan(begin, finish, color=png.RED, alpha=0.12, linewidth=0)  # type: ignore[arg-type]
    axes.plot(
        middle, scale * track.observed[near], color=png.BLUE, marker=".", markersize=4, linewidth=1, label="observed"
    )
    axes.plot(middle, scale * track.usual[near], color=_USUAL, linestyle="--", linewidth=1.2, label="usual")
    what = f"{MEASURES[incident.series.measure].title}, {incident.series.name}"
    title = f"{what}: {incident.change:.2g} times the usual, z {incident.z:.1f}"
    png.dress(axes, title, "%" if unit == "ratio" else unit)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
