"""How sure a difference between two groups of calls is.

The unit is the call: turns of one call resemble each other, and a test that takes them for independent finds what
isn't there in 10 to 29 % of experiments. Means and shares are ratios of sums over calls, their variance is that of the
delta method (Deng et al. 2018, "Applying the delta method in metric analytics"); quantiles come from a cluster
bootstrap (``resampling``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from otel_voicebot.reports.resampling import Clustered, quantiles, replicates

__all__ = ["POWER", "Effect", "Ratio", "holm", "quantile_effects", "ratio", "ratio_effect", "sample_ratio"]

POWER: Final = 0.8
"""How often an effect of the stated detectable size is found."""
_ROUNDING: Final = 1e-12
"""Sums in another order differ by less, relative to the values."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums over calls, with the calls' variance.

    Attributes:
        value: sum of numerators / sum of denominators; None where nothing was measured.
        numerator: the sum.
        denominator: the sum.
        calls: calls that have a denominator.
        variance: of ``value``; NaN with fewer than two calls.
    """

    value: float | None
    numerator: float
    denominator: float
    calls: int
    variance: float


@dataclass(frozen=True, slots=True)
class Effect:
    """B minus A.

    Attributes:
        difference: in the KPI's unit.
        low: lower end of the interval.
        high: upper end.
        p: two-sided p value.
        detectable: the smallest difference that is found with ``POWER``, at the level asked.
    """

    difference: float
    low: float
    high: float
    p: float
    detectable: float


def ratio(numerators: Floats, denominators: Floats) -> Ratio:
    """Sum of ``numerators`` over sum of ``denominators``, one of each a call; NaN is what a call doesn't have."""
    counted = denominators > 0
    above, below = np.nan_to_num(numerators[counted]), denominators[counted]
    calls, total = len(below), float(below.sum())
    if not calls or np.isnan(numerators[counted]).all():
        return Ratio(None, 0.0, total, calls, math.nan)
    value = float(above.sum()) / total
    squares = float(np.sum((above - value * below) ** 2))
    variance = squares * calls / (calls - 1) / total**2 if calls > 1 else math.nan
    return Ratio(value, float(above.sum()), total, calls, variance)


def ratio_effect(a: Ratio, b: Ratio, alpha: float, level: float) -> Effect:
    """The difference of two ratios that have a value and two calls each, by Welch's t over calls.

    Args:
        a: the one side.
        b: the other.
        alpha: the interval covers the true difference in 1 - ``alpha`` of all experiments.
        level: the p value below which a difference counts as found; for ``detectable``.
    """
    from scipy.special import stdtr, stdtrit  # noqa: PLC0415 - a quarter second that only a comparison needs

    if a.value is None or b.value is None:
        msg = "a ratio without a value can't be compared"
        raise ValueError(msg)
    difference, variance = b.value - a.value, a.variance + b.variance
    if abs(difference) <= _ROUNDING * max(abs(a.value), abs(b.value)):
        difference = 0.0
    error = math.sqrt(variance)
    if not error:  # every call says the same on each side
        return Effect(difference, difference, difference, 0.0 if difference else 1.0, 0.0)
    freedom = variance**2 / (a.variance**2 / (a.calls - 1) + b.variance**2 / (b.calls - 1))
    reach = float(stdtrit(freedom, 1 - alpha / 2)) * error
    found = float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, POWER)) * error
    p = min(2 * float(stdtr(freedom, -abs(difference) / error)), 1.0)
    return Effect(difference, difference - reach, difference + reach, p, found)


def quantile_effects(
    a: Clustered, b: Clustered, shares: Sequence[float], levels: tuple[float, Sequence[float]], seed: int
) -> list[Effect]:
    """The differences of quantiles, by the percentiles of a cluster bootstrap over calls.

    Percentiles, as the tail's distribution is skewed and its standard error varies much between samples: intervals made
    of either (normal, basic) were wrong more often (``bench compare``).

    Args:
        a: values of the one side's turns.
        b: of the other's.
        shares: which quantiles, as shares (0.95).
        levels: alpha (the intervals cover the true differences in 1 - alpha of all experiments), and of each quantile
            the p value below which a difference counts as found; for ``detectable``.
        seed: the same seed and values give the same result.
    """
    from scipy.special import ndtri  # noqa: PLC0415 - as above

    alpha, found = levels
    points = quantiles(b, shares) - quantiles(a, shares)
    drawn = replicates(b, shares, 2 * seed + 1) - replicates(a, shares, 2 * seed)
    count = len(drawn)
    beyond = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    p = np.minimum(2 * (beyond + 1) / (count + 1), 1.0)
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2], axis=0)
    errors = (high - low) / (2 * float(ndtri(1 - alpha / 2)))
    detectable = errors * (ndtri(1 - np.asarray(found) / 2) + ndtri(POWER))
    return [Effect(*map(float, numbers)) for numbers in zip(points, low, high, p, detectable, strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: below alpha in one of them or more by chance in no more than alpha of experiments."""
    adjusted, worst = [1.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        worst = max(worst, min((len(p) - rank) * p[index], 1.0))
        adjusted[index] = worst
    return adjusted


def sample_ratio(a: int, b: int, split: tuple[float, float]) -> float:
    """How likely counts as far from the intended split are by chance (chi-square, one degree of freedom)."""
    from scipy.special import chdtrc  # noqa: PLC0415 - as above

    total = a + b
    expected = [total * share / sum(split) for share in split]
    return float(chdtrc(1, sum((n - e) ** 2 / e for n, e in zip((a, b), expected, strict=True))))
