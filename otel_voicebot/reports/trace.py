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

__all__ = ["Bar", "Moment", "Speech", "Trace", "compute", "document", "find"]

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
class Trace:
    """A call, or one of its turns when ``turn`` is set. ``bars`` stand parent before child, by start."""

    scope: Scope
    session_id: str
    turn: int | None
    bars: tuple[Bar, ...]
    speech: tuple[Speech, ...]
    events: tuple[Moment, ...]
    said: tuple[tuple[str, str], ...]
    """Who said what, in order; empty where content is not stored."""


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


def compute(spans: pa.Table, scope: Scope, session_id: str, turn: int | None = None) -> Trace:
    """The trace of one session from its spans (form SPANS_READ).

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
        said=tuple(_said(rows)),
    )


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


def _said(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """What was said: by the turn's span where it says so, else by its recogniser and synthesiser."""
    by_turn: dict[object, list[Row]] = {}
    for row in rows:
        by_turn.setdefault(row.get("turn_index"), []).append(row)
    for turn in by_turn.values():
        for who, component in (("user", "stt"), ("bot", "tts")):
            texts = {
                kind: [str(row[f"{who}_text"]) for row in turn if row.get(f"{who}_text") and row["component"] == kind]
                for kind in ("turn", component)
            }
            if chosen := texts["turn"] or texts[component]:
                yield "caller" if who == "user" else "bot", " ".join(chosen)


def document(trace: Trace) -> dict[str, object]:
    """The JSON document of ``trace --json``: every span with all its columns that are known."""
    return {
        **trace.scope.document("trace"),
        "session_id": trace.session_id,
        "turn": trace.turn,
        "turns": [
            {
                "turn": speech.turn,
                "user_speech_start_unix_nano": speech.user_start,
                "user_speech_end_unix_nano": speech.user_end,
                "bot_speech_start_unix_nano": speech.bot_start,
                "bot_speech_end_unix_nano": speech.bot_end,
                "response_gap_s": speech.gap_s,
            }
            for speech in trace.speech
        ],
        "spans": [
            {"depth": bar.depth, **{key: plain(value) for key, value in bar.row.items() if value is not None}}
            for bar in trace.bars
        ],
    }
