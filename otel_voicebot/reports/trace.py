"""One call, or one turn of it, as a tree of spans with the marks of speech: what ``trace`` shows."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.values import plain

__all__ = ["Bar", "Moment", "Segment", "Speech", "Trace", "Wait", "compute", "document", "find"]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Bar:
    """One span. Times are nanoseconds since 1970; ``end`` is None when the span has no usable end."""

    row: Row
    depth: int
    start: int
    end: int | None
    first_chunk: int | None
    """When its first transcript, token or audio came."""

    @property
    def component(self) -> str:
        """The component it belongs to."""
        return str(self.row.get("component") or "other")

    @property
    def turn(self) -> int | None:
        """The turn that it says it belongs to."""
        turn = self.row.get("turn_index")
        return turn if isinstance(turn, int) else None

    @property
    def failed(self) -> bool:
        """It ended in an error."""
        return self.row.get("status") == "error"

    @property
    def label(self) -> str:
        """Component and what was used: ``llm rules``; other spans by their name."""
        row = self.row
        if self.component == "other":
            return str(row.get("name"))
        if self.component == "turn":
            return f"turn {row.get('turn_index') or ''}".rstrip()
        detail = row.get("cache_name") or row.get("model") or row.get("handoff_target") or row.get("operation")
        return f"{self.component} {detail}" if detail else self.component


@dataclass(frozen=True, slots=True)
class Speech:
    """Audible speech in one turn; a time that is not known is None."""

    turn: int | None
    user_start: int | None
    user_end: int | None
    bot_start: int | None
    bot_end: int | None

    @property
    def gap_s(self) -> float | None:
        """The caller's end of speech to the first bot audio, seconds."""
        if self.user_end is None or self.bot_start is None:
            return None
        return (self.bot_start - self.user_end) / 1e9


@dataclass(frozen=True, slots=True)
class Moment:
    """A span event."""

    at: int
    name: str
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a wait. Times are nanoseconds since 1970; ``detail`` says between which stages a hole lies."""

    name: str
    owner: str | None
    owner_kind: str | None
    provider: str | None
    model: str | None
    span_id: str | None
    start: int
    end: int
    detail: str | None

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Wait:
    """What the caller waited for in one exchange: for the bot's answer, or in vain when ``abandon_reason`` is set.

    ``seconds`` is the wait as the turn's row has it, and None when it is unknown. ``segments`` are contiguous and make
    it up; there are none where the beginning of the wait is unknown.
    """

    turn: int
    outcome: str | None
    abandon_reason: str | None
    seconds: float | None
    segments: tuple[Segment, ...]

    @property
    def longest(self) -> Segment | None:
        """The longest segment; None where there is none."""
        return max(self.segments, key=lambda one: one.end - one.start, default=None)

    def share(self, segment: Segment) -> float:
        """Its share of all segments."""
        whole = self.segments[-1].end - self.segments[0].start
        return (segment.end - segment.start) / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Trace:
    """A call, or one of its turns when ``turn`` is set. ``bars`` stand parent before child, by start."""

    scope: Scope
    session_id: str
    turn: int | None
    bars: tuple[Bar, ...]
    speech: tuple[Speech, ...]
    events: tuple[Moment, ...]
    texts: tuple[tuple[int | None, str, str], ...]
    """Turn, who, and what was said, in order; empty where content is not stored."""
    waits: tuple[Wait, ...] = ()
    """What the caller waited for, by turn."""

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """Who said what, in order."""
        return tuple((who, text) for _, who, text in self.texts)

    def said_in(self, turn: int) -> tuple[tuple[str, str], ...]:
        """The same of one turn."""
        return tuple((who, text) for index, who, text in self.texts if index == turn)


def find(ids: Iterable[tuple[str, str]], wanted: str) -> tuple[str, int | None]:
    """The session (and turn) that ``wanted`` names.

    Args:
        ids: (session id, trace id) of every trace in the store.
        wanted: a session id, a trace id, ``SESSION/TURN``, or the unique beginning of one.

    Raises:
        NoDataError: no session is called so; the sentence names the nearest ids.
        UsageError: it begins several ids.
    """
    pairs = sorted(set(ids))
    whole, slash, turn = wanted.rpartition("/")
    tries: list[tuple[str, int | None]] = [(wanted, None)]
    if slash and turn.isdecimal():
        tries.append((whole, int(turn)))
    for name, index in tries:
        if session := next((session for session, trace in pairs if name in (session, trace)), None):
            return session, index
    for name, index in tries:
        matches = sorted({session for session, trace in pairs if session.startswith(name) or trace.startswith(name)})
        if len(matches) == 1:
            return matches[0], index
        if name and matches:
            msg = f"{name!r} begins {len(matches)} session ids, such as {matches[0]} and {matches[1]}: give more of it"
            raise UsageError(msg)
    raise NoDataError(_unknown(tries[-1][0], sorted({session for session, _ in pairs})))


def _unknown(name: str, sessions: list[str]) -> str:
    if not sessions:
        return f"no session or trace is called {name!r}: there are no sessions in this data"
    near = get_close_matches(name, sessions, n=3, cutoff=0.4) or sessions[-3:]
    return f"no session or trace is called {name!r}; there is, for instance, {', '.join(near)}"


def compute(
    spans: pa.Table, scope: Scope, session_id: str, turn: int | None = None, turns: pa.Table | None = None
) -> Trace:
    """The trace of one session.

    Args:
        spans: its spans, form SPANS_READ.
        scope: what was asked.
        session_id: its id.
        turn: only this turn.
        turns: its turns with their segments, form TURNS; None where they are not known.

    Raises:
        NoDataError: the session has no span, or no such turn; the sentence says which turns it has.
    """
    rows: list[Row] = sorted(spans.to_pylist(), key=lambda row: (row["start_unix_nano"] or 0, str(row["span_id"])))
    if not rows:
        msg = f"session {session_id} has no spans in {scope.window()}"
        raise NoDataError(msg)
    if turn is not None:
        rows = _turn(rows, session_id, turn)
    bars = tuple(_bars(rows))
    return Trace(
        scope=scope,
        session_id=session_id,
        turn=turn,
        bars=bars,
        speech=_speech(rows),
        events=tuple(sorted(_events(rows), key=lambda event: event.at)),
        texts=tuple(_said(rows)),
        waits=tuple(_waits(turns, turn)) if turns is not None else (),
    )


def _waits(turns: pa.Table, turn: int | None) -> Iterator[Wait]:
    for row in sorted(turns.to_pylist(), key=lambda row: row["turn_index"]):
        if row["kind"] == "exchange" and turn in (None, row["turn_index"]):
            gap, reason = row["response_gap_s"], row["abandon_reason"]
            segments = tuple(_segment(one) for one in row.get("segments") or ())
            yield Wait(row["turn_index"], row["outcome"], reason, row["wait_s"] if gap is None else gap, segments)


def _segment(one: Row) -> Segment:
    start, length = int(str(one["start_unix_nano"])), round(float(str(one["duration_s"])) * 1e9)
    text = {
        key: None if one.get(key) is None else str(one[key])
        for key in ("owner", "owner_kind", "provider", "model", "span_id", "detail")
    }
    return Segment(str(one["segment"]), start=start, end=start + length, **text)


def _turn(rows: Sequence[Row], session_id: str, turn: int) -> list[Row]:
    """The spans of one turn, and what stands below them without saying its turn."""
    turns = sorted({int(str(row["turn_index"])) for row in rows if row["turn_index"] is not None})
    if turn not in turns:
        there = f"its turns are {turns[0]} to {turns[-1]}" if turns else "its spans name no turn"
        msg = f"session {session_id} has no turn {turn}: {there}"
        raise NoDataError(msg)
    inside = {row["span_id"] for row in rows if row["turn_index"] == turn}
    kept = [row for row in rows if row["turn_index"] == turn]
    for row in rows:
        if row["turn_index"] is None and row["parent_span_id"] in inside:
            inside.add(row["span_id"])
            kept.append(row)
    return [row for row in kept if row.get("component") != "session"]


def _bars(rows: Sequence[Row]) -> Iterator[Bar]:
    """Depth first, so that a child stands under its parent; a span whose parent is missing is a root."""
    known = {row["span_id"] for row in rows}
    children: dict[object, list[Row]] = {}
    for row in rows:
        parent = row["parent_span_id"]
        children.setdefault(parent if parent in known and parent != row["span_id"] else None, []).append(row)
    waiting = [(row, 0) for row in reversed(children.pop(None, []))]
    while waiting:
        row, depth = waiting.pop()
        yield _bar(row, depth)
        waiting += [(child, depth + 1) for child in reversed(children.pop(row["span_id"], []))]
    # spans that are each other's ancestors hang on no root; they are still shown
    for rest in children.values():
        yield from (_bar(row, 0) for row in rest)


def _bar(row: Row, depth: int) -> Bar:
    start = _nano(row, "start_unix_nano") or 0
    end = _nano(row, "end_unix_nano")
    first = row.get("time_to_first_chunk_s")
    return Bar(
        row=row,
        depth=depth,
        start=start,
        end=end if end is not None and end >= start else None,
        first_chunk=start + round(first * 1e9) if isinstance(first, float) and math.isfinite(first * 1e9) else None,
    )


def _nano(row: Row, key: str) -> int | None:
    value = row.get(key)
    return value if isinstance(value, int) else None


def _speech(rows: Sequence[Row]) -> tuple[Speech, ...]:
    found: dict[object, dict[str, int]] = {}
    for row in rows:
        for who, edge, pick in (
            ("user", "start", min),
            ("user", "end", min),
            ("bot", "start", min),
            ("bot", "end", max),
        ):
            at = _nano(row, f"{who}_speech_{edge}_unix_nano")
            if at is not None:
                turn = found.setdefault(row.get("turn_index"), {})
                turn[f"{who}_{edge}"] = pick(turn.get(f"{who}_{edge}", at), at)
    edges = ("user_start", "user_end", "bot_start", "bot_end")
    spoken = [
        Speech(turn if isinstance(turn, int) else None, *(at.get(edge) for edge in edges)) for turn, at in found.items()
    ]
    return tuple(sorted(spoken, key=lambda speech: speech.turn or 0))


def _events(rows: Sequence[Row]) -> Iterator[Moment]:
    for row in rows:
        events = row.get("events")
        for event in events if isinstance(events, list) else []:
            yield Moment(event["unix_nano"] or 0, str(event["name"]), json.loads(event["attributes"] or "{}"))


def _said(rows: Sequence[Row]) -> Iterator[tuple[int | None, str, str]]:
    """What was said: by the turn's span where it says so, else by its recogniser and synthesiser."""
    by_turn: dict[int | None, list[Row]] = {}
    for row in rows:
        index = row.get("turn_index")
        by_turn.setdefault(index if isinstance(index, int) else None, []).append(row)
    for index, turn in by_turn.items():
        for who, component in (("user", "stt"), ("bot", "tts")):
            texts = {
                kind: [str(row[f"{who}_text"]) for row in turn if row.get(f"{who}_text") and row["component"] == kind]
                for kind in ("turn", component)
            }
            if chosen := texts["turn"] or texts[component]:
                yield index, "caller" if who == "user" else "bot", " ".join(chosen)


def document(trace: Trace) -> dict[str, object]:
    """The JSON document of ``trace --json``: every span with all its columns that are known."""
    return {
        **trace.scope.document("trace"),
        "session_id": trace.session_id,
        "turn": trace.turn,
        "turns": _turns(trace),
        "spans": [
            {"depth": bar.depth, **{key: plain(value) for key, value in bar.row.items() if value is not None}}
            for bar in trace.bars
        ],
    }


def _turns(trace: Trace) -> list[dict[str, object]]:
    """Each turn's speech and wait, as far as they are known."""
    speech: dict[int | None, Speech] = {one.turn: one for one in trace.speech}
    waits: dict[int | None, Wait] = {one.turn: one for one in trace.waits}
    silent = Speech(None, None, None, None, None)
    return [
        {
            "turn": turn,
            "user_speech_start_unix_nano": speech.get(turn, silent).user_start,
            "user_speech_end_unix_nano": speech.get(turn, silent).user_end,
            "bot_speech_start_unix_nano": speech.get(turn, silent).bot_start,
            "bot_speech_end_unix_nano": speech.get(turn, silent).bot_end,
            "response_gap_s": speech.get(turn, silent).gap_s,
            **(_waited(waits[turn]) if turn in waits else {}),
        }
        for turn in sorted({*speech, *waits}, key=lambda turn: turn or 0)
    ]


def _waited(wait: Wait) -> dict[str, object]:
    return {
        "outcome": wait.outcome,
        "abandon_reason": wait.abandon_reason,
        "waited_s": plain(wait.seconds),
        "segments": [
            {
                "segment": one.name,
                **{key: getattr(one, key) for key in ("owner", "owner_kind", "provider", "model", "span_id")},
                "start_unix_nano": one.start,
                "duration_s": one.seconds,
                "share": wait.share(one),
                "detail": one.detail,
            }
            for one in wait.segments
        ],
    }
