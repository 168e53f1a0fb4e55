"""Captures as rows, as they are and changed: new ids, another order, another time; and what is derived from them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from otel_voicebot.models import Engine
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.dialects.golden import DATA

Spans = list[tuple[str, Span]]
"""Scope and span."""


def spans_of(name: str) -> Spans:
    """The spans of a capture, which may be changed."""
    request = ExportTraceServiceRequest()
    request.ParseFromString((DATA / "captures" / f"{name}.otlp.pb").read_bytes())
    return [
        (scope.scope.name, span)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def rows_of(spans: Iterable[tuple[str, Span]], *, capture_content: bool = True) -> pa.RecordBatch:
    """The spans as rows, by all processors."""
    request = ExportTraceServiceRequest()
    resource = ResourceSpans()
    for scope, span in spans:
        found = next((one for one in resource.scope_spans if one.scope.name == scope), None)
        if found is None:
            found = resource.scope_spans.add()
            found.scope.name = scope
        found.spans.append(span)
    request.resource_spans.append(resource)
    return prepare(
        decode(request.SerializeToString()), Policy(capture_content=capture_content), SelfMetrics(), "otlp", 0
    )


def derived(data: Path, *batches: pa.RecordBatch, model: str = "turns") -> list[dict[str, Any]]:
    """Rows that the engine computes from what the store has written, by session and turn."""
    SpanStore(data).commit(list(batches))
    with Engine(snapshot(data)) as engine:
        rows: list[dict[str, Any]] = engine.table(model).to_pylist()
    return sorted(rows, key=lambda row: (row.get("session_id", ""), row.get("turn_index") or 0))


def copied(spans: Spans, seed: int) -> Spans:
    """A copy with new ids, in another order, at another time."""
    any_ = Random(seed)
    ids: dict[bytes, bytes] = {b"": b""}
    shift = any_.randrange(-(10**17), 10**17)

    def new(old: bytes) -> bytes:
        return ids.setdefault(old, any_.randbytes(len(old)))

    copies = []
    for scope, span in spans:
        copy = Span()
        copy.CopyFrom(span)
        copy.trace_id, copy.span_id, copy.parent_span_id = (
            new(old) for old in (span.trace_id, span.span_id, span.parent_span_id)
        )
        copy.start_time_unix_nano += shift
        copy.end_time_unix_nano += shift
        for event in copy.events:
            event.time_unix_nano += shift
        for pair in copy.attributes:
            if pair.key == "conversation.id":  # Pipecat's name of the call
                pair.value.string_value = new(pair.value.string_value.encode()).hex()
        copies.append((scope, copy))
    any_.shuffle(copies)
    return copies


def without(spans: Spans, lost: Callable[[Span], bool]) -> Spans:
    """What is left when some spans never come."""
    return [(scope, span) for scope, span in spans if not lost(span)]


def batches(spans: Sequence[tuple[str, Span]], number: int) -> list[Spans]:
    """So many parts of about the same size."""
    size = -(-len(spans) // number)
    return [list(spans[first : first + size]) for first in range(0, len(spans), size)]
