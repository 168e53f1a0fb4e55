"""What can be read of a request that can't be read as a whole.

One text that is not UTF-8, or one value nested a hundred deep, makes the whole message invalid for protobuf, and the
Collector, which doesn't check texts, passes such spans on in batches of thousands. So the spans that are at fault are
found by halving, and the others are kept.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["crowded", "salvage"]

_TRIES: Final = 512
"""Readings of parts of a request; a sender must not buy hours of work with one request."""

_Field = descriptor_pb2.FieldDescriptorProto


def _class() -> Any:
    """The request of traces and of logs alike, down to spans or log records, which stay bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="otel_voicebot_salvage.proto", package="salvage", syntax="proto3")
    for name, fields in {
        "Group": (("head", 1, ""), ("items", 2, "*"), ("schema_url", 3, "")),
        "Resource": (("head", 1, ""), ("groups", 2, "Group"), ("schema_url", 3, "")),
        "Request": (("resources", 1, "Resource"),),
    }.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number, type=_Field.TYPE_BYTES)
            field.label = _Field.LABEL_REPEATED if kind else _Field.LABEL_OPTIONAL
            if kind not in ("", "*"):
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".salvage.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("salvage.Request"))


_REQUEST: Final = _class()

_VARINT, _DELIMITED = 0, 2
_FIXED: Final = {1: 8, 3: 0, 4: 0, 5: 4}
"""Bytes of the wire types with as many; a group's begin and end have none, and what is between is walked over too."""

Readable = Callable[[bytes], bool]


def crowded(payload: bytes, most: int) -> bool:
    """Whether a request holds more than so many resources, scopes, spans or log records, together.

    Walks over the frames and looks no further than that; costs half a microsecond each.
    """
    for resource_field, start, end in _frames(payload, 0, len(payload)):
        most -= 1
        for group_field, group_start, group_end in _frames(payload, start, end) if resource_field == 1 else ():
            most -= 1
            if group_field == 2:
                most -= sum(1 for _ in itertools.islice(_frames(payload, group_start, group_end), max(most, 0) + 1))
            if most < 0:
                return True
        if most < 0:
            return True
    return False


def _frames(payload: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Field number, start and end of each delimited field; ends where the bytes are no protobuf."""
    while position < end:
        tag, position = _varint(payload, position, end)
        kind = tag & 7
        if kind in (_VARINT, _DELIMITED):
            size, position = _varint(payload, position, end)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            return
        if kind == _DELIMITED:
            if size > end - position:
                return
            yield tag >> 3, position, position + size
        position += size if kind != _VARINT else 0


def _varint(payload: bytes, position: int, end: int) -> tuple[int, int]:
    """The number here, and where it ends; where it does not, a number that ends everything."""
    number, shift = 0, 0
    while position < end and shift < 70:
        byte = payload[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    return _DELIMITED | 1 << 70, end


def salvage(payload: bytes, readable: Readable) -> tuple[bytes, int] | None:
    """The request with those of its spans or log records that can be read, and how many were left out.

    None when nothing can be read. Where too many are damaged, some that could be read are left out too.

    Args:
        payload: an ``ExportTraceServiceRequest`` or ``ExportLogsServiceRequest`` that is not readable.
        readable: whether such a request can be read.
    """
    try:
        request = _REQUEST.FromString(payload)
    except DecodeError:
        return None
    tries, left_out, kept = _Tries(readable), 0, _REQUEST()
    for resource in request.resources:
        for group in resource.groups:
            items = list(group.items)
            good = tries.readable_of(items, partial(_with, resource, group))
            left_out += len(items) - len(good)
            if good:
                kept.MergeFrom(_with(resource, group, good))
    return (kept.SerializeToString(), left_out) if kept.resources else None


def _with(resource: Any, group: Any, items: list[bytes]) -> Any:
    request = _REQUEST()
    holder = request.resources.add(head=resource.head, schema_url=resource.schema_url)
    holder.groups.add(head=group.head, schema_url=group.schema_url, items=items)
    return request


class _Tries:
    def __init__(self, readable: Readable) -> None:
        self._readable = readable
        self._left = _TRIES

    def readable_of(self, items: list[bytes], request: Callable[[list[bytes]], Any]) -> list[bytes]:
        """The items that can be read, in their order."""
        if not items or self._left <= 0:
            return []
        self._left -= 1
        if self._readable(request(items).SerializeToString()):
            return items
        if len(items) == 1:
            return []
        middle = len(items) // 2
        return self.readable_of(items[:middle], request) + self.readable_of(items[middle:], request)
