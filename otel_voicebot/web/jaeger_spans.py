"""Spans as Jaeger's UI reads them (API v1): traces with numbered processes; times in microseconds."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from pydantic_core import to_json

from otel_voicebot.reports.matching import UNKNOWN_SERVICE
from otel_voicebot.reports.traces import Found
from otel_voicebot.semconv import SERVICE_NAME
from otel_voicebot.web.answers import warnings
from otel_voicebot.web.tags import Row, Tag, from_json, items, of_span

__all__ = ["rows", "traces"]

_AT_ONCE: Final = 1000
"""Rows that are Python objects at the same time; serialising them one by one lets other threads go on."""


def rows(spans: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as mappings, without the columns that none of them has."""
    used = [name for name in spans.column_names if spans[name].null_count < spans.num_rows]
    narrow = spans.select(used)
    for start in range(0, narrow.num_rows, _AT_ONCE):
        yield from narrow.slice(start, _AT_ONCE).to_pylist()


def traces(found: Found) -> Iterator[bytes]:
    """Each trace as JSON."""
    said = warnings(found)
    trace: _Trace | None = None
    for row in rows(found.spans):
        if trace is None or trace.id != row["trace_id"]:
            if trace is not None:
                yield trace.json(said)
            trace = _Trace(str(row["trace_id"]))
        trace.add(row)
    if trace is not None:
        yield trace.json(said)


class _Trace:
    """A trace that is put together."""

    def __init__(self, trace_id: str) -> None:
        self.id = trace_id
        self._spans: list[bytes] = []
        self._processes: dict[tuple[object, object], str] = {}

    def add(self, row: Row) -> None:
        process = (row.get("service_name"), row.get("resource_attributes"))
        number = self._processes.setdefault(process, f"p{len(self._processes) + 1}")
        self._spans.append(to_json(_span(row, number), inf_nan_mode="strings"))

    def json(self, said: list[str]) -> bytes:
        processes = {number: _process(*process) for process, number in self._processes.items()}
        head = b'{"traceID":"%b","spans":[' % self.id.encode()
        tail = b'],"processes":%b,"warnings":%b}' % (to_json(processes), to_json(said or None))
        return head + b",".join(self._spans) + tail


def _process(service: object, resource: object) -> dict[str, object]:
    tags = [_pair(tag) for tag in from_json(resource) if tag.key != SERVICE_NAME]
    return {"serviceName": service or UNKNOWN_SERVICE, "tags": tags}


def _span(row: Row, process: str) -> dict[str, object]:
    start, duration, warnings = _times(row)
    return {
        "traceID": row["trace_id"],
        "spanID": row["span_id"],
        "operationName": row.get("name") or "",
        "references": list(_references(row)),
        "startTime": start,
        "duration": duration,
        "tags": [*(_pair(tag) for tag in of_span(row)), *(_pair(tag) for tag in _derived(row))],
        "logs": [_log(event) for event in items(row.get("events"))],
        "processID": process,
        "flags": 1,
        "warnings": warnings or None,
    }


def _times(row: Row) -> tuple[int, int, list[str]]:
    """Start and duration in microseconds, and what is wrong with the span."""
    start, duration = row.get("start_unix_nano"), row.get("duration_ns")
    warnings = [f"quality: {rule}" for rule in items(row.get("quality"))]
    if not isinstance(duration, int):
        warnings.append("the span has no usable end: its duration is not known")
    first = start // 1000 if isinstance(start, int) else 0
    return first, duration // 1000 if isinstance(duration, int) else 0, warnings


def _references(row: Row) -> Iterator[dict[str, object]]:
    if row.get("parent_span_id"):
        yield {"refType": "CHILD_OF", "traceID": row["trace_id"], "spanID": row["parent_span_id"]}
    for link in items(row.get("links")):
        if link["trace_id"] and link["span_id"]:
            yield {"refType": "FOLLOWS_FROM", "traceID": link["trace_id"], "spanID": link["span_id"]}


def _derived(row: Row) -> Iterator[Tag]:
    """What Jaeger says in tags and OpenTelemetry doesn't."""
    kind, status = row.get("kind"), row.get("status")
    if kind and kind != "unspecified":
        yield Tag("span.kind", "string", kind)
    if status == "error":
        yield Tag("error", "bool", value=True)
    if status in ("error", "ok"):
        yield Tag("otel.status_code", "string", str(status).upper())
    for column, name in _NAMED.items():
        if row.get(column):
            yield Tag(name, "string", row[column])


_NAMED: Final = {
    "status_message": "otel.status_description",
    "scope_name": "otel.scope.name",
    "scope_version": "otel.scope.version",
    "trace_state": "w3c.tracestate",
}


def _log(event: Row) -> dict[str, object]:
    at = event.get("unix_nano")
    fields = [Tag("event", "string", event.get("name") or ""), *from_json(event.get("attributes"))]
    return {"timestamp": at // 1000 if isinstance(at, int) else 0, "fields": [_pair(tag) for tag in fields]}


def _pair(tag: Tag) -> dict[str, object]:
    return {"key": tag.key, "type": tag.type, "value": tag.value}
