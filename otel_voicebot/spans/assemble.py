"""What both doors share: plain columns become a ``SpanBatch``, and spans that can't be kept are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.giving_way import breathe
from otel_voicebot.spans.attributes import Attributes, Int32s, Mask
from otel_voicebot.spans.batch import Children, SpanBatch
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.spans.values import offsets

__all__ = [
    "Plain",
    "Values",
    "assemble",
    "attributes",
    "events",
    "ids_of",
    "links",
    "nanos",
    "null_if_empty",
    "validity",
]

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_INT64_MAX: Final = np.uint64(np.iinfo(np.int64).max)

Counts = npt.NDArray[np.int32]
UInt64s = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Values:
    """Keys and values as a door read them, side by side; the values as in ``Attributes``."""

    keys: pa.BinaryArray | pa.StringArray
    kind: npt.NDArray[np.uint8]
    text: pa.StringArray
    integer: npt.NDArray[np.int64]
    double: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plain:
    """Spans as a door read them: one entry per span, with OTLP's numbers and OTLP's defaults for what is missing.

    Attributes:
        trace_id: bytes of any length, as are the other ids.
        scope: index into ``scope_names`` and ``scope_versions``.
    """

    trace_id: pa.BinaryArray
    span_id: pa.BinaryArray
    parent_span_id: pa.BinaryArray
    trace_state: pa.StringArray
    name: pa.StringArray
    kind: Int32s
    start: UInt64s
    end: UInt64s
    status: Int32s
    status_message: pa.StringArray
    scope: Int32s
    scope_names: pa.StringArray
    scope_versions: pa.StringArray
    resource: Int32s
    resources: Attributes
    attributes: Attributes
    events: Children
    links: Children


def attributes(counts: Counts, value: Int32s, values: Values) -> Attributes:
    """Attributes of ``len(counts)`` owners; of an owner's entries with one key the last stays.

    Args:
        counts: how many entries each owner has.
        value: index into ``values``, per entry.
        values: the values, whose keys may repeat.
    """
    keys = values.keys.dictionary_encode()
    entries = Attributes(
        row=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        value=value,
        key=keys.indices.to_numpy(),
        keys=keys.dictionary.cast(pa.string()).to_pylist(),
        kind=values.kind,
        text=values.text,
        integer=values.integer,
        double=values.double,
    )
    return entries.last_of_each_key()


def events(counts: Counts, times: UInt64s, names: pa.StringArray, entries: Attributes) -> Children:
    """Span events; a time of 0 or beyond int64 is unknown."""
    columns = {"unix_nano": nanos(times), "name": names}
    return Children(np.repeat(np.arange(len(counts), dtype=np.int32), counts), columns, entries)


def links(
    counts: Counts,
    trace_ids: pa.BinaryArray,
    span_ids: pa.BinaryArray,
    trace_states: pa.StringArray,
    entries: Attributes,
) -> Children:
    """Span links; ids that are no ids are null."""
    columns = {
        "trace_id": ids_of(trace_ids, 16)[0],
        "span_id": ids_of(span_ids, 8)[0],
        "trace_state": null_if_empty(trace_states),
    }
    return Children(np.repeat(np.arange(len(counts), dtype=np.int32), counts), columns, entries)


def assemble(plain: Plain) -> SpanBatch:
    """The batch of the spans that can be kept; the others are counted in ``rejected``."""
    trace_id, good_trace = ids_of(plain.trace_id, 16)
    span_id, good_span = ids_of(plain.span_id, 8)
    parent_id, _ = ids_of(plain.parent_span_id, 8)
    good_time = (plain.start > 0) & (plain.start <= _INT64_MAX) & (plain.end <= _INT64_MAX)
    start, end = plain.start.astype(np.int64), plain.end.astype(np.int64)
    never_ended, backwards = end == 0, (end < start) & (end != 0)
    breathe()
    parent_sizes = np.diff(_offsets(plain.parent_span_id))
    columns = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent_id,
        "trace_state": null_if_empty(plain.trace_state),
        "name": plain.name,
        "kind": _named(_KINDS, plain.kind),
        "start_unix_nano": pa.array(start),
        "end_unix_nano": nanos(plain.end),
        "start_time": pa.array(start // 1000).cast(SPANS.field("start_time").type),
        "duration_ns": pa.array(end - start, mask=end < start),
        "status": _named(_STATUSES, plain.status),
        "status_message": null_if_empty(plain.status_message),
        "scope_name": null_if_empty(plain.scope_names).take(pa.array(plain.scope)),
        "scope_version": null_if_empty(plain.scope_versions).take(pa.array(plain.scope)),
        "quality": _quality(
            {
                "never_ended": never_ended,
                "stop_before_start": backwards,
                "invalid_parent_id": (parent_sizes != 0) & (parent_sizes != 8),
            },
        ),
    }
    breathe()
    batch = SpanBatch(
        size=len(start),
        columns=columns,
        attributes=plain.attributes,
        events=plain.events,
        links=plain.links,
        resource=plain.resource,
        resources=plain.resources,
    )
    return _without(batch, {"invalid_trace_id": good_trace, "invalid_span_id": good_span, "invalid_time": good_time})


def _without(batch: SpanBatch, rules: Mapping[str, Mask]) -> SpanBatch:
    keep = np.ones(len(batch), dtype=bool)
    rejected = {}
    for reason, good in rules.items():
        refused = int((keep & ~good).sum())
        if refused:
            rejected[reason] = refused
            keep &= good
    if not rejected:
        return batch
    return SpanBatch(
        size=int(keep.sum()),
        columns={name: column.filter(pa.array(keep)) for name, column in batch.columns.items()},
        attributes=batch.attributes.of_rows(keep),
        events=batch.events.of_rows(keep),
        links=batch.links.of_rows(keep),
        resource=batch.resource[keep],
        resources=batch.resources,
        rejected=rejected,
    )


def validity(mask: Mask) -> pa.Buffer | None:
    """Arrow's validity bitmap; None where all are valid."""
    return None if mask.all() else pa.py_buffer(np.packbits(mask, bitorder="little"))


def _offsets(array: pa.BinaryArray) -> npt.NDArray[np.int32]:
    if not len(array):
        return np.zeros(1, dtype=np.int32)
    whole = np.frombuffer(array.buffers()[1], dtype=np.int32)
    return whole[array.offset : array.offset + len(array) + 1]


def ids_of(array: pa.BinaryArray, width: int) -> tuple[pa.FixedSizeBinaryArray, Mask]:
    """Ids of fixed width, and which are ids: neither of another length nor all zero. The others are null."""
    ends = _offsets(array)
    count = len(array)
    good = np.diff(ends) == width
    data = np.frombuffer(array.buffers()[2] or b"", dtype=np.uint8)
    if good.all() and count:
        ids = data[ends[0] : ends[0] + count * width].reshape(count, width)
    else:
        ids = np.zeros((count, width), dtype=np.uint8)
        ids[good] = data[ends[:-1][good][:, None] + np.arange(width)]
    words = ids.view(np.uint64)
    good &= (words[:, 0] | words[:, -1]) != 0
    buffers = [validity(good), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.binary(width), count, buffers), good


def nanos(times: UInt64s) -> pa.Int64Array:
    """Nanoseconds since 1970; 0 and what is beyond int64 is null."""
    return pa.array(times.astype(np.int64), mask=(times == 0) | (times > _INT64_MAX))


def _named(names: Sequence[str], numbers: Int32s) -> pa.StringArray:
    known = np.where((numbers >= 0) & (numbers < len(names)), numbers, 0)
    return pa.array(names, pa.string()).take(pa.array(known))


def null_if_empty(text: pa.StringArray) -> pa.StringArray:
    """The texts, null in place of empty ones."""
    empty = np.diff(_offsets(text)) == 0
    if not empty.any():
        return text
    if empty.all():
        return pa.nulls(len(text), pa.string())
    return pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), text)


def _quality(rules: Mapping[str, Mask]) -> pa.ListArray:
    names: Sequence[str] = list(rules)
    row, rule = np.nonzero(np.stack([rules[name] for name in names], axis=1))
    broken = pa.array(names, pa.string()).take(pa.array(rule))
    return pa.ListArray.from_arrays(offsets(row, len(next(iter(rules.values())))), broken)
