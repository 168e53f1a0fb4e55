"""Time and memory of `otel-voicebot slow` over a day, from stored turn rows, and beside it from the spans alone."""

import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.child import child
from bench.figures import Figure, Section
from bench.report import Run, command

__all__ = ["run"]

_ASKED: Final = {
    "slow": ("slow", "--json"),
    "slow --component tts": ("slow", "--component", "tts", "--json"),
    "why": ("why", "--json", "--since", "2026-01-05T12:00", "--until", "2026-01-06T00:00"),
}
_COMPUTED_SPANS: Final = 200_000
"""The turns of all spans computed: so few, as a day's take minutes."""


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Store a day, then ask; 5 minutes, of which the day takes most (quick: 1)."""
    spans = 1_000_000 if quick else 10_000_000
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="bench-slow-") as directory:
        tell(f"slow: a day of {spans:,} spans is stored")
        stored = child("day", spans, directory)
        runs: dict[str, list[Run]] = {name: [] for name in _ASKED}
        for number in range(1, rounds + 1):
            for name, arguments in _ASKED.items():
                tell(f"slow: {name}, round {number} of {rounds}")
                runs[name].append(command(arguments, Path(directory)))
    with tempfile.TemporaryDirectory(prefix="bench-slow-") as directory:
        tell(f"slow: {_COMPUTED_SPANS:,} spans without turn rows")
        few = child("day", _COMPUTED_SPANS, directory)
        beside = command(_ASKED["slow"], Path(directory))
        for kind in ("hot", "history"):
            shutil.rmtree(Path(directory) / kind / "turns")
        computed = command(_ASKED["slow"], Path(directory))
        assert json.loads(computed.output)["exchanges"] == json.loads(beside.output)["exchanges"] == few["turns"]
    found = json.loads(runs["slow"][-1].output)
    assert found["exchanges"] == stored["turns"]
    rows: list[list[str | float]] = [
        [
            name,
            *(statistics.median(getattr(run, key) for run in runs[name]) for key in ("wall_s", "cpu_s", "memory_mb")),
        ]
        for name in _ASKED
    ]
    rows += [
        [f"slow, {few['spans']:,} spans, rows stored", *beside[:3]],
        [f"slow, {few['spans']:,} spans, no rows", *computed[:3]],
    ]
    figures = [
        Figure(f"slow over a day of {spans / 1e6:g} M spans", float(rows[0][1]), "s", "<=", 2),
        Figure("its peak memory", float(rows[0][3]), "MB", "<=", 1024),
        Figure("computed from spans / read as stored", computed.cpu_s / beside.cpu_s, "x"),
    ]
    common = ", ".join(f"{one['kind']} {one['value']}" for one in found["common"]["features"])
    notes = [f"{stored['turns']:,} turns of {stored['calls']:,} calls; in common: {common}."]
    title = f"The slow turns of a day of {stored['spans']:,} spans (median of {rounds}, files in the page cache)"
    return Section("slow", title, ["command", "wall s", "CPU s", "memory MB"], rows, figures, notes)
