"""What is slower, fails more or costs more than it used to: incidents, series by series, with what they share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.errors import NoDataError
from otel_voicebot.models import Selection
from otel_voicebot.models.pricing import Prices
from otel_voicebot.reports import source
from otel_voicebot.reports.anomaly_rows import Asked, Rows, rows_of
from otel_voicebot.reports.detector import Bins, Judged, Rule, judge, runs, threshold
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened

__all__ = ["MEASURES", "Found", "Incident", "Measure", "Series", "Track", "detect", "find"]

_TYPICAL: Final = 20
"""Calls that a bin should have: a series gets the narrowest bins of which half have so many."""
_SUMS: Final = ("calls", "observations", "total", "squares", "products", "sizes")
_KEYS: Final = ("measure", "bot", "component", "provider", "model", "agent", "decision")


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that may go wrong: what people call it, and its unit (s, USD, or ratio of operations)."""

    title: str
    unit: str


MEASURES: Final = {
    "duration_s": Measure("duration", "s"),
    "first_chunk_s": Measure("time to first chunk", "s"),
    "transcription_delay_s": Measure("transcription delay", "s"),
    "response_gap_s": Measure("response gap", "s"),
    "error_rate": Measure("error rate", "ratio"),
    "cost_usd": Measure("cost per operation", "USD"),
    "agent_cost_usd": Measure("cost per agent's operation", "USD"),
    "session_cost_usd": Measure("cost per call", "USD"),
}


class Series(NamedTuple):
    """What is followed over time; what a measure isn't told by is None."""

    measure: str
    bot: str | None = None
    component: str | None = None
    provider: str | None = None
    model: str | None = None
    agent: str | None = None
    decision: str | None = None

    @property
    def name(self) -> str:
        """As people read it: ``llm openai gpt-4o, bot bank``."""
        what = [text for text in (self.component, self.provider, self.model, self.agent, self.decision) if text]
        bot = [f"bot {self.bot}"] if self.bot else []
        return ", ".join([" ".join(what)] * bool(what) + bot) or "all"


@dataclass(frozen=True, slots=True)
class Track:
    """One series over time: an array of each, a value a bin; NaN where there is none.

    Attributes:
        series: which.
        minutes: width of the bins.
        start_s: when they begin, seconds since 1970.
        calls, n: sessions and observations.
        observed: geometric mean (of ``error_rate`` the share), in the measure's unit.
        usual: the same of the past, where the bin was judged.
    """

    series: Series
    minutes: int
    start_s: NDArray[np.int64]
    calls: NDArray[np.float64]
    n: NDArray[np.float64]
    observed: NDArray[np.float64]
    usual: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Incident:
    """Bins in a row in which a series was worse than usual.

    Attributes:
        series: which one.
        episode: incidents that overlap in time have the same number, from 1 on.
        start, end: of the first and last bin.
        ongoing: it reaches the end of the data.
        minutes: width of the bins.
        calls, n: sessions (of each bin, added up) and observations.
        usual, observed: geometric mean (of ``error_rate`` the share) in the past and now, in the measure's unit.
        z, p: of the bin that stands out most.
        same_hour: the past of that bin was the same hour of other days.
        past_bins: bins that it was of.
        affected: how many series of its measure and component were hit at the time, of ``comparable``.
        spread: what they have in common, in words.
        rows: what explains it.
    """

    series: Series
    episode: int
    start: datetime
    end: datetime
    ongoing: bool
    minutes: int
    calls: int
    n: int
    usual: float
    observed: float
    z: float
    p: float
    same_hour: bool
    past_bins: int
    affected: int = 1
    comparable: int = 1
    spread: str = ""
    rows: Rows = field(default_factory=Rows)

    @property
    def change(self) -> float:
        """Observed / usual."""
        return self.observed / self.usual

    @property
    def added(self) -> float | None:
        """What it took beyond the usual, in all: seconds, USD, or failed operations; None where rows are missing."""
        if self.series.measure == "error_rate":
            return (self.observed - self.usual) * self.n
        return None if self.rows.spent is None else self.rows.spent * (1 - self.usual / self.observed)

    @property
    def added_wait_share(self) -> float | None:
        """The same as a share of what callers waited in those exchanges; None where nobody waits for all of it."""
        return None if self.added is None or not self.rows.waited_s else self.added / self.rows.waited_s


@dataclass(frozen=True, slots=True)
class Found:
    """The answer.

    Attributes:
        scope: of what; its window is the one that was judged.
        rule: what counted as an anomaly.
        incidents: by episode, then the one that stands out most first.
        series: how many there are.
        judged: of how many at least one bin was judged.
        bins: bins that were judged.
        prices: where prices are from.
        tracks: the series of the incidents over time, in their order.
    """

    scope: Scope
    rule: Rule
    incidents: tuple[Incident, ...]
    series: int
    judged: int
    bins: int
    prices: str | None = None
    tracks: tuple[Track, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """Series that are judged together: alike in kind and width."""

    series: tuple[Series, ...]
    bins: Bins
    judged: Judged


def find(
    data: Path,
    selection: Selection | None = None,
    rule: Rule | None = None,
    prices: Prices | None = None,
    now: datetime | None = None,
) -> Found:
    """The anomalies in a data directory, compared with what was before the selection's ``since``.

    Args:
        data: the directory.
        selection: the sessions that are judged; None: all.
        rule: what counts, and how long the past is; None: the usual one.
        prices: what operations cost; None: what is known without a price file.
        now: the moment (aware) that the answer is as of, where the selection names no earlier one; None: the present.

    Raises:
        NoDataError: there is no data, or too little of it to judge anything.
        UnreadableDataError: none of it can be read.
    """
    judged, rule, listing = selection or Selection(), rule or Rule(), prices or Prices()
    read = judged
    if judged.since is not None:
        first = max(judged.since.timestamp() - rule.history_s, 0)
        read = replace(judged, since=datetime.fromtimestamp(first, UTC))
    answer = partial(_of, rule=rule, prices=listing, since=judged.since)
    return source.ask(data, read, now or datetime.now(UTC), answer, cut=False)


def _of(opened: Opened, rule: Rule, prices: Prices, since: datetime | None) -> Found:
    told = prices.give(opened.engine)
    found = detect(opened.engine.table("anomaly_bins"), replace(opened.scope, since=since), rule)
    if not found.judged:
        raise NoDataError(_too_little(found))
    asked = [Asked(incident.series, incident.start, incident.end) for incident in found.incidents]
    explained = zip(found.incidents, rows_of(opened.engine, asked), strict=True)
    return replace(found, incidents=tuple(replace(one, rows=rows) for one, rows in explained), prices=told)


def _too_little(found: Found) -> str:
    rule = found.rule
    return (
        f"too little history to say what is unusual, {found.scope.window()} in {found.scope.data}: a series (bot, "
        f"provider, model) needs {rule.min_past} bins of 5 to 60 minutes with {rule.min_calls} calls or more before "
        f"the hour that is judged; none of {found.series} has them"
    )


def detect(table: pa.Table, scope: Scope, rule: Rule) -> Found:
    """Incidents in the rows of the model ``anomaly_bins``, without what explains them.

    Args:
        table: the bins, those of the past too.
        scope: bins that end by its ``since`` are past, and not judged.
        rule: what counts.
    """
    groups = list(_judged(table, rule, scope.since))
    limit = threshold(np.concatenate([np.empty(0), *(group.judged.p.ravel() for group in groups)]), rule.alpha)
    newest = max((_newest(group.bins, rule) for group in groups), default=0)
    incidents: list[tuple[Incident, Track]] = []
    for group in groups:
        found = (group.judged.p <= limit) & group.judged.large
        for row in np.flatnonzero(found.any(axis=1)):
            several = runs(group.bins, group.judged, found, int(row))
            incidents += [_incident(group, int(row), run, newest) for run in several]
    numbered = _episodes(incidents)
    judged = [np.isfinite(group.judged.p) for group in groups]
    return Found(
        scope,
        rule,
        tuple(_compared(one, [other for other, _ in numbered], groups) for one, _ in numbered),
        sum(len(group.series) for group in groups),
        sum(int(each.any(axis=1).sum()) for each in judged),
        sum(int(each.sum()) for each in judged),
        tracks=tuple(track for _, track in numbered),
    )


def _newest(bins: Bins, rule: Rule) -> int:
    """When the last bin begins that has calls enough: one call whose clock is years off isn't the end of the data."""
    full = bins.start_s[(bins.calls >= rule.min_calls).any(axis=0)]
    return int(full[-1]) if len(full) else 0


def _judged(table: pa.Table, rule: Rule, since: datetime | None) -> Iterator[_Group]:
    for series, bins in _groups(table):
        judged = judge(bins, rule)
        if since is not None:
            early = bins.start_s + bins.width_s <= since.timestamp()
            judged = replace(judged, p=np.where(early, np.nan, judged.p), usual=np.where(early, np.nan, judged.usual))
        yield _Group(series, bins, judged)


def _groups(table: pa.Table) -> Iterator[tuple[tuple[Series, ...], Bins]]:
    """Each series in the narrowest bins that have enough calls, put together with those of its kind and width."""
    if not len(table):
        return
    code = np.zeros(len(table), np.int64)
    for key in _KEYS:
        encoded = table[key].combine_chunks().dictionary_encode(null_encoding="encode")
        code = code * (len(encoded.dictionary) + 1) + encoded.indices.to_numpy()
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    series = [Series(**row) for row in table.select(list(_KEYS)).take(pa.array(first)).to_pylist()]
    minutes, bin_, calls = (table[name].to_numpy() for name in ("minutes", "bin", "calls"))
    width = _widths(which, minutes, calls)
    share = np.array([one.measure == "error_rate" for one in series])
    for is_share, wide in sorted({(bool(s), int(w)) for s, w in zip(share, width, strict=True)}):
        members = np.flatnonzero((share == is_share) & (width == wide))
        rows = np.flatnonzero((minutes == wide) & np.isin(which, members))
        times, column = np.unique(bin_[rows], return_inverse=True)  # a clock that is years off must not cost years
        place = (np.searchsorted(members, which[rows]), column)
        sums = []
        for name in _SUMS:
            grid = np.zeros((len(members), len(times)))
            grid[place] = pc.cast(table[name], pa.float64()).to_numpy()[rows]
            sums.append(grid)
        yield tuple(series[one] for one in members), Bins(times * wide * 60, wide * 60, is_share, *sums)


def _widths(which: NDArray[np.int64], minutes: NDArray[np.int64], calls: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each series, in minutes."""
    widths = np.full(which.max() + 1, minutes.max())
    for wide in sorted(set(minutes.tolist()), reverse=True):
        rows = np.flatnonzero(minutes == wide)
        order = rows[np.argsort(which[rows], kind="stable")]
        ids, at = np.unique(which[order], return_index=True)
        medians = [np.median(part) for part in np.split(calls[order], at[1:])]
        widths[ids[np.array(medians) >= _TYPICAL]] = wide
    return widths


def _incident(group: _Group, row: int, run: tuple[int, int], newest: int) -> tuple[Incident, Track]:
    """What is said of a run of bins, in the measure's unit again; ``newest``: begin of the last full bin of all."""
    bins, judged, series = group.bins, group.judged, group.series[row]
    first, last = run
    part = (row, slice(first, last + 1))
    n, usual = bins.n[part], judged.usual[part]
    known = np.isfinite(usual)
    worst = first + int(np.nanargmin(judged.p[part]))
    back = (lambda x: x) if bins.share else np.exp
    incident = Incident(
        series,
        episode=0,
        start=datetime.fromtimestamp(int(bins.start_s[first]), UTC),
        end=datetime.fromtimestamp(int(bins.start_s[last]) + bins.width_s, UTC),
        ongoing=int(bins.start_s[last]) + bins.width_s > newest,
        minutes=bins.width_s // 60,
        calls=int(bins.calls[part].sum()),
        n=int(n.sum()),
        usual=float(back(np.average(usual[known], weights=n[known]))),
        observed=float(back(bins.total[part].sum() / n.sum())),
        z=float(judged.z[row, worst]),
        p=float(judged.p[row, worst]),
        same_hour=bool(judged.same_hour[row, worst]),
        past_bins=int(judged.past[row, worst]),
    )
    observed = back(bins.mean[row])
    track = Track(
        series, incident.minutes, bins.start_s, bins.calls[row], bins.n[row], observed, back(judged.usual[row])
    )
    return incident, track


def _episodes(found: list[tuple[Incident, Track]]) -> list[tuple[Incident, Track]]:
    """Numbered: what overlaps in time belongs together."""
    numbered, episode, until = [], 0, datetime.fromtimestamp(0, UTC)
    for incident, track in sorted(found, key=lambda pair: pair[0].start):
        episode += incident.start >= until
        until = max(until, incident.end)
        numbered.append((replace(incident, episode=episode), track))
    return sorted(numbered, key=lambda pair: (pair[0].episode, -pair[0].z, pair[0].start))


def _compared(incident: Incident, incidents: list[Incident], groups: list[_Group]) -> Incident:
    """With what it has in common with the others of its measure and component at the time."""

    def alike(series: Series) -> bool:
        return (series.measure, series.component) == (incident.series.measure, incident.series.component)

    at_the_time = set()
    for group in groups:
        start_s = group.bins.start_s
        then = (start_s < incident.end.timestamp()) & (start_s + group.bins.width_s > incident.start.timestamp())
        watched = np.flatnonzero(np.isfinite(group.judged.p[:, then]).any(axis=1))
        at_the_time |= {group.series[row] for row in watched if alike(group.series[row])}
    hit = {
        one.series for one in incidents if alike(one.series) and one.start < incident.end and one.end > incident.start
    }
    compared = at_the_time | hit
    return replace(incident, affected=len(hit), comparable=len(compared), spread=_spread(hit, compared))


def _spread(hit: set[Series], compared: set[Series]) -> str:
    """What those that were hit have in common, and no other has."""
    if hit == compared:
        return "the only one" if len(hit) == 1 else f"all {len(hit)}"
    keys: Mapping[str, set[str | None]] = {key: {getattr(one, key) for one in hit} for key in _KEYS[1:]}
    for key in ("provider", "model", "bot", "agent", "decision"):
        if len(keys[key]) == 1 and None not in keys[key]:
            (value,) = keys[key]
            if len(hit) > 1 and hit == {one for one in compared if getattr(one, key) == value}:
                return f"all {len(hit)} of {key} {value}"
    return f"{len(hit)} of {len(compared)}"
