"""Spans of the OpenTelemetry SDK become a ``SpanBatch`` without protobuf.

What comes out equals ``decode`` of the official OTLP encoding of the same spans.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import chain, compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otel_voicebot.giving_way import breathe
from otel_voicebot.spans.assemble import Plain, Values, assemble, attributes, events, links
from otel_voicebot.spans.attributes import Attributes, Int32s, Kind
from otel_voicebot.spans.batch import Children, SpanBatch
from otel_voicebot.spans.fields import FIELDS, WHOLE
from otel_voicebot.spans.values import nested_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, TraceState

__all__ = ["collect", "collect_fields"]

_whole: Final = attrgetter(
    *("name", "context", "parent", "kind", "start_time", "end_time", "status", "resource"),
    *("instrumentation_scope", "attributes", "events", "links"),
)

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
    return collect_fields(list(chain.from_iterable(map(_fields, spans))))


def collect_fields(flat: list[Any]) -> SpanBatch:
    """The same of spans whose ``FIELDS`` stand one behind the other in one list."""
    width = len(FIELDS)
    if WHOLE in flat[1::width]:
        starts = range(0, len(flat), width)
        flat = [
            one
            for start in starts
            for one in (_fields(flat[start]) if flat[start + 1] is WHOLE else flat[start : start + width])
        ]
    columns = [flat[field::width] for field in range(width)]
    names, traces, ids, parents, states, kinds, starts_, ends, statuses, told, resources, scopes, *rest = columns
    found, events_, links_ = rest
    names, name = _distinct(names)
    kinds, kind = _distinct(kinds)
    statuses, status = _distinct(statuses)
    told, description = _distinct(told)
    resources, resource = _distinct(resources)
    scopes, scope = _distinct(scopes)
    states, state = _distinct(states)
    traces, trace = _distinct(traces)
    return assemble(
        Plain(
            trace_id=pa.array([_id(number, 16) for number in traces], pa.binary()).take(pa.array(trace)),
            span_id=_span_ids(ids),
            parent_span_id=_span_ids(parents),
            trace_state=_texts([_trace_state(state) for state in states]).take(pa.array(state)),
            name=_texts(names).take(pa.array(name)),
            kind=_numbers([kind.value + 1 for kind in kinds])[kind],  # OTLP starts at "unspecified"
            start=_times(starts_),
            end=_times(ends),
            status=_numbers([code.value for code in statuses])[status],
            status_message=_texts([text or "" for text in told]).take(pa.array(description)),
            scope=scope,
            scope_names=_texts([(scope and scope.name) or "" for scope in scopes]),
            scope_versions=_texts([(scope and scope.version) or "" for scope in scopes]),
            resource=resource,
            resources=_attributes([resource.attributes for resource in resources]),
            attributes=_attributes(found),
            events=_events(events_),
            links=_links(links_),
        )
    )


def _fields(span: "ReadableSpan") -> tuple[Any, ...]:
    """The ``FIELDS`` of a span, by its public properties."""
    name, context, parent, kind, start, end, status, resource, scope, attributes_, events_, links_ = _whole(span)
    ids = (context.trace_id, context.span_id) if context else (0, 0)
    state = context and context.trace_state
    told = status.status_code, status.description
    flat = tuple(chain.from_iterable((event.timestamp, event.name, event.attributes) for event in events_))
    before = name, *ids, parent.span_id if parent else 0, state, kind, start, end, *told
    return (*before, resource, scope, attributes_, flat, links_)


def _events(lists: list[tuple[Any, ...]]) -> Children:
    found = list(chain.from_iterable(lists))
    return events(
        np.array(list(map(len, lists)), dtype=np.int32) // 3,
        _times(found[0::3]),
        _texts(found[1::3]),
        _attributes(found[2::3]),
    )


def _links(lists: "list[Sequence[Link]]") -> Children:
    found = list(chain.from_iterable(lists))
    return links(
        np.array(list(map(len, lists)), dtype=np.int32),
        pa.array([_id(link.context.trace_id, 16) for link in found], pa.binary()),
        pa.array([_id(link.context.span_id, 8) for link in found], pa.binary()),
        _texts([""] * len(found)),  # the official encoder leaves a link's trace state out
        _attributes([link.attributes for link in found]),
    )


def _attributes(mappings: "Sequence[Mapping[str, Any] | None]") -> Attributes:
    owned = [mapping if type(mapping) is dict else _dict(mapping) for mapping in mappings]
    counts = np.array(list(map(len, owned)), dtype=np.int32)
    keys: list[str] = list(chain.from_iterable(owned))
    values: list[Any] = list(chain.from_iterable(map(dict.values, owned)))
    # What a bot says again and again (its name, a model's, a session's id) is one object: seen once, worked on once.
    # By identity, as 1, True and 1.0 are equal.
    key, _ = _encoded(_identities(keys))
    value, first = _encoded(_identities(values) * (int(key.max(initial=0)) + 1) + key)
    places = first.tolist()
    return attributes(counts, value, _values([keys[place] for place in places], [values[place] for place in places]))


def _identities(found: list[Any]) -> npt.NDArray[np.int64]:
    """The ids of the objects."""
    if sys.implementation.name == "cpython" and found:
        # an object's id is its address, and addresses are what such an array holds: a third of the time
        return np.frombuffer(np.fromiter(found, object, len(found)), np.intp).astype(np.int64)
    return np.fromiter(map(id, found), np.int64, len(found))


def _encoded(numbers: npt.NDArray[np.int64]) -> tuple[Int32s, npt.NDArray[np.int64]]:
    """Each number's code, counted from 0, and where each code occurs."""
    breathe()
    codes: Int32s = pa.array(numbers).dictionary_encode().indices.to_numpy()
    place = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return codes, place


def _values(names: list[str], values: list[Any]) -> Values:
    keys = _texts(names)
    kinds = list(map(_OF_TYPE.get, map(type, values)))
    if None in kinds:
        kinds = [_kind(value) if kind is None else kind for kind, value in zip(kinds, values, strict=True)]
    try:
        return Values(keys, *_columns(values, cast("list[int]", kinds)))
    except OverflowError:
        pairs = zip(kinds, values, strict=True)
        kinds = [int(Kind.JSON) if kind == Kind.INT and value.bit_length() > 63 else kind for kind, value in pairs]
        return Values(keys, *_columns(values, cast("list[int]", kinds)))


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
    codes, places = _encoded(_identities(found))
    return [found[place] for place in places.tolist()], codes


def _numbers(numbers: list[int]) -> Int32s:
    return np.array(numbers, dtype=np.int32)


def _span_ids(ids: list[int]) -> pa.BinaryArray:
    try:
        words = np.array(ids, dtype=">u8")
    except OverflowError:
        return pa.array([_id(number, 8) for number in ids], pa.binary())
    ends = np.arange(0, 8 * len(ids) + 1, 8, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(ids), [None, pa.py_buffer(ends), pa.py_buffer(words)])


def _id(number: int, width: int) -> bytes:
    try:
        return number.to_bytes(width, "big")
    except OverflowError:
        return b""


def _trace_state(state: "TraceState | None") -> str:
    return ",".join(f"{key}={value}" for key, value in state.items()) if state else ""


def _times(times: list[int | None]) -> npt.NDArray[np.uint64]:
    try:
        return np.maximum(np.array(times, dtype=np.int64), 0).astype(np.uint64)
    except (TypeError, ValueError, OverflowError):  # an unknown time, or one beyond 64 bits
        pass
    return np.array([time if time and 0 < time <= _UINT64_MAX else 0 for time in times], dtype=np.uint64)


def _texts(texts: Sequence[str | None]) -> pa.StringArray:
    try:
        return pa.array(texts, pa.string())
    except (UnicodeEncodeError, pa.ArrowException):
        clean = [None if text is None else str(text).encode("utf-8", "replace").decode("utf-8") for text in texts]
        return pa.array(clean, pa.string())
