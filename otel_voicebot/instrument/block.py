"""One span as an object: a ``with`` or ``async with`` block, a decorator, or a pair of ``start()`` and ``end()``."""

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from otel_voicebot import semconv
from otel_voicebot.instrument import wrapping
from otel_voicebot.instrument.context import Scope, Stamp, enter, scope_of, stamp_of
from otel_voicebot.instrument.runtime import Attributes, runtime

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.util.types import AttributeValue

__all__ = ["SpanBlock", "nanoseconds", "quiet"]

P = ParamSpec("P")
R = TypeVar("R")


def nanoseconds(at: float | None) -> int:
    """Unix seconds as nanoseconds, to the microsecond: a float of today's date holds no more; now when None."""
    return runtime.clock() if at is None else round(at * 1e6) * 1000


def _moment(at: float | None) -> int:
    """As ``nanoseconds``, but now for what is no time: a span needs a start and an end."""
    try:
        return nanoseconds(at)
    except (TypeError, ValueError, OverflowError) as problem:
        runtime.contained("a start or end time", problem)
        return runtime.clock()


def quiet(method: Callable[P, None]) -> Callable[P, None]:
    """A method that records something: what it can't record is logged once and left out, never raised into the bot."""

    @functools.wraps(method)
    def contained(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a wrong value in telemetry must not end a call
            runtime.contained(f"{method.__qualname__}()", error)

    return contained


class SpanBlock:
    """One span that the bot opens and closes.

    Used as ``with`` or ``async with`` it is the current span inside; as a decorator each call makes a span of its
    own; where start and end lie in different callbacks, use ``start()``, ``end()`` and ``with block.active():`` between
    them.

    An ``Exception`` that leaves the block marks the span failed and goes on. Any other ``BaseException`` (a cancelled
    task, a closed generator, Ctrl-C) is no failure of the component: the status stays unset and ``voicebot.cancelled``
    is set.
    """

    def __init__(self, name: str, attributes: Attributes | None = None, *, start: float | None = None) -> None:
        self._name = name
        self._attributes: dict[str, AttributeValue | None] = dict(attributes or {})
        self._start_at = start
        self._start_ns = 0
        self._parent: Context | None = None
        self._span: trace.Span = trace.INVALID_SPAN
        self._context: Context = Context()
        self._token: Token[Context] | None = None
        self._open = False
        self._outer: SpanBlock | None = None

    @classmethod
    def around(cls, span: trace.Span) -> Self:
        """A block to speak about a span that someone else started and will end."""
        block = cls("")
        block._span = span
        return block

    # ---- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the span without making it current; its parent is the current span."""
        around = otel_context.get_current() if self._parent is None else self._parent
        self._context = around
        self._open = True
        try:
            self._begin(around)
        except Exception as problem:  # noqa: BLE001 - e.g. a turn index that is no number
            runtime.contained("start of a span", problem)
        return self

    def _begin(self, around: Context) -> None:
        context, stamp = self._place(around)
        scope = scope_of(context) or Scope(None, None, None)
        self._outer = scope.block
        self._start_ns = _moment(self._start_at)
        self._span = runtime.start_span(
            self._name,
            context,
            attributes={**stamp, **self._attributes},
            start_ns=self._start_ns,
            links=self._links(around),
        )
        self._context = enter(scope._replace(block=self), trace.set_span_in_context(self._span, context))

    def end(self, at: float | None = None, error: BaseException | None = None) -> None:
        """End the span (once; later calls do nothing).

        Args:
            at: unix seconds; now when None.
            error: why it ended early: an ``Exception`` marks it failed, any other marks it cancelled.
        """
        if not self._open:
            return
        self._open = False
        try:
            if error is not None:
                self._ended_by(error)
            self._close()
        except Exception as problem:  # noqa: BLE001 - what can't be said of a span must not keep it from ending
            runtime.contained("end of a span", problem)
        try:
            self._span.end(_moment(at))
        except Exception as problem:  # noqa: BLE001 - a span processor that fails must not end a call
            runtime.contained("end of a span", problem)
        self._let_go()

    def active(self) -> "wrapping.Attached":
        """``with block.active():`` makes the open span current for code that runs apart from its start."""
        return wrapping.Attached(self._context)

    def __enter__(self) -> Self:
        self.start()
        self._token = otel_context.attach(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: "TracebackType | None"
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        self.end(error=error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: "TracebackType | None"
    ) -> None:
        self.__exit__(kind, error, trace_back)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, coroutine function, generator function or async generator function."""
        return wrapping.wrap(function, self._fresh)

    # ---- what it says ---------------------------------------------------------------------------------------------

    @property
    def span(self) -> trace.Span:
        """The OpenTelemetry span; one that records nothing before the start and without an SDK."""
        return self._span

    @quiet
    def set(self, attributes: Attributes) -> None:
        """Put attributes on the span; None values, and content while its capture is off, are left out."""
        self._span.set_attributes(runtime.allowed(attributes))

    @quiet
    def event(self, name: str, attributes: Attributes | None = None, at: float | None = None) -> None:
        """Put an event on the span, under ``voicebot.event.<name>``; ``at`` is unix seconds, None is now."""
        full = name if name in semconv.EVENTS or name.startswith("voicebot.") else semconv.EVENT_PREFIX + name
        self._span.add_event(full, runtime.allowed(attributes or {}), nanoseconds(at))

    @quiet
    def failed(self, error: BaseException | str) -> None:
        """Mark the span failed, for errors that the bot handles itself: an exception, or a short class of error."""
        self._span.set_status(trace.Status(trace.StatusCode.ERROR))
        if isinstance(error, str):
            self._span.set_attribute(semconv.ERROR_TYPE, error)
            return
        self._span.set_attribute(semconv.ERROR_TYPE, error_type(error))
        if runtime.capture_content:
            self._span.record_exception(error, timestamp=runtime.clock())
        else:  # message and stack trace are content: they quote what people said
            self._span.add_event(semconv.EXCEPTION, {semconv.EXCEPTION_TYPE: class_name(error)}, runtime.clock())

    # ---- for subclasses -------------------------------------------------------------------------------------------

    def _place(self, around: Context) -> tuple[Context, Stamp]:
        """The context that the span starts in and its stamp."""
        return around, stamp_of(around)

    def _links(self, around: Context) -> list[trace.Link]:  # noqa: ARG002 - sessions link to what is around them
        return []

    def _close(self) -> None:
        """Called once, just before the span ends."""

    def _let_go(self) -> None:
        """The context holds the block, and so its span: without this they would wait for the garbage collector."""
        self._context = Context()

    def _ended_by(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self.failed(error)
        else:
            self._span.set_attributes({semconv.CANCELLED: True})

    def _first_item(self) -> None:
        """A decorated generator gave its first item, or a decorated function its result."""

    def _fresh(self) -> Self:
        """An unstarted block like this one, for the next call of a decorated function."""
        return copy.copy(self)


def class_name(error: BaseException) -> str:
    """Class of an exception, with its module unless it is a builtin."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_type(error: BaseException) -> str:
    """Value of ``error.type``: `rate_limit` for HTTP 429 and for classes named so, else the exception's class."""
    limited = "ratelimit" in type(error).__name__.lower()
    # from the instance's own dict: a property of a client's exception may do anything, also raise
    said = vars(error) if hasattr(error, "__dict__") else {}
    limited = limited or any(said.get(name) == 429 for name in ("status_code", "status", "code"))
    return "rate_limit" if limited else class_name(error)
