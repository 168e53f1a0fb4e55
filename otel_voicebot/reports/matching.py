"""A search for traces as SQL: which spans match, by service, operation, tags, time and duration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from otel_voicebot.dialects.dialect import STAMPS
from otel_voicebot.dialects.native import NATIVE
from otel_voicebot.semconv import ATTRIBUTES, ENVIRONMENT, ERROR_TYPE, SERVICE_INSTANCE_ID, SERVICE_NAME
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.spans.values import nested_text

__all__ = ["MATCHED", "TAGS", "UNKNOWN_SERVICE", "Search", "matching"]

UNKNOWN_SERVICE: Final = "unknown_service"
"""What a service is called that doesn't say; OpenTelemetry's word."""

MATCHED: Final = ("trace_id", "start_unix_nano")
"""What is wanted of the spans that match."""


def _tags() -> dict[str, str]:
    """A column has the name of its attribute where just one of ours fills it; else it has its own."""
    named = {"error_type": ERROR_TYPE, "environment": ENVIRONMENT, "service_instance": SERVICE_INSTANCE_ID}
    for column, keys in {**NATIVE.columns, **STAMPS}.items():
        known = [key for key in keys if isinstance(key, str) and key in ATTRIBUTES]
        named[column] = known[0] if len(known) == 1 else column
    skipped = {"events", "links", "attributes", "attributes_typed", "resource_attributes", "quality", "schema_version"}
    skipped |= {"trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind", "service_name"}
    skipped |= {"start_unix_nano", "end_unix_nano", "start_time", "duration_ns", "ingest_time", "status"}
    skipped |= {"status_message", "scope_name", "scope_version", "environment", "service_instance"}
    return {field.name: named.get(field.name, field.name) for field in SPANS if field.name not in skipped}


TAGS: Final = _tags()
"""Column to the name that its value has among a span's tags. Names of attributes where they are plain."""

_COLUMNS: Final = {
    **{key: column for column, keys in {**NATIVE.columns, **STAMPS}.items() for key in keys if isinstance(key, str)},
    **{name: column for column, name in TAGS.items()},
    SERVICE_NAME: "service_name",
    SERVICE_INSTANCE_ID: "service_instance",
    ENVIRONMENT: "environment",
    "span.kind": "kind",
    "otel.scope.name": "scope_name",
    "otel.scope.version": "scope_version",
    "otel.status_description": "status_message",
}


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for. A trace is found when one of its spans matches everything."""

    first: int
    """The earliest start of that span, nanoseconds since 1970."""
    last: int
    """The latest."""
    limit: int
    """Traces at most: those whose matching spans began last."""
    service: str | None = None
    operation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    shortest_ns: int | None = None
    longest_ns: int | None = None


def matching(search: Search) -> tuple[str, list[object]]:
    """A condition over the columns of the spans table, and its parameters."""
    terms, values = ["start_unix_nano BETWEEN ? AND ?"], [search.first, search.last]
    parameters: list[object] = [*values]

    def add(term: str, *more: object) -> None:
        terms.append(term)
        parameters.extend(more)

    if search.service is not None:
        add("service_name = ?", search.service) if search.service != UNKNOWN_SERVICE else add(
            "coalesce(service_name, ?) = ?", UNKNOWN_SERVICE, UNKNOWN_SERVICE
        )
    if search.operation is not None:
        add("name = ?", search.operation)
    if search.shortest_ns is not None:
        add("duration_ns >= ?", search.shortest_ns)
    if search.longest_ns is not None:
        add("duration_ns <= ?", search.longest_ns)
    for key, value in search.tags.items():
        term, more = _tag(key, value)
        add(term, *more)
    return " AND ".join(terms), parameters


def _tag(key: str, value: str) -> tuple[str, list[object]]:
    if key == "error":
        failed = "coalesce(status = 'error', false)"
        return (failed if value.lower() == "true" else f"NOT {failed}"), []
    if key == "otel.status_code":
        return "status = ?", [value.lower()]
    terms, parameters = _anywhere(key, value)
    column = _COLUMNS.get(key)
    if column is not None and column in SPANS.names:
        term, more = _in_column(column, value)
        terms.append(term)
        parameters += more
    return "(" + " OR ".join(f"coalesce({term}, false)" for term in terms) + ")", parameters


def _anywhere(key: str, value: str) -> tuple[list[str], list[object]]:
    """The attribute among those without a column, or in the resource: JSON text is written in one way only."""
    name = nested_text(key)
    texts = [nested_text(value)]
    if _is_number(value) or value in ("true", "false"):
        texts += [value, f"{value}.0"]
    inside = [f"{name}:{text}{end}" for text in texts for end in (",", "}")]
    resource = " OR ".join("contains(resource_attributes, ?)" for _ in inside)
    typed = [value, f"{value}.0"]
    terms = [
        "map_extract_value(attributes, ?) = ?",
        "map_extract_value(attributes_typed, ?) IN (?, ?)",
        f"({resource})",
    ]
    return terms, [key, value, key, *typed, *inside]


def _in_column(column: str, value: str) -> tuple[str, list[object]]:
    kind = SPANS.field(column).type
    if pa.types.is_string(kind):
        return f'"{column}" = ?', [value]
    if pa.types.is_boolean(kind):
        return f'"{column}" = ?', [value.lower() == "true"] if value.lower() in ("true", "false") else [None]
    return f'"{column}"::DOUBLE = ?', [float(value) if _is_number(value) else None]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
