"""A second, plain reading of OTLP, span by span with protobuf's own classes: what ``decode`` has to equal.

Written from the OTLP specification and the table schema, not from the code under test.
"""

import base64
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

INT64_MAX = 2**63 - 1
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")

Row = dict[str, Any]


def rows(payload: bytes) -> tuple[list[Row], dict[str, int]]:
    """The rows that a request should become, and how many spans are refused by reason."""
    found: list[Row] = []
    rejected: dict[str, int] = {}
    for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = json_object(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = {"scope_name": scope_spans.scope.name or None, "scope_version": scope_spans.scope.version or None}
            for span in scope_spans.spans:
                reason = refusal(span)
                if reason:
                    rejected[reason] = rejected.get(reason, 0) + 1
                else:
                    found.append({**row(span), **scope, "resource_attributes": resource})
    return found, rejected


def refusal(span: Span) -> str | None:
    """Why the span can't be kept, if so."""
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "invalid_trace_id"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "invalid_span_id"
    if not 0 < span.start_time_unix_nano <= INT64_MAX or span.end_time_unix_nano > INT64_MAX:
        return "invalid_time"
    return None


def row(span: Span) -> Row:
    """The span's row, without what its scope and resource give."""
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    values = last_values(span.attributes)
    quality = ["never_ended"] if end == 0 else ["stop_before_start"] if end < start else []
    if len(span.parent_span_id) not in (0, 8):
        quality.append("invalid_parent_id")
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id if good_id(span.parent_span_id, 8) else None,
        "trace_state": span.trace_state or None,
        "name": span.name,
        "kind": KINDS[span.kind] if 0 <= span.kind < len(KINDS) else "unspecified",
        "start_unix_nano": start,
        "end_unix_nano": end or None,
        "start_time": start // 1000,
        "duration_ns": end - start if end >= start else None,
        "status": STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else "unset",
        "status_message": span.status.message or None,
        "attributes": {key: value.string_value for key, value in values.items() if is_string(value)},
        "attributes_typed": {key: typed(plain(value)) for key, value in values.items() if not is_string(value)},
        "events": [
            {
                "unix_nano": event.time_unix_nano if 0 < event.time_unix_nano <= INT64_MAX else None,
                "name": event.name,
                "attributes": json_object(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id if good_id(link.trace_id, 16) else None,
                "span_id": link.span_id if good_id(link.span_id, 8) else None,
                "trace_state": link.trace_state or None,
                "attributes": json_object(link.attributes),
            }
            for link in span.links
        ],
        "quality": quality,
    }


def log_rows(payload: bytes) -> list[Row]:
    """The rows that a request of log records should become."""
    return [
        {
            **log_row(record),
            "scope_name": scope_logs.scope.name or None,
            "scope_version": scope_logs.scope.version or None,
            "resource_attributes": json_object(resource_logs.resource.attributes),
        }
        for resource_logs in ExportLogsServiceRequest.FromString(payload).resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


def log_row(record: LogRecord) -> Row:
    """The record's row, without what its scope and resource give and without ``time`` where nobody knows it."""
    values = last_values(record.attributes)
    happened, observed = (
        nano if 0 < nano <= INT64_MAX else None for nano in (record.time_unix_nano, record.observed_time_unix_nano)
    )
    body = plain(record.body)
    known = happened or observed
    return {
        "trace_id": record.trace_id if good_id(record.trace_id, 16) else None,
        "span_id": record.span_id if good_id(record.span_id, 8) else None,
        **({"time": known // 1000} if known else {}),
        "time_unix_nano": happened,
        "observed_unix_nano": observed,
        "severity_number": record.severity_number if 1 <= record.severity_number <= 24 else None,
        "severity_text": record.severity_text or None,
        "event_name": record.event_name or None,
        "body": body if body is None or is_string(record.body) else ("json", typed(body)),
        "attributes": {key: value.string_value for key, value in values.items() if is_string(value)},
        "attributes_typed": {key: typed(plain(value)) for key, value in values.items() if not is_string(value)},
    }


def read_logs(batch: pa.RecordBatch, texts: Iterable[bool]) -> Iterator[Row]:
    """Rows of a ``LOGS`` record batch in the oracle's form; ``texts`` says which bodies are texts."""
    batch.validate(full=True)
    times = batch.column("time").cast(pa.int64()).to_pylist()
    for time, found, text in zip(times, batch.to_pylist(), texts, strict=True):
        body = found["body"]
        yield {
            **found,
            "time": time,
            "body": body if body is None or text else ("json", typed(json.loads(body))),
            "attributes": unique(found["attributes"]),
            "attributes_typed": {
                key: typed(json.loads(value)) for key, value in unique(found["attributes_typed"]).items()
            },
            "resource_attributes": typed(json.loads(found["resource_attributes"])),
        }


def good_id(value: bytes, width: int) -> bool:
    """An id of this many bytes that is not all zero."""
    return len(value) == width and any(value)


def is_string(value: AnyValue) -> bool:
    """A text, which the ``attributes`` column takes."""
    return value.WhichOneof("value") == "string_value"


def last_values(attributes: Iterable[KeyValue]) -> dict[str, AnyValue]:
    """Of a key that occurs twice the last counts, and stands where the last stands."""
    values: dict[str, AnyValue] = {}
    for attribute in attributes:
        values.pop(attribute.key, None)
        values[attribute.key] = attribute.value
    return values


def plain(value: AnyValue) -> Any:
    """The value in JSON's types."""
    which = value.WhichOneof("value")
    match which:
        case None:
            return None
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return {"bytes": base64.b64encode(value.bytes_value).decode()}
        case "double_value" if not math.isfinite(value.double_value):
            number = value.double_value
            return {"double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}
        case _:
            return getattr(value, which)


def json_object(attributes: Iterable[KeyValue]) -> Any:
    """The attributes as a JSON object, in typed form."""
    return typed({key: plain(value) for key, value in last_values(attributes).items()})


def typed(value: Any) -> Any:
    """JSON values in a form in which ``1``, ``1.0`` and ``True`` differ, and so do ``0.0`` and ``-0.0``."""
    if isinstance(value, dict):
        return ("object", [(key, typed(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("array", [typed(item) for item in value])
    return (type(value).__name__, repr(value))


def read(batch: pa.RecordBatch) -> Iterator[Row]:
    """Rows of a ``SPANS`` record batch in the oracle's form."""
    batch.validate(full=True)
    times = batch.column("start_time").cast(pa.int64()).to_pylist()
    for start_time, found in zip(times, batch.to_pylist(), strict=True):
        children = {
            name: [{**child, "attributes": typed(json.loads(child["attributes"]))} for child in found[name]]
            for name in ("events", "links")
        }
        yield {
            **found,
            **children,
            "start_time": start_time,
            "attributes": unique(found["attributes"]),
            "attributes_typed": {
                key: typed(json.loads(text)) for key, text in unique(found["attributes_typed"]).items()
            },
            "resource_attributes": typed(json.loads(found["resource_attributes"])),
        }


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map column's pairs as a dict."""
    found = dict(pairs)
    assert len(found) == len(pairs), "an engine refuses a map with a key twice"
    return found
