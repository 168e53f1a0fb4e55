"""One call: the root span, the stamp of everything inside it, and the count of its turns."""

import threading
import uuid

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from otel_voicebot import semconv
from otel_voicebot.instrument.block import SpanBlock, quiet
from otel_voicebot.instrument.context import Scope, Stamp, enter, scope_of
from otel_voicebot.instrument.runtime import Attributes, runtime
from otel_voicebot.instrument.turns import Turn

__all__ = ["Session", "current_session", "feedback", "session"]


class Session(SpanBlock):
    """One call, root of its own trace; a span around it becomes a link.

    Attributes:
        session_id: known from the start on; the id given, else 32 hex digits.
        trace_id: of the session's span; 0 without an SDK.
    """

    def __init__(self, attributes: Attributes, session_id: str | None, caller: str | None) -> None:
        super().__init__(semconv.SPAN_SESSION, attributes)
        self._given_id = session_id
        self._caller = caller
        self.session_id = str(session_id) if session_id else uuid.uuid4().hex
        self.trace_id = 0
        self._stamp: Stamp = {}
        self._lock = threading.Lock()
        self._last_index = 0
        self._current: Turn | None = None
        self._has_outcome = False
        self._has_end_reason = False

    def turn(self, *, index: int | None = None, start: float | None = None) -> Turn:
        """The next turn of this session; see ``turn``."""
        return Turn(self, index=index, start=start)

    @quiet
    def outcome(self, outcome: str, *, intent: str | None = None, end_reason: str | None = None) -> None:
        """How the call went: resolved, unresolved, escalated, abandoned or failed; the last word counts.

        Args:
            outcome: another word than these is not recorded (a warning is logged).
            intent: what the caller wanted.
            end_reason: completed, hung_up, transferred, error, ...
        """
        self._has_end_reason = self._has_end_reason or end_reason is not None
        self._span.set_attributes(
            runtime.allowed({semconv.SESSION_INTENT: intent, semconv.SESSION_END_REASON: end_reason})
        )
        if _known_outcome(outcome):
            self._has_outcome = True
            self._span.set_attribute(semconv.SESSION_OUTCOME, outcome)

    @quiet
    def feedback(self, *, csat: int | None = None, nps: int | None = None) -> None:
        """The caller's rating during the call: CSAT 1 to 5, NPS 0 to 10; a score off its scale is left out."""
        scores = _scores(csat, nps)
        if scores:
            self._span.add_event(semconv.FEEDBACK, scores, runtime.clock())

    def stamp_now(self) -> Stamp:
        """The session's attributes with those of the turn that is open now, if any."""
        turn = self._current
        return self._stamp if turn is None else turn.stamp

    # ---- between session and turn -----------------------------------------------------------------------------------

    def open_turn(self, turn: Turn, index: int | None) -> int:
        """Count a turn and make it the open one; returns its index."""
        with self._lock:
            index = self._last_index + 1 if index is None else index
            self._last_index = max(self._last_index, index)
        self._current = turn
        return index

    def close_turn(self, turn: Turn) -> None:
        """The turn has ended."""
        if self._current is turn:
            self._current = None

    def turn_context(self, around: Context) -> Context:
        """Where a turn starts: the current context inside this session, but never inside another turn."""
        scope = scope_of(around)
        inside = scope is not None and scope.session is self and scope.turn is None
        return around if inside else self._context

    @property
    def stamp(self) -> Stamp:
        """The attributes on every span of the session."""
        return self._stamp

    # ---- as a block -------------------------------------------------------------------------------------------------

    def _place(self, around: Context) -> tuple[Context, Stamp]:
        runtime.session_starts()
        named = {key: self._attributes.get(key) for key in (semconv.BOT, semconv.CHANNEL, semconv.VARIANT)}
        known = {key: str(value) for key, value in named.items() if value is not None}
        self._stamp = {semconv.SESSION_ID: self.session_id, **known}
        self._attributes.update(known)
        self._attributes[semconv.USER_HASH] = runtime.user_hash(self._caller)
        root = trace.set_span_in_context(trace.INVALID_SPAN, around)
        return enter(Scope(self, None, None), root), self._stamp

    def _begin(self, around: Context) -> None:
        super()._begin(around)
        self.trace_id = self._span.get_span_context().trace_id

    def _links(self, around: Context) -> list[trace.Link]:
        outer = trace.get_current_span(around).get_span_context()
        return [trace.Link(outer)] if outer.is_valid else []

    def _let_go(self) -> None:
        """Nothing: work that outlives the call may still open a turn in its context."""

    def _ended_by(self, error: BaseException) -> None:
        super()._ended_by(error)
        if isinstance(error, Exception):
            if not self._has_outcome:
                self._span.set_attribute(semconv.SESSION_OUTCOME, "failed")
            if not self._has_end_reason:
                self._span.set_attribute(semconv.SESSION_END_REASON, "error")

    def _fresh(self) -> "Session":
        return Session(self._attributes, self._given_id, self._caller)


def session(
    *,
    bot: str,
    channel: str | None = None,
    variant: str | None = None,
    caller: str | None = None,
    session_id: str | None = None,
    attributes: Attributes | None = None,
) -> Session:
    """One call.

    Args:
        bot: name of the bot.
        channel: phone, web, app, ...
        variant: variant of an experiment that the call runs under.
        caller: who calls, e.g. the number; it becomes ``user.hash`` when a hash key is configured and is never
            recorded in clear.
        session_id: the id that other systems know the call by; 32 random hex digits by default.
        attributes: more for the session's span, e.g. ``voicebot.tenant``.
    """
    named: Attributes = {semconv.BOT: bot, semconv.CHANNEL: channel, semconv.VARIANT: variant}
    return Session({**(attributes or {}), **named}, session_id, caller)


def current_session() -> Session | None:
    """The session that the running code belongs to; None outside."""
    scope = scope_of(otel_context.get_current())
    return scope.session if scope is not None else None


@quiet
def feedback(
    session_id: str,
    *,
    csat: int | None = None,
    nps: int | None = None,
    outcome: str | None = None,
    callback: bool = False,
) -> None:
    """A late fact of a session that is over: a rating, a corrected outcome or a callback, as a span of its own.

    Args:
        session_id: the session that it is about.
        csat: customer satisfaction, 1 to 5.
        nps: likelihood to recommend, 0 to 10.
        outcome: what the call's outcome turned out to be.
        callback: the caller came back, now, for the same thing by a way that has no spans: a repeat contact.
    """
    facts: Attributes = {
        semconv.SESSION_ID: session_id,
        **_scores(csat, nps),
        semconv.SESSION_OUTCOME: outcome if outcome is None or _known_outcome(outcome) else None,
    }
    late = SpanBlock(semconv.SPAN_FEEDBACK, facts)
    late._parent = Context()  # noqa: SLF001 - a root, also when another call is current
    late.start()
    if callback:
        late.event(semconv.CALLBACK)
    late.end()


def _known_outcome(outcome: str) -> bool:
    known = outcome in semconv.OUTCOMES
    if not known:
        runtime.warn(
            "outcome", f"otel_voicebot: an outcome is one of {', '.join(semconv.OUTCOMES)}; others are left out"
        )
    return known


def _scores(csat: int | None, nps: int | None) -> dict[str, int]:
    scores = {}
    for name, score, low, high in ((semconv.CSAT, csat, 1, 5), (semconv.NPS, nps, 0, 10)):
        if score is None:
            continue
        if low <= score <= high:
            scores[name] = score
        else:
            runtime.warn(name, f"otel_voicebot: {name} is {low} to {high}; a score outside is left out")
    return scores
