"""Does a comparison cry wolf, and does it find what it says it would? Simulated experiments without and with an effect.

Turns have lognormal response gaps whose logarithm is partly the call's: correlation 0.1 and 0.3 within a call.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.figures import Figure, Section
from otel_voicebot.reports.inference import Effect, quantile_effects, ratio, ratio_effect
from otel_voicebot.reports.resampling import Clustered

__all__ = ["Experiment", "Rate", "by_calls", "by_turns", "detectable_calls", "experiments", "p95", "run"]

ALPHA: Final = 0.05
CORRELATIONS: Final = (0.1, 0.3)
CALLS: Final = 500
"""A side: 4,000 exchanges, 200 of them beyond p95."""
EFFECT: Final = 0.1
_SIGMA: Final = 0.6
_TURNS: Final = (4, 12)
_TRUE: Final = {"by_calls": math.exp(_SIGMA**2 / 2), "p95": math.exp(_SIGMA * 1.6448536)}
"""A's mean and p95."""
_99: Final = 2.5758

Floats = NDArray[np.float64]


class Experiment(NamedTuple):
    """Response gaps of both sides' turns, and whose they are."""

    number: int
    a: Floats
    a_call: NDArray[np.int64]
    b: Floats
    b_call: NDArray[np.int64]


class Rate(NamedTuple):
    """How often something was found."""

    found: int
    of: int

    @property
    def value(self) -> float:
        """As a share."""
        return self.found / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 99 % interval."""
        weight = _99**2 / self.of
        middle = (self.value + weight / 2) / (1 + weight)
        reach = _99 / (1 + weight) * math.sqrt(self.value * (1 - self.value) / self.of + weight / self.of / 4)
        return middle - reach, middle + reach

    @classmethod
    def counted(cls, effects: Iterator[Effect]) -> "Rate":
        """How many of these effects have a p value below alpha."""
        found = [effect.p < ALPHA for effect in effects]
        return cls(sum(found), len(found))


def experiments(count: int, calls: int, correlation: float, effect: float, seed: int) -> Iterator[Experiment]:
    """Seeded experiments with ``calls`` a side; B's gaps are longer by ``effect`` (0: they aren't)."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        a, a_call = _gaps(generator, calls, correlation)
        b, b_call = _gaps(generator, calls, correlation)
        yield Experiment(number, a, a_call, b * (1 + effect), b_call)


def _gaps(generator: np.random.Generator, calls: int, correlation: float) -> tuple[Floats, NDArray[np.int64]]:
    turns = generator.integers(_TURNS[0], _TURNS[1] + 1, calls)
    call = np.repeat(np.arange(calls), turns)
    shared = generator.standard_normal(calls)[call] * math.sqrt(correlation)
    own = generator.standard_normal(len(call)) * math.sqrt(1 - correlation)
    return np.exp(_SIGMA * (shared + own)), call


def by_calls(experiment: Experiment) -> Effect:
    """The mean gap, as ``compare`` does it: by the delta method over calls."""
    sides = ((experiment.a, experiment.a_call), (experiment.b, experiment.b_call))
    a, b = (ratio(np.bincount(call, gaps), np.bincount(call).astype(float)) for gaps, call in sides)
    return ratio_effect(a, b, ALPHA, ALPHA)


def by_turns(experiment: Experiment) -> Effect:
    """The mean gap with each turn for a call of its own: what not to do."""
    a, b = (ratio(gaps, np.ones(len(gaps))) for gaps in (experiment.a, experiment.b))
    return ratio_effect(a, b, ALPHA, ALPHA)


def p95(experiment: Experiment) -> Effect:
    """The gap's p95, as ``compare`` does it: by a cluster bootstrap over calls.

    Each with draws of its own: what is left to chance in them would else be the same in all experiments.
    """
    a, b = Clustered.of(experiment.a, experiment.a_call), Clustered.of(experiment.b, experiment.b_call)
    return quantile_effects(a, b, [0.95], (ALPHA, [ALPHA]), experiment.number)[0]


_TESTS: Final = {"mean, delta method": by_calls, "p95, cluster bootstrap": p95, "mean, by turns": by_turns}


def detectable_calls(test: Callable[[Experiment], Effect], correlation: float, tries: int = 100) -> int:
    """Calls a side with which the stated detectable size is the effect, as a share of A's true value."""
    calls = CALLS
    for _ in range(3):
        tried = list(experiments(tries, calls, correlation, EFFECT, seed=5))
        sizes = [test(experiment).detectable for experiment in tried]
        truth = _TRUE[test.__name__]
        calls = math.ceil(calls * (float(np.mean(sizes)) / truth / EFFECT) ** 2)
    return calls


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """10,000 experiments each without an effect, and with one; about 8 minutes on one core (quick: 1)."""
    count = 1_000 if quick else 10_000
    rows: list[list[str | float]] = []
    figures: list[Figure] = []
    for correlation in CORRELATIONS:
        tell(f"compare: {count:,} experiments without an effect, correlation {correlation}")
        for name, test in _TESTS.items():
            drawn = experiments(count, CALLS, correlation, 0.0, seed=1)
            rate = Rate.counted(test(experiment) for experiment in drawn)
            rows.append(_row(f"no effect, found: {name}", correlation, CALLS, rate))
            if test is not by_turns:
                low, high = rate.interval
                off = max(low - ALPHA, ALPHA - high, 0.0)
                figures.append(Figure(f"{name}, {correlation}: its 99 % interval misses 5 % by", off, "", "<=", 0))
    for correlation in CORRELATIONS:
        tell(f"compare: experiments with an effect of 10 %, correlation {correlation}")
        for name, test in (("mean", by_calls), ("p95", p95)):
            calls = detectable_calls(test, correlation)
            drawn = experiments(count // 4 if test is p95 else count, calls, correlation, EFFECT, seed=2)
            rate = Rate.counted(test(experiment) for experiment in drawn)
            rows.append(_row(f"10 % = the detectable size, found: {name}", correlation, calls, rate))
            figures.append(Figure(f"{name}, {correlation}: power", rate.value, "", ">=", 0.8))
    title = f"{count:,} simulated experiments each ({count // 4:,} of p95 with an effect); alpha {ALPHA}"
    return Section("compare", title, ["", "correlation", "calls a side", "rate %", "99 % interval"], rows, figures)


def _row(name: str, correlation: float, calls: int, rate: Rate) -> list[str | float]:
    low, high = rate.interval
    return [name, correlation, calls, 100 * rate.value, f"{100 * low:.2f} to {100 * high:.2f}"]
