"""What PNG pictures share: drawn by matplotlib without a display; one sentence says why one can't be written."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_voicebot.errors import CannotStartError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLUE", "INK", "RED", "canvas", "dress", "headed", "save"]

BLUE: Final = "#2a6f97"
RED: Final = "#c1121f"
INK: Final = "#333333"


def canvas(width: float, height: float, dpi: int) -> "Figure":
    """An empty picture, so many inches wide and high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - a second to import, and pyplot keeps state
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def headed(figure: "Figure", text: str) -> None:
    """What the whole picture is of, above it."""
    figure.suptitle(text, fontsize=12, fontweight="bold", color=INK)


def dress(axes: "Axes", title: str, up: str) -> None:
    """Title, name of the upward axis and a quiet frame."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_ylabel(up, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.tick_params(colors=INK)


def save(figure: "Figure", path: Path) -> Path:
    """Write the picture, and its directory where there is none. Returns ``path``.

    Raises:
        CannotStartError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        msg = f"can't write the picture {path}: {error.strerror or error}"
        raise CannotStartError(msg) from None
    return path
