"""What waits for the worker says all that the span said."""

from typing import Any, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from otel_voicebot.embedded.ended import kept
from otel_voicebot.spans import collect
from otel_voicebot.testing import recording


def spans() -> list[ReadableSpan]:
    """A root, and a child with everything a span can have."""
    with recording() as made:
        tracer = made.provider.get_tracer("other", "1.0")
        root = tracer.start_span("root")
        child = tracer.start_span(
            "child",
            trace.set_span_in_context(root),
            SpanKind.CLIENT,
            {"text": "a", "list": [1, 2], "number": 1.5},
            [Link(root.get_span_context(), {"why": "because"})],
        )
        child.add_event("happened", {"n": 1})
        child.set_status(Status(StatusCode.ERROR, "broken"))
        child.end()
        root.end()
        return list(made.sink.spans)


def test_what_is_kept_gives_the_same_batch_as_the_span() -> None:
    """Rows made of what waits in the queue equal rows made of the spans themselves."""
    whole = spans()
    waited = [kept(span) for span in whole]
    assert all(isinstance(span, tuple) for span in waited)
    assert collect(waited).rows(0).equals(collect(whole).rows(0))


def test_a_span_that_is_built_otherwise_is_kept_whole() -> None:
    """A span whose attributes are a plain dict, as made by hand, waits as it is."""
    by_hand = ReadableSpan("by hand", attributes={"a": 1})
    assert kept(by_hand) is by_hand
    anything: Any = object()
    assert kept(cast("ReadableSpan", anything)) is anything
