"""Pictures of turn latencies, as PNG. Drawn without a display."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from otel_voicebot.errors import NoDataError
from otel_voicebot.reports import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["turn_latencies"]

Row = Mapping[str, object]

_ANSWERED, _ABANDONED, _INK = png.BLUE, png.RED, png.INK
_COLUMNS = ["session_id", "turn_index", "start_time", "kind", "response_gap_s", "wait_s"]
_QUANTILES = ((0.5, "p50"), (0.95, "p95"))
_BARS = 60
"""As many turns as can be told apart side by side; of more, the slowest are shown."""


def turn_latencies(turns: pa.Table, path: Path) -> Path:
    """Draws how long callers waited: turn by turn, and as a cumulative share. Returns ``path``.

    ``turns`` is in form TURNS. Answered turns count with their response gap. An abandoned turn is censored: its caller
    waited at least so long, so it is marked and lies in no percentile.

    Raises:
        NoDataError: no turn has a wait.
        CannotStartError: the picture can't be written.
    """
    rows = [row for row in turns.select(_COLUMNS).to_pylist() if row["kind"] == "exchange" and _wait(row) is not None]
    if not rows:
        msg = "no picture of turn latencies: no turn has a wait"
        raise NoDataError(msg)
    figure = png.canvas(11, 4.8, 130)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    gaps = sorted(_wait(row) or 0.0 for row in rows if not _abandoned(row))
    _bars(left, rows, gaps)
    _share(right, rows, gaps)
    sessions = len({row["session_id"] for row in rows})
    abandoned = len(rows) - len(gaps)
    png.headed(figure, f"How long callers waited: turns answered {len(gaps)}, abandoned {abandoned}, calls {sessions}")
    return png.save(figure, path)


def _wait(row: Row) -> float | None:
    for key in ("response_gap_s", "wait_s"):
        if isinstance(value := row.get(key), float):
            return value
    return None


def _abandoned(row: Row) -> bool:
    return row.get("response_gap_s") is None


def _bars(axes: "Axes", rows: list[Row], gaps: list[float]) -> None:
    """One bar a turn, in the order in which they happened."""
    shown = sorted(
        sorted(rows, key=lambda row: -(_wait(row) or 0))[:_BARS], key=lambda row: (row["start_time"], row["turn_index"])
    )
    for index, row in enumerate(shown):
        wait = _wait(row) or 0.0
        if _abandoned(row):
            axes.bar(index, wait, color="white", edgecolor=_ABANDONED, hatch="////", width=0.8, linewidth=1)
            axes.plot(index, wait, marker="^", color=_ABANDONED, markersize=6, clip_on=False)
        else:
            axes.bar(index, wait, color=_ANSWERED, width=0.8)
    for q, name in _QUANTILES if gaps else ():
        value = float(np.quantile(gaps, q))  # linear, as quantile_cont in the SQL models
        axes.axhline(value, color=_INK, linestyle="--" if q < 0.9 else ":", linewidth=1)
        label = axes.annotate(
            f"{name} {value:.2f} s",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=_INK,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1},
        )
        label.set_in_layout(False)  # else a label that sticks out squeezes the picture
    which = "turn by turn" if len(shown) == len(rows) else f"the {len(shown)} slowest of {len(rows)} turns"
    _dress(axes, f"{which}, in order of time", "turn", "wait (s)")
    axes.set_xlim(-0.8, max(len(shown), 12) - 0.2)
    axes.set_xticks([])
    axes.set_ylim(0, max(_wait(row) or 0.0 for row in shown) * 1.15 or 1)
    _legend(axes, any(_abandoned(row) for row in shown), bool(gaps))


def _legend(axes: "Axes", abandoned: bool, answered: bool) -> None:  # noqa: FBT001 - two facts of the picture
    from matplotlib.patches import Patch  # noqa: PLC0415

    entries = [Patch(facecolor=_ANSWERED, label="answered: caller stops → first bot audio")] if answered else []
    if abandoned:
        entries.append(
            Patch(
                facecolor="white", edgecolor=_ABANDONED, hatch="////", label="abandoned: waited at least this long (▲)"
            )
        )
    axes.legend(handles=entries, loc="upper left", fontsize=8, frameon=False)


def _share(axes: "Axes", rows: list[Row], gaps: list[float]) -> None:
    """The share of answered turns that were answered within a time; abandoned waits as marks at the foot."""
    _dress(axes, f"answered within (n = {len(gaps)})", "wait (s)", "share of answered turns (%)")
    longest = max(_wait(row) or 0.0 for row in rows)
    if gaps:
        axes.ecdf(gaps, color=_ANSWERED, linewidth=2)
        for q, name in _QUANTILES:
            value = float(np.quantile(gaps, q))
            axes.vlines(value, 0, q, color=_INK, linestyle="--" if q < 0.9 else ":", linewidth=1)
            near: dict[str, Any] = {"xytext": (5, -11), "textcoords": "offset points", "fontsize": 9, "color": _INK}
            axes.annotate(f"{name} {value:.2f} s", (value, q), **near).set_in_layout(False)
    waits = [_wait(row) or 0.0 for row in rows if _abandoned(row)]
    if waits:
        axes.plot(waits, [0] * len(waits), "^", color=_ABANDONED, markersize=7, clip_on=False)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.set_xlim(0, longest * 1.12 or 1)


def _dress(axes: "Axes", title: str, across: str, up: str) -> None:
    png.dress(axes, title, up)
    axes.set_xlabel(across, color=_INK)
    axes.set_axisbelow(True)
