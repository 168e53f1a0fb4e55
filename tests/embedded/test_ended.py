"""What waits for the worker says all that the span said."""

from itertools import chain
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from otel_voicebot.embedded.ended import kept
from otel_voicebot.spans import collect, collect_fields
from otel_voicebot.spans.fields import FIELDS, WHOLE
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
    assert all(len(fields) == len(FIELDS) and fields[1] is not WHOLE for fields in waited)
    assert collect_fields([*chain.from_iterable(waited)]).rows(0).equals(collect(whole).rows(0))


def test_a_span_that_is_built_otherwise_is_kept_whole() -> None:
    """A span whose attributes are a plain dict, as made by hand, waits as it is."""
    by_hand = ReadableSpan("by hand", attributes={"a": 1})
    anything: Any = object()
    for span in (by_hand, cast("ReadableSpan", anything)):
        fields = kept(span)
        assert fields[:2] == (span, WHOLE)
        assert len(fields) == len(FIELDS)


def test_whole_spans_and_fields_may_wait_together() -> None:
    """A span that is kept whole between two that are not comes out in its place, as it is."""
    first, second = spans()
    by_hand = ReadableSpan("by hand", attributes={"a": 1}, start_time=1)
    waited = [*kept(first), *kept(by_hand), *kept(second)]
    assert collect_fields(waited).rows(0).equals(collect([first, by_hand, second]).rows(0))
