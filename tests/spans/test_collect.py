"""SDK spans to a batch, without protobuf."""

import functools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_voicebot import semconv
from otel_voicebot.processors import normalise, withhold
from otel_voicebot.spans import SpanBatch, collect, decode
from otel_voicebot.spans.values import TOO_DEEP
from otel_voicebot.testing import DeterministicIds
from tests.spans.requests import EVENT_NAMES, NAMES, SDK_ATTRIBUTES, TEXTS

INGEST = 1_795_219_367_000_000
NANOS = st.integers(1_700_000_000 * 10**9, 1_800_000_000 * 10**9)


@st.composite
def contexts(draw: st.DrawFn) -> SpanContext:
    """Valid contexts, local and remote."""
    return SpanContext(
        trace_id=draw(st.integers(1, 2**128 - 1)),
        span_id=draw(st.integers(1, 2**64 - 1)),
        is_remote=draw(st.booleans()),
        trace_flags=TraceFlags(1),
        trace_state=draw(st.sampled_from([TraceState(), TraceState([("a", "b"), ("c", "d")])])),
    )


RESOURCES = [
    Resource({"service.name": "bank", "deployment.environment": "test", "n": 1}),
    Resource({"service.name": "two words too many", "mixed": ["a", "b"]}),
    Resource({}),
]
TRACERS = [
    TracerProvider(resource=resource, id_generator=DeterministicIds(), shutdown_on_exit=False).get_tracer("scope", "1")
    for resource in RESOURCES
]
SCOPES = [InstrumentationScope(semconv.SCOPE_NAME, "1"), InstrumentationScope("other"), None]
EVENTS = st.builds(Event, name=EVENT_NAMES, attributes=SDK_ATTRIBUTES, timestamp=NANOS)
LINKS = st.builds(Link, context=contexts(), attributes=SDK_ATTRIBUTES)
STATUSES = st.one_of(
    st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR)]),
    TEXTS.map(lambda text: Status(StatusCode.ERROR, text)),
)


@st.composite
def sdk_spans(draw: st.DrawFn) -> ReadableSpan:
    """Ended spans of the real SDK: they went through its own cleaning of attributes, events and links."""
    span: Any = draw(st.sampled_from(TRACERS)).start_span(
        draw(NAMES),
        kind=draw(st.sampled_from(list(SpanKind))),
        attributes=draw(SDK_ATTRIBUTES),
        links=draw(st.lists(LINKS, max_size=2)),
        start_time=draw(NANOS),
    )
    for event in draw(st.lists(EVENTS, max_size=4)):
        span.add_event(event.name, event.attributes, event.timestamp)
    span.set_status(draw(STATUSES))
    span.end(draw(NANOS))
    return ReadableSpan(
        name=span.name,
        context=draw(contexts()),
        parent=draw(st.one_of(st.none(), contexts())),
        resource=span.resource,
        attributes=span.attributes if draw(st.booleans()) else dict(span.attributes),
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=draw(st.sampled_from(SCOPES)),
    )


def rows(batch: SpanBatch) -> list[dict[str, Any]]:
    """Rows in an order of their own: the encoder groups spans by resource and scope."""
    table = batch.rows(INGEST)
    table.validate(full=True)
    return sorted(table.to_pylist(), key=repr)


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """What the official exporter would send."""
    return encode_spans(spans).SerializeToString()


@settings(max_examples=60, deadline=None)
@given(st.lists(sdk_spans(), max_size=5))
def test_both_doors_give_the_same_rows(spans: list[ReadableSpan]) -> None:
    """Collecting spans equals decoding their official OTLP encoding, text for text, raw and after all processors."""
    here, there = collect(spans), decode(encoded(spans))
    assert repr(rows(here)) == repr(rows(there))
    here, there = normalise(here), normalise(there)
    assert repr(rows(here)) == repr(rows(there))
    here, there = withhold(here), withhold(there)
    assert repr(rows(here)) == repr(rows(there))
    assert (here.withheld, here.unmapped) == (there.withheld, there.unmapped)


def made(**changes: Any) -> ReadableSpan:
    """A span with these fields."""
    given: dict[str, Any] = {
        "name": "span",
        "context": SpanContext(random.getrandbits(128) | 1, random.getrandbits(64) | 1, is_remote=False),
        "start_time": 1000,
        "end_time": 2000,
    }
    return ReadableSpan(**{**given, **changes})


def test_no_spans_are_an_empty_batch() -> None:
    """The worker may hand over nothing."""
    assert collect([]).rows(INGEST).num_rows == 0


def test_order_is_kept() -> None:
    """Rows stand in the order of the spans, whatever their resources and scopes."""
    spans = [made(name=str(number), resource=RESOURCES[number % 3]) for number in range(9)]
    assert collect(spans).rows(INGEST).column("name").to_pylist() == [str(number) for number in range(9)]


@pytest.mark.parametrize(
    ("value", "column", "stored"),
    [
        ("lone \ud800 surrogate", "attributes", "lone ? surrogate"),
        (["\udfff"], "attributes_typed", '["?"]'),
        (2**63, "attributes_typed", str(2**63)),
        (-(2**70), "attributes_typed", str(-(2**70))),
        ([2**80], "attributes_typed", f"[{2**80}]"),
        (type("Text", (str,), {})("text"), "attributes", "text"),
        (type("Number", (int,), {})(7), "attributes_typed", "7"),
        (functools.reduce(lambda inner, _: {"in": inner}, range(5000), {}), "attributes_typed", f'"{TOO_DEEP}"'),
    ],
)
def test_values_that_protobuf_refuses_or_python_subclasses_are_kept(value: object, column: str, stored: str) -> None:
    """An odd value costs neither the batch nor its neighbours."""
    span = made(attributes={"odd": value, "good": "yes"})
    (row,) = collect([span]).rows(INGEST).to_pylist()
    assert dict(row[column])["odd"] == stored
    assert dict(row["attributes"])["good"] == "yes"


def test_a_name_with_a_lone_surrogate_is_kept() -> None:
    """Such a name makes the official encoder fail."""
    assert collect([made(name="\ud800")]).rows(INGEST).column("name").to_pylist() == ["?"]


def test_spans_without_context_or_times_are_refused_one_by_one() -> None:
    """They are counted, and the others are kept."""
    batch = collect([made(context=None), made(start_time=None), made(name="good")])
    assert batch.rejected == {"invalid_trace_id": 1, "invalid_time": 1}
    assert batch.rows(INGEST).column("name").to_pylist() == ["good"]


def test_a_span_that_never_ended_has_no_duration() -> None:
    """Missing is missing, and the row says why."""
    (row,) = collect([made(end_time=None)]).rows(INGEST).to_pylist()
    assert (row["end_unix_nano"], row["duration_ns"], row["quality"]) == (None, None, ["never_ended"])
