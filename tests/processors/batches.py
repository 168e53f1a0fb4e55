"""Batches from a few words: what a test says about spans, through the OTLP door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from otel_voicebot.spans import SpanBatch, decode

Attributes = Mapping[str, Any] | Sequence[tuple[str, Any]]
START = 1_767_571_200_000_000_000


@dataclass(frozen=True)
class Made:
    """One span; each is given a scope and a resource of its own."""

    name: str = "work"
    attributes: Attributes = ()
    events: Sequence[tuple[str, int, Attributes]] = ()
    links: Sequence[Attributes] = ()
    failed: bool = False
    message: str = ""
    scope: str = "otel_voicebot"
    resource: Attributes = field(default_factory=dict)


def batch(*spans: Made) -> SpanBatch:
    """The spans, decoded from their OTLP encoding."""
    return decode(encoded(*spans).SerializeToString())


def encoded(*spans: Made) -> TracesData:
    """The spans in OTLP."""
    return TracesData(resource_spans=[_encoded(span, place) for place, span in enumerate(spans, 1)])


def filled(rows: pa.RecordBatch, *columns: str) -> list[dict[str, Any]]:
    """Per row the columns asked for, without nulls and empty lists; maps as dicts."""
    found = []
    for row in rows.select(list(columns)).to_pylist():
        kept = {
            name: dict(value) if "attributes" in name and isinstance(value, list) else value
            for name, value in row.items()
        }
        found.append({name: value for name, value in kept.items() if value not in (None, [], {}, "{}")})
    return found


def _encoded(made: Made, place: int) -> ResourceSpans:
    span = Span(
        trace_id=place.to_bytes(16, "big"),
        span_id=place.to_bytes(8, "big"),
        name=made.name,
        start_time_unix_nano=START,
        end_time_unix_nano=START + 10**9,
        attributes=_pairs(made.attributes),
        events=[
            Span.Event(name=name, time_unix_nano=time, attributes=_pairs(held)) for name, time, held in made.events
        ],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=_pairs(held)) for held in made.links],
        status=Status(code=Status.STATUS_CODE_ERROR if made.failed else Status.STATUS_CODE_UNSET, message=made.message),
    )
    return ResourceSpans(
        resource=Resource(attributes=_pairs(made.resource)),
        scope_spans=[ScopeSpans(scope=InstrumentationScope(name=made.scope), spans=[span])],
    )


def _pairs(attributes: Attributes) -> list[KeyValue]:
    pairs = attributes.items() if isinstance(attributes, Mapping) else attributes
    return [KeyValue(key=key, value=_value(value)) for key, value in pairs]


def _value(value: Any) -> AnyValue:  # noqa: PLR0911 - one line per type
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))
        case _:
            return AnyValue(string_value=value)
