"""The slowest turns: how long the caller waited, for whom longest, and what such turns have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.reports.common import FEWEST, FEWEST_CALLS, Common, common
from otel_voicebot.reports.exchanges import Exchanges
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.values import duration, plain, quantity
from otel_voicebot.reports.waits import COLUMNS as WAITS
from otel_voicebot.reports.waits import Bools, Ints, Waits, equals, indices, row_of, truths, waits

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
_READ: Final = tuple(dict.fromkeys((*WAITS, *COLUMNS)))
_SLOWEST: Final = 0.05
"""Share of the turns that count as slow where no threshold is given."""
_COMPARED: Final = 100_000
"""Turns, about, that are compared: of more, those of every second, third, ... call."""
_SERVICES: Final = ("stt", "llm", "tts")


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

    An abandoned exchange counts with the wait until it was given up: the caller waited at least that long. Where no
    filter asks for segments, those of many turns are read of a sample of the calls only: enough to compare.

    Args:
        exchanges: all turns.
        choice: which are looked at, and how many are shown.
    """
    choice = choice or Choice()
    narrowed = any((choice.component, choice.provider, choice.model, choice.cause))
    ranked = waits(exchanges.turns(_READ) if narrowed else exchanges.ranking())
    if narrowed:
        ranked = ranked.where(_chosen(ranked, choice, ranked.largest()[0]))
    least, order = _slowest(ranked, choice)
    rows = ranked.table.select(["session_id", "turn_index"]).take(indices(order)).to_pylist()
    found = ranked
    if not narrowed and len(ranked):  # segments are read of a sample, and of the calls that are shown
        beside = sorted({str(row["session_id"]) for row in rows})
        found = waits(exchanges.turns(_READ, -(-len(ranked) // _COMPARED), beside))
    largest, time = found.largest()
    scope = exchanges.scope
    return Slow(
        replace(scope, filters={**scope.filters, **choice.filters()}),
        len(ranked),
        tuple(_told(found, at, int(largest[at]), int(time[at])) for at in _places(found, rows)),
        _compared(found, largest, least, len(ranked)) if len(found) else None,
        _id_length(ranked.table["session_id"].unique()),
    )


def _compared(found: Waits, largest: Ints, least: int, turns: int) -> Common:
    """The comparison of the turns that were drawn: those that are only shown are slow by choice."""
    drawn = truths(found.table["drawn"])
    sample = found.where(drawn)
    return common(sample, sample.waited_ns >= least, largest[drawn], turns)


def _places(found: Waits, rows: list[dict[str, object]]) -> list[int]:
    """Where these turns stand."""
    near = np.zeros(len(found), np.bool_)
    for name in {str(row["session_id"]) for row in rows}:
        near |= equals(found.table["session_id"], name)
    named = found.where(near).table.select(["session_id", "turn_index"]).to_pylist()
    places = {label(row): int(at) for row, at in zip(named, np.flatnonzero(near), strict=True)}
    return [places[label(row)] for row in rows]


def _chosen(found: Waits, choice: Choice, largest: Ints) -> Bools:
    """The exchanges that the filters keep."""
    keys = [*found.keys, None]  # the last one for what was not cut: largest is -1 there
    chosen = np.ones(len(found), np.bool_)
    if (component := choice.component) is not None:
        chosen &= np.array([key is not None and _is_of(key.segment, component) for key in keys])[largest]
    for name in ("provider", "model"):
        if (wanted := getattr(choice, name)) is not None:
            used = np.array([key is not None and getattr(key, name) == wanted for key in keys])[:-1]
            has = np.bincount(found.turn[used[found.key]], minlength=len(found)) > 0
            for service in _SERVICES:
                has |= equals(found.table[f"{service}_{name}"], wanted)
            chosen &= has
    if (cause := choice.cause) is not None:
        owned = np.array([key is not None and key.owner == cause for key in keys])[largest]
        chosen &= owned | equals(found.table["error_type"], cause) | equals(found.table["abandon_reason"], cause)
    return chosen


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


def _told(found: Waits, at: int, place: int, time: int) -> dict[str, object]:
    """A turn as it is shown: what it was, where most of its wait went, and all its segments."""
    row: dict[str, object] = row_of(found.table, at)
    waited = int(found.waited_ns[at])
    largest = None
    if place >= 0:
        share = time / waited if waited else None
        largest = {**found.keys[place].document(), "duration_s": time / 1e9, "share": share}
    return {
        "turn": label(row),
        "waited_s": row["waited_s"],
        **{key: row.get(key) for key in COLUMNS if key != "kind"},
        "largest_part": _largest_part(row),
        "largest_segment": largest,
        "segments": found.segments_of(at),
    }


def _id_length(sessions: pa.Array) -> int:
    """At least 8: shorter ones look like words. Ids that are hardly longer stay whole."""
    longest: int = pc.max(pc.utf8_length(sessions)).as_py() or 0
    enough = (
        n
        for n in range(8, longest - 4)
        if pc.count_distinct(pc.utf8_slice_codeunits(sessions, 0, n)).as_py() == len(sessions)
    )
    return next(enough, longest)


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
        Column("segment_s", "took", _seconds, right=True),
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


def _seconds(value: object) -> str:
    return duration(value if isinstance(value, float) else None)


def _shown(row: Mapping[str, object], id_length: int) -> dict[str, object]:
    gap = _seconds(row["waited_s"])
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
    what = f"{found.slow} slow turns (waits from {_seconds(found.slower_than_s)}) against {found.rest} others"
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
