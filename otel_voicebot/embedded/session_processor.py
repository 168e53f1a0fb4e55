"""A span processor that marks every span started inside a session, whoever starts it."""

import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_voicebot import semconv
from otel_voicebot.instrument.context import SCOPE_KEY, STAMPED, inherited
from otel_voicebot.semconv import SESSION_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.util.types import AnyValue

    from otel_voicebot.instrument.context import Scope, Stamp
    from otel_voicebot.instrument.sessions import Session
    from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["SessionProcessor", "stamped_at_once"]

MAX_SESSIONS: Final = 10_000
KEPT_AFTER_END_S: Final = 60.0


class SessionProcessor(SpanProcessor):
    """Stamps session.id, turn index, bot, channel and variant on every span started inside a session.

    It asks the OTel context, the local parent span, and a bounded map of the sessions' traces, in this order; a
    parent in another
    trace than the context's session goes first, so that no span is booked on a call that only happens to run around
    it. Explicit
    session ids are left alone. O(1), takes microseconds, never raises: failures are counted as `stamp`.

    Args:
        metrics: where failures are counted.
        max_sessions: traces remembered; beyond, the one unused longest is forgotten and counted as `stamp_forgotten`.
        kept_s: seconds that a trace is remembered after its session's end, for work that outlives the call.
        monotonic: seconds that only go forward.
    """

    def __init__(
        self,
        metrics: "SelfMetrics",
        *,
        max_sessions: int = MAX_SESSIONS,
        kept_s: float = KEPT_AFTER_END_S,
        monotonic: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._max_sessions = max_sessions
        self._kept_s = kept_s
        self._monotonic = monotonic
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._ended: deque[tuple[float, int]] = deque(maxlen=max_sessions)
        self._lock = threading.Lock()
        _renew_after_fork(self)

    def on_start(self, span: Span, parent_context: "Context | None" = None) -> None:
        """Stamp the span."""
        if stamped_at_once(span, parent_context):
            return
        try:
            context = get_current() if parent_context is None else parent_context
            scope: Any = context.get(SCOPE_KEY)
            if scope is not None:
                self._in_scope(span, context, scope)
            elif span.parent is not None:
                _put(span, self._from_parent(span, context))
        except Exception as error:  # noqa: BLE001 - a mark that is missing must not end a call
            self._metrics.contained("stamp", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Let go of the trace some time after its session ended."""
        if span.parent is not None or span.name != semconv.SPAN_SESSION:
            return
        try:
            context = span.get_span_context()
            if context is not None and context.trace_id in self._sessions:
                with self._lock:
                    self._ended.append((self._monotonic() + self._kept_s, context.trace_id))
                    self._forget_ended()
        except Exception as error:  # noqa: BLE001 - as above
            self._metrics.contained("stamp", error)

    def __len__(self) -> int:
        """Traces remembered now."""
        return len(self._sessions)

    def _in_scope(self, span: Span, context: "Context", scope: "Scope") -> None:
        session, parent = scope.session, span.parent
        if session is None:
            if parent is not None:
                _put(span, self._from_parent(span, context))
            return
        if parent is None and span.name == semconv.SPAN_SESSION:
            self._remember(span, session)
        if parent is None or parent.trace_id == session.trace_id:
            _put(span, scope.stamp())  # ours are born with it
            return
        stamp = self._from_parent(span, context)
        ours = span.instrumentation_scope is not None and span.instrumentation_scope.name == semconv.SCOPE_NAME
        if ours and stamp is not None:
            _take_off(span)  # born with the stamp of the call around it, as only ids of its parent were known
        _put(span, stamp or scope.stamp())

    def _from_parent(self, span: Span, context: "Context") -> "Stamp | None":
        local = trace.get_current_span(context)
        held = _held(local)
        stamp = inherited(getattr(local, "attributes", None) if held is None else held)
        if stamp is not None and semconv.TURN_INDEX in stamp:
            return stamp
        parent = span.parent
        session = self._sessions.get(parent.trace_id) if parent is not None else None
        if session is None:
            return stamp
        with self._lock:
            if parent is not None and parent.trace_id in self._sessions:
                self._sessions.move_to_end(parent.trace_id)
        return session.stamp_now()

    def _remember(self, span: Span, session: "Session") -> None:
        with self._lock:
            self._sessions[span.get_span_context().trace_id] = session
            self._forget_ended()
            if len(self._sessions) > self._max_sessions:
                self._sessions.popitem(last=False)
                self._metrics.add(semconv.SELF_FAILURES, 1, "stamp_forgotten")

    def _forget_ended(self) -> None:
        """Forget at most two traces: constant work, and more than one session start adds."""
        now = self._monotonic()
        for _ in range(2):
            if self._ended and self._ended[0][0] <= now:
                self._sessions.pop(self._ended.popleft()[1], None)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


def stamped_at_once(span: Any, parent_context: "Context | None") -> bool:
    """Stamp a child of its session's trace, as nearly every span is; False when it is anything else. Never raises.

    One look at each thing, no property and no call into the SDK: what ``_put`` does, in a third of the time.
    """
    try:
        scope: Any = (get_current() if parent_context is None else parent_context).get(SCOPE_KEY)
        limits = span._attributes  # noqa: SLF001 - see _held
        held = limits._dict  # noqa: SLF001
        session, turn, _ = scope
        if span._parent[0] != session.trace_id or type(held) is not dict:  # noqa: SLF001
            return False
        if SESSION_ID in held:
            return True
        stamp = session.stamp_now() if turn is None else turn.stamp
        if limits.max_value_len is not None or len(held) + len(stamp) > limits.maxlen:
            return False
        held.update(stamp)
    except Exception:  # noqa: BLE001 - no parent, no session, no limit, or another SDK: the other way finds out
        return False
    return True


def _put(span: Span, stamp: "Stamp | None") -> None:
    """Add the stamp, unless the span names a session itself."""
    if not stamp:
        return
    held = _held(span)
    if held is None:
        if semconv.SESSION_ID not in (span.attributes or {}):
            span.set_attributes(stamp)
    elif semconv.SESSION_ID not in held:
        limits: Any = span._attributes  # noqa: SLF001 - see _held
        if limits.max_value_len is None and (limits.maxlen is None or len(held) + len(stamp) <= limits.maxlen):
            held.update(stamp)
        else:
            span.set_attributes(stamp)


def _take_off(span: Span) -> None:
    held = _held(span)
    if held is not None:
        for key in STAMPED:
            held.pop(key, None)


def _held(span: trace.Span) -> "dict[str, AnyValue] | None":
    """The dict in which the SDK keeps a span's attributes; None when it keeps them otherwise.

    ``set_attributes`` checks and copies every value again: 5.5 us for a stamp that was checked when it was made, 0.3
    us this way.
    Where the SDK's insides differ, the public way is taken (a test holds both to the same result).
    """
    held = getattr(getattr(span, "_attributes", None), "_dict", None)
    return held if type(held) is dict else None


def _renew_after_fork(processor: SessionProcessor) -> None:
    """A child of ``fork`` gets a free lock: the thread that may have held it does not exist there."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(processor)

    def renew() -> None:
        alive = reference()
        if alive is not None:
            alive._renew_lock()  # noqa: SLF001 - this module's own class

    os.register_at_fork(after_in_child=renew)
