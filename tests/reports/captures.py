"""Captures of real frameworks, and copies of them that are changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otel_voicebot.reports.alike import unnumbered

CAPTURES = Path(__file__).parents[1] / "data" / "captures"


def capture(name: str) -> ExportTraceServiceRequest:
    """A capture."""
    return ExportTraceServiceRequest.FromString((CAPTURES / f"{name}.otlp.pb").read_bytes())


def scopes(request: ExportTraceServiceRequest) -> Iterator[ScopeSpans]:
    """Its groups of spans."""
    for resource in request.resource_spans:
        yield from resource.scope_spans


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Its spans."""
    for scope in scopes(request):
        yield from scope.spans


def renamed(request: ExportTraceServiceRequest, old: str, new: str) -> ExportTraceServiceRequest:
    """A copy in which an attribute, or a span, has another name."""
    copy = ExportTraceServiceRequest.FromString(request.SerializeToString())
    for span in spans(copy):
        span.name = new if span.name == old else span.name
        for attribute in span.attributes:
            if unnumbered(attribute.key) == old:
                numbers = iter(part for part in attribute.key.split(".") if part.isdigit())
                attribute.key = ".".join(next(numbers) if part == "*" else part for part in new.split("."))
    return copy


def without(request: ExportTraceServiceRequest, drop: Callable[[Span], bool]) -> ExportTraceServiceRequest:
    """A copy in which some spans are missing."""
    copy = ExportTraceServiceRequest.FromString(request.SerializeToString())
    for scope in scopes(copy):
        kept = [span for span in scope.spans if not drop(span)]
        del scope.spans[:]
        scope.spans.extend(kept)
    return copy


def another(request: ExportTraceServiceRequest, trace_id: bytes, start: int | None = None) -> ExportTraceServiceRequest:
    """A copy with another trace id, so another call; ``start``: unix nanoseconds at which it begins."""
    copy = ExportTraceServiceRequest.FromString(request.SerializeToString())
    shift = 0 if start is None else start - min(span.start_time_unix_nano for span in spans(copy))
    for span in spans(copy):
        span.trace_id = trace_id
        span.start_time_unix_nano += shift
        span.end_time_unix_nano += shift
        for attribute in span.attributes:
            if attribute.key == "conversation.id":
                attribute.value.string_value = trace_id.hex()
    return copy


def value(span: Span, key: str) -> object:
    """An attribute's value; None when there is none."""
    for attribute in span.attributes:
        if attribute.key == key:
            return getattr(attribute.value, attribute.value.WhichOneof("value"))
    return None
