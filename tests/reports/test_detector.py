"""A7, C5: bins that stand out from the past of their series, and how many of them may be chance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from otel_voicebot.reports.detector import DAY_S, HOUR_S, Bins, Judged, Rule, judge, runs, threshold

FIVE = 300
RULE = Rule()


def bins(means: np.ndarray, calls: float = 30, width_s: int = FIVE, *, share: bool = False) -> Bins:
    """One series whose bins have these means of ten observations a call, the same in all calls but for a spread."""
    series = np.atleast_2d(means)
    n = np.full(series.shape, 10.0 * calls)
    within = 10 * 0.3**2 if not share else 10 * 0.02 * 0.98  # each call's sum varies by so much around 10 means
    return Bins(
        np.arange(series.shape[1], dtype=np.int64) * width_s,
        width_s,
        share,
        np.full(series.shape, float(calls)),
        n,
        n * series,
        calls * ((10 * series) ** 2 + within),
        calls * 100 * series,
        np.full(series.shape, 100.0 * calls),
    )


def noisy(count: int, seed: int = 1, level: float = 0.0) -> np.ndarray:
    """Means as such calls give them by chance."""
    return level + np.random.default_rng(seed).normal(0, 0.3 / np.sqrt(300), count)


def found(judged: Judged, alpha: float = RULE.alpha) -> np.ndarray:
    """Which bins are findings."""
    return (judged.p <= threshold(judged.p, alpha)) & judged.large


def test_threshold_by_hand() -> None:
    """Benjamini and Hochberg: the largest p that is at most its rank's share of alpha, whatever is before it."""
    p = np.array([0.041, 0.001, np.nan, 0.039, 0.008, 0.042])
    assert threshold(p, 0.05) == 0.042
    assert threshold(np.array([0.011, 0.02, 0.9]), 0.03) == 0.02
    assert threshold(np.array([0.02, 0.9]), 0.03) == 0.0
    assert threshold(np.array([np.nan]), 0.05) == 0.0


def test_a_spike_is_found_and_nothing_else() -> None:
    """Four bins of twice the latency are findings, with their ratio, and the bins before and after them are none."""
    means = noisy(100)
    means[60:64] += np.log(2)
    judged = judge(bins(means), RULE)
    assert np.flatnonzero(found(judged)[0]).tolist() == [60, 61, 62, 63]
    assert runs(bins(means), judged, found(judged), 0) == [(60, 63)]
    assert judged.usual[0, 60] == pytest.approx(0, abs=0.02)
    assert (judged.z[0, 60:64] > 8).all()


def test_a_drop_is_no_anomaly() -> None:
    """What gets quicker or cheaper is not reported."""
    means = noisy(100)
    means[60:64] -= np.log(2)
    assert not found(judge(bins(means), RULE)).any()


def test_a_small_change_is_no_anomaly() -> None:
    """A change that is certain but smaller than `min_change` is not reported; with a lower one it is."""
    means = noisy(100)
    means[60:64] += np.log(1.2)
    assert not found(judge(bins(means, 3000), RULE)).any()
    assert found(judge(bins(means, 3000), replace(RULE, min_change=0.1)))[0, 60:64].all()


def test_the_start_and_thin_bins_are_not_judged() -> None:
    """Without 12 past bins of 8 calls there is no verdict, nor on a bin with fewer calls."""
    judged = judge(bins(noisy(36)), RULE)
    assert np.flatnonzero(np.isfinite(judged.p[0])).tolist() == list(range(12, 36))
    assert not np.isfinite(judge(bins(noisy(36) + np.arange(36), calls=7), RULE).p).any()
    some = bins(noisy(36))
    some.calls[0, 20] = 7
    assert np.flatnonzero(np.isnan(judge(some, RULE).p[0, 12:])).tolist() == [8]


def test_a_shift_that_lasts_goes_on_until_it_is_the_past() -> None:
    """A level that stays is one anomaly from its first bin on; after a day it begins to count as usual."""
    means = noisy(24 * 9)
    means[72:] += np.log(2)
    hourly = bins(means, width_s=HOUR_S)
    judged = judge(hourly, RULE)
    ((first, last),) = runs(hourly, judged, found(judged), 0)
    assert first == 72
    assert 72 + 24 <= last < 24 * 9 - 1
    assert judged.usual[0, 72 + 23] == pytest.approx(0, abs=0.1)
    assert judged.usual[0, -1] == pytest.approx(np.log(2), abs=0.1)


def test_one_incident_in_the_past_does_not_become_usual() -> None:
    """A spike in the first bins, which nobody could judge, neither hides the next nor raises what is usual."""
    means = noisy(100)
    means[2:4] += np.log(8)
    means[60:64] += np.log(2)
    judged = judge(bins(means), RULE)
    assert np.flatnonzero(found(judged)[0]).tolist() == [60, 61, 62, 63]
    assert np.abs(judged.usual[0, 60:64]).max() < 0.02


def test_a_busy_hour_is_compared_with_itself() -> None:
    """Every noon takes twice as long: with days enough it is usual for noon, with one day of past it stands out."""
    hours = np.arange(24 * 8)
    means = noisy(len(hours)) + np.log(2) * (hours % 24 == 12)
    means += np.log(1.5) * np.isin(hours % 24, (11, 13))
    judged = judge(bins(means, width_s=HOUR_S), RULE)
    last = slice(24 * 7, None)
    assert not found(judged)[0, last].any()
    assert judged.same_hour[0, last].all()
    assert found(judge(bins(means[:48], width_s=HOUR_S), RULE))[0, 36]
    assert not judged.same_hour[0, :48].any()


def test_error_rates_by_hand() -> None:
    """The p value is the exact one of two Poisson rates: 30 of 300 fail, in each of 59 bins before 6 of 300."""
    rates = np.full(60, 0.02)
    rates[-1] = 0.1
    judged = judge(bins(rates, share=True), replace(RULE, history_s=DAY_S))
    past = 48  # the bins before the hour
    usual = (6 * past + 0.5) / (300 * past + 1)
    assert judged.usual[0, -1] == pytest.approx(usual)
    assert judged.past[0, -1] == past
    # what bins are assumed to differ, with 10 of 58 bins, widens it
    between = (0.25 * usual) ** 2 * 10 / (10 + past)
    wide = (usual * (1 - usual) / 300 + between) * 300 / (usual * (1 - usual))
    assert judged.p[0, -1] == pytest.approx(special.betainc(30 / wide, 6 * past / wide + 1, 1 / (past + 1)), rel=0.05)
    # which is what it is without widening
    assert special.betainc(30, 6 * past + 1, 1 / (past + 1)) == pytest.approx(
        stats.binom.sf(29, 30 + 6 * past, 1 / (past + 1))
    )
    assert found(judged)[0].nonzero()[0].tolist() == [59]


def test_runs_are_parted_by_two_bins() -> None:
    """A single bin that isn't a finding doesn't part an incident, a night does; suspects at its edges belong to it."""
    p = np.array([[1e-9, 0.5, 1e-9, 5e-4, 0.5, 0.5, 1e-9, 0.5, 0.5, 5e-4]])
    nothing = np.zeros_like(p)
    judged = Judged(nothing, nothing, p, np.ones_like(p, np.bool_), np.zeros_like(p, np.bool_), nothing)
    ten = bins(np.zeros(10))
    assert runs(ten, judged, p < 1e-6, 0) == [(0, 3), (6, 6)]
    night = replace(ten, start_s=ten.start_s + np.where(np.arange(10) > 1, 8 * HOUR_S, 0))
    assert runs(night, judged, p < 1e-6, 0) == [(0, 0), (2, 3), (6, 6)]


def test_what_never_varied_is_judged_with_care() -> None:
    """Constant values give no infinite scores: a change of a tenth of a percent is none, double is one."""
    means = np.zeros(60)
    means[40], means[50] = 0.001, np.log(2)
    still = bins(means)
    constant = replace(still, squares=still.sizes * still.mean**2)
    judged = judge(constant, RULE)
    assert np.flatnonzero(found(judged)[0]).tolist() == [50]
    assert np.isfinite(judged.z[0, 50])
