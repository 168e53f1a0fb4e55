"""Spans as OTLP in JSON: what Jaeger's API v3 answers with. Numbers of 64 bits are texts there, ids hex."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from otel_voicebot.web.tags import Row, Tag, from_json, items, of_span

__all__ = ["document"]

_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES: Final = {"ok": 1, "error": 2}
_TYPES: Final = {"string": "stringValue", "bool": "boolValue", "int64": "intValue", "float64": "doubleValue"}


_WARNINGS: Final = "@jaeger@warnings"
"""The attribute in which Jaeger says what is wrong with a trace or a span: a list of texts."""


def document(rows: Iterable[Row], warnings: Sequence[str] = ()) -> bytes:
    """``TracesData`` of rows of the form SPANS_READ, by resource and scope; the first span carries the warnings."""
    resources: dict[object, dict[tuple[object, object], list[bytes]]] = {}
    for number, row in enumerate(rows):
        scopes = resources.setdefault(row.get("resource_attributes"), {})
        scope = (row.get("scope_name"), row.get("scope_version"))
        scopes.setdefault(scope, []).append(to_json(_span(row, () if number else warnings), inf_nan_mode="strings"))
    return b'{"resourceSpans":[%b]}' % b",".join(_resource(*item) for item in resources.items())


def _resource(attributes: object, scopes: Mapping[tuple[object, object], list[bytes]]) -> bytes:
    head = to_json({"attributes": [_pair(tag) for tag in from_json(attributes)]})
    return b'{"resource":%b,"scopeSpans":[%b]}' % (head, b",".join(_scope(*item) for item in scopes.items()))


def _scope(scope: tuple[object, object], spans: list[bytes]) -> bytes:
    named = {key: value for key, value in zip(("name", "version"), scope, strict=True) if value}
    return b'{"scope":%b,"spans":[%b]}' % (to_json(named), b",".join(spans))


def _span(row: Row, warnings: Sequence[str]) -> dict[str, Any]:
    status = {"code": _STATUSES.get(str(row.get("status")), 0), "message": row.get("status_message")}
    found = {
        "traceId": row["trace_id"],
        "spanId": row["span_id"],
        "parentSpanId": row.get("parent_span_id"),
        "traceState": row.get("trace_state"),
        "name": row.get("name") or "",
        "kind": _KINDS.get(str(row.get("kind")), 0),
        "startTimeUnixNano": str(row.get("start_unix_nano") or 0),
        "endTimeUnixNano": str(row.get("end_unix_nano") or row.get("start_unix_nano") or 0),
        "attributes": [*(_pair(tag) for tag in of_span(row)), *([_warned(warnings)] if warnings else [])],
        "events": [_event(event) for event in items(row.get("events"))],
        "links": [_link(link) for link in items(row.get("links"))],
        "status": {key: value for key, value in status.items() if value},
    }
    return {key: value for key, value in found.items() if value is not None}


def _warned(warnings: Sequence[str]) -> dict[str, object]:
    return {"key": _WARNINGS, "value": {"arrayValue": {"values": [{"stringValue": text} for text in warnings]}}}


def _event(event: Row) -> dict[str, object]:
    attributes = [_pair(tag) for tag in from_json(event.get("attributes"))]
    return {"timeUnixNano": str(event.get("unix_nano") or 0), "name": event.get("name") or "", "attributes": attributes}


def _link(link: Row) -> dict[str, object]:
    attributes = [_pair(tag) for tag in from_json(link.get("attributes"))]
    return {"traceId": link["trace_id"] or "", "spanId": link["span_id"] or "", "attributes": attributes}


def _pair(tag: Tag) -> dict[str, object]:
    return {"key": tag.key, "value": {_TYPES[tag.type]: str(tag.value) if tag.type == "int64" else tag.value}}
