"""One exchange: the caller speaks, the bot answers; with the times at which either was audible."""

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel_voicebot import semconv
from otel_voicebot.instrument.block import SpanBlock, nanoseconds, quiet
from otel_voicebot.instrument.context import Scope, Stamp, enter, scope_of, stamp_of

if TYPE_CHECKING:
    from otel_voicebot.instrument.sessions import Session

__all__ = ["Turn", "current_turn", "turn"]


class Turn(SpanBlock):
    """One exchange, or the bot's greeting.

    Speech events carry the time at which audio was audible to the caller, in unix seconds: the response gap is
    measured from the end of the user's speech to the next start of the bot's.

    Attributes:
        index: counts up from 1 within the session; 0 before the start, and outside of a session.
    """

    def __init__(
        self, session: "Session | None" = None, *, index: int | None = None, start: float | None = None
    ) -> None:
        super().__init__(semconv.SPAN_TURN, start=start)
        self._session = session
        self._given_index = index
        self.index = 0
        self.stamp: Stamp = {}
        self._has_end_reason = False

    @quiet
    def user_speech(self, *, start: float | None = None, end: float | None = None) -> None:
        """The caller spoke from ``start`` to ``end`` (unix seconds); what is None is not known and not recorded."""
        if start is not None:
            self._span.add_event(semconv.USER_SPEECH_START, timestamp=nanoseconds(start))
        if end is not None:
            self._span.add_event(semconv.USER_SPEECH_END, timestamp=nanoseconds(end))

    @quiet
    def user_speech_start(self, at: float | None = None) -> None:
        """The caller begins to speak (unix seconds; None is now)."""
        self._span.add_event(semconv.USER_SPEECH_START, timestamp=nanoseconds(at))

    @quiet
    def user_speech_end(self, at: float | None = None) -> None:
        """The caller's true end of speech, not the moment at which it was noticed (unix seconds; None is now)."""
        self._span.add_event(semconv.USER_SPEECH_END, timestamp=nanoseconds(at))

    @quiet
    def bot_speech_start(self, at: float | None = None) -> None:
        """The first audible audio of the bot (unix seconds; None is now)."""
        self._span.add_event(semconv.BOT_SPEECH_START, timestamp=nanoseconds(at))

    @quiet
    def bot_speech_end(self, at: float | None = None) -> None:
        """The last audible audio of the bot (unix seconds; None is now)."""
        self._span.add_event(semconv.BOT_SPEECH_END, timestamp=nanoseconds(at))

    @quiet
    def interrupted(self) -> None:
        """The caller spoke over the bot's reply and the bot stopped."""
        self._span.set_attributes({semconv.TURN_INTERRUPTED: True})

    @quiet
    def end_reason(self, reason: str) -> None:
        """Why the turn ended: completed, spoke_again, hung_up, session_ended, error."""
        self._has_end_reason = True
        self._span.set_attribute(semconv.TURN_END_REASON, reason)

    def _place(self, around: Context) -> tuple[Context, Stamp]:
        scope = scope_of(around)
        session = self._session or (scope.session if scope is not None else None)
        if session is None:
            self.stamp = stamp_of(around)
            return enter(Scope(None, self, None), around), self.stamp
        self.index = session.open_turn(self, self._given_index)
        self.stamp = {**session.stamp, semconv.TURN_INDEX: self.index}
        return enter(Scope(session, self, None), session.turn_context(around)), self.stamp

    def _close(self) -> None:
        scope = scope_of(self._context)
        if scope is not None and scope.session is not None:
            scope.session.close_turn(self)

    def _ended_by(self, error: BaseException) -> None:
        super()._ended_by(error)
        if isinstance(error, Exception) and not self._has_end_reason:
            self._span.set_attribute(semconv.TURN_END_REASON, "error")


def turn(*, index: int | None = None, start: float | None = None) -> Turn:
    """The next turn of the current session.

    Args:
        index: for replays; by default one more than the last.
        start: unix seconds; now when None.
    """
    return Turn(index=index, start=start)


def current_turn() -> Turn | None:
    """The turn that the running code belongs to; None outside."""
    scope = scope_of(otel_context.get_current())
    return scope.turn if scope is not None else None
