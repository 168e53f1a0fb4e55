"""Time and memory of the full `otel-voicebot report` over a day, from stored rows and from the spans alone."""

import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.child import child
from bench.figures import Figure, Section
from bench.report import Run, command

__all__ = ["over", "run", "without_rows"]

_REPORT: Final = ("report", "--json")
_SEGMENTS: Final = ("report", "--section", "segments", "--json")


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Store a day, then ask; 8 minutes, of which the segments take most (quick: 1)."""
    spans = 1_000_000 if quick else 10_000_000
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="bench-kpis-") as directory:
        tell(f"kpis: a day of {spans:,} spans is stored")
        stored = child("day", spans, directory)
        data, rows_kept = Path(directory), Path(directory, "rows")
        runs: dict[str, list[Run]] = {}
        for number in range(1, rounds + 1):  # in turns, so that a busy machine hits each alike
            tell(f"kpis: round {number} of {rounds}")
            runs.setdefault("report, rows stored", []).append(command(_REPORT, data))
            with_rows = runs["report, rows stored"][-1].output
            back = without_rows(data, rows_kept)
            runs.setdefault("report, from spans", []).append(command(_REPORT, data))
            _same(with_rows, runs["report, from spans"][-1].output)
            back()
        tell("kpis: segments from stored rows, and from spans")
        runs["segments, rows stored"] = [command(_SEGMENTS, data)]
        without_rows(data, rows_kept)
        runs["segments, from spans"] = [command(_SEGMENTS, data)]
    rows = over(runs)
    walls = {str(row[0]): float(row[1]) for row in rows}
    cpu = {str(row[0]): float(row[2]) for row in rows}
    size = f"{spans / 1e6:g} M spans"
    figures = [
        Figure(f"report over {size}, rows stored", walls["report, rows stored"], "s", "<=", 2),
        Figure(f"report over {size}, from spans", walls["report, from spans"], "s", "<=", 12),
        Figure(f"report with segments over {size}, from spans", walls["segments, from spans"], "s", "<=", 40),
        Figure("CPU, from spans / rows stored", cpu["report, from spans"] / cpu["report, rows stored"], "x"),
    ]
    notes = [
        f"{stored['calls']:,} calls, {stored['turns']:,} turns; both reports are equal; load {os.getloadavg()[0]:.1f}."
    ]
    title = f"The report of a day of {stored['spans']:,} spans (median of {rounds}, files in the page cache)"
    return Section("kpis", title, ["command", "wall s", "CPU s", "memory MB"], rows, figures, notes)


def over(runs: dict[str, list[Run]]) -> list[list[str | float]]:
    """The medians of each command's runs."""
    measured = ("wall_s", "cpu_s", "memory_mb")
    return [
        [name, *(statistics.median(getattr(run, key) for run in some) for key in measured)]
        for name, some in runs.items()
    ]


def without_rows(data: Path, aside: Path) -> Callable[[], None]:
    """Put the rows of turns and sessions aside; what is returned puts them back."""
    moved = []
    for kind in ("hot", "history"):
        for table in ("turns", "sessions"):
            there = data / kind / table
            if there.is_dir():
                moved.append((there, aside / kind / table))
    for there, place in moved:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(there, place)

    def back() -> None:
        for there, place in moved:
            shutil.move(place, there)

    return back


def _same(one: bytes, other: bytes) -> None:
    """Both reports have the same KPIs and sections; sums of seconds to nine digits."""
    found, expected = (json.loads(text) for text in (one, other))
    for part in ("kpis", "sections"):
        assert _rounded(found[part]) == _rounded(expected[part]), part


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
