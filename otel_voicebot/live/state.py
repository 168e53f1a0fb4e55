"""Open turns and sessions: what was seen of them, and when they are final.

A turn is final 2 s after its closing span came, or 2 s after a span of a later turn; a session 5 s after its own span
came, or after a long silence. A final row feeds the metrics once. A span that comes later to an open session has its
turn computed again: the row gets a higher revision, the metrics only say that something was restated. The same holds
for a session that fell silent, for an hour: its own span may come late, or never. Times are those of arrival, by a
monotonic clock, as senders' clocks differ.
"""

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.live import record
from otel_voicebot.live.calls import OpenSession, Place
from otel_voicebot.live.opened import CLOSED_KEPT, LOOSE, Opened
from otel_voicebot.live.rows import Part, facts, handoffs_of, operations_of, without

__all__ = ["Live"]

_BOTS_KEPT: Final = 1000


class Live(Opened):
    """The live state of one pipeline. For one thread, except ``active``.

    Args:
        aggregator: takes the metrics.
        metrics: takes late, evicted, restated.
        emit: takes finished rows of turns and sessions: the models' columns and ``revision``.
        prices: where the prices of what is used come from; None: known model calls only.
        idle_timeout_s: a session without a span for so long has ended, until something comes.
        max_sessions: sessions held open; beyond, the longest idle is closed as it is. A tenth as many that fell silent
            are kept, too.
        max_spans: spans of both held in memory, the same; those that fell silent are let go first.
        engines: compute turns and sessions.
        clock: monotonic seconds.
    """

    # ---- what goes out ------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Whether ``tick`` has something to do."""
        now = self._clock()
        over = self._are_over(self._open, self._idle_timeout_s) or self._is_forgotten()
        return over or any(queue and queue[0][0] <= now for queue in self._due.values())

    def tick(self, *, drain: bool = False) -> None:
        """Compute what is final and feed the metrics.

        Args:
            drain: don't wait: every turn whose spans are here, and every session whose own span is here, is final now.
        """
        now = float("inf") if drain else self._clock()
        turns: list[Place] = []
        sessions: dict[str, OpenSession] = {}
        for name, index in self._take_due(now):
            session = self._open.get(name)
            if session is not None and index is None:
                sessions[name] = session
            elif session is not None and index in session.turns:
                session.turns[index].scheduled = False
                turns.append((name, index))
        for session in self._open.values():
            if session.seen + self._idle_timeout_s > self._clock():
                break
            sessions[session.id] = session
        self._finish([place for place in turns if place[0] not in sessions], list(sessions.values()))
        self._bound()

    def _take_due(self, now: float) -> Iterator[tuple[str, int | None]]:
        for queue in self._due.values():
            while queue and queue[0][0] <= now:
                _, name, index = queue.popleft()
                yield name, index

    def _finish(self, turns: list[Place], sessions: list[OpenSession], *, complete: bool = True) -> None:
        try:
            self._compute(turns, sessions, complete=complete)
        except BaseException:
            # What can't be computed would fail at each tick, and hold memory: these sessions are given up.
            named = [self._open[name] for name in {name for name, _ in turns} if name in self._open]
            for session in {one.id: one for one in (*sessions, *named)}.values():
                if self._open.get(session.id) is session:
                    self._metrics.add(semconv.SELF_EVICTED, 1 if complete else 0)  # else it is counted already
                    self._close(session)
            raise

    def _compute(self, turns: list[Place], sessions: list[OpenSession], *, complete: bool) -> None:
        named = {name: self._open[name] for name, _ in turns}
        whole = [one for one in named.values() if one.whole is not None]
        over = [one for one in sessions if one.whole is not None]
        if whole or over:
            self._finish_whole(whole, over, complete=complete)
        named |= {one.id: one for one in sessions}
        ended = ((session.id, index) for session in sessions for index in session.turns)
        fresh = [
            (name, index)
            for name, index in itertools.chain(turns, ended)
            if named[name].whole is None and named[name].turns[index].unseen
        ]
        if fresh:
            self._finish_turns(fresh)
        if sessions:
            self._finish_sessions([one for one in sessions if one.turns and one.whole is None], complete=complete)
            silent = [one for one in sessions if complete and one.revision and not one.ended]
            if silent:
                self._put_aside(silent)
            for session in sessions:
                if session.id in self._open:
                    self._close(session)

    def _finish_whole(self, turned: list[OpenSession], ended: list[OpenSession], *, complete: bool) -> None:
        """Compute calls of frameworks: those of which a turn has come, and those that are over."""
        sessions = {one.id: one for one in (*turned, *ended)}
        parts = [
            (one.id if one.explicit else None, part) for one in sessions.values() for part in one.turns[LOOSE].parts
        ]
        known = {name: one.whole for name, one in sessions.items() if one.whole is not None}
        found = self._framed.compute(self._rows.gather(parts), known, [one.id for one in ended])
        for session in sessions.values():
            session.turns[LOOSE].counted = len(session.turns[LOOSE].parts)
        record.record_operations(self._aggregator, found.operations)
        self._costing.record_operations(self._aggregator, found.operations)
        for counted in found.operations["session_id"].value_counts().to_pylist():
            sessions[counted["values"]].operations += counted["counts"]
        record.record_handoffs(self._aggregator, found.handoffs)
        record.record_turns(self._aggregator, found.fresh)
        self._restate("turn", found.turns.num_rows - found.fresh.num_rows)
        if found.turns.num_rows:
            self._emit("turns", found.turns)
        if found.sessions is not None:
            self._conclude(found.sessions, complete=complete)

    def _finish_turns(self, turns: list[Place]) -> None:
        """Run operations and turns over these turns' spans; of what has no turn, over what is new."""
        parts: list[tuple[str | None, Part]] = []
        revisions: dict[tuple[str, int], int] = {}
        changed = 0
        for id_, index in turns:
            session = self._open[id_]
            turn = session.turns[index]
            new = turn.parts[turn.counted :]
            name = session.id if session.explicit else None  # as in batch, where the models fall back to the trace
            parts += [(name, part) for part in (new if index == LOOSE else turn.parts)]
            turn.counted = len(turn.parts)
            turn.renamed = False
            if index != LOOSE:
                changed += bool(new) and turn.revision > 0
                turn.revision += 1
                revisions[id_, index] = turn.revision
        rows = self._rows.gather(parts)
        self._engines.own.load(rows)
        restated = {key for key, revision in revisions.items() if revision > 1}
        models = self._engines.own
        operations = without(operations_of(rows, models.nested(), models.lent()), restated)
        record.record_operations(self._aggregator, operations)
        self._costing.record_operations(self._aggregator, operations)
        for counted in operations["session_id"].value_counts().to_pylist():
            self._open[counted["values"]].operations += counted["counts"]
        record.record_handoffs(self._aggregator, without(handoffs_of(rows), restated))
        if revisions:
            computed = self._engines.own.run("turns")
            record.record_turns(self._aggregator, without(computed, restated))
            self._restate("turn", changed)
            keys = list(zip(computed["session_id"].to_pylist(), computed["turn_index"].to_pylist(), strict=True))
            self._keep(keys, computed)
            numbers = pa.array([revisions.get(key, 1) for key in keys], pa.int32())
            self._emit("turns", computed.append_column("revision", numbers))

    def _keep(self, keys: list[tuple[str, int]], computed: pa.Table) -> None:
        """Keep turns for the row of their session."""
        chunk = self._finished.add(computed.combine_chunks().to_batches()[0], len(keys))
        places = np.arange(len(keys))
        for place, (name, index) in enumerate(keys):
            turn = self._open[name].turns[index]
            if turn.row is not None:
                self._finished.release(turn.row[0], 1)
            turn.row = (chunk, places[place : place + 1])

    def _finish_sessions(self, sessions: list[OpenSession], *, complete: bool) -> None:
        if not sessions:
            return
        named = [(one.id if one.explicit else None, one) for one in sessions]
        own = self._rows.gather([(name, part) for name, one in named for part in one.facts])
        finished = [(one.id, turn.row) for one in sessions for turn in one.turns.values() if turn.row is not None]
        turns = self._finished.gather(finished)
        names = turns["session_id"].combine_chunks().dictionary_encode()
        sources = ["explicit" if self._open[name].explicit else "trace" for name in names.dictionary.to_pylist()]
        position = turns.schema.get_field_index("session_source")
        source = pa.array(sources, pa.string()).take(names.indices)
        self._engines.own.load(own, turns.set_column(position, "session_source", source))
        self._conclude(self._engines.own.run("calls"), complete=complete)

    def _conclude(self, computed: pa.Table, *, complete: bool) -> None:
        """Feed rows of the model ``calls``, of sessions that are over."""
        if not complete:
            position = computed.schema.get_field_index("complete")
            computed = computed.set_column(position, "complete", pa.array([False] * computed.num_rows))
        sessions = [self._open[name] for name in computed["session_id"].to_pylist()]
        fresh = computed.filter(pa.array([not session.revision for session in sessions], pa.bool_()))
        record.record_sessions(self._aggregator, fresh)
        self._costing.record_lines(self._aggregator, fresh)
        self._restate("session", computed.num_rows - fresh.num_rows)
        self._compare(sessions, computed["operations"].to_pylist())
        for session in sessions:
            session.revision += 1
        numbers = pa.array([session.revision for session in sessions], pa.int32())
        self._emit("sessions", computed.drop_columns(record.JUDGED).append_column("revision", numbers))

    def _compare(self, sessions: list[OpenSession], rebuilt: list[int]) -> None:
        """Say how many operations were counted that a rebuild counts otherwise: attempts whose parent came later."""
        for session, operations in zip(sessions, rebuilt, strict=True):
            self._restate("operation", abs(session.operations - operations))
            session.operations = operations  # said once

    def _put_aside(self, sessions: list[OpenSession]) -> None:
        """Keep calls that fell silent, in one chunk, and nothing of others whose rows came in together with theirs."""
        turns = [turn for session in sessions for turn in session.turns.values()]
        moved, rows = self._rows.move([part for turn in turns for part in turn.parts])
        places, needed = iter(moved), facts(rows)
        for turn in turns:
            turn.parts = tuple(itertools.islice(places, len(turn.parts)))
            turn.scheduled = False
        computed = {place: turn.row for place, turn in enumerate(turns) if turn.row is not None}
        if computed:
            moved, _ = self._finished.move(list(computed.values()))
            for place, row in zip(computed, moved, strict=True):
                turns[place].row = row
        for session in sessions:
            parts = [part for turn in session.turns.values() for part in turn.parts]
            session.facts = [(chunk, indexes[needed[indexes]]) for chunk, indexes in parts]
            session.scheduled = False
            self._leave(session)
            self._silent[session.id] = session

    def _leave(self, session: OpenSession) -> None:
        self._open.pop(session.id, None)
        if len(self._bots) < _BOTS_KEPT:
            self._bots[session.bot] = None

    def _close(self, session: OpenSession) -> None:
        self._leave(session)
        self._silent.pop(session.id, None)
        self._closed[session.id] = None
        if len(self._closed) > CLOSED_KEPT:
            self._closed.popitem(last=False)
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

    def _answered(self, rows: pa.RecordBatch) -> None:
        record.record_answers(self._aggregator, pa.Table.from_batches([rows]))

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
        self._engines.interrupt()

    def close(self) -> None:
        """Free the engines. Idempotent."""
        self._engines.close()
