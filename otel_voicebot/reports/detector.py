"""Which bins of a series stand out from its own past: robust scores, and how many of them may be chance.

A bin's mean is compared with the median of its past bins, in units of the spread between calls, to which is added what
past bins spread more than calls explain (funnel limits with additive, winsorised overdispersion: Spiegelhalter 2005,
doi:10.1002/sim.1970). Error rates are compared by the exact conditional test of two Poisson rates (Przyborowski and
Wilenski 1940), with counts divided by that overdispersion. Over all bins and series the false discovery rate is held
(Benjamini and Hochberg 1995): where nothing happened, that is the chance of any finding at all.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bins", "Judged", "Rule", "judge", "runs", "threshold"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

HOUR_S: Final = 3600
DAY_S: Final = 86_400
_SUSPECT: Final = 1e-3
"""A bin below this p value is no part of anyone's past for a day, and belongs to an incident that it touches."""
_NEAR_S: Final = 5400
"""Same hour: bins whose middle is not further than this from the middle of the hour judged."""
_DAYS: Final = 3
"""Earlier days that the same hour needs."""
_FLOOR: Final = 0.01
"""Standard deviation of a logarithm, at least: what never varied is not judged to the last digit."""
_TAILS: Final = 0.1
"""Share of past bins on each side that are winsorised: an unnoticed incident is no measure of what is normal."""
_WINSORISED: Final = 0.678655
"""Variance of a standard normal variable that is winsorised so."""
_ASSUMED: Final = 0.05
"""How much bins differ for no reason, standard deviation of the logarithm, while little of the past is known ..."""
_ASSUMED_SHARE: Final = 0.25
"""... and of an error rate, as a share of the rate; a moderated variance (Smyth 2004), ..."""
_ASSUMED_BINS: Final = 10
"""... worth so many bins."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as an anomaly; only changes for the worse do.

    Attributes:
        alpha: the chance that a quiet window gives any anomaly, and the share of false ones among those found.
        min_change: latency and cost must be higher than usual by this share.
        min_error_points: error rates must be higher than usual by this difference.
        min_calls: calls that a bin needs.
        min_past: bins that a series' past needs.
        history_s: how long the past is, seconds.
    """

    alpha: float = 0.01
    min_change: float = 0.25
    min_error_points: float = 0.02
    min_calls: int = 8
    min_past: int = 12
    history_s: int = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Bins:
    """Series of one kind and one width: arrays of shape (series, bins), 0 where there is nothing.

    Attributes:
        start_s: when each bin begins, seconds since 1970, ascending; those without any observation may be missing.
        width_s: how long one is.
        share: x is 0 or 1, and its mean a share; else it is a logarithm.
        calls, n: sessions and observations.
        total, squares, products, sizes: as in the model ``anomaly_bins``.
    """

    start_s: NDArray[np.int64]
    width_s: int
    share: bool
    calls: Floats
    n: Floats
    total: Floats
    squares: Floats
    products: Floats
    sizes: Floats

    @property
    def mean(self) -> Floats:
        """Of x; NaN where nothing was observed."""
        return np.divide(self.total, self.n, out=np.full_like(self.total, np.nan), where=self.n > 0)


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of each bin: arrays of shape (series, bins), NaN where a bin isn't judged.

    Attributes:
        usual: mean of x in the past.
        z: the deviation in standard errors, overdispersion included.
        p: of a deviation upwards so large, one-sided.
        large: it is large enough to matter.
        same_hour: the past is that of the same hour of other days.
        past: bins that the past is of.
    """

    usual: Floats
    z: Floats
    p: Floats
    large: Flags
    same_hour: Flags
    past: Floats


@dataclass(frozen=True, slots=True)
class _Past:
    """The past of each series at one moment: arrays of shape (series, 1)."""

    usual: Floats
    variance: Floats
    """Of one observation, so that that of a mean of n is a nth: the correlation within calls is in it."""
    between: Floats
    """Variance of a bin's mean, however many its calls: past bins spread more than calls explain."""
    bins: Floats
    n: Floats
    hits: Floats
    """Sum of x."""


def judge(bins: Bins, rule: Rule) -> Judged:
    """Compare each bin with the past of its series, as it was known before the hour of the bin began.

    Bins with fewer than ``min_calls`` calls are no part of it, nor are series with fewer than ``min_past`` past bins.
    """
    shape = bins.n.shape
    usual, z, p, past = (np.full(shape, np.nan) for _ in range(4))
    suspect, same_hour = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    enough = bins.calls >= rule.min_calls
    for hour in np.unique(bins.start_s // HOUR_S) * HOUR_S:
        first, last = np.searchsorted(bins.start_s, [hour, hour + HOUR_S])
        now = slice(int(first), int(last))
        before = slice(int(np.searchsorted(bins.start_s, hour - rule.history_s)), int(first))
        if before.start == before.stop or not enough[:, now].any():
            continue
        known = enough[:, before] & ~(suspect[:, before] & (bins.start_s[before] >= hour - DAY_S))
        chosen, near = _same_hour(known, bins, before, int(hour), rule)
        found = _past(bins, before, chosen)
        judged = enough[:, now] & (found.bins >= rule.min_past)
        usual[:, now] = np.where(judged, found.usual, np.nan)
        z_now, p_now = _score(bins, now, found)
        z[:, now], p[:, now] = np.where(judged, z_now, np.nan), np.where(judged, p_now, np.nan)
        past[:, now] = np.where(judged, found.bins, np.nan)
        same_hour[:, now] = judged & near
        suspect[:, now] = judged & (p_now < _SUSPECT)
    least = rule.min_error_points if bins.share else np.log1p(rule.min_change)
    with np.errstate(invalid="ignore"):
        large = (bins.mean - usual) >= least
    return Judged(usual, z, p, large, same_hour, past)


def _same_hour(known: Flags, bins: Bins, before: slice, hour: int, rule: Rule) -> tuple[Flags, Flags]:
    """The bins that are the past, and of which series they are only those of the same hour, as there are enough."""
    middle = bins.start_s[before] + bins.width_s // 2
    apart = np.abs((middle - (hour + HOUR_S // 2) + DAY_S // 2) % DAY_S - DAY_S // 2)
    near = known & (apart <= _NEAR_S) & (middle < hour - DAY_S // 2)
    day = (middle - hour + DAY_S // 2) // DAY_S
    days = sum((near[:, day == one].any(axis=1).astype(int) for one in np.unique(day)), np.zeros(len(near), int))
    uses = ((days >= _DAYS) & (near.sum(axis=1) >= rule.min_past))[:, None]
    return np.where(uses, near, known), uses


def _past(bins: Bins, before: slice, chosen: Flags) -> _Past:
    """What is usual in the chosen ones of these bins. What is meaningless, as there are too few, isn't used."""

    def of(values: Floats) -> Floats:
        sums: Floats = np.where(chosen, values[:, before], 0.0).sum(axis=1, keepdims=True)
        return sums

    n, hits, count = of(bins.n), of(bins.total), chosen.sum(axis=1, keepdims=True).astype(float)
    mean = bins.mean[:, before]
    if bins.share:
        usual = (hits + 0.5) / (n + 1)
        floor = usual * (1 - usual)
    else:
        usual, floor = _median(mean, chosen), np.full_like(n, _FLOOR**2)
    residual = of(bins.squares) - 2 * usual * of(bins.products) + usual**2 * of(bins.sizes)
    variance = np.maximum(residual / np.maximum(n, 1), floor)
    weight = np.where(chosen, bins.n[:, before] / variance, 0.0)
    between = _between((mean - usual) * np.sqrt(bins.n[:, before] / variance), weight, chosen)
    assumed = (_ASSUMED_SHARE * usual) ** 2 if bins.share else np.full_like(n, _ASSUMED**2)
    between = (_ASSUMED_BINS * assumed + count * between) / (_ASSUMED_BINS + count)
    return _Past(usual, variance, between, count, n, hits)


def _between(scores: Floats, weight: Floats, chosen: Flags) -> Floats:
    """Variance between bins beyond that within them: DerSimonian and Laird's, from winsorised scores."""
    ordered, count = _ordered(scores, chosen)
    low, high = (_at(ordered, np.rint((count - 1) * share).astype(np.int64)) for share in (_TAILS, 1 - _TAILS))
    squares = np.where(chosen, np.clip(scores, low, high) ** 2, 0).sum(axis=1, keepdims=True) / _WINSORISED
    whole, parts = weight.sum(axis=1, keepdims=True), (weight**2).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (squares - (count - 1)) / (whole - parts / whole)
    return np.where(count > 1, np.maximum(found, 0), 0.0)


def _median(values: Floats, chosen: Flags) -> Floats:
    """Of the chosen values of each row, as a column."""
    ordered, count = _ordered(values, chosen)
    return np.where(count > 0, (_at(ordered, (count - 1) // 2) + _at(ordered, count // 2)) / 2, 0.0)


def _ordered(values: Floats, chosen: Flags) -> tuple[Floats, Ints]:
    """The chosen values of each row from the smallest on, and how many they are, as a column."""
    return np.sort(np.where(chosen, values, np.inf), axis=1), chosen.sum(axis=1, keepdims=True)


def _at(ordered: Floats, place: Ints) -> Floats:
    found: Floats = np.take_along_axis(ordered, np.clip(place, 0, ordered.shape[1] - 1), axis=1)
    return found


def _score(bins: Bins, now: slice, past: _Past) -> tuple[Floats, Floats]:
    """The columns z and p of these bins."""
    from scipy import special, stats  # noqa: PLC0415 - not for --help

    n = bins.n[:, now]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = past.variance / n + past.between
        usual_error = past.variance / past.n * np.pi / 2  # a median is less exact than a mean by this factor
        z = (bins.mean[:, now] - past.usual) / np.sqrt(error + usual_error)
        if not bins.share:
            return z, stats.t.sf(z, np.maximum(past.bins - 1, 1))
        hits, wide = bins.total[:, now], error * n / (past.usual * (1 - past.usual))
        exact = special.betainc(np.maximum(hits, 1e-9) / wide, past.hits / wide + 1, n / (n + past.n))
    return z, np.where(hits > 0, exact, 1.0)


def threshold(p: Floats, alpha: float) -> float:
    """The largest p value that is still a finding among these (Benjamini and Hochberg); 0 where none is."""
    ordered = np.sort(p[np.isfinite(p)])
    below = np.flatnonzero(ordered <= alpha * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    return float(ordered[below[-1]]) if len(below) else 0.0


def runs(bins: Bins, judged: Judged, found: Flags, series: int) -> list[tuple[int, int]]:
    """First and last bin of each incident of a series: findings with the suspect bins that touch them.

    One bin that is neither, or isn't judged, does not part an incident.
    """
    hot = np.flatnonzero((judged.p[series] < _SUSPECT) & judged.large[series] | found[series])
    groups = np.split(hot, np.flatnonzero(np.diff(bins.start_s[hot]) > 2 * bins.width_s) + 1)
    return [(int(group[0]), int(group[-1])) for group in groups if len(group) and found[series][group].any()]
