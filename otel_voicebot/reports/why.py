"""Why waits changed: the mean response gap of two periods, and the change split exactly by segment and owner.

The segments of a wait add up to it, so the mean gap is the sum, over segments and their owners, of what each adds to
the average turn: how often it occurs (its share of the turns) times how long it takes when it does. The change of one
such product splits without a rest into two: ``frequency``, (change of the share) x (mean of both durations), and
``duration``, (change of the duration) x (mean of both shares): the two-factor split of Kitagawa (Journal of the
American Statistical Association 1955). Only means add up: medians and other quantiles are told and not split.

How much is noise: calls (not turns, which are alike within a call) are drawn anew with replacement, many times
(bootstrap). The interval of a line is its change plus and minus as many of its standard errors as hold the changes of
all lines at once in 95 % of the draws; a change whose interval holds 0 is within noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from otel_voicebot.reports.resampling import drawn
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.waits import NOT_CUT, Ints, Key, Waits, equals, folded, indices, numbers, waits

__all__ = ["Abandoned", "Line", "Measured", "Why", "answered", "compute"]

EXAMPLES: Final = 3
_DRAWS: Final = 1000
_GROUPS: Final = 2000
"""More calls than these are drawn in so many groups: the interval is the same, the work is bounded."""
_FEWEST_CALLS: Final = 10
"""Calls of a period below which draws say little about noise."""
_LEVEL: Final = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Exchanges that the caller gave up before the bot answered: in no mean gap, so they are told apart.

    Attributes:
        turns: how many.
        exchanges: of how many, as the KPI ``abandoned_wait_rate`` has it: also of those whose wait is unknown.
        rate: ``turns / exchanges``; None where there is none.
        mean_wait_s: how long they had waited, seconds: each wait is a lower bound. Without those of unknown length.
        untimed: how many those are.
    """

    turns: int
    exchanges: int
    rate: float | None
    mean_wait_s: float | None
    untimed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one of the two periods holds; seconds. Gaps are of answered exchanges."""

    scope: Scope
    turns: int
    """Answered exchanges."""
    calls: int
    mean_s: float
    p50_s: float
    p95_s: float
    abandoned: Abandoned


@dataclass(frozen=True, slots=True)
class Line:
    """What one segment and owner added to the mean gap, before and after; seconds a turn.

    Attributes:
        key: the segment and its owner; None for the whole gap.
        before_s: what it added to the average turn of the period before.
        after_s: the same of this period.
        change_s: ``after_s - before_s``, and ``frequency_s + duration_s``. All lines' changes add up to the gap's.
        frequency_s: the part due to how often it occurs.
        duration_s: the part due to how long it takes when it occurs.
        before_share: share of the turns in which it occurs, before.
        after_share: the same of this period.
        before_mean_s: how long it takes when it occurs, before; None where it never does.
        after_mean_s: the same of this period.
        low_s: lower end of the interval of ``change_s``; None where there are too few calls to tell.
        high_s: upper end.
        examples: up to three turns (SESSION/TURN) in which it took longest: of this period where it grew, else before.
    """

    key: Key | None
    before_s: float
    after_s: float
    change_s: float
    frequency_s: float
    duration_s: float
    before_share: float
    after_share: float
    before_mean_s: float | None
    after_mean_s: float | None
    low_s: float | None
    high_s: float | None
    examples: tuple[str, ...]

    @property
    def noise(self) -> bool | None:
        """Whether the change is within noise; None where there are too few calls to tell."""
        if self.low_s is None or self.high_s is None:
            return None
        return self.low_s <= 0 <= self.high_s


@dataclass(frozen=True, slots=True)
class Why:
    """The change of the mean response gap and its split, the largest change first."""

    before: Measured
    after: Measured
    change: Line
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """One period as columns. ``sums`` and ``counts`` are by group of calls (rows) and key (columns)."""

    found: Waits
    keys: tuple[Key, ...]
    sums: Floats
    counts: Floats
    turns: Floats
    """Answered exchanges by group."""
    worst: Mapping[Key, tuple[str, ...]]

    def of(self, keys: Sequence[Key]) -> tuple[Floats, Floats]:
        """``sums`` and ``counts`` in the columns of ``keys``."""
        place = {key: at for at, key in enumerate(self.keys)}
        columns = [place.get(key, len(self.keys)) for key in keys]
        none = np.zeros((len(self.turns), 1))
        return np.hstack([self.sums, none])[:, columns], np.hstack([self.counts, none])[:, columns]


def compute(before: pa.Table, after: pa.Table, scopes: tuple[Scope, Scope], seed: int = 0) -> Why:
    """Compare two periods.

    Args:
        before: turns of the period before (form TURNS; of its columns only ``waits.COLUMNS``), with an answered one.
        after: turns of this period, likewise.
        scopes: what the two are of, in that order.
        seed: of the draws: the same data and seed give the same intervals.

    Raises:
        ValueError: a period has no answered exchange.
    """
    random = np.random.default_rng(seed)
    whole = [waits(turns) for turns in (before, after)]
    gapped = [found.where(found.answered) for found in whole]
    for found, scope in zip(gapped, scopes, strict=True):
        if not len(found):
            msg = f"no answered turn with a known response gap {scope.window()}"
            raise ValueError(msg)
    periods = [_period(*four) for four in zip((before, after), whole, gapped, scopes, strict=True)]
    sides = [_side(found, random) for found in folded(gapped)]
    keys = tuple(dict.fromkeys(key for side in sides for key in side.keys))
    margins = None
    if min(period.calls for period in periods) >= _FEWEST_CALLS:
        margins = _margins(*(_drawn(side, keys, random) for side in sides))
    lines = _lines(sides, keys, margins)
    change = _whole(periods, lines, None if margins is None else float(margins[-1]))
    return Why(
        periods[0], periods[1], change, tuple(sorted(lines, key=lambda line: (-abs(line.change_s), str(line.key))))
    )


def answered(turns: pa.Table) -> int:
    """Exchanges with a known response gap: what ``compute`` needs in each period."""
    return int(waits(turns).answered.sum())


def _period(turns: pa.Table, found: Waits, gaps: Waits, scope: Scope) -> Measured:
    given_up = found.waited_ns[~found.answered & equals(found.table["outcome"], "abandoned")]
    exchange = equals(turns["kind"], "exchange")
    abandoned, exchanges = int((exchange & equals(turns["outcome"], "abandoned")).sum()), int(exchange.sum())
    p50, p95 = np.quantile(gaps.waited_ns / 1e9, (0.5, 0.95))  # linear, as quantile_cont in the SQL models
    return Measured(
        scope=scope,
        turns=len(gaps),
        calls=gaps.sessions()[1],
        mean_s=int(gaps.waited_ns.sum()) / 1e9 / len(gaps),  # whole nanoseconds are summed: no rounding
        p50_s=float(p50),
        p95_s=float(p95),
        abandoned=Abandoned(
            turns=abandoned,
            exchanges=exchanges,
            rate=abandoned / exchanges if exchanges else None,
            mean_wait_s=float(given_up.mean()) / 1e9 if len(given_up) else None,
            untimed=abandoned - len(given_up),
        ),
    )


def _side(found: Waits, random: np.random.Generator) -> _Side:
    calls, count = found.sessions()
    groups = min(count, _GROUPS)
    group = random.permutation(count)[calls] % groups
    width = len(found.keys)
    sums, counts = np.zeros((groups, width + 1)), np.zeros((groups, width + 1))
    turn = numbers(found.table["turn_index"])
    best: list[list[tuple[int, ...]]] = [[] for _ in range(width)]
    for first, part in found.totals() if width else ():
        rows = group[first : first + len(part)]
        for column in range(width):
            values = part[:, column]
            sums[:, column] += np.bincount(rows, weights=values, minlength=groups)
            counts[:, column] += np.bincount(rows, weights=values > 0, minlength=groups)
            here = slice(first, first + len(part))
            longest = [
                (-int(values[at]), int(calls[here][at]), int(turn[here][at]), first + at)
                for at in _longest(values, calls[here], turn[here])
            ]
            best[column] = sorted([*best[column], *longest])[:EXAMPLES]
    rest = found.waited_ns - found.cut_ns()
    sums[:, width] = np.bincount(group, weights=rest, minlength=groups)
    counts[:, width] = np.bincount(group, weights=rest != 0, minlength=groups)
    keys = (*found.keys, NOT_CUT) if rest.any() else found.keys
    worst = {key: _names(found, [at for *_, at in best[place]]) for place, key in enumerate(found.keys)}
    worst[NOT_CUT] = _names(found, _longest(rest, calls, turn))
    turns = np.bincount(group, minlength=groups).astype(np.float64)
    return _Side(found, keys, sums[:, : len(keys)], counts[:, : len(keys)], turns, worst)


def _longest(values: Ints, calls: Ints, turn: Ints) -> list[int]:
    """Rows with the largest values above 0; of equal ones the first by call and turn, in whatever order rows come."""
    at = np.flatnonzero(values > 0)
    if len(at) > EXAMPLES:
        least = np.partition(values[at], len(at) - EXAMPLES)[len(at) - EXAMPLES]
        at = at[values[at] >= least]
    return [int(one) for one in at[np.lexsort((turn[at], calls[at], -values[at]))[:EXAMPLES]]]


def _names(found: Waits, rows: Sequence[int]) -> tuple[str, ...]:
    chosen = found.table.select(["session_id", "turn_index"]).take(indices(np.array(rows, np.int64))).to_pylist()
    return tuple(f"{row['session_id']}/{row['turn_index']}" for row in chosen)


def _drawn(side: _Side, keys: Sequence[Key], random: np.random.Generator) -> Floats:
    """What each key, and last their sum, adds to the average turn (seconds), in calls drawn anew; one row a draw."""
    sums, _ = side.of(keys)
    columns = np.column_stack([sums, sums.sum(axis=1)]) / 1e9
    means = np.empty((_DRAWS, columns.shape[1]))
    for start, weights in drawn(len(side.turns), random, _DRAWS):
        means[start : start + len(weights)] = weights @ columns / (weights @ side.turns)[:, None]
    return means


def _margins(before: Floats, after: Floats) -> Floats:
    """Half the width of each line's interval, the last being the whole gap's: right for all lines at once."""
    changes = after - before
    spread = changes.std(axis=0, ddof=1)
    away = np.abs(changes - changes.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.asarray(spread * np.quantile(away.max(axis=1), _LEVEL))


def _lines(sides: Sequence[_Side], keys: Sequence[Key], margins: Floats | None) -> list[Line]:
    parts = []
    for side in sides:
        sums, counts = (values.sum(axis=0) for values in side.of(keys))
        turns = float(side.turns.sum())
        parts.append((sums / 1e9 / turns, counts / turns, np.where(counts > 0, sums / 1e9 / np.maximum(counts, 1), 0)))
    (added0, share0, mean0), (added1, share1, mean1) = parts
    lines = []
    for at, key in enumerate(keys):
        change = float(added1[at] - added0[at])
        # where it occurs in one period only there is no duration to compare: all of it is frequency
        both = share0[at] > 0 and share1[at] > 0
        duration = float((mean1[at] - mean0[at]) * (share0[at] + share1[at]) / 2) if both else 0.0
        margin = None if margins is None else float(margins[at])
        worst = (sides[1] if change > 0 else sides[0]).worst.get(key, ())
        lines.append(
            Line(
                key=key,
                before_s=float(added0[at]),
                after_s=float(added1[at]),
                change_s=change,
                frequency_s=change - duration,
                duration_s=duration,
                before_share=float(share0[at]),
                after_share=float(share1[at]),
                before_mean_s=float(mean0[at]) if share0[at] > 0 else None,
                after_mean_s=float(mean1[at]) if share1[at] > 0 else None,
                low_s=None if margin is None else change - margin,
                high_s=None if margin is None else change + margin,
                examples=worst,
            )
        )
    return lines


def _whole(periods: Sequence[Measured], lines: Sequence[Line], margin: float | None) -> Line:
    before, after = periods
    change = after.mean_s - before.mean_s
    return Line(
        key=None,
        before_s=before.mean_s,
        after_s=after.mean_s,
        change_s=change,
        frequency_s=sum(line.frequency_s for line in lines),
        duration_s=sum(line.duration_s for line in lines),
        before_share=1.0,
        after_share=1.0,
        before_mean_s=before.mean_s,
        after_mean_s=after.mean_s,
        low_s=None if margin is None else change - margin,
        high_s=None if margin is None else change + margin,
        examples=(),
    )
