"""Requests in which all dialects are mixed.

The captures of real frameworks, again and again, with ids of their own, and for each round of them a generated call of
our own API.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from bench import generate, wire
from otel_voicebot import semconv as s

__all__ = ["requests"]

CAPTURES: Final = Path(__file__).parents[1] / "tests" / "data" / "captures"
_WHITE: Final = {ord("0"): " ", ord("1"): "\t"}
_COPIES: Final = 32
"""Rounds of all captures in one request: 8,192 spans, and some 1,800 of ours."""


def requests(spans: int, *, vary: bool) -> Iterator[bytes]:
    """Encoded requests of all captures' and of generated spans, until there are this many.

    Args:
        spans: how many, at least.
        vary: each copy's numbers and texts are its own too: a load in which no two calls say the same.
    """
    made, number = 0, 0
    originals = [TracesData.FromString(path.read_bytes()) for path in sorted(CAPTURES.glob("*.pb"))]
    generated = generate.calls(spans)
    while made < spans:
        request, native = TracesData(), []
        for _ in range(_COPIES):
            number += 1
            native += next(generated).spans
            for original in originals:
                copy = TracesData()
                copy.CopyFrom(original)
                made += _renew(copy, number, vary=vary)
                request.MergeFrom(copy)
        made += len(native)
        ours = wire.request([({s.SERVICE_NAME: "voicebot"}, s.SCOPE_NAME, map(wire.span, native))])
        yield request.SerializeToString() + ours


def _renew(copy: TracesData, number: int, *, vary: bool) -> int:
    """Give a copy ids of its own; how many spans it has."""
    mark = number.to_bytes(4, "big")
    count = 0
    for resource in copy.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                count += 1
                _renew_ids(span, mark)
                if vary:
                    _renew_values(span, number)
    return count


def _renew_ids(span: Span, mark: bytes) -> None:
    span.trace_id = mark + span.trace_id[4:]
    # of the span ids only the last half is taken: 256 of them don't collide
    span.span_id = mark + span.span_id[4:]
    if span.parent_span_id:
        span.parent_span_id = mark + span.parent_span_id[4:]


def _renew_values(span: Span, number: int) -> None:
    for attribute in span.attributes:
        _vary(attribute.value, number)
    for event in span.events:
        for attribute in event.attributes:
            _vary(attribute.value, number)


def _vary(value: AnyValue, number: int) -> None:
    if value.HasField("double_value"):
        value.double_value *= 1 + number * 1e-9
    elif value.HasField("string_value"):
        text = value.string_value
        if text[-1:] in ("]", "}"):  # white space in JSON: another text, the same value
            value.string_value = text[:-1] + f"{number:b}".translate(_WHITE) + text[-1]
        elif text.count(" ") > 1:
            value.string_value = f"{text} {number}"
