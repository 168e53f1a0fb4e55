"""Spans per second through the stages of ingest, on one core."""

import statistics
import tempfile
from collections.abc import Callable

from bench.child import child
from bench.figures import Figure, Section

__all__ = ["run"]


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Measure every stage on 8,192-span requests; about 1 minute."""
    rounds, spans = (2, 80_000) if quick else (3, 200_000)
    measured = []
    for number in range(1, rounds + 1):
        tell(f"ingest: round {number} of {rounds}")
        with tempfile.TemporaryDirectory(prefix="bench-ingest-") as directory:
            one_run = child("ingest_child", spans, directory)
        # apart from the stages before it, whose caches it would empty
        with tempfile.TemporaryDirectory(prefix="bench-ingest-") as directory:
            live = child("ingest_child", spans // 2, directory, "live")
        for name, clocks in live["seconds"].items():
            if name.startswith("live"):
                one_run["seconds"][name] = [clock * one_run["spans"] / live["spans"] for clock in clocks]
        measured.append(one_run)
    stages = list(measured[0]["seconds"])

    def micros(names: list[str], clock: int) -> float:
        """µs a span, the median over the rounds."""
        return statistics.median(
            sum(run["seconds"][name][clock] for name in names) / run["spans"] * 1e6 for run in measured
        )

    rows: list[list[str | float]] = [
        [name, micros([name], 0), micros([name], 1), 1e6 / micros([name], 0)] for name in stages
    ]
    to_disk = [name for name in stages if not name.startswith("live")]
    rows.append(["decode to commit", micros(to_disk, 0), micros(to_disk, 1), 1e6 / micros(to_disk, 0)])
    rows.append(["all", micros(stages, 0), micros(stages, 1), 1e6 / micros(stages, 0)])
    figures = [
        Figure("decode to commit, one core", 1e6 / micros(to_disk, 0), "spans/s", ">=", 200_000, 300_000),
        Figure("the same, by CPU time", 1e6 / micros(to_disk, 1), "spans/s"),
        Figure("decode + commit alone", 1e6 / micros(["decode", "commit"], 0), "spans/s"),
        Figure("with the live tick", 1e6 / micros(stages, 0), "spans/s"),
    ]
    title = f"Ingest, requests of 8,192 spans, pinned to one core (median of {rounds})"
    return Section("ingest", title, ["stage", "wall µs a span", "CPU µs a span", "spans/s"], rows, figures)
