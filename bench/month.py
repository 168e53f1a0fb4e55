"""Time and memory of `otel-voicebot report` over 100 M spans of ten days."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.child import child
from bench.figures import Figure, Section
from bench.kpis import over, without_rows
from bench.report import command

__all__ = ["run"]


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Store ten days, then ask once each way; 25 minutes and 11 GB of disk (quick: 20 M spans, 5)."""
    spans, hours = (20_000_000, 48) if quick else (100_000_000, 240)
    with tempfile.TemporaryDirectory(prefix="bench-month-") as directory:
        tell(f"month: {spans:,} spans are stored")
        stored = child("day", spans, directory, hours, timeout_s=7200)
        data = Path(directory)
        tell("month: report, rows stored")
        runs = {"report, rows stored": [command(("report", "--json"), data)]}
        without_rows(data, data / "rows")
        tell("month: report, from spans")
        runs["report, from spans"] = [command(("report", "--json"), data)]
    rows = over(runs)
    figures = [
        Figure(f"peak memory of a report over {spans / 1e6:g} M spans, {row[0]}", float(row[3]), "MB", "<=", 4096)
        for row in rows
    ]
    notes = [f"{stored['calls']:,} calls, {stored['turns']:,} turns in {hours} hours."]
    title = f"The report of {stored['spans']:,} spans (once)"
    return Section("month", title, ["command", "wall s", "CPU s", "memory MB"], rows, figures, notes)
