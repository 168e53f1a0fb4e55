"""OTLP log requests, as protobuf bytes, become a ``LogBatch``: columns, without an object per record."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.assemble import Values
from otel_voicebot.spans.logs import LogBatch, PlainLogs, assemble_logs
from otel_voicebot.spans.messages import COMMON, attributes_of, counts_of, handler, text_of
from otel_voicebot.spans.wire import key_values

__all__ = ["decode_logs"]

_MESSAGES: Final = {
    **COMMON,
    "Record": (
        *("1 time fixed64", "2 severity int32", "3 severity_text bytes", "5 body bytes", "6 attributes bytes*"),
        *("7 dropped uint32", "8 flags fixed32", "9 trace_id bytes", "10 span_id bytes", "11 observed fixed64"),
        "12 event_name bytes",
    ),
    "ScopeLogs": ("1 scope Scope", "2 records Record*", "3 schema_url bytes"),
    "ResourceLogs": ("1 resource Resource", "2 scope_logs ScopeLogs*", "3 schema_url bytes"),
    "Request": ("1 resource_logs ResourceLogs*",),
}
"""Messages of opentelemetry/proto/logs/v1 as we want to see them."""
_REQUEST: Final = handler(_MESSAGES)

_EMPTY_KEY: Final = b"\x0a\x00"
_VALUE: Final = b"\x12"


def decode_logs(payload: bytes) -> LogBatch:
    """The records of an OTLP ``ExportLogsServiceRequest`` (or ``LogsData``: the same bytes).

    Raises:
        UnreadableDataError: the bytes are no such message. Nothing of it is used.
    """
    try:
        requests = _REQUEST.list_to_record_batch([payload])
        return assemble_logs(_plain(requests.column(0).values))
    except (ValueError, DecodeError) as error:
        reason = f"not an OTLP log request ({len(payload)} bytes): {error}"
        raise UnreadableDataError(reason) from error


def _plain(resource_logs: pa.StructArray) -> PlainLogs:
    scopes_per_resource = counts_of(resource_logs.field("scope_logs"))
    scope_logs = resource_logs.field("scope_logs").values
    records_per_scope = counts_of(scope_logs.field("records"))
    records = scope_logs.field("records").values
    scope = np.repeat(np.arange(len(scope_logs), dtype=np.int32), records_per_scope)
    resource_of_scope = np.repeat(np.arange(len(resource_logs), dtype=np.int32), scopes_per_resource)
    bodies = records.field("body").dictionary_encode()
    return PlainLogs(
        trace_id=records.field("trace_id"),
        span_id=records.field("span_id"),
        time=records.field("time").to_numpy(),
        observed=records.field("observed").to_numpy(),
        severity=records.field("severity").to_numpy(),
        severity_text=text_of(records.field("severity_text")),
        event_name=text_of(records.field("event_name")),
        body=bodies.indices.to_numpy(),
        bodies=_values(bodies.dictionary),
        scope=scope,
        scope_names=text_of(scope_logs.field("scope").field("name")),
        scope_versions=text_of(scope_logs.field("scope").field("version")),
        resource=resource_of_scope[scope],
        resources=attributes_of(resource_logs.field("resource").field("attributes")),
        attributes=attributes_of(records.field("attributes")),
    )


def _values(messages: pa.BinaryArray) -> Values:
    """AnyValue messages, read as the KeyValue messages that they are inside of when a key and a length go before."""
    sizes = pc.binary_length(messages).dictionary_encode()
    heads = [_EMPTY_KEY + _VALUE + _varint(size) for size in sizes.dictionary.to_pylist()]
    whole = pc.binary_join_element_wise(pa.array(heads, pa.binary()).take(sizes.indices), messages, b"")
    return key_values(whole)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
