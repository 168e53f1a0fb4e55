"""OTLP messages in wire format become Arrow columns.

The only module that knows ptars. It is given message types of our own, in which texts and KeyValue messages are bytes:
Arrow and ``wire`` read these faster than ptars does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import ptars
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool

from otel_voicebot.spans.assemble import attributes
from otel_voicebot.spans.attributes import Attributes
from otel_voicebot.spans.wire import key_values

__all__ = ["COMMON", "attributes_of", "counts_of", "handler", "text_of"]

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bytes": _Field.TYPE_BYTES,
    "fixed32": _Field.TYPE_FIXED32,
    "fixed64": _Field.TYPE_FIXED64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
}
COMMON: Final[Mapping[str, Sequence[str]]] = {
    "Scope": ("1 name bytes", "2 version bytes", "3 attributes bytes*", "4 dropped uint32"),
    "Resource": ("1 attributes bytes*", "2 dropped uint32"),
}
"""Messages of all signals, as in ``handler``."""


def handler(messages: Mapping[str, Sequence[str]]) -> Any:
    """What reads ``Request``, one of these messages: ``number name type``, where * is repeated.

    Fields that we don't read are declared too where senders fill them: ptars is slower with unknown ones.
    """
    file = descriptor_pb2.FileDescriptorProto(name="otel_voicebot.proto", package="otel_voicebot", syntax="proto3")
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for text in fields:
            number, name, kind = text.split()
            field = message.field.add(name=name, number=int(number))
            field.label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.removesuffix("*")
            field.type = _SCALARS.get(kind, _Field.TYPE_MESSAGE)
            if kind not in _SCALARS:
                field.type_name = f".otel_voicebot.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request = pool.FindMessageTypeByName("otel_voicebot.Request")
    return ptars.HandlerPool([request.file]).get_for_message(request)


def counts_of(lists: pa.ListArray) -> npt.NDArray[np.int32]:
    """How many items each list has."""
    counts: npt.NDArray[np.int32] = np.diff(lists.offsets.to_numpy())
    return counts


def attributes_of(lists: pa.ListArray) -> Attributes:
    """Attributes of as many owners as there are lists of KeyValue messages."""
    distinct = lists.values.dictionary_encode()
    return attributes(counts_of(lists), distinct.indices.to_numpy(), key_values(distinct.dictionary))


def text_of(array: pa.BinaryArray) -> pa.StringArray:
    """The same bytes as text; checking them is several times faster here than in ptars."""
    return array.cast(pa.string())
