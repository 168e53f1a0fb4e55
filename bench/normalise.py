"""What it costs to read a span with its framework's table, beside decoding and storing it, on one core."""

import statistics
import tempfile
from collections.abc import Callable

from bench.child import child
from bench.figures import Figure, Section

__all__ = ["run"]

_STAGES = ("decode", "normalise", "withhold", "rows", "commit")


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Measure over 1 M spans in which all dialects are mixed; about 3 minutes."""
    rounds, spans = (1, 100_000) if quick else (1, 1_000_000)
    loads = {"new ids": (), "new ids, numbers and texts": ("vary",)}
    rows: list[list[str | float]] = []
    figures = []
    for load, arguments in loads.items():
        measured = []
        for number in range(1, rounds + 1):
            tell(f"normalise: {load}, round {number} of {rounds}")
            with tempfile.TemporaryDirectory(prefix="bench-normalise-") as directory:
                measured.append(child("normalise_child", spans, directory, *arguments))
        micros = {
            stage: [
                statistics.median(one["seconds"][stage][clock] / one["spans"] * 1e6 for one in measured)
                for clock in (0, 1)
            ]
            for stage in _STAGES
        }
        rows += [[load, stage, *micros[stage]] for stage in _STAGES]
        for clock, what in enumerate(("", ", by CPU time")):
            share = micros["normalise"][clock] / (micros["decode"][clock] + micros["commit"][clock]) * 100
            figures.append(Figure(f"normalise, of decode + commit ({load}{what})", share, "%", "<=", 30))
    title = "Normalising all dialects' spans, as import reads them, pinned to one core"
    return Section("normalise", title, ["load", "stage", "wall µs a span", "CPU µs a span"], rows, figures)
