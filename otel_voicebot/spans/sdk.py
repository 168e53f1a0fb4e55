"""Spans of the OpenTelemetry SDK become a ``SpanBatch`` without protobuf.

What comes out equals ``decode`` of the official OTLP encoding of the same spans.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otel_voicebot.spans.assemble import Plain, Values, assemble, attributes, events, links
from otel_voicebot.spans.attributes import Attributes, Int32s, Kind
from otel_voicebot.spans.batch import Children, SpanBatch
from otel_voicebot.spans.values import nested_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TraceState

__all__ = ["collect"]

_OF_TYPE: Final[dict[type, int]] = {
    str: int(Kind.STRING),
    bool: int(Kind.BOOL),
    int: int(Kind.INT),
    float: int(Kind.DOUBLE),
    type(None): int(Kind.EMPTY),
    tuple: int(Kind.JSON),
    list: int(Kind.JSON),
    dict: int(Kind.JSON),
    bytes: int(Kind.JSON),
}
_Ints = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]
_UINT64_MAX: Final = 2**64 - 1


def collect(spans: "Sequence[ReadableSpan]") -> SpanBatch:
    """The spans as a batch, in their order. It does not change them, and does not fail on odd values.

    A lone surrogate in a text becomes ``?``, and an integer beyond 64 bits is kept as JSON.
    """
    contexts = [span.context for span in spans]
    resources, resource = _distinct([span.resource for span in spans])
    scopes, scope = _distinct([span.instrumentation_scope for span in spans])
    kinds, kind = _distinct([span.kind for span in spans])
    statuses, status = _distinct([span.status for span in spans])
    states, state = _distinct([context and context.trace_state for context in contexts])
    return assemble(
        Plain(
            trace_id=pa.array([_id(context.trace_id, 16) if context else b"" for context in contexts], pa.binary()),
            span_id=pa.array([_id(context.span_id, 8) if context else b"" for context in contexts], pa.binary()),
            parent_span_id=pa.array(
                [_id(parent.span_id, 8) if (parent := span.parent) else b"" for span in spans], pa.binary()
            ),
            trace_state=_texts([_trace_state(found) for found in states]).take(pa.array(state)),
            name=_texts([span.name for span in spans]),
            kind=_numbers([found.value + 1 for found in kinds])[kind],  # OTLP starts at "unspecified"
            start=_times([span.start_time for span in spans]),
            end=_times([span.end_time for span in spans]),
            status=_numbers([found.status_code.value for found in statuses])[status],
            status_message=_texts([found.description or "" for found in statuses]).take(pa.array(status)),
            scope=scope,
            scope_names=_texts([(found and found.name) or "" for found in scopes]),
            scope_versions=_texts([(found and found.version) or "" for found in scopes]),
            resource=resource,
            resources=_attributes([found.attributes for found in resources]),
            attributes=_attributes([span.attributes for span in spans]),
            events=_events(spans),
            links=_links(spans),
        )
    )


def _events(spans: "Sequence[ReadableSpan]") -> Children:
    lists = [span.events for span in spans]
    found = list(chain.from_iterable(lists))
    return events(
        np.array(list(map(len, lists)), dtype=np.int32),
        _times([event.timestamp for event in found]),
        _texts([event.name for event in found]),
        _attributes([event.attributes for event in found]),
    )


def _links(spans: "Sequence[ReadableSpan]") -> Children:
    lists = [span.links for span in spans]
    found = list(chain.from_iterable(lists))
    return links(
        np.array(list(map(len, lists)), dtype=np.int32),
        pa.array([_id(link.context.trace_id, 16) for link in found], pa.binary()),
        pa.array([_id(link.context.span_id, 8) for link in found], pa.binary()),
        _texts([""] * len(found)),  # the official encoder leaves a link's trace state out
        _attributes([link.attributes for link in found]),
    )


def _attributes(mappings: "Sequence[Mapping[str, Any] | None]") -> Attributes:
    owned = [_dict(mapping) for mapping in mappings]
    counts = np.array(list(map(len, owned)), dtype=np.int32)
    value = np.arange(counts.sum(), dtype=np.int32)
    keys = _texts(list(chain.from_iterable(owned)))
    values = list(chain.from_iterable(map(dict.values, owned)))
    kinds = list(map(_OF_TYPE.get, map(type, values)))
    if None in kinds:
        kinds = [_kind(value) if kind is None else kind for kind, value in zip(kinds, values, strict=True)]
    try:
        return attributes(counts, value, Values(keys, *_columns(values, cast("list[int]", kinds))))
    except OverflowError:
        pairs = zip(kinds, values, strict=True)
        kinds = [int(Kind.JSON) if kind == Kind.INT and value.bit_length() > 63 else kind for kind, value in pairs]
        return attributes(counts, value, Values(keys, *_columns(values, cast("list[int]", kinds))))


def _columns(values: list[Any], kinds: list[int]) -> tuple[npt.NDArray[np.uint8], pa.StringArray, _Ints, _Doubles]:
    kind = np.array(kinds, dtype=np.uint8)
    integer, double = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.float64)
    whole, fraction = (kind == Kind.INT) | (kind == Kind.BOOL), kind == Kind.DOUBLE
    integer[whole] = list(compress(values, whole.tolist()))
    double[fraction] = list(compress(values, fraction.tolist()))
    string = _OF_TYPE[str]
    texts = [value if code == string else None for value, code in zip(values, kinds, strict=True)]
    for place in np.flatnonzero(kind == Kind.JSON).tolist():
        texts[place] = nested_text(values[place])
    return kind, _texts(texts), integer, double


def _kind(value: object) -> int:
    known = (kind for base, kind in _OF_TYPE.items() if isinstance(value, base))
    return next(known, int(Kind.JSON if isinstance(value, (Sequence, Mapping)) else Kind.STRING))


def _dict(mapping: "Mapping[str, Any] | None") -> dict[str, Any]:
    if mapping is None:
        return {}
    try:
        return cast("dict[str, Any]", mapping.copy())  # type: ignore[attr-defined] # no Python per item, unlike dict()
    except AttributeError:
        return dict(mapping)


def _distinct(found: list[Any]) -> tuple[list[Any], Int32s]:
    """The objects, each once (by identity, which asks no Python of them), and where each place's stands."""
    ids = list(map(id, found))
    objects = dict(zip(ids, found, strict=True))
    position = dict(zip(objects, range(len(objects)), strict=True))
    return list(objects.values()), _numbers(list(map(position.__getitem__, ids)))


def _numbers(numbers: list[int]) -> Int32s:
    return np.array(numbers, dtype=np.int32)


def _id(number: int, width: int) -> bytes:
    try:
        return number.to_bytes(width, "big")
    except OverflowError:
        return b""


def _trace_state(state: "TraceState | None") -> str:
    return ",".join(f"{key}={value}" for key, value in state.items()) if state else ""


def _times(times: list[int | None]) -> npt.NDArray[np.uint64]:
    return np.array([time if time and 0 < time <= _UINT64_MAX else 0 for time in times], dtype=np.uint64)


def _texts(texts: Sequence[str | None]) -> pa.StringArray:
    try:
        return pa.array(texts, pa.string())
    except (UnicodeEncodeError, pa.ArrowException):
        clean = [None if text is None else str(text).encode("utf-8", "replace").decode("utf-8") for text in texts]
        return pa.array(clean, pa.string())
