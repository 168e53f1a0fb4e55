"""Time, memory and size of merging one closed hour."""

import tempfile
from collections.abc import Callable

from bench.child import child
from bench.figures import Figure, Section

__all__ = ["run"]

_PIECE = 1_000_000


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Generate an hour and merge it; about 10 minutes, of which the generator takes most (quick: 1)."""
    spans = 1_000_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory(prefix="bench-compact-") as directory:
        for seed in range(spans // _PIECE):
            tell(f"compact: {(seed + 1) * _PIECE:,} of {spans:,} spans are generated and committed")
            child("compact_child", "fill", _PIECE, seed, directory)
        tell("compact: the hour is merged")
        found = child("compact_child", "merge", directory)
    rows = found["rows"]
    table: list[list[str | float]] = [
        ["spans", rows],
        ["hot files", found["files"]],
        ["bytes a span in hot files", found["bytes_before"] / rows],
        ["bytes a span in history", found["bytes_after"] / rows],
        ["wall s", found["wall_s"]],
        ["CPU s", found["cpu_s"]],
        ["peak memory MB", found["peak_mb"]],
    ]
    figures = [
        Figure("peak memory of the compactor", found["peak_mb"], "MB", "<=", 1500),
        Figure("bytes a span in history", found["bytes_after"] / rows, "B", "<=", 58),
        Figure("spans merged a second", rows / found["wall_s"], "spans/s"),
        Figure("the same, by CPU time", rows / found["cpu_s"], "spans/s"),
    ]
    return Section("compact", f"One closed hour of {rows:,} spans becomes history", ["", "measured"], table, figures)
