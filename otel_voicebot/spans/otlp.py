"""OTLP protobuf bytes become a ``SpanBatch``, from wire format to columns without an object per span.

The only module that knows ptars. It is given message types of our own, in which texts and KeyValue messages are bytes:
Arrow and ``wire`` read these faster than ptars does.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import ptars
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.assemble import Plain, assemble, attributes, events, links
from otel_voicebot.spans.attributes import Attributes
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.wire import key_values

__all__ = ["decode"]

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bytes": _Field.TYPE_BYTES,
    "fixed32": _Field.TYPE_FIXED32,
    "fixed64": _Field.TYPE_FIXED64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
}
# Messages of opentelemetry/proto/{resource,trace}/v1 as we want to see them: "number name type", * is repeated.
# Fields that we don't read are declared too where senders fill them: ptars is slower with unknown ones.
_MESSAGES: Final = {
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
    "Scope": ("1 name bytes", "2 version bytes", "3 attributes bytes*", "4 dropped uint32"),
    "ScopeSpans": ("1 scope Scope", "2 spans Span*", "3 schema_url bytes"),
    "Resource": ("1 attributes bytes*", "2 dropped uint32"),
    "ResourceSpans": ("1 resource Resource", "2 scope_spans ScopeSpans*", "3 schema_url bytes"),
    "Request": ("1 resource_spans ResourceSpans*",),
}


def _handler() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="otel_voicebot.proto", package="otel_voicebot", syntax="proto3")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for text in fields:
            number, name, kind = text.split()
            field = message.field.add(name=name, number=int(number))
            field.label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.removesuffix("*")
            field.type = _SCALARS.get(kind, _Field.TYPE_MESSAGE)
            if kind not in _SCALARS:
                field.type_name = f".otel_voicebot.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request = pool.FindMessageTypeByName("otel_voicebot.Request")
    return ptars.HandlerPool([request.file]).get_for_message(request)


_REQUEST: Final = _handler()


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
    scopes_per_resource = _counts(resource_spans.field("scope_spans"))
    scope_spans = resource_spans.field("scope_spans").values
    spans_per_scope = _counts(scope_spans.field("spans"))
    spans = scope_spans.field("spans").values
    scope = np.repeat(np.arange(len(scope_spans), dtype=np.int32), spans_per_scope)
    resource_of_scope = np.repeat(np.arange(len(resource_spans), dtype=np.int32), scopes_per_resource)
    span_events, span_links, status = spans.field("events"), spans.field("links"), spans.field("status")
    event, link = span_events.values, span_links.values
    return Plain(
        trace_id=spans.field("trace_id"),
        span_id=spans.field("span_id"),
        parent_span_id=spans.field("parent_span_id"),
        trace_state=_text(spans.field("trace_state")),
        name=_text(spans.field("name")),
        kind=spans.field("kind").to_numpy(),
        start=spans.field("start").to_numpy(),
        end=spans.field("end").to_numpy(),
        status=status.field("code").to_numpy(),
        status_message=_text(status.field("message")),
        scope=scope,
        scope_names=_text(scope_spans.field("scope").field("name")),
        scope_versions=_text(scope_spans.field("scope").field("version")),
        resource=resource_of_scope[scope],
        resources=_attributes(resource_spans.field("resource").field("attributes")),
        attributes=_attributes(spans.field("attributes")),
        events=events(
            _counts(span_events),
            event.field("time").to_numpy(),
            _text(event.field("name")),
            _attributes(event.field("attributes")),
        ),
        links=links(
            _counts(span_links),
            link.field("trace_id"),
            link.field("span_id"),
            _text(link.field("trace_state")),
            _attributes(link.field("attributes")),
        ),
    )


def _counts(lists: pa.ListArray) -> npt.NDArray[np.int32]:
    counts: npt.NDArray[np.int32] = np.diff(lists.offsets.to_numpy())
    return counts


def _attributes(lists: pa.ListArray) -> Attributes:
    distinct = lists.values.dictionary_encode()
    return attributes(_counts(lists), distinct.indices.to_numpy(), key_values(distinct.dictionary))


def _text(array: pa.BinaryArray) -> pa.StringArray:
    """The same bytes as text; checking them is several times faster here than in ptars."""
    return array.cast(pa.string())
