"""The statistics of comparisons, against hand computation, brute force and SciPy's own tests."""

import numpy as np
import pytest
from scipy import stats

from otel_voicebot.reports import inference, resampling
from otel_voicebot.reports.resampling import Clustered


def gaps(calls: int, seed: int) -> Clustered:
    """Gaps of calls of one to six turns."""
    generator = np.random.default_rng(seed)
    call = np.repeat(np.arange(calls), generator.integers(1, 7, calls))
    return Clustered.of(generator.lognormal(size=len(call)), call)


def test_a_ratio_by_hand() -> None:
    """Calls with 1 of 2, 3 of 2 and 2 of 4: 6/8; residuals -1/2, 3/2, -1; their squares times 3/2, over 8 squared."""
    found = inference.ratio(np.array([1.0, 3.0, 2.0, np.nan]), np.array([2.0, 2.0, 4.0, np.nan]))
    assert found == inference.Ratio(0.75, 6.0, 8.0, 3, 3.5 * 1.5 / 64)


def test_what_nothing_was_measured_of_has_no_value() -> None:
    """Without a denominator, or with no numerator at all, a ratio is missing, not 0; a call without its own adds 0."""
    nan, one = np.array([np.nan, np.nan]), np.array([1.0, 1.0])
    assert inference.ratio(nan, nan).value is None
    assert inference.ratio(nan, one).value is None
    assert inference.ratio(np.array([np.nan, 4.0]), one).value == 2.0


def test_means_over_calls_are_welchs_test() -> None:
    """Where each call has one value the delta method is the t test for unequal variances, as SciPy has it."""
    generator = np.random.default_rng(1)
    a, b = generator.normal(1.0, 1.0, 40), generator.normal(1.5, 3.0, 15)
    sides = [inference.ratio(values, np.ones(len(values))) for values in (a, b)]
    found = inference.ratio_effect(*sides, alpha=0.05, level=0.05)
    expected = stats.ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(b.mean() - a.mean())


def test_the_same_turns_in_fewer_calls_are_less_sure() -> None:
    """Copies of each call's turn widen the interval of turns not at all, that of calls as if there were no copies."""
    values = np.random.default_rng(2).lognormal(size=50)
    once = inference.ratio(values, np.ones(50))
    copied = inference.ratio(values * 8, np.full(50, 8.0))
    assert copied.variance == pytest.approx(once.variance)


@pytest.mark.parametrize(("a", "b", "p"), [(1.0, 1.0, 1.0), (1.0, 3.0, 0.0), (0.0, 0.0, 1.0), (0.1, 0.1, 1.0)])
def test_sides_without_any_spread(a: float, b: float, p: float) -> None:
    """Where every call says the same, equal sides don't differ, by rounding either, and unequal ones surely do."""
    sides = [inference.ratio(np.full(n, value) * n, np.full(n, float(n))) for n, value in ((7, a), (9, b))]
    found = inference.ratio_effect(*sides, alpha=0.05, level=0.05)
    assert found.p == pytest.approx(p)
    assert found.difference == pytest.approx(b - a)


def test_replicates_are_quantiles_of_drawn_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replicate is NumPy's quantile of the turns of the calls drawn, each as often as it was drawn.

    Also where a replicate's quantile lies outside the values that are looked through first.
    """
    sample, shares, seed, count = gaps(60, 3), (0.0, 0.5, 0.95, 0.99, 1.0), 7, 400
    generator = np.random.default_rng(seed)
    weights = resampling._TIMES[generator.integers(0, 1 << 16, (count, sample.calls), dtype=np.uint16)].astype(int)
    expected = [np.quantile(np.repeat(sample.values, row[sample.call]), shares) for row in weights]
    for window in (5, 0.3):
        monkeypatch.setattr(resampling, "_WINDOW", window)
        assert np.allclose(resampling.replicates(sample, shares, seed, count), expected, rtol=0, atol=1e-12)


def test_replicates_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put together from small pieces they are the same as at once."""
    sample = gaps(60, 3)
    whole = resampling.replicates(sample, [0.5, 0.95], 1, 200)
    monkeypatch.setattr(resampling, "_CHUNK", 600)
    assert np.array_equal(resampling.replicates(sample, [0.5, 0.95], 1, 200), whole)


def test_drawn_weights_have_mean_and_variance_one() -> None:
    """What makes them a bootstrap."""
    assert resampling._TIMES.mean() == pytest.approx(1, abs=1e-4)
    assert resampling._TIMES.var() == pytest.approx(1, abs=1e-3)


def test_a_bootstrap_is_seeded() -> None:
    """The same seed gives the same numbers, another seed others; sides don't share their draws."""
    a, b = gaps(50, 4), gaps(50, 5)

    def found(seed: int) -> list[inference.Effect]:
        return inference.quantile_effects(a, b, [0.5, 0.9], (0.05, [0.05, 0.01]), seed)

    assert found(1) == found(1)
    assert found(1) != found(2)
    (same,) = inference.quantile_effects(a, a, [0.5], (0.05, [0.05]), 1)
    assert same.difference == 0
    assert same.low < 0 < same.high
    assert same.p > 0.5


def test_detectable_is_stricter_where_more_is_asked() -> None:
    """A lower level needs a larger difference: by the ratio of the normal quantiles."""
    a, b = gaps(50, 4), gaps(50, 5)
    loose, strict = inference.quantile_effects(a, b, [0.5, 0.5], (0.05, [0.05, 0.005]), 1)
    normal = stats.norm.ppf
    ratio = (normal(1 - 0.0025) + normal(0.8)) / (normal(0.975) + normal(0.8))
    assert strict.detectable / loose.detectable == pytest.approx(ratio)


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06 again, 0.5: none falls below the one before, none exceeds 1."""
    assert inference.holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert inference.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert inference.holm([]) == []


@pytest.mark.parametrize(("a", "b", "split"), [(500, 500, (50, 50)), (480, 520, (1, 1)), (900, 120, (90, 10))])
def test_sample_ratio_is_the_chi_square_test(a: int, b: int, split: tuple[float, float]) -> None:
    """As SciPy has it."""
    expected = [(a + b) * share / sum(split) for share in split]
    assert inference.sample_ratio(a, b, split) == pytest.approx(stats.chisquare([a, b], expected).pvalue)
