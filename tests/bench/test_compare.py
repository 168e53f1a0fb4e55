"""A/A and power of comparisons on simulated experiments: `python -m bench compare`, made smaller."""

from collections.abc import Callable

import pytest

from bench.compare import EFFECT, Experiment, Rate, by_calls, by_turns, detectable_calls, experiments, p95
from otel_voicebot.reports.inference import Effect

Test = Callable[[Experiment], Effect]


@pytest.mark.parametrize("correlation", [0.1, 0.3])
@pytest.mark.parametrize(("test", "count"), [(by_calls, 4000), (p95, 500)], ids=["mean", "p95"])
def test_without_an_effect_one_in_twenty_is_found(test: Test, count: int, correlation: float) -> None:
    """At a correlation within calls of 0.1 and 0.3 the rate's 99 % interval contains 5 %."""
    drawn = experiments(count, 100, correlation, 0.0, seed=11)
    low, high = Rate.counted(test(experiment) for experiment in drawn).interval
    assert low <= 0.05 <= high


@pytest.mark.parametrize(("correlation", "least"), [(0.1, 0.08), (0.3, 0.2)])
def test_a_test_over_turns_finds_what_is_not_there(correlation: float, least: float) -> None:
    """The same experiments, with each turn taken for a call of its own: twice to five times as many false alarms."""
    drawn = experiments(4000, 100, correlation, 0.0, seed=11)
    assert Rate.counted(by_turns(experiment) for experiment in drawn).interval[0] > least


@pytest.mark.parametrize(("test", "count"), [(by_calls, 2000), (p95, 100)], ids=["mean", "p95"])
def test_an_effect_of_the_detectable_size_is_found(test: Test, count: int) -> None:
    """Where the stated detectable size is 10 %, an effect of 10 % is found in about 80 %, by the 99 % interval."""
    calls = detectable_calls(test, 0.3, tries=count // 4)
    drawn = experiments(count, calls, 0.3, EFFECT, seed=12)
    low, high = Rate.counted(test(experiment) for experiment in drawn).interval
    assert low < 0.8 < high
    fewer = experiments(count, calls // 4, 0.3, EFFECT, seed=12)
    assert Rate.counted(test(experiment) for experiment in fewer).interval[1] < 0.6


def test_experiments_are_seeded() -> None:
    """The same seed draws the same experiments; an effect makes B's gaps longer and nothing else."""
    (first,), (again,) = (list(experiments(1, 20, 0.1, 0.0, seed=3)) for _ in range(2))
    (slower,) = experiments(1, 20, 0.1, 0.5, seed=3)
    assert (first.a == again.a).all()
    assert (slower.b == first.b * 1.5).all()
    assert (slower.a_call == first.a_call).all()
