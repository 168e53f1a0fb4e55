"""A live state that goes on where another process was killed.

What is on disk decides: a turn with a row was counted by the process that wrote it, a session with a row is closed.
Operations outside turns have no row, nor has the turn under way of a framework's call in which a handoff was counted:
so they are noted as they are counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.live.aggregate import Aggregator
from otel_voicebot.live.calls import OpenSession, Place
from otel_voicebot.live.opened import LOOSE
from otel_voicebot.live.rows import Part, facts_told
from otel_voicebot.live.state import Live
from otel_voicebot.models.prepared import NARROW

__all__ = ["KEY", "Left", "Resumable", "keys_of"]

KEY: Final = pa.binary(24)
"""A trace id and a span id."""
_COUNTED: Final = pa.array([*semconv.OPERATIONS, "handoff"])
_HANDOFFS: Final = pa.array(["handoff"])
_ROW: Final = ("revision", "computed_at", "writer")


@dataclass(frozen=True)
class Left:
    """What a process left behind.

    Attributes:
        spans: of sessions that were open, each once, in the order in which they came; schema NARROW.
        turns: their rows of the table ``turns``, the highest revision of each.
        counted: keys of operations and handoffs that were counted, all those of which no row tells.
        closed: ids of sessions that were closed, the latest last.
        traces: traces of closed sessions that have an id of their own.
    """

    spans: pa.RecordBatch = field(default_factory=lambda: pa.RecordBatch.from_pylist([], NARROW))
    turns: pa.Table = field(default_factory=lambda: pa.table({}))
    counted: pa.Array = field(default_factory=lambda: pa.array([], KEY))
    closed: tuple[str, ...] = ()
    traces: Mapping[bytes, str] = field(default_factory=dict)


def keys_of(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """The keys of spans, one a row."""
    traces, spans = (rows[name].cast(pa.binary()) for name in ("trace_id", "span_id"))
    joined = pc.binary_join_element_wise(traces, spans, b"").cast(KEY)
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


class Resumable(Live):
    """A live state that can take up what another has left, and says what the next one needs to know.

    Args:
        note: called with keys of operations outside turns and of handoffs, before they are counted.
        options: as of ``Live``.
    """

    def __init__(self, *options: Any, note: Callable[[pa.Array], None], **named: Any) -> None:
        super().__init__(*options, **named)
        self._note = note
        self._ending: frozenset[str] = frozenset()

    def resume(self, left: Left) -> None:
        """Take up what another process has left. Call it first, once. Nothing of it is counted again."""
        for name in left.closed:
            self._closed[name] = None
        self._traces.update(left.traces)
        self.add(self._of_open(left.spans))
        known = _revisions(left.turns)
        for session in list(self._open.values()):
            names = (session.id, *self._unnamed(session))
            for index, turn in session.turns.items():
                found = [known[name, index] for name in names if (name, index) in known]
                turn.revision = max(found, default=0)
                turn.renamed = bool(found) and (session.id, index) not in known
        self._recompute(left.turns)
        self._split_loose(left.counted)
        self._take_up_whole(left.turns, left.counted)

    def _of_open(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Without those of closed sessions, and late facts without a call: they were counted before, or as late."""
        ids, _, codes = self._resolve(spans)
        closed = np.isin(codes, [code for code, name in enumerate(ids) if name in self._closed])
        closed |= self._alone(facts_told(spans), ids, codes)
        return spans.filter(pa.array(~closed))

    def _unnamed(self, session: OpenSession) -> set[str]:
        """Names that the session had while only its traces were known."""
        rows = self._rows.gather([(None, part) for turn in session.turns.values() for part in turn.parts])
        return {trace.hex() for trace in pc.unique(rows["trace_id"]).to_pylist()}

    def _recompute(self, rows: pa.Table) -> None:
        """Have the values of counted turns at hand again; where spans came after the row was written, restate it."""
        turns = [(one.id, index) for one in self._open.values() for index, turn in one.turns.items() if turn.revision]
        if not turns:
            return
        computed = self._aside(turns)
        before = {(row["session_id"], row["turn_index"]): row for row in rows.to_pylist()}
        changed, restated = [], 0
        for row in computed.to_pylist():
            key = row["session_id"], row["turn_index"]
            session, old = self._open[key[0]], before.get(key)
            session.operations += (old or row)["operations"] or 0
            same = old is not None and _same(row, old)
            session.turns[key[1]].revision -= same  # nothing is written: the row on disk is the last
            changed.append(not same)
            restated += old is not None and not same
        self._restate("turn", restated)
        if any(changed):
            self._emit("turns", computed.filter(pa.array(changed)))

    def _take_up_whole(self, rows: pa.Table, counted: pa.Array) -> None:
        """Of calls that are computed whole: what has a row was counted, and what was noted."""
        found = {one.id: one for one in self._open.values() if one.whole is not None}
        if not found:
            return
        names = {name: one for one in found.values() for name in (*self._unnamed(one), one.id)}
        for row in rows.to_pylist():
            session = names.get(row["session_id"])
            if session is not None and session.whole is not None:
                session.whole.rows[row["turn_index"]] = row
                session.whole.revisions[row["turn_index"]] = row["revision"]
        calls = {name: one.whole for name, one in found.items() if one.whole is not None}
        for name, whole in calls.items():
            for part in found[name].turns[LOOSE].parts:
                keys = keys_of(self._rows.gather([(None, part)]))
                whole.counted.update(key.hex() for key in keys.filter(pc.is_in(keys, counted)).to_pylist())
        parts = [(one.id if one.explicit else None, part) for one in found.values() for part in one.turns[LOOSE].parts]
        for name, operations in self._framed.take_up(self._rows.gather(parts), calls, _same).items():
            found[name].operations += operations

    def _aside(self, turns: list[Place]) -> pa.Table:
        """Compute turns without counting or writing anything; their rows."""
        emitted: list[pa.Table] = []
        aggregator, emit = self._aggregator, self._emit
        self._aggregator, self._emit = Aggregator(), lambda _, rows: emitted.append(rows)
        try:
            super()._finish_turns(turns)
        finally:
            self._aggregator, self._emit = aggregator, emit
        return pa.concat_tables(emitted) if emitted else pa.table({})

    def _split_loose(self, counted: pa.Array) -> None:
        """Tell the operations outside turns that were counted from those that were not."""
        again: list[Place] = []
        rest: list[tuple[Part, ...]] = []
        for session in self._open.values():
            turn = session.turns.get(LOOSE)
            if turn is None or session.whole is not None:
                continue
            split = [self._split(part, counted) for part in turn.parts]
            seen = tuple(part for part, _ in split if len(part[1]))
            if seen:
                turn.parts = seen
                again.append((session.id, LOOSE))
                rest.append(tuple(part for _, part in split if len(part[1])))
        if again:
            self._aside(again)
        for (name, _), parts in zip(again, rest, strict=True):
            self._open[name].turns[LOOSE].parts += parts

    def _split(self, part: Part, counted: pa.Array) -> tuple[Part, Part]:
        chunk, indexes = part
        mask = np.asarray(pc.is_in(keys_of(self._rows.gather([(None, part)])), counted))
        return (chunk, indexes[mask]), (chunk, indexes[~mask])

    # ---- what the next process needs to know --------------------------------------------------------------------

    def _compute(self, turns: list[Place], sessions: list[OpenSession], *, complete: bool) -> None:
        self._ending = frozenset(session.id for session in sessions)
        super()._compute(turns, sessions, complete=complete)

    def _finish_turns(self, turns: list[Place]) -> None:
        self._note_parts(
            [
                part
                for name, index in turns
                if index == LOOSE and name not in self._ending  # its row will tell
                for turn in [self._open[name].turns[index]]
                for part in turn.parts[turn.counted :]
            ]
        )
        super()._finish_turns(turns)

    def _finish_whole(self, turned: list[OpenSession], ended: list[OpenSession], *, complete: bool) -> None:
        # a handoff is counted at once, also where its turn has no row yet
        turns = [session.turns[LOOSE] for session in turned if session.id not in self._ending]
        self._note_parts([part for turn in turns for part in turn.parts[turn.counted :]], _HANDOFFS)
        super()._finish_whole(turned, ended, complete=complete)

    def _note_parts(self, parts: list[Part], components: pa.Array = _COUNTED) -> None:
        keys = self._keys(parts, components)
        if len(keys):
            self._note(keys)

    def _keys(self, parts: list[Part], components: pa.Array) -> pa.Array:
        if not parts:
            return pa.array([], KEY)
        rows = self._rows.gather([(None, part) for part in parts])
        return keys_of(rows.filter(pc.is_in(rows["component"], components)))

    def counted(self) -> pa.Array:
        """Keys of what was counted of open sessions: operations outside turns; of those computed whole, all."""
        native = [session for session in self._open.values() if session.whole is None]
        turns = [session.turns[LOOSE] for session in native if LOOSE in session.turns]
        keys = self._keys([part for turn in turns for part in turn.parts[: turn.counted]], _COUNTED)
        wholes = [session.whole for session in self._open.values() if session.whole is not None]
        return pa.concat_arrays([keys, pa.array([bytes.fromhex(key) for one in wholes for key in one.counted], KEY)])


def _revisions(turns: pa.Table) -> dict[tuple[str, int], int]:
    if not turns.num_rows:
        return {}
    names, indexes = turns["session_id"].to_pylist(), turns["turn_index"].to_pylist()
    return dict(zip(zip(names, indexes, strict=True), turns["revision"].to_pylist(), strict=True))


def _same(computed: Mapping[str, object], stored: Mapping[str, object]) -> bool:
    return all(computed.get(name) == value for name, value in stored.items() if name not in _ROW)
