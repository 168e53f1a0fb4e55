"""Ids in OTLP JSON: hex by the OTLP specification, base64 by protobuf's own JSON. Both are met; lengths tell them."""

import base64
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["ids_to_base64"]

_IDS: Final = {
    "traceId": 16,
    "trace_id": 16,
    "spanId": 8,
    "span_id": 8,
    "parentSpanId": 8,
    "parent_span_id": 8,
}


def ids_to_base64(request: dict[str, Any]) -> None:
    """Rewrite the ids of spans and links in place, as ``json_format`` wants them.

    Raises:
        ValueError: an id is neither.
    """
    for resource in _each(request, "resourceSpans", "resource_spans"):
        for scope in _each(resource, "scopeSpans", "scope_spans"):
            for span in _each(scope, "spans"):
                _rewrite(span)
                for link in _each(span, "links"):
                    _rewrite(link)


def _each(parent: dict[str, Any], *keys: str) -> Iterator[dict[str, Any]]:
    for key in keys:
        yield from parent.get(key) or ()


def _rewrite(holder: dict[str, Any]) -> None:
    for key in _IDS.keys() & holder.keys():
        value = holder[key]
        if value and len(value) == 2 * _IDS[key]:  # base64 of as many bytes is shorter
            holder[key] = base64.b64encode(bytes.fromhex(value)).decode()
