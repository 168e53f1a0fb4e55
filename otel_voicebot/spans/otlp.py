"""OTLP trace requests, as protobuf bytes, become a ``SpanBatch``: columns, without an object per span."""

from typing import Final

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.assemble import Plain, assemble, events, links
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.messages import COMMON, attributes_of, counts_of, handler, text_of

__all__ = ["decode"]

_MESSAGES: Final = {
    **COMMON,
    "Event": ("1 time fixed64", "2 name bytes", "3 attributes bytes*", "4 dropped uint32"),
    "Link": (
        *("1 trace_id bytes", "2 span_id bytes", "3 trace_state bytes", "4 attributes bytes*", "5 dropped uint32"),
        "6 flags fixed32",
    ),
    "Status": ("2 message bytes", "3 code int32"),
    "Span": (
        *("1 trace_id bytes", "2 span_id bytes", "3 trace_state bytes", "4 parent_span_id bytes", "5 name bytes"),
        *("6 kind int32", "7 start fixed64", "8 end fixed64", "9 attributes bytes*"),
        *("11 events Event*", "13 links Link*", "15 status Status", "16 flags fixed32"),
    ),
    "ScopeSpans": ("1 scope Scope", "2 spans Span*", "3 schema_url bytes"),
    "ResourceSpans": ("1 resource Resource", "2 scope_spans ScopeSpans*", "3 schema_url bytes"),
    "Request": ("1 resource_spans ResourceSpans*",),
}
"""Messages of opentelemetry/proto/trace/v1 as we want to see them."""
_REQUEST: Final = handler(_MESSAGES)


def decode(payload: bytes) -> SpanBatch:
    """The spans of an OTLP ``ExportTraceServiceRequest`` (or ``TracesData``: the same bytes).

    Raises:
        UnreadableDataError: the bytes are no such message. Nothing of it is used.
    """
    try:
        requests = _REQUEST.list_to_record_batch([payload])
        return assemble(_plain(requests.column(0).values))
    except (ValueError, DecodeError) as error:
        reason = f"not an OTLP trace request ({len(payload)} bytes): {error}"
        raise UnreadableDataError(reason) from error


def _plain(resource_spans: pa.StructArray) -> Plain:
    scopes_per_resource = counts_of(resource_spans.field("scope_spans"))
    scope_spans = resource_spans.field("scope_spans").values
    spans_per_scope = counts_of(scope_spans.field("spans"))
    spans = scope_spans.field("spans").values
    scope = np.repeat(np.arange(len(scope_spans), dtype=np.int32), spans_per_scope)
    resource_of_scope = np.repeat(np.arange(len(resource_spans), dtype=np.int32), scopes_per_resource)
    span_events, span_links, status = spans.field("events"), spans.field("links"), spans.field("status")
    event, link = span_events.values, span_links.values
    return Plain(
        trace_id=spans.field("trace_id"),
        span_id=spans.field("span_id"),
        parent_span_id=spans.field("parent_span_id"),
        trace_state=text_of(spans.field("trace_state")),
        name=text_of(spans.field("name")),
        kind=spans.field("kind").to_numpy(),
        start=spans.field("start").to_numpy(),
        end=spans.field("end").to_numpy(),
        status=status.field("code").to_numpy(),
        status_message=text_of(status.field("message")),
        scope=scope,
        scope_names=text_of(scope_spans.field("scope").field("name")),
        scope_versions=text_of(scope_spans.field("scope").field("version")),
        resource=resource_of_scope[scope],
        resources=attributes_of(resource_spans.field("resource").field("attributes")),
        attributes=attributes_of(spans.field("attributes")),
        events=events(
            counts_of(span_events),
            event.field("time").to_numpy(),
            text_of(event.field("name")),
            attributes_of(event.field("attributes")),
        ),
        links=links(
            counts_of(span_links),
            link.field("trace_id"),
            link.field("span_id"),
            text_of(link.field("trace_state")),
            attributes_of(link.field("attributes")),
        ),
    )
