"""OTLP ``KeyValue`` messages, still in wire format, become columns.

What every encoder writes (a key, then a value of one field: string, bool, int or double) is read with NumPy. Everything
else, nested values among it, is read with protobuf's own class, one by one: rare, and right by construction.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otel_voicebot.spans.assemble import Values, validity
from otel_voicebot.spans.attributes import Kind, Mask
from otel_voicebot.spans.values import nested_text

__all__ = ["key_values"]

# tag bytes: field number << 3 | wire type
_KEY, _VALUE = 0x0A, 0x12
_STRING, _BOOL, _INT, _DOUBLE = 0x0A, 0x10, 0x18, 0x21
_UNUSUAL: Final = np.uint8(255)
_KIND_OF_TAG: Final = np.full(256, _UNUSUAL, dtype=np.uint8)
_KIND_OF_TAG[[_STRING, _BOOL, _INT, _DOUBLE]] = [Kind.STRING, Kind.BOOL, Kind.INT, Kind.DOUBLE]

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def key_values(messages: pa.BinaryArray) -> Values:
    """Key and value of each message.

    Raises:
        ValueError: a text is not UTF-8.
        google.protobuf.message.DecodeError: a message can't be read.
    """
    count = len(messages)
    whole = np.frombuffer(messages.buffers()[1], dtype=np.int32)[messages.offset : messages.offset + count + 1]
    starts, ends = whole[:-1].astype(np.int64), whole[1:].astype(np.int64)
    # padded, so that a look beyond the last message's end is no error but an unusual message
    data = np.frombuffer(messages.buffers()[2] or b"", dtype=np.uint8, count=int(whole[-1]))
    data = np.append(data, np.zeros(16, dtype=np.uint8))
    key_ends, value_starts, usual = _split(data, starts, ends)
    kind = np.where(usual, _KIND_OF_TAG[data[value_starts]], _UNUSUAL)
    kind[usual & (value_starts == ends)] = Kind.EMPTY
    integer, text_starts = _varints(data, value_starts, ends, kind)
    double = _doubles(data, value_starts, ends, kind)
    keys, text = _slices(data, (starts, np.where(usual, key_ends, starts + 2), text_starts, ends), kind)
    values = Values(keys, kind, text, integer, double)
    places = np.flatnonzero(kind == _UNUSUAL)
    if len(places):
        _read_one_by_one(values, places, [data[starts[place] : ends[place]].tobytes() for place in places.tolist()])
    return values


def _split(data: Bytes, starts: Places, ends: Places) -> tuple[Places, Places, Mask]:
    """Where each message's key ends and its value starts, and whether it is a key and a value and nothing else."""
    key_sizes = data[starts + 1]
    key_ends = starts + 2 + key_sizes
    inside = key_ends < ends
    tags = np.minimum(key_ends, ends)
    size, width = _varint(data, tags + 1, ends)
    value_starts = np.where(inside, tags + 1 + width, ends)
    usual = (data[starts] == _KEY) & (key_sizes < 128) & (key_ends <= ends)
    usual &= np.where(inside, (data[tags] == _VALUE) & (width > 0) & (value_starts + size == ends), True)  # noqa: FBT003
    return key_ends, np.where(usual, value_starts, ends), usual


def _varints(data: Bytes, starts: Places, ends: Places, kind: Bytes) -> tuple[npt.NDArray[np.int64], Places]:
    """Integers and booleans, and where texts start: all three begin with a varint after the tag."""
    integer, text_starts = np.zeros(len(kind), dtype=np.int64), ends.copy()
    where = np.flatnonzero((kind >= Kind.STRING) & (kind <= Kind.INT))
    begins, stops, kinds = starts[where], ends[where], kind[where]
    number, width = _varint(data, begins + 1, stops)
    begins = begins + 1 + width
    strings = kinds == Kind.STRING
    good = (width > 0) & (np.where(strings, begins + number, begins) == stops)
    kind[where[~good]] = _UNUSUAL
    integer[where] = np.where(kinds == Kind.BOOL, number != 0, number)
    integer[where[strings]] = 0
    strings &= good
    text_starts[where[strings]] = begins[strings]
    return integer, text_starts


def _doubles(data: Bytes, starts: Places, ends: Places, kind: Bytes) -> npt.NDArray[np.float64]:
    double = np.zeros(len(kind), dtype=np.float64)
    where = np.flatnonzero(kind == Kind.DOUBLE)
    good = ends[where] - starts[where] == 9
    kind[where[~good]] = _UNUSUAL
    where = where[good]
    double[where] = data[starts[where][:, None] + np.arange(1, 9)].view("<f8")[:, 0]
    return double


def _varint(data: Bytes, starts: Places, ends: Places) -> tuple[npt.NDArray[np.int64], Places]:
    """The number at each start and how many bytes it takes; 0 bytes where it doesn't end in time."""
    first = data[starts]
    number, width = (first & 0x7F).astype(np.int64), ((first < 0x80) & (starts < ends)).astype(np.int64)
    going = np.flatnonzero((first >= 0x80) & (starts < ends))
    for byte in range(1, 10):
        going = going[starts[going] + byte < ends[going]]
        if not len(going):
            break
        following = data[starts[going] + byte]
        number[going] |= (following & 0x7F).astype(np.int64) << (7 * byte)
        last = following < 0x80
        width[going[last]] = byte + 1
        going = going[~last]
    return number, width


def _slices(data: Bytes, marks: tuple[Places, ...], kind: Bytes) -> tuple[pa.BinaryArray, pa.StringArray]:
    """Keys and texts out of the messages, which marks cut into: key's header, key, value's header, text."""
    starts, key_ends, text_starts, ends = marks
    count = len(starts)
    cuts = np.empty((count, 4), dtype=np.int32)
    cuts[:, 0], cuts[:, 1], cuts[:, 2], cuts[:, 3] = starts, starts + 2, key_ends, text_starts
    offsets = np.append(cuts.ravel(), np.int32(ends[-1] if count else 0))
    pieces = pa.Array.from_buffers(pa.binary(), 4 * count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    every = np.arange(count, dtype=np.int32) * 4
    keys, text = pieces.take(pa.array(every + 1)), pieces.take(pa.array(every + 3)).cast(pa.string())
    _, text_offsets, text_data = text.buffers()
    return keys, pa.Array.from_buffers(pa.string(), count, [validity(kind == Kind.STRING), text_offsets, text_data])


def _read_one_by_one(values: Values, places: npt.NDArray[np.intp], messages: list[bytes]) -> None:
    keys, texts = [], []
    for place, message in zip(places.tolist(), messages, strict=True):
        read = KeyValue.FromString(message)
        keys.append(read.key.encode())
        kind, value = _typed(read.value)
        values.kind[place] = kind
        texts.append(value if isinstance(value, str) else None)
        if isinstance(value, float):
            values.double[place] = value
        elif isinstance(value, int):
            values.integer[place] = value
    mask = np.zeros(len(values.kind), dtype=bool)
    mask[places] = True
    values.keys = pc.replace_with_mask(values.keys, pa.array(mask), pa.array(keys, pa.binary()))
    values.text = pc.replace_with_mask(values.text, pa.array(mask), pa.array(texts, pa.string()))


def _typed(value: AnyValue) -> tuple[Kind, str | int | float | None]:
    which = value.WhichOneof("value")
    if which is None:
        return Kind.EMPTY, None
    found = getattr(value, which)
    simple = {"string_value": Kind.STRING, "bool_value": Kind.BOOL, "int_value": Kind.INT, "double_value": Kind.DOUBLE}
    return (simple[which], found) if which in simple else (Kind.JSON, nested_text(_plain(value)))


def _plain(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    found = getattr(value, which)
    if isinstance(found, ArrayValue):
        return [_plain(item) for item in found.values]
    if isinstance(found, KeyValueList):
        return {item.key: _plain(item.value) for item in found.values}
    return found
