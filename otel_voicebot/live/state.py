"""Open turns and sessions: what was seen of them, and when they are final.

A turn is final 2 s after its closing span came, or 2 s after a span of a later turn; a session 5 s after its own span
came, or after a long silence. A final row feeds the metrics once. A span that comes later to an open session has its
turn computed again: the row gets a higher revision, the metrics only say that something was restated. Times are those
of arrival, by a monotonic clock, as senders' clocks differ.
"""

import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot import semconv
from otel_voicebot.live import record
from otel_voicebot.live.aggregate import Aggregator
from otel_voicebot.live.calls import OpenSession, OpenTurn
from otel_voicebot.live.framed import Framed, of_frameworks
from otel_voicebot.live.rows import Part, Rows, facts, operations_of, without
from otel_voicebot.models.prepared import NARROW, Prepared
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["Live"]

TURN_GRACE_S: Final = 2.0
SESSION_GRACE_S: Final = 5.0
LOOSE_GRACE_S: Final = 5.0
"""Operations outside turns wait so long for their parent, which may be an operation of the same kind."""
_CLOSED_KEPT: Final = 100_000
_BOTS_KEPT: Final = 1000
_LOOSE: Final = 0
"""Key of what has no turn; turns count from 1."""

Emit = Callable[[Literal["turns", "sessions"], pa.Table], None]


class Live:
    """The live state of one pipeline. For one thread, except ``active``.

    Args:
        aggregator: takes the metrics.
        metrics: takes late, evicted, restated.
        emit: takes finished rows of turns and sessions: the models' columns and ``revision``.
        idle_timeout_s: a session without a span for so long has ended.
        max_sessions: sessions held open; beyond, the longest idle is closed as it is.
        max_spans: spans of open sessions held in memory, the same.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 - the bounds are the point
        self,
        aggregator: Aggregator,
        metrics: SelfMetrics,
        emit: Emit,
        *,
        idle_timeout_s: float = 600.0,
        max_sessions: int = 10_000,
        max_spans: int = 500_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aggregator = aggregator
        self._metrics = metrics
        self._emit = emit
        self._idle_timeout_s = idle_timeout_s
        self._max_sessions = max_sessions
        self._max_spans = max_spans
        self._clock = clock
        self._models = Prepared()
        self._framed = Framed()
        self._rows = Rows(NARROW)
        self._finished = Rows(self._models.turns)
        self._open: OrderedDict[str, OpenSession] = OrderedDict()  # longest idle first
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._traces: OrderedDict[bytes, str] = OrderedDict()
        self._bots: dict[str, None] = {}
        # by grace: what is noted later is due later
        self._due: dict[float, deque[tuple[float, str, int | None]]] = {
            grace: deque() for grace in (TURN_GRACE_S, SESSION_GRACE_S, LOOSE_GRACE_S)
        }

    # ---- what comes in ------------------------------------------------------------------------------------------

    def started(self, session_id: str, bot: str) -> None:
        """A session has begun in this process; its spans come later."""
        if session_id not in self._closed:
            session = self._session(session_id)
            session.bot = session.bot or bot
            session.explicit = True
            self._bound()

    def add(self, rows: pa.RecordBatch) -> None:
        """Take spans (schema SPANS), each delivered once. They are not changed."""
        if not rows.num_rows:
            return
        ids, unnamed, codes = self._resolve(rows)
        turns = pc.fill_null(rows["turn_index"], _LOOSE).to_numpy(zero_copy_only=False).astype(np.int64)
        session_span = np.asarray(pc.fill_null(pc.equal(rows["component"], "session"), False))  # noqa: FBT003
        turn_span = np.asarray(pc.fill_null(pc.equal(rows["component"], "turn"), False))  # noqa: FBT003
        turns[session_span | (turns < 0) | self._are_framed(rows, ids, codes)] = _LOOSE
        late = np.isin(codes, [code for code, name in enumerate(ids) if name in self._closed])
        self._late(int(late.sum()), len(np.unique(codes[late])))
        order = np.lexsort((turns, codes))
        order = order[~late[order]]
        if not len(order):
            return
        chunk, bots, needed = self._rows.add(rows, len(order)), rows["bot"], facts(rows)
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1) | np.diff(turns[order], prepend=-1))
        # per part: holds it a session's span, a turn's, a span that the model of sessions reads itself?
        masks = session_span, turn_span, needed
        ends_session, closes, has_facts = (np.logical_or.reduceat(mask[order], starts) for mask in masks)
        for number, part in enumerate(np.split(order, starts[1:])):
            session = self._session(ids[codes[part[0]]])
            session.bot = session.bot or bots[int(part[0])].as_py() or ""
            session.explicit |= session.id not in unnamed
            session.ended |= bool(ends_session[number])
            self._take(session, int(turns[part[0]]), (chunk, part), closing=bool(closes[number]))
            if has_facts[number]:
                session.facts.append((chunk, part[needed[part]]))
        self._bound()

    def _are_framed(self, rows: pa.RecordBatch, ids: list[str], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows are of calls that are computed whole; notes the calls that turn out to be."""
        found = of_frameworks(rows)
        if found is not None:
            for code in np.unique(codes[found]):
                if ids[code] not in self._closed and (session := self._session(ids[code])).whole is None:
                    self._gather(session)
        names = [code for code, name in enumerate(ids) if name in self._open and self._open[name].whole is not None]
        return np.isin(codes, names) if names else np.zeros(len(codes), dtype=bool)

    def _gather(self, session: OpenSession) -> None:
        for turn in session.turns.values():
            if turn.row is not None:
                self._finished.release(turn.row[0], 1)
        session.gather()

    def _resolve(self, rows: pa.RecordBatch) -> tuple[list[str], set[str], NDArray[np.int64]]:
        """Session ids, those among them that are trace ids for want of a better, and each row's position.

        A row's session is the explicit one, else its trace's, else the trace.
        """
        explicit, traces = rows["session_id"], rows["trace_id"].dictionary_encode()
        self._learn(explicit, traces)
        unnamed: set[str] = set()
        if explicit.null_count:
            found = traces.dictionary.to_pylist()
            unnamed = {trace.hex() for trace in found if trace not in self._traces}
            known = [self._traces.get(trace) or trace.hex() for trace in found]
            explicit = pc.coalesce(explicit, pa.array(known, pa.string()).take(traces.indices))
        encoded = explicit.dictionary_encode()
        return encoded.dictionary.to_pylist(), unnamed, encoded.indices.to_numpy().astype(np.int64)

    def _learn(self, explicit: pa.Array, traces: pa.DictionaryArray) -> None:
        """Remember which trace belongs to which session, and rename a session that was known by its trace id only."""
        encoded = explicit.dictionary_encode()
        names, ids = encoded.dictionary.to_pylist(), traces.dictionary.to_pylist()
        if not names:
            return
        codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
        pairs = np.unique(codes + (len(names) + 1) * traces.indices.to_numpy().astype(np.int64) + 1)
        for pair in pairs:
            position, code = divmod(int(pair), len(names) + 1)
            if code:
                self._learn_one(ids[position], names[code - 1])
        while len(self._traces) > _CLOSED_KEPT:
            self._traces.popitem(last=False)

    def _learn_one(self, trace: bytes, name: str) -> None:
        unnamed, news = trace.hex(), trace not in self._traces
        # Of several sessions in one trace the smallest id takes the spans that carry none, as in batch.
        self._traces[trace] = min(name, self._traces.get(trace, name))
        self._traces.move_to_end(trace)
        if unnamed == name:
            return
        if unnamed in self._open:
            self._merge(self._open.pop(unnamed), name)
        elif news and unnamed in self._closed:
            # Counted already, under the trace's name: what comes now is late, unless it is a call that goes on.
            if name in self._open:
                self._restate("session", 1)
            else:
                self._closed[name] = None

    def _merge(self, provisional: OpenSession, name: str) -> None:
        """A session that was known by its trace id only turns out to be this one."""
        if name in self._closed:
            parts = [part for turn in provisional.turns.values() for part in turn.parts]
            self._late(sum(len(indexes) for _, indexes in parts), 1)
            self._release(provisional)
            return
        session = self._session(name)
        session.bot = session.bot or provisional.bot
        session.explicit = True
        session.ended |= provisional.ended
        session.facts += provisional.facts
        session.operations += provisional.operations
        if provisional.whole is not None or session.whole is not None:
            self._merge_whole(session, provisional)
            return
        for index, found in provisional.turns.items():
            turn = self._turn(session, index)
            turn.absorb(found)
            if found.row is not None:
                self._finished.release(found.row[0], 1)  # it is computed again, under the right name
            self._plan(session, index, turn, closing=found.scheduled)

    def _merge_whole(self, session: OpenSession, provisional: OpenSession) -> None:
        """Of what was written under the trace's name nothing is counted again; its rows are written under the new."""
        for one in (session, provisional):
            if one.whole is None:
                self._gather(one)
        whole, other = session.whole, provisional.whole
        if whole is None or other is None:  # both were just gathered
            return
        whole.counted |= other.counted
        whole.rows = {**other.rows, **whole.rows}
        whole.revisions = {**other.revisions, **whole.revisions}
        turn = self._turn(session, _LOOSE)
        turn.parts += provisional.turns[_LOOSE].parts
        self._plan(session, _LOOSE, turn, closing=provisional.turns[_LOOSE].scheduled)

    def _session(self, name: str) -> OpenSession:
        session = self._open.get(name)
        if session is None:
            session = self._open[name] = OpenSession(name, self._clock())
        session.seen = self._clock()
        self._open.move_to_end(name)
        return session

    def _take(self, session: OpenSession, index: int, part: Part, *, closing: bool) -> None:
        turn = self._turn(session, index)
        turn.parts.append(part)
        self._plan(session, index, turn, closing=closing)

    def _turn(self, session: OpenSession, index: int) -> OpenTurn:
        turn = session.turns.get(index)
        if turn is None:
            turn = session.turns[index] = OpenTurn()
            for earlier, other in session.turns.items():
                if _LOOSE < earlier < index:
                    self._schedule(session, earlier, other, TURN_GRACE_S)
        return turn

    def _plan(self, session: OpenSession, index: int, turn: OpenTurn, *, closing: bool) -> None:
        """Note when the turn, and the session, may be final."""
        if session.whole is not None:
            if closing:
                self._schedule(session, index, turn, TURN_GRACE_S)
        elif index == _LOOSE:
            self._schedule(session, index, turn, LOOSE_GRACE_S)
        elif closing or turn.revision or any(later > index for later in session.turns):
            self._schedule(session, index, turn, TURN_GRACE_S)
        if session.ended and not session.scheduled:
            session.scheduled = True
            self._push(SESSION_GRACE_S, session.id, None)

    def _schedule(self, session: OpenSession, index: int, turn: OpenTurn, grace: float) -> None:
        if not turn.scheduled and turn.unseen:
            turn.scheduled = True
            self._push(grace, session.id, index)

    def _push(self, grace: float, session: str, index: int | None) -> None:
        self._due[grace].append((self._clock() + grace, session, index))

    def _bound(self) -> None:
        while self._open and (len(self._open) > self._max_sessions or self._rows.held > self._max_spans):
            # Several at once, where many are open: each computation has a fixed cost.
            count = max(len(self._open) - self._max_sessions, len(self._open) // 16, 1)
            evicted = list(itertools.islice(self._open.values(), count))
            self._metrics.add(semconv.SELF_EVICTED, len(evicted))
            self._finish([], evicted, complete=False)

    # ---- what goes out ------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Whether ``tick`` has something to do."""
        now = self._clock()
        idle = bool(self._open) and next(iter(self._open.values())).seen + self._idle_timeout_s <= now
        return idle or any(queue and queue[0][0] <= now for queue in self._due.values())

    def tick(self, *, drain: bool = False) -> None:
        """Compute what is final and feed the metrics.

        Args:
            drain: don't wait: every turn whose spans are here, and every session whose own span is here, is final now.
        """
        now = float("inf") if drain else self._clock()
        turns: list[tuple[OpenSession, int]] = []
        sessions: dict[str, OpenSession] = {}
        for name, index in self._take_due(now):
            session = self._open.get(name)
            if session is not None and index is None:
                sessions[name] = session
            elif session is not None and index in session.turns:
                session.turns[index].scheduled = False
                turns.append((session, index))
        for session in self._open.values():
            if session.seen + self._idle_timeout_s > self._clock():
                break
            sessions[session.id] = session
        self._finish([(one, index) for one, index in turns if one.id not in sessions], list(sessions.values()))

    def _take_due(self, now: float) -> Iterator[tuple[str, int | None]]:
        for queue in self._due.values():
            while queue and queue[0][0] <= now:
                _, name, index = queue.popleft()
                yield name, index

    def _finish(
        self, turns: list[tuple[OpenSession, int]], sessions: list[OpenSession], *, complete: bool = True
    ) -> None:
        try:
            self._compute(turns, sessions, complete=complete)
        except BaseException:
            # What can't be computed would fail at each tick, and hold memory: these sessions are given up.
            for session in {one.id: one for one in (*sessions, *(one for one, _ in turns))}.values():
                if self._open.get(session.id) is session:
                    self._metrics.add(semconv.SELF_EVICTED, 1 if complete else 0)  # else it is counted already
                    self._close(session)
            raise

    def _compute(self, turns: list[tuple[OpenSession, int]], sessions: list[OpenSession], *, complete: bool) -> None:
        framed = [one for one, _ in turns if one.whole is not None], [one for one in sessions if one.whole is not None]
        if any(framed):
            self._finish_whole(*framed, complete=complete)
        turns = turns + [(session, index) for session in sessions for index in session.turns]
        turns = [(session, index) for session, index in turns if session.whole is None]
        fresh = [(session, index) for session, index in turns if session.turns[index].unseen]
        if fresh:
            self._finish_turns(fresh)
        if sessions:
            self._finish_sessions([one for one in sessions if one.turns and one.whole is None], complete=complete)
            for session in sessions:
                self._close(session)

    def _finish_whole(self, turned: list[OpenSession], ended: list[OpenSession], *, complete: bool) -> None:
        """Compute calls of frameworks: those of which a turn has come, and those that are over."""
        sessions = {one.id: one for one in (*turned, *ended)}
        parts = [
            (one.id if one.explicit else None, part) for one in sessions.values() for part in one.turns[_LOOSE].parts
        ]
        known = {name: one.whole for name, one in sessions.items() if one.whole is not None}
        found = self._framed.compute(self._rows.gather(parts), known, [one.id for one in ended])
        for session in sessions.values():
            session.turns[_LOOSE].counted = len(session.turns[_LOOSE].parts)
        record.record_operations(self._aggregator, found.operations)
        for counted in found.operations["session_id"].value_counts().to_pylist():
            sessions[counted["values"]].operations += counted["counts"]
        record.record_handoffs(self._aggregator, found.handoffs)
        record.record_turns(self._aggregator, found.fresh)
        self._restate("turn", found.turns.num_rows - found.fresh.num_rows)
        if found.turns.num_rows:
            self._emit("turns", found.turns)
        if ended:
            self._conclude(found.sessions, complete=complete)

    def _finish_turns(self, turns: list[tuple[OpenSession, int]]) -> None:
        """Run operations and turns over these turns' spans; of what has no turn, over what is new."""
        parts: list[tuple[str | None, Part]] = []
        revisions: dict[tuple[str, int], int] = {}
        changed = 0
        for session, index in turns:
            turn = session.turns[index]
            new = turn.parts[turn.counted :]
            name = session.id if session.explicit else None  # as in batch, where the models fall back to the trace
            parts += [(name, part) for part in (new if index == _LOOSE else turn.parts)]
            turn.counted = len(turn.parts)
            turn.renamed = False
            if index != _LOOSE:
                changed += bool(new) and turn.revision > 0
                turn.revision += 1
                revisions[session.id, index] = turn.revision
        rows = self._rows.gather(parts)
        self._models.load(rows)
        restated = {key for key, revision in revisions.items() if revision > 1}
        operations = without(operations_of(rows, self._models.nested()), restated)
        record.record_operations(self._aggregator, operations)
        for counted in operations["session_id"].value_counts().to_pylist():
            self._open[counted["values"]].operations += counted["counts"]
        record.record_handoffs(self._aggregator, without(rows, restated))
        if revisions:
            computed = self._models.run("turns")
            record.record_turns(self._aggregator, without(computed, restated))
            self._restate("turn", changed)
            keys = list(zip(computed["session_id"].to_pylist(), computed["turn_index"].to_pylist(), strict=True))
            self._keep(keys, computed)
            numbers = pa.array([revisions.get(key, 1) for key in keys], pa.int32())
            self._emit("turns", computed.append_column("revision", numbers))

    def _keep(self, keys: list[tuple[str, int]], computed: pa.Table) -> None:
        """Keep turns for the row of their session."""
        chunk = self._finished.add(computed.combine_chunks().to_batches()[0], len(keys))
        for place, (name, index) in enumerate(keys):
            turn = self._open[name].turns[index]
            if turn.row is not None:
                self._finished.release(turn.row[0], 1)
            turn.row = (chunk, np.array([place]))

    def _finish_sessions(self, sessions: list[OpenSession], *, complete: bool) -> None:
        if not sessions:
            return
        named = [(one.id if one.explicit else None, one) for one in sessions]
        own = self._rows.gather([(name, part) for name, one in named for part in one.facts])
        finished = [(one.id, turn.row) for one in sessions for turn in one.turns.values() if turn.row is not None]
        turns = self._finished.gather(finished)
        sources = ["explicit" if self._open[name].explicit else "trace" for name in turns["session_id"].to_pylist()]
        position = turns.schema.get_field_index("session_source")
        self._models.load(own, turns.set_column(position, "session_source", pa.array(sources, pa.string())))
        self._conclude(self._models.run("sessions"), complete=complete)

    def _conclude(self, computed: pa.Table, *, complete: bool) -> None:
        """Feed rows of sessions that are over."""
        if not complete:
            position = computed.schema.get_field_index("complete")
            computed = computed.set_column(position, "complete", pa.array([False] * computed.num_rows))
        record.record_sessions(self._aggregator, computed)
        self._compare(computed)
        self._emit("sessions", computed.append_column("revision", pa.array([1] * computed.num_rows, pa.int32())))

    def _compare(self, computed: pa.Table) -> None:
        """Say how many operations were counted that a rebuild counts otherwise: attempts whose parent came later."""
        for name, operations in zip(
            computed["session_id"].to_pylist(), computed["operations"].to_pylist(), strict=True
        ):
            self._restate("operation", abs(self._open[name].operations - int(operations)))

    def _close(self, session: OpenSession) -> None:
        self._open.pop(session.id, None)
        self._closed[session.id] = None
        if len(self._closed) > _CLOSED_KEPT:
            self._closed.popitem(last=False)
        if len(self._bots) < _BOTS_KEPT:
            self._bots[session.bot] = None
        self._release(session)

    def _release(self, session: OpenSession) -> None:
        for turn in session.turns.values():
            for chunk, indexes in turn.parts:
                self._rows.release(chunk, len(indexes))
            if turn.row is not None:
                self._finished.release(turn.row[0], 1)

    def _late(self, spans: int, sessions: int) -> None:
        if spans:
            self._metrics.add(semconv.SELF_LATE, spans)
            self._restate("session", sessions)

    def _restate(self, kind: str, rows: int) -> None:
        if rows:
            self._aggregator.count(semconv.RESTATED, {"kind": kind}, rows=rows)

    def active(self) -> dict[str, int]:
        """Sessions under way, by bot; 0 for a bot whose calls are over. Safe from any thread."""
        counts = dict.fromkeys(list(self._bots), 0)
        for session in list(self._open.values()):
            counts[session.bot] = counts.get(session.bot, 0) + (not session.ended)
        return counts

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        self._models.interrupt()
        self._framed.interrupt()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._models.close()
        self._framed.close()
