"""Is the call disturbed? Real Pipecat calls with and without us, in turns: the event loop's delay, the caller's gaps.

Each call is a process of its own (``bench.frameworks.pipecat_bot``); the provider's server runs in this one.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.figures import Figure, Section
from bench.frameworks.provider import Provider
from bench.frameworks.script import SCRIPTS

__all__ = ["run"]

_SCRIPT: Final = "call"
_BOT: Final = (sys.executable, "-m", "bench.frameworks.pipecat_bot", _SCRIPT, "--loop")
_TIMEOUT_S: Final = 240
_FEW: Final = 8
"""Rounds that say nothing of what chance makes."""
_VARIANTS: Final = ("without", "tracing", "with")


@dataclass(frozen=True)
class _Held:
    """One call: milliseconds that the loop was late before and in it, and gaps in seconds, in the order of the call."""

    late_before_ms: list[float]
    late_ms: list[float]
    gaps: list[float]

    def late(self, share: float, *, start: bool = False) -> float:
        """A quantile; with ``start`` also over what the process loads before its first call."""
        late = sorted(self.late_ms + (self.late_before_ms if start else []))
        return late[int(share * (len(late) - 1))]


def _environment(variant: str, data: Path, url: str) -> Mapping[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PIPECAT_"))}
    clean |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
    if variant != "with":
        return clean
    from otel_voicebot.zerocode import pipecat_setup

    ours = {"OTEL_VOICEBOT_DATA": str(data / "data"), "OTEL_VOICEBOT_METRICS_ADDR": "127.0.0.1:0"}
    return {**clean, **ours, "PIPECAT_SETUP_FILES": str(pipecat_setup.__file__)}


def _hold(variant: str) -> _Held:
    with (
        tempfile.TemporaryDirectory(prefix="bench-loop-") as data,
        Provider(step.text for step in SCRIPTS[_SCRIPT]) as provider,
    ):
        done = subprocess.run(
            [*_BOT, *(["--metrics", "--traced"] if variant == "tracing" else [])],
            env=_environment(variant, Path(data), provider.url),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        sys.stderr.write(done.stderr)
        msg = f"a call {variant} us ended with {done.returncode}"
        raise RuntimeError(msg)
    said = json.loads(done.stdout)
    before, late = ([1000 * seconds for seconds in said[which]] for which in ("late_before", "late"))
    return _Held(before, late, said["gaps"])


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Hold calls in turns; about 23 minutes, `quick` about 5."""
    rounds = 3 if quick else 16
    held: dict[str, list[_Held]] = {variant: [] for variant in _VARIANTS}
    for number in range(rounds):
        # Whoever goes first has the colder machine: each variant does, in turn.
        for place in range(len(_VARIANTS)):
            variant = _VARIANTS[(number + place) % len(_VARIANTS)]
            tell(f"loop: a call {variant}, round {number + 1} of {rounds}")
            held[variant].append(_hold(variant))
    return _section(held)


def _section(held: dict[str, list[_Held]]) -> Section:
    rows: list[list[str | float]] = []
    without = held["without"]
    for variant, calls in held.items():
        late = [statistics.median(call.late(share) for call in calls) for share in (0.5, 0.99, 1.0)]
        late += [statistics.median(call.late(share, start=True) for call in calls) for share in (0.99, 1.0)]
        gaps = sorted(gap for call in calls for gap in call.gaps)
        rows.append([variant, *late, 1000 * statistics.median(gaps), 1000 * gaps[-1]])
    equal = without[1::2], without[:-1:2]
    chance = _figures("without - without, a round before", *equal) if len(without) > _FEW else ()
    return Section(
        "loop",
        f"A real Pipecat call, ms (median of {len(held['with'])} calls of five answers)",
        ["", "loop late p50", "p99", "worst", "with start p99", "with start worst", "gap p50", "worst gap of all"],
        rows,
        [
            *_figures("with us - without tracing", held["with"], without),
            *_figures("with us - Pipecat's tracing alone", held["with"], held["tracing"]),
            *_figures("Pipecat's tracing alone - without", held["tracing"], without),
            *chance,
        ],
        [
            "The loop is watched while the pipeline runs, and again with what the process loads before its first call.",
            "tracing: Pipecat's own, switched on in the bot, spans dropped. With: our setup file, data and metrics.",
            "Pairs are calls of one round. Two calls without, of neighbouring rounds: what chance makes of equal ones.",
            f"Spread of the p99 over the rounds without us: {_spread([call.late(0.99) for call in without])} ms.",
            f"Spread of a call's median gap there: {_spread([1000 * statistics.median(c.gaps) for c in without])} ms.",
        ],
    )


def _spread(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def _figures(which: str, ours: list[_Held], other: list[_Held]) -> list[Figure]:
    pairs = list(zip(ours, other, strict=True))
    late = np.array([a.late(0.99) - b.late(0.99) for a, b in pairs])
    gaps = np.array([1000 * (statistics.median(a.gaps) - statistics.median(b.gaps)) for a, b in pairs])
    return [*_told(f"loop's p99 delay, {which}", late), *_told(f"a call's median gap, {which}", gaps)]


def _told(name: str, differences: NDArray[np.float64]) -> list[Figure]:
    """The median difference of the pairs, and the interval that holds the true one in 95 % of such benches.

    Not the mean: while another guest has this machine's core, one call's p99 is ten times that of all others.
    """
    picks = np.random.default_rng(1).integers(0, len(differences), (10_000, len(differences)))
    low, high = np.percentile(np.median(differences[picks], axis=1), [2.5, 97.5])
    return [
        Figure(name, float(np.median(differences)), "ms"),
        Figure(f"{name}, at least (95 %)", float(low), "ms"),
        Figure(f"{name}, at most (95 %)", float(high), "ms"),
    ]
