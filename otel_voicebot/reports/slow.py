"""The slowest turns: how long the caller waited, for whom longest, and what such turns have in common."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.reports.common import FEWEST, FEWEST_CALLS, Common, common
from otel_voicebot.reports.exchanges import Exchanges
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.values import plain, quantity, seconds
from otel_voicebot.reports.waits import COLUMNS as WAITS
from otel_voicebot.reports.waits import LONGEST, Ints, Waits, equals, indices, longest, row_of, waits

__all__ = ["COLUMNS", "PARTS", "Choice", "Slow", "compute", "document", "grids", "head", "label"]

PARTS: Final = {
    "endpointing_s": "endpointing",
    "stt_s": "stt",
    "llm_first_token_s": "llm first token",
    "tts_first_audio_s": "tts first audio",
}
"""The measured parts of a turn, by column. They may overlap: segments are what adds up."""

COLUMNS: Final = (
    *("kind", "session_id", "turn_index", "trace_id", "bot", "channel", "variant", "environment"),
    *("start_time", "outcome", "abandon_reason", "response_gap_s", "wait_s", *PARTS, "transcription_delay_s"),
    *("llm_s", "tts_s", "stt_model", "llm_model", "tts_model", "errors", "error_type", "interrupted"),
)
_SERVICES: Final = ("stt", "llm", "tts")
_RANKING: Final = ("kind", "session_id", "turn_index", "response_gap_s", "wait_s")
"""What it takes to find the slowest turns."""
_USED: Final = tuple(f"{service}_{name}" for service in _SERVICES for name in ("provider", "model"))
_SHOWN: Final = tuple(dict.fromkeys((*WAITS, *COLUMNS)))
_FEATURES: Final = (*_RANKING, *LONGEST, *_USED, "error_type", "variant", "bot", "channel", "environment")
"""What turns are compared by."""
_SLOWEST: Final = 0.05
"""Share of the turns that count as slow where no threshold is given."""
_COMPARED: Final = 100_000
"""Turns, about, that are compared: of more, those of every second, third, ... call."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which turns are looked at, and which of them are slow.

    Attributes:
        limit: turns that are shown.
        threshold_s: slow is what waited longer, seconds; None: the slowest 5 %, and not fewer than are shown.
        component: only turns of which this segment, or one of this component (llm, tts, stt), is the largest.
        provider: only turns that used a service of this provider.
        model: only turns that used this model.
        cause: only turns whose largest segment has this owner, or that had this error or abandon reason.
    """

    limit: int = 10
    threshold_s: float | None = None
    component: str | None = None
    provider: str | None = None
    model: str | None = None
    cause: str | None = None

    def filters(self) -> dict[str, str]:
        """Those that are given, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "limit"}
        threshold = {} if self.threshold_s is None else {"threshold": f"{self.threshold_s:g} s"}
        return {**{k: v for k, v in named.items() if v is not None and k != "threshold_s"}, **threshold}

    def columns(self) -> tuple[str, ...]:
        """Columns of turns that it takes to choose. Segments, the largest by far, only where no other tells."""
        needed: dict[str, tuple[str, ...]] = {
            "component": LONGEST,
            "cause": (*LONGEST, "error_type", "abandon_reason"),
            "provider": (*_USED, "segments"),
            "model": (*_USED, "segments"),
        }
        return tuple(name for key, names in needed.items() if getattr(self, key) is not None for name in names)


@dataclass(frozen=True, slots=True)
class Slow:
    """The slowest exchanges, longest wait first.

    Attributes:
        scope: of what.
        exchanges: how many there were to choose from.
        turns: those that are shown; ``largest`` and ``segments`` say where the wait went.
        common: what slow ones have in common; None where no wait is known.
        id_length: so many characters tell the sessions of all these exchanges apart.
    """

    scope: Scope
    exchanges: int
    turns: tuple[Mapping[str, object], ...]
    common: Common | None
    id_length: int


def compute(exchanges: Exchanges, choice: Choice | None = None) -> Slow:
    """The exchanges in which the caller waited longest.

    An abandoned exchange counts with the wait until it was given up: the caller waited at least that long. Of many
    turns those of a sample of the calls are compared: enough to tell.

    Args:
        exchanges: all turns.
        choice: which are looked at, and how many are shown.
    """
    choice = choice or Choice()
    ranked = _chosen(exchanges, choice, _RANKING)
    least, order = _slowest(ranked, choice)
    rows = ranked.table.select(["session_id", "turn_index"]).take(indices(order)).to_pylist()
    found = None
    if len(ranked):
        sample = _chosen(exchanges, choice, _FEATURES, -(-len(ranked) // _COMPARED))
        found = common(sample, sample.waited_ns >= least, len(ranked))
    scope = exchanges.scope
    return Slow(
        replace(scope, filters={**scope.filters, **choice.filters()}),
        len(ranked),
        tuple(_shown_turns(exchanges, rows)),
        found,
        _id_length(ranked.table["session_id"].unique()),
    )


def _chosen(exchanges: Exchanges, choice: Choice, columns: Sequence[str], one_in: int = 1) -> Waits:
    """The exchanges that the filters keep, of all calls or of a sample."""
    found = waits(exchanges.turns(tuple(dict.fromkeys((*columns, *choice.columns()))), one_in))
    chosen = np.ones(len(found), np.bool_)
    if (component := choice.component) is not None:
        names = [name for name in found.table["longest_segment"].unique().to_pylist() if name is not None]
        equal = [equals(found.table["longest_segment"], name) for name in names if _is_of(name, component)]
        chosen &= np.logical_or.reduce([np.zeros_like(chosen), *equal])
    for name in ("provider", "model"):
        if (wanted := getattr(choice, name)) is not None:
            used = np.array([getattr(key, name) == wanted for key in found.keys], np.bool_)
            has = np.bincount(found.turn[used[found.key]], minlength=len(found)) > 0
            for service in _SERVICES:
                has |= equals(found.table[f"{service}_{name}"], wanted)
            chosen &= has
    if (cause := choice.cause) is not None:
        causes = ("longest_owner", "error_type", "abandon_reason")
        chosen &= np.logical_or.reduce([equals(found.table[name], cause) for name in causes])
    return found if chosen.all() else found.where(chosen)


def _is_of(segment: str, component: str) -> bool:
    return segment == component or segment.startswith(f"{component}_")


def _slowest(found: Waits, choice: Choice) -> tuple[int, Ints]:
    """From which wait on a turn is slow, ns; and the turns to show: by wait, then by name, so that answers repeat."""
    waited = found.waited_ns
    if choice.threshold_s is not None:
        least = int(choice.threshold_s * 1e9) + 1
    else:
        wanted = min(max(choice.limit, int(len(found) * _SLOWEST)), len(found))
        least = int(np.partition(waited, len(found) - wanted)[len(found) - wanted]) if wanted else 0
    place = np.flatnonzero(waited >= least)
    if len(place) > choice.limit:  # equal waits all come along, and the names decide
        last = np.partition(waited[place], len(place) - choice.limit)[len(place) - choice.limit]
        place = place[waited[place] >= last]
    names = found.table.select(["session_id", "turn_index"]).take(indices(place)).to_pylist()
    order = sorted(
        range(len(place)), key=lambda at: (-waited[place[at]], names[at]["session_id"], names[at]["turn_index"])
    )
    return least, place[order[: choice.limit]].astype(np.int64)


def _shown_turns(exchanges: Exchanges, rows: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    """These turns in their order: only of their calls all columns are read."""
    if not rows:
        return
    found = waits(exchanges.of(sorted({str(row["session_id"]) for row in rows}), _SHOWN))
    names = found.table.select(["session_id", "turn_index"]).to_pylist()
    places = {label(row): at for at, row in enumerate(names)}
    for row in rows:
        yield _told(found, places[label(row)])


def _told(found: Waits, at: int) -> dict[str, object]:
    """A turn as it is shown: what it was, where most of its wait went, and all its segments."""
    row: dict[str, object] = row_of(found.table, at)
    waited, segments = int(found.waited_ns[at]), found.segments_of(at)
    largest = None
    if (most := longest(segments)) is not None:
        key, time = most
        largest = {**key.document(), "duration_s": time / 1e9, "share": time / waited if waited else None}
    return {
        "turn": label(row),
        "waited_s": row["waited_s"],
        **{key: row.get(key) for key in COLUMNS if key != "kind"},
        "largest_part": _largest_part(row),
        "largest_segment": largest,
        "segments": segments,
    }


def _id_length(sessions: pa.Array) -> int:
    """At least 8: shorter ones look like words. Ids that are hardly longer stay whole."""
    lengths: int = pc.max(pc.utf8_length(sessions)).as_py() or 0
    enough = range(8, max(lengths - 4, 8))

    def apart(n: int) -> bool:
        cut = pc.utf8_slice_codeunits(sessions, 0, n)
        return int(pc.count_distinct(cut).as_py()) == len(sessions)

    # more characters never tell fewer apart: no need to try them all, and few are mostly enough
    last = 1
    while last < len(enough) and not apart(enough[last]):
        last *= 2
    at = bisect_left(enough, x=True, lo=last // 2, hi=min(last, len(enough)), key=apart)
    return enough[at] if at < len(enough) else lengths


def label(row: Mapping[str, object]) -> str:
    """``SESSION/TURN``, as ``trace`` takes it."""
    return f"{row['session_id']}/{row['turn_index']}"


def _largest_part(row: Mapping[str, object]) -> str | None:
    """Of speech recognition counts what it took after the caller had stopped: its span may last as long as speech."""
    delay = row.get("transcription_delay_s")
    values = {**row, "stt_s": delay} if delay is not None else row
    parts = {name: value for key, name in PARTS.items() if isinstance(value := values.get(key), float)}
    return max(parts, key=lambda name: parts[name]) if parts else None


def head(slow: Slow) -> list[str]:
    """Of which data."""
    return slow.scope.lines(f"{slow.exchanges} turns")


def document(slow: Slow) -> dict[str, object]:
    """The JSON document of ``slow --json``."""
    found = slow.common
    return {
        **slow.scope.document("slow"),
        "exchanges": slow.exchanges,
        "turns": [plain(dict(row)) for row in slow.turns],
        "common": None
        if found is None
        else {
            "turns": found.turns,
            "slow": found.slow,
            "rest": found.rest,
            "slower_than_s": found.slower_than_s,
            "looked_at": found.looked_at,
            "features": [
                {field.name: plain(getattr(feature, field.name)) for field in fields(feature)}
                for feature in found.features
            ],
        },
    }


def grids(slow: Slow) -> list[Grid]:
    """Two tables: the turns, one a line; and what slow ones have in common."""
    return [_turns(slow), *_in_common(slow.common)]


def _turns(slow: Slow) -> Grid:
    rows = tuple(_shown(row, slow.id_length) for row in slow.turns)
    columns = (
        Column("_turn", "turn"),
        Column("_gap", "waited", right=True, style="bold"),
        Column("segment", "longest segment"),
        Column("segment_s", "took", seconds, right=True),
        Column("segment_share", "share", lambda value: quantity(value, "ratio"), right=True),
        Column("owner", "owner"),
        Column("_end", "outcome"),
        Column("error_type", "error", show=lambda value: str(value or ""), style="red"),
    )
    notes = []
    if any(row["response_gap_s"] is None for row in slow.turns):
        notes.append(">= the caller gave up before the bot answered: the wait was at least this long")
    if any(row["segment"] is None for row in rows):
        notes.append("- the wait could not be cut: its beginning is not known")
    return Grid(
        "slow", f"Slowest {len(rows)} of {slow.exchanges} turns", columns, rows, "no turn has a wait", tuple(notes)
    )


def _shown(row: Mapping[str, object], id_length: int) -> dict[str, object]:
    gap = seconds(row["waited_s"])
    largest = row["largest_segment"]
    part = largest if isinstance(largest, dict) else {}
    return {
        **{key: value for key, value in row.items() if key != "largest_segment"},
        **{key: part.get(key) for key in ("segment", "owner", "owner_kind", "provider", "model")},
        "segment_s": part.get("duration_s"),
        "segment_share": part.get("share"),
        "_turn": f"{str(row['session_id'])[:id_length]}/{row['turn_index']}",
        "_gap": gap if row["response_gap_s"] is not None else f">= {gap}",
        "_end": " ".join(str(part) for part in (row["outcome"], row["abandon_reason"]) if part),
    }


def _in_common(found: Common | None) -> Iterator[Grid]:
    if found is None or not found.slow:
        return
    rows = tuple(
        {
            **{field.name: getattr(feature, field.name) for field in fields(feature)},
            "_slow": f"{quantity(feature.slow_share, 'ratio')} ({feature.slow})",
            "_rest": f"{quantity(feature.rest_share, 'ratio')} ({feature.rest})",
            "_lift": "only here" if feature.lift is None else f"{feature.lift:.1f} x",
            "_p": "< 0.001" if feature.p < 0.001 else f"{feature.p:.3f}",
        }
        for feature in found.features
    )
    columns = (
        Column("kind", "what"),
        Column("value", "which", style="bold"),
        Column("_slow", "of the slow", right=True),
        Column("_rest", "of the rest", right=True),
        Column("_lift", "lift", right=True),
        Column("calls", "calls", right=True),
        Column("_p", "by chance", right=True),
    )
    what = f"{found.slow} slow turns (waits from {seconds(found.slower_than_s)}) against {found.rest} others"
    compared = found.slow + found.rest
    if compared < found.turns:
        what += f", in a sample of calls: {compared} of {found.turns} turns"
    nothing = f"nothing stands out beyond chance among {found.looked_at} features looked at"
    if not found.looked_at:
        nothing = f"too few to tell: nothing was seen in {FEWEST} slow turns of {FEWEST_CALLS} calls"
    if not found.rest:
        nothing = "all turns are slow: there is nothing to compare them with"
    notes = (
        "segment, owner: of the longest segment; what goes together need not be the cause",
        f"by chance: turns and calls are tested, the larger counts, corrected for {found.looked_at} features",
    )
    yield Grid("common", f"What they have in common: {what}", columns, rows, nothing, notes if rows else ())
