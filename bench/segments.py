"""Waits cut a second, over many calls at once and tick by tick."""

from collections.abc import Callable

from bench.child import child
from bench.figures import Figure, Section

__all__ = ["run"]


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Cut the waits of generated calls; about a minute."""
    spans, rounds = (200_000, 2) if quick else (400_000, 3)
    tell(f"segments: {spans:,} spans")
    found = child("segments_child", spans, rounds)
    waits, models = found["waits"], found["models"]
    rows: list[list[str | float]] = [[name, taken / waits * 1e6, waits / taken] for name, taken in models.items()]
    cutting = sum(models[name] for name in ("waits", "stages", "milestones", "walked", "segments"))
    rows.append(["waits to segments", cutting / waits * 1e6, waits / cutting])
    rows.append(
        ["judged to segments", (cutting + models["judged"]) / waits * 1e6, waits / (cutting + models["judged"])]
    )
    figures = [
        Figure("cutting alone, one core, CPU time", waits / cutting, "waits/s"),
        Figure("with deriving the exchanges", waits / (cutting + models["judged"]), "waits/s", ">=", 26_000, 30_000),
    ]
    for size, tick in found["ticks"].items():
        figures.append(Figure(f"live, {tick['turns']} turns ({size} spans): with the cut", tick["with"] * 1e3, "ms"))
        figures.append(Figure(f"live, {tick['turns']} turns: without", tick["without"] * 1e3, "ms"))
        figures.append(Figure(f"live, {tick['turns']} turns: counting their costs", tick["costs"] * 1e3, "ms"))
    title = f"The waits of {found['spans']:,} generated spans, cut on one core (CPU, the least of {rounds})"
    return Section("segments", title, ["model", "µs a wait", "waits/s"], rows, figures)
