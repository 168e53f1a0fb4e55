"""Reads the golden tables (tests/data/golden) and what they point at, without the package.

A source is one of
- `<span id> <field>`: the value stands there;
- `= <expression>`: arithmetic over `{<span id> <field>}`, times in seconds;
- `note: <words>`: a reading. Each `{<span id> <field>}` in it must exist, each `{<span id> !<key>}` must not.

A field is `@start`, `@end` (s), `@status`, `@name`, `@scope`, `@trace_id`, an attribute's key, `key#a.0.b` (inside a
JSON string), `event|<name>|@time` or `event|<name>|<key>`.
"""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

DATA = Path(__file__).parents[1] / "data"
CAPTURES = sorted(path.stem for path in (DATA / "golden").glob("*.json"))
REFERENCE = re.compile(r"\{([0-9a-f]{16})(?: ([^{}]+))?\}")


@dataclass(frozen=True, slots=True)
class Capture:
    """The spans of a capture by hex id."""

    spans: dict[str, Span]
    scopes: dict[str, str]

    def field(self, span_id: str, field: str) -> Any:
        """The named field's value; KeyError when the span or the field is not there."""
        span = self.spans[span_id]
        if field.startswith("event|"):
            _, name, key = field.split("|")
            event = next((event for event in span.events if event.name == name), None)
            if event is None:
                raise KeyError(name)
            return seconds(event.time_unix_nano) if key == "@time" else attributes(event.attributes)[key]
        if field.startswith("@"):
            return {
                "@start": seconds(span.start_time_unix_nano),
                "@end": seconds(span.end_time_unix_nano),
                "@status": span.status.code,
                "@name": span.name,
                "@scope": self.scopes[span_id],
                "@trace_id": span.trace_id.hex(),
            }[field]
        key, _, path = field.partition("#")
        value = attributes(span.attributes)[key]
        for step in path.split(".") if path else []:
            value = json.loads(value) if isinstance(value, str) else value
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value

    def evaluate(self, source: str) -> Any:
        """The value of a plain field or of an `=` expression."""
        if not source.startswith("= "):
            return self.field(*source.split(" ", 1))
        found: dict[str, Any] = {}

        def name(match: re.Match[str]) -> str:
            value = self.field(match[1], match[2])
            found[f"v{len(found)}"] = Fraction(value) if isinstance(value, float) else value
            return f"v{len(found) - 1}"

        expression = REFERENCE.sub(name, source[2:])
        return eval(expression, {"__builtins__": {}, "len": len, "present": bool}, found)


def seconds(unix_nano: int) -> Fraction:
    """Exactly."""
    return Fraction(unix_nano, 10**9)


def attributes(pairs: "list[KeyValue] | Any") -> dict[str, Any]:
    """Attributes as plain values."""
    return {pair.key: plain(pair.value) for pair in pairs}


def plain(value: AnyValue) -> Any:
    """A protobuf value as Python's."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def read_capture(name: str) -> Capture:
    """The capture of that name."""
    request = ExportTraceServiceRequest()
    request.ParseFromString((DATA / "captures" / f"{name}.otlp.pb").read_bytes())
    spans, scopes = {}, {}
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans[span.span_id.hex()] = span
                scopes[span.span_id.hex()] = scope.scope.name
    return Capture(spans, scopes)


def read_golden(name: str) -> dict[str, Any]:
    """The golden table of that capture: `turns`, `operations`, `not_operations`."""
    table: dict[str, Any] = json.loads((DATA / "golden" / f"{name}.json").read_text())
    return table
