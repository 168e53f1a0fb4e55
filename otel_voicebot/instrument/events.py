"""Events on the current span."""

from opentelemetry import trace

from otel_voicebot.instrument.block import SpanBlock, quiet
from otel_voicebot.instrument.runtime import Attributes

__all__ = ["event"]


@quiet
def event(name: str, attributes: Attributes | None = None, at: float | None = None) -> None:
    """Put an event on the current span, whoever started it.

    Args:
        name: one of ``semconv.TRACKED_EVENTS`` or your own; recorded as ``voicebot.event.<name>``.
        attributes: of the event; texts that people said belong in content attributes or nowhere.
        at: unix seconds; now when None.
    """
    SpanBlock.around(trace.get_current_span()).event(name, attributes, at)
