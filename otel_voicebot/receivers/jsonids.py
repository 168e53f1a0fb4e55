"""Ids in OTLP JSON: hex by the OTLP specification, base64 by protobuf's own JSON. Both are met; lengths tell them."""

import base64
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["ids_of_one_to_base64", "ids_to_base64"]

_IDS: Final = {
    "traceId": 16,
    "trace_id": 16,
    "spanId": 8,
    "span_id": 8,
    "parentSpanId": 8,
    "parent_span_id": 8,
}
_NO_ID: Final = "AA=="
"""One byte: what is refused, or named in ``quality``, span by span, as an id of the wrong length is in protobuf."""


def ids_to_base64(request: dict[str, Any]) -> None:
    """Rewrite the ids of spans, links and log records in place, as ``json_format`` wants them.

    What is neither hex nor base64 becomes an id of the wrong length.

    Raises:
        AttributeError, TypeError: an object or a list is something else.
    """
    for resource in _each(request, "resourceSpans", "resource_spans"):
        for scope in _each(resource, "scopeSpans", "scope_spans"):
            for span in _each(scope, "spans"):
                ids_of_one_to_base64(span)
    for resource in _each(request, "resourceLogs", "resource_logs"):
        for scope in _each(resource, "scopeLogs", "scope_logs"):
            for record in _each(scope, "logRecords", "log_records"):
                ids_of_one_to_base64(record)


def ids_of_one_to_base64(one: dict[str, Any]) -> None:
    """The same for one span or log record."""
    _rewrite(one)
    for link in _each(one, "links"):
        _rewrite(link)


def _each(parent: dict[str, Any], *keys: str) -> Iterator[dict[str, Any]]:
    for key in keys:
        yield from parent.get(key) or ()


def _rewrite(holder: dict[str, Any]) -> None:
    for key in _IDS.keys() & holder.keys():
        if holder[key]:  # empty and null are no id, which is allowed for some
            holder[key] = _base64(holder[key], _IDS[key])


def _base64(value: object, width: int) -> str:
    try:
        if not isinstance(value, str):
            return _NO_ID
        if len(value) == 2 * width:  # base64 of as many bytes is shorter
            return base64.b64encode(bytes.fromhex(value)).decode()
        base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return _NO_ID
    return value
