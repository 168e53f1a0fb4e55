"""Time and memory of `otel-voicebot report` over generated spans, in a process of its own, as an analyst runs it."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench.child import child
from bench.figures import Figure, Section
from bench.program import PROGRAM

__all__ = ["Run", "command", "run"]

_COMMANDS: Final = {
    "report --json": ("report", "--json"),
    "slow --json": ("slow", "--json"),
    "--help": ("--help",),
}


class Run(NamedTuple):
    """One command line as a process of its own."""

    wall_s: float
    cpu_s: float
    memory_mb: float
    output: bytes


def command(arguments: tuple[str, ...], data: Path) -> Run:
    """Run the command line; its own peak of resident memory, not that of other children."""
    environment = {**os.environ, "OTEL_VOICEBOT_DATA": str(data)}
    start = time.perf_counter()
    words = [sys.executable, "-c", PROGRAM, *arguments]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, env=environment, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        msg = f"otel-voicebot {' '.join(arguments)} ended with {process.returncode}: {text[-500:]!r}"
        raise RuntimeError(msg)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Generate and commit, then ask; about 1 minute."""
    spans = 200_000 if quick else 1_000_000
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="bench-report-") as directory:
        data = Path(directory)
        tell(f"report: {spans:,} spans are generated and committed")
        child("ingest_child", spans, directory)
        runs: dict[str, list[Run]] = {name: [] for name in _COMMANDS}
        for number in range(1, rounds + 1):
            for name, arguments in _COMMANDS.items():
                tell(f"report: {name}, round {number} of {rounds}")
                runs[name].append(command(arguments, data))
        files = sorted(data.rglob("*.parquet"))
        size = sum(file.stat().st_size for file in files)
    kpis = json.loads(runs["report --json"][-1].output)["kpis"]
    rows: list[list[str | float]] = [
        [
            name,
            *(statistics.median(getattr(run, key) for run in runs[name]) for key in ("wall_s", "cpu_s", "memory_mb")),
        ]
        for name in _COMMANDS
    ]
    wall, _, memory = (float(value) for value in rows[0][1:])
    figures = [
        Figure(f"report over {spans / 1e6:g} M spans", wall, "s", "<=", 2),
        Figure("its peak memory", memory, "MB", "<=", 1024),
        Figure("otel-voicebot --help", float(rows[-1][1]), "s", "<=", 0.5),
    ]
    sessions, turns = kpis["sessions"]["value"], kpis["turns"]["value"]
    notes = [
        f"{sessions:,} sessions, {turns:,} turns, {len(files)} files, {size / spans:.0f} bytes a span in hot files."
    ]
    title = f"The command line over {spans:,} spans (median of {rounds}, files in the page cache)"
    return Section("report", title, ["command", "wall s", "CPU s", "memory MB"], rows, figures, notes)
