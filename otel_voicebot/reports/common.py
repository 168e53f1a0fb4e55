"""What the slow turns have in common: features that are more frequent among them than chance would have it.

Two tests, and a feature has to pass both. Over turns: Fisher's exact test, one-sided (the hypergeometric tail). Over
calls: turns of one call are alike (same variant, same provider, same line), so the covariance of "slow" and "has the
feature" is compared with its spread from call to call (a score test with a cluster-robust variance, as in Liang and
Zeger, Biometrika 1986). The larger p-value counts, corrected for the number of features looked at (Holm,
Scandinavian Journal of Statistics 1979).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from otel_voicebot.reports.inference import holm
from otel_voicebot.reports.waits import LONGEST, Bools, Ints, Key, Waits, combined

__all__ = ["FEWEST", "FEWEST_CALLS", "LEVEL", "Common", "Feature", "common", "hypergeometric_tail"]

LEVEL: Final = 0.05
"""The chance of naming anything at all where nothing differs."""
FEWEST: Final = 5
"""Slow turns that a feature is seen in before it is looked at."""
FEWEST_CALLS: Final = 3
"""Their calls."""
_COLUMNS: Final = {
    "stt": ("stt_provider", "stt_model"),
    "llm": ("llm_provider", "llm_model"),
    "tts": ("tts_provider", "tts_model"),
    "error": ("error_type",),
    "variant": ("variant",),
    "bot": ("bot",),
    "channel": ("channel",),
    "environment": ("environment",),
}
"""Features that stand on a turn, and the columns that make them."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that slow turns have in common. Shares are of the slow turns, and of all others.

    Attributes:
        kind: segment, owner (both of the segment that took longest), stt, llm, tts, error, or a label's name.
        value: which.
        slow: slow turns that have it.
        slow_share: of all slow turns.
        rest: other turns that have it.
        rest_share: of all other turns.
        lift: ``slow_share / rest_share``; None where none of the others has it.
        calls: calls with a slow turn that has it.
        p: chance of so large a difference where there is none, after correction for the number of features.
    """

    kind: str
    value: str
    slow: int
    slow_share: float
    rest: int
    rest_share: float
    lift: float | None
    calls: int
    p: float


@dataclass(frozen=True, slots=True)
class Common:
    """What was compared, and what stood out, the most telling first.

    Attributes:
        turns: turns that there are; of very many the calls of a sample are compared.
        slow: slow turns that were compared.
        rest: other turns that were.
        slower_than_s: the shortest wait of a slow turn, seconds; None where no turn is slow.
        looked_at: features that were tested.
        features: those over-represented beyond chance.
    """

    turns: int
    slow: int
    rest: int
    slower_than_s: float | None
    looked_at: int
    features: tuple[Feature, ...]


class _Candidate(NamedTuple):
    kind: str
    value: str
    has: Bools


def common(found: Waits, slow: Bools, turns: int) -> Common:
    """Compare slow turns with all others.

    Args:
        found: the turns to compare, with their longest segments (``waits.LONGEST``).
        slow: which are slow.
        turns: how many there are, also those that are not compared.
    """
    calls, count = found.sessions()
    tested: list[tuple[float, Feature]] = []
    for candidate in _candidates(found, slow):
        both = int((candidate.has & slow).sum())
        in_calls = len(np.unique(calls[candidate.has & slow]))
        if both < FEWEST or in_calls < FEWEST_CALLS:
            continue
        p = hypergeometric_tail(both, int(slow.sum()), int(candidate.has.sum()), len(slow))
        # what the turns don't show the calls can't either: the larger of both counts
        p = max(p, _by_call(candidate.has, slow, calls, count)) if p < LEVEL else p
        tested.append((p, _feature(candidate, slow, both, in_calls)))
    features = tuple(_standing_out(tested))
    shortest = float(found.waited_ns[slow].min()) / 1e9 if slow.any() else None
    return Common(turns, int(slow.sum()), int((~slow).sum()), shortest, len(tested), features)


def _feature(candidate: _Candidate, slow: Bools, both: int, calls: int) -> Feature:
    rest = int(candidate.has.sum()) - both
    slow_share, rest_share = both / int(slow.sum()), rest / max(int((~slow).sum()), 1)
    lift = slow_share / rest_share if rest else None
    return Feature(candidate.kind, candidate.value, both, slow_share, rest, rest_share, lift, calls, 1.0)


def _standing_out(tested: list[tuple[float, Feature]]) -> Iterator[Feature]:
    """Those whose p is below the level after correction, by how many slow turns each would explain."""
    corrected = holm([p for p, _ in tested])
    kept = [replace(feature, p=p) for p, (_, feature) in zip(corrected, tested, strict=True) if p < LEVEL]
    # a rare feature of high lift explains few
    yield from sorted(kept, key=lambda one: (one.rest_share - one.slow_share, one.kind, one.value))


def _candidates(found: Waits, slow: Bools) -> Iterator[_Candidate]:
    """Every value that a slow turn has. One that all turns have tells nothing: no test can find it."""
    codes, longest = combined([found.table[column].combine_chunks() for column in LONGEST])
    names = np.array([segment or "" for segment, _ in longest])
    seen = np.unique(codes[slow]).tolist()
    for name in dict.fromkeys(filter(None, names[seen].tolist())):
        yield _Candidate("segment", name, (names == name)[codes])
    for code in _often(codes[slow]):
        segment, owner = longest[code]
        if segment and owner:
            yield _Candidate("owner", Key(segment, owner).label, codes == code)
    for kind, columns in _COLUMNS.items():
        codes, values = combined([found.table[column].combine_chunks() for column in columns])
        for code in _often(codes[slow]):
            if value := "/".join(part for part in values[code] if part):
                yield _Candidate(kind, value, codes == code)


def _often(codes: Ints) -> list[int]:
    """What occurs often enough to be looked at: names may be as many as turns."""
    return np.flatnonzero(np.bincount(codes) >= FEWEST).tolist()


def hypergeometric_tail(both: int, chosen: int, having: int, of: int) -> float:
    """The chance that, of ``chosen`` drawn from ``of`` of which ``having`` have it, ``both`` or more have it."""
    least, most = max(0, chosen + having - of), min(chosen, having)
    if both <= least:
        return 1.0
    term = math.exp(_log_choose(having, both) + _log_choose(of - having, chosen - both) - _log_choose(of, chosen))
    total = 0.0
    for hits in range(both, most + 1):
        total += term
        # each term from the one before: at and beyond the mean they fall ever faster
        ratio = (having - hits) * (chosen - hits) / ((hits + 1) * (of - having - chosen + hits + 1))
        term *= ratio
        if ratio < 1 and term < total * 1e-12:
            break
    return min(total, 1.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _by_call(has: Bools, slow: Bools, calls: Ints, count: int) -> float:
    """One-sided p of the covariance of ``has`` and ``slow``, each call being one observation."""
    product = (slow - slow.mean()) * (has - has.mean())
    sums = np.bincount(calls, weights=product, minlength=count)
    spread = math.sqrt(float((sums**2).sum()))
    # few calls: the plain ratio would name things too easily
    spread *= math.sqrt(count / (count - 1)) if count > 1 else math.inf
    return 0.5 * math.erfc(float(sums.sum()) / spread / math.sqrt(2)) if spread else 1.0
