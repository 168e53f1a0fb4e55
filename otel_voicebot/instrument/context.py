"""The session in the OpenTelemetry context: which call, which turn, which operation code is running for.

It travels under one key of ours in the OTel context, so it follows tasks, threads and executors wherever the context
does, and never in baggage, which HTTP clients send to providers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from otel_voicebot import semconv

if TYPE_CHECKING:
    from otel_voicebot.instrument.block import SpanBlock
    from otel_voicebot.instrument.sessions import Session
    from otel_voicebot.instrument.turns import Turn

__all__ = ["SCOPE_KEY", "STAMPED", "Scope", "Stamp", "enter", "inherited", "scope_of", "stamp_of"]

Stamp = Mapping[str, AttributeValue]
"""The attributes that mark a span as part of a session; never changed once made."""

STAMPED = (semconv.SESSION_ID, semconv.TURN_INDEX, semconv.BOT, semconv.CHANNEL, semconv.VARIANT)
"""The keys of a stamp."""

SCOPE_KEY = otel_context.create_key("otel_voicebot.scope")
"""Where ``scope_of`` looks; for the one place where a call counts."""

_NOTHING: Stamp = {}


class Scope(NamedTuple):
    """Where code runs: its session and turn (if any) and the innermost block."""

    session: "Session | None"
    turn: "Turn | None"
    block: "SpanBlock | None"

    def stamp(self) -> Stamp:
        """Of the turn; outside of one, of the turn that is open in the session now; else of the session alone."""
        if self.turn is not None:
            return self.turn.stamp
        return self.session.stamp_now() if self.session is not None else _NOTHING


def scope_of(context: Context) -> Scope | None:
    """What the context says; None outside."""
    scope = context.get(SCOPE_KEY)
    return scope if isinstance(scope, Scope) else None


def enter(scope: Scope, context: Context) -> Context:
    """A context like ``context`` with that scope."""
    return otel_context.set_value(SCOPE_KEY, scope, context)


def inherited(attributes: Stamp | None) -> Stamp | None:
    """What a child takes over of its parent's attributes; None when they name no session."""
    if not attributes or semconv.SESSION_ID not in attributes:
        return None
    return {key: attributes[key] for key in STAMPED if key in attributes}


def stamp_of(context: Context) -> Stamp:
    """The stamp of a span that starts in ``context``; empty outside of sessions.

    The parent is asked first only when it belongs to another trace than the session: code that continues a foreign
    span must not be booked on the call that happens to run around it.
    """
    scope = scope_of(context)
    parent = trace.get_current_span(context)
    if scope is not None and scope.session is not None:
        trace_id = parent.get_span_context().trace_id
        if trace_id in (0, scope.session.trace_id):
            return scope.stamp()
    return inherited(getattr(parent, "attributes", None)) or (scope.stamp() if scope is not None else _NOTHING)
