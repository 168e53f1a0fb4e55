"""Calls under way: where their spans lie, under which name, and when what of them may be final.

A call that is known by its trace only has the trace's id as its name until a span carries its own.
"""

import itertools
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import cached_property
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot import semconv
from otel_voicebot.giving_way import breathe
from otel_voicebot.live.aggregate import Aggregator
from otel_voicebot.live.calls import OpenSession, OpenTurn, Place
from otel_voicebot.live.costs import Costing
from otel_voicebot.live.engines import Engines
from otel_voicebot.live.framed import Framed, of_frameworks
from otel_voicebot.live.rows import Part, Rows, facts, facts_told
from otel_voicebot.models.prepared import NARROW
from otel_voicebot.models.pricing import Prices
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["CLOSED_KEPT", "LOOSE", "Emit", "Opened"]

TURN_GRACE_S: Final = 2.0
SESSION_GRACE_S: Final = 5.0
LOOSE_GRACE_S: Final = 5.0
"""Operations outside turns wait so long for their parent, which may be an operation of the same kind."""
SILENT_KEPT_S: Final = 3600.0
"""A call that was computed because it fell silent is kept so long after: its own span may come, or more of it."""
SILENT_SHARE: Final = 10
"""One silent call is kept for so many that may be open: where no call has a span of its own, they would all be."""
CLOSED_KEPT: Final = 100_000
LOOSE: Final = 0
"""Key of what has no turn; turns count from 1."""

Emit = Callable[[Literal["turns", "sessions"], pa.Table], None]


class Opened(ABC):
    """Calls under way: takes their spans, and notes when what of them may be final. Arguments as of ``Live``."""

    def __init__(  # noqa: PLR0913 - the bounds are the point
        self,
        aggregator: Aggregator,
        metrics: SelfMetrics,
        emit: Emit,
        *,
        prices: Prices | None = None,
        idle_timeout_s: float = 600.0,
        max_sessions: int = 10_000,
        max_spans: int = 500_000,
        engines: Engines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aggregator = aggregator
        self._metrics = metrics
        self._emit = emit
        self._costing = Costing(prices or Prices(), metrics)
        self._idle_timeout_s = idle_timeout_s
        self._max_sessions = max_sessions
        self._max_spans = max_spans
        self._clock = clock
        self._engines = engines or Engines()
        self._framed = Framed(self._engines)
        self._rows = Rows(NARROW)
        self._open: OrderedDict[str, OpenSession] = OrderedDict()  # longest idle first
        self._silent: OrderedDict[str, OpenSession] = OrderedDict()  # computed, though their own span hasn't come
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._traces: OrderedDict[bytes, str] = OrderedDict()
        self._bots: dict[str, None] = {}
        # by grace: what is noted later is due later
        self._due: dict[float, deque[tuple[float, str, int | None]]] = {
            grace: deque() for grace in (TURN_GRACE_S, SESSION_GRACE_S, LOOSE_GRACE_S)
        }

    @cached_property
    def _finished(self) -> Rows:
        """Turns that were computed, for the rows of their sessions."""
        return Rows(self._engines.own.summed)

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
        breathe()
        ids, unnamed, codes = self._resolve(rows)
        breathe()
        turns = pc.fill_null(rows["turn_index"], LOOSE).to_numpy(zero_copy_only=False).astype(np.int64)
        session_span = np.asarray(pc.fill_null(pc.equal(rows["component"], "session"), False))  # noqa: FBT003
        turn_span = np.asarray(pc.fill_null(pc.equal(rows["component"], "turn"), False))  # noqa: FBT003
        turns[session_span | (turns < 0) | self._are_framed(rows, ids, codes)] = LOOSE
        late = np.isin(codes, [code for code, name in enumerate(ids) if name in self._closed])
        told = facts_told(rows)
        late |= self._alone(told, ids, codes)
        again = np.isin(codes, [code for code, name in enumerate(ids) if self._is_counted(name)])
        answers = (told & late) | again
        if answers.any():
            self._answered(rows.filter(pa.array(answers)))
        # Of sessions that are computed once more the rows are restated when they are written.
        self._late(int(late.sum() + again.sum()), len(np.unique(codes[late])))
        order = np.lexsort((turns, codes))
        order = order[~late[order]]
        if not len(order):
            return
        breathe()
        chunk, bots, needed = self._rows.add(rows, len(order)), rows["bot"], facts(rows)
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1) | np.diff(turns[order], prepend=-1))
        heads = order[starts]
        # per part: holds it a session's span, or a late fact, a turn's, a span that the model of sessions reads itself?
        masks = session_span, told, turn_span, needed
        flags = (np.logical_or.reduceat(mask[order], starts).tolist() for mask in masks)
        ends = [*starts[1:].tolist(), len(order)]
        parts = zip(codes[heads].tolist(), turns[heads].tolist(), starts.tolist(), ends, *flags, strict=True)
        for code, turn, start, end, ends_session, tells, closes, has_facts in parts:
            part = order[start:end]
            session = self._session(ids[code])
            session.bot = session.bot or bots[int(part[0])].as_py() or ""
            session.explicit |= session.id not in unnamed
            session.ended |= ends_session
            self._take(session, turn, (chunk, part), closing=closes)
            if has_facts:
                session.facts.append((chunk, part[needed[part]]))
            if tells and session.revision:
                self._plan_end(session)
        self._bound()

    def _known(self, name: str) -> OpenSession | None:
        """The session, where its spans are held."""
        return self._open.get(name) or self._silent.get(name)

    def _is_counted(self, name: str) -> bool:
        """Whether the session was counted, and is computed once more with what comes."""
        session = self._known(name)
        return session is not None and session.revision > 0

    def _alone(self, told: NDArray[np.bool_], ids: list[str], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which late facts come without a call: theirs was over long ago, and they don't open it anew."""
        if not told.any():
            return told
        here = [code for code, name in enumerate(ids) if self._known(name)]
        return told & ~np.isin(codes, np.concatenate([codes[~told], np.array(here, dtype=np.int64)]))

    def _are_framed(self, rows: pa.RecordBatch, ids: list[str], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows are of calls that are computed whole; notes the calls that turn out to be."""
        found = of_frameworks(rows)
        if found is not None:
            for code in np.unique(codes[found]):
                if ids[code] not in self._closed and (session := self._session(ids[code])).whole is None:
                    self._gather(session)
        known = [self._known(name) for name in ids]
        whole = [code for code, session in enumerate(known) if session is not None and session.whole is not None]
        return np.isin(codes, whole) if whole else np.zeros(len(codes), dtype=bool)

    def _gather(self, session: OpenSession) -> None:
        """From now on the call is computed whole; what was counted before, in turns or outside, isn't again."""
        counted: list[tuple[str | None, Part]] = []
        for turn in session.turns.values():
            counted += [(None, part) for part in turn.parts[: turn.counted]]
            if turn.row is not None:
                self._finished.release(turn.row[0], 1)
        whole = session.gather()
        if counted:
            rows = self._rows.gather(counted)
            ids = zip(rows["trace_id"].to_pylist(), rows["span_id"].to_pylist(), strict=True)
            whole.counted.update(trace.hex() + span.hex() for trace, span in ids)

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
        while len(self._traces) > CLOSED_KEPT:
            self._traces.popitem(last=False)

    def _learn_one(self, trace: bytes, name: str) -> None:
        unnamed, news = trace.hex(), trace not in self._traces
        # Of several sessions in one trace the smallest id takes the spans that carry none, as in batch.
        self._traces[trace] = min(name, self._traces.get(trace, name))
        self._traces.move_to_end(trace)
        if unnamed == name:
            return
        if self._known(unnamed):
            self._session(unnamed)
            self._merge(self._open.pop(unnamed), name)
        elif news and unnamed in self._closed:
            # Counted already, under the trace's name: what comes now is late, unless it is a call that goes on.
            if self._known(name):
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
        session.revision = max(session.revision, provisional.revision)
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
        turn = self._turn(session, LOOSE)
        turn.parts += provisional.turns[LOOSE].parts
        self._plan(session, LOOSE, turn, closing=provisional.turns[LOOSE].scheduled)

    def _session(self, name: str) -> OpenSession:
        session = self._open.get(name)
        if session is None:
            known = name in self._silent
            session = self._open[name] = self._silent.pop(name) if known else OpenSession(name, self._clock())
        session.seen = self._clock()
        self._open.move_to_end(name)
        return session

    def _take(self, session: OpenSession, index: int, part: Part, *, closing: bool) -> None:
        turn = self._turn(session, index)
        turn.parts += (part,)
        self._plan(session, index, turn, closing=closing)

    def _turn(self, session: OpenSession, index: int) -> OpenTurn:
        turn = session.turns.get(index)
        if turn is None:
            turn = session.turns[index] = OpenTurn()
            for earlier, other in session.turns.items():
                if LOOSE < earlier < index and not other.scheduled:
                    self._schedule(session, earlier, other, TURN_GRACE_S)
        return turn

    def _plan(self, session: OpenSession, index: int, turn: OpenTurn, *, closing: bool) -> None:
        """Note when the turn, and the session, may be final."""
        if session.whole is not None:
            if closing:
                self._schedule(session, index, turn, TURN_GRACE_S)
        elif index == LOOSE:
            self._schedule(session, index, turn, LOOSE_GRACE_S)
        elif closing or turn.revision or any(later > index for later in session.turns):
            self._schedule(session, index, turn, TURN_GRACE_S)
        if session.ended:
            self._plan_end(session)

    def _plan_end(self, session: OpenSession) -> None:
        """Note when the session may be final."""
        if not session.scheduled:
            session.scheduled = True
            self._push(SESSION_GRACE_S, session.id, None)

    def _schedule(self, session: OpenSession, index: int, turn: OpenTurn, grace: float) -> None:
        if not turn.scheduled and turn.unseen:
            turn.scheduled = True
            self._push(grace, session.id, index)

    def _push(self, grace: float, session: str, index: int | None) -> None:
        self._due[grace].append((self._clock() + grace, session, index))

    def _bound(self) -> None:
        most = self._max_sessions // SILENT_SHARE
        while len(self._silent) > most or (self._silent and (self._is_full() or self._is_forgotten())):
            self._close(next(iter(self._silent.values())))
        while len(self._open) > self._max_sessions or (self._open and self._is_full()):
            # Several at once, where many are open: each computation has a fixed cost.
            count = max(len(self._open) - self._max_sessions, len(self._open) // 16, 1)
            evicted = list(itertools.islice(self._open.values(), count))
            self._metrics.add(semconv.SELF_EVICTED, len(evicted))
            self._finish([], evicted, complete=False)

    def _is_full(self) -> bool:
        return self._rows.held > self._max_spans

    def _is_forgotten(self) -> bool:
        """Whether the call that fell silent first has been kept long enough."""
        return self._are_over(self._silent, self._idle_timeout_s + SILENT_KEPT_S)

    def _are_over(self, sessions: OrderedDict[str, OpenSession], silence_s: float) -> bool:
        """Whether the first of them has been silent for so long."""
        return bool(sessions) and next(iter(sessions.values())).seen + silence_s <= self._clock()

    @abstractmethod
    def _close(self, session: OpenSession) -> None:
        """Let go of the session for good."""

    @abstractmethod
    def _finish(self, turns: list[Place], sessions: list[OpenSession], *, complete: bool = True) -> None:
        """Compute turns and sessions, which are final; close the sessions, or put aside those that fell silent."""

    @abstractmethod
    def _release(self, session: OpenSession) -> None:
        """Nobody needs the session's rows any more."""

    @abstractmethod
    def _late(self, spans: int, sessions: int) -> None:
        """Count spans that came after their sessions were counted, and as restated those of them that are closed."""

    @abstractmethod
    def _answered(self, rows: pa.RecordBatch) -> None:
        """Count survey answers that came after their sessions were counted: none has been counted with its session."""

    @abstractmethod
    def _restate(self, kind: str, rows: int) -> None:
        """Count rows that changed after they were counted."""
