"""OTLP/JSON as every encoder writes it, as messages: several times faster than protobuf's own JSON reader.

That reader looks up each field by reflection and takes whatever JSON may mean. Here a field's name leads to what turns
its value into the message's, and protobuf builds the whole message in one call. Whatever is not usual (an unknown
field, a null, an id in base64, a number where a text belongs) makes the answer None: the general reader has the last
word, so this one never has to decide what is right.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["usual"]

M = TypeVar("M", bound=Message)
Convert = Callable[[Any], Any]
_Fields = dict[str, tuple[str, Convert]]

_IDS: Final = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
"""The only bytes that are hex, not base64, and their lengths."""


class _UnusualError(ValueError):
    """Something that the general reader has to judge."""


def usual(document: object, kind: type[M]) -> M | None:
    """The message that a parsed JSON document says; None when something in it is not usual."""
    try:
        return kind(**_message(_fields_of(kind.DESCRIPTOR), document))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _message(fields: _Fields, document: Any) -> dict[str, Any]:
    found = {}
    for key, value in document.items():
        name, convert = fields[key]
        found[name] = convert(value)
    if len(found) < len(document):  # one field under two names
        raise _UnusualError
    return found


_known: Final[dict[str, _Fields]] = {}


def _fields_of(message: Any) -> _Fields:
    """By the names in JSON (camelCase, or as in protobuf) each field's name and converter. Made once a message."""
    fields = _known.get(message.full_name)
    if fields is None:
        fields = _known[message.full_name] = {}  # before it is filled: a value may hold values
        for field in message.fields:
            convert = _converter(field)
            if convert is not None:
                fields[field.name] = fields[field.json_name] = (field.name, convert)
    return fields


def _converter(field: Any) -> Convert | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        one = _submessage(field.message_type)
    elif field.type == FieldDescriptor.TYPE_ENUM:
        one = _enum({value.name: value.number for value in field.enum_type.values})
    elif field.type == FieldDescriptor.TYPE_BYTES:
        if field.name not in _IDS:
            return None
        one = _id(2 * _IDS[field.name])
    elif field.cpp_type in _SCALARS:
        one = _SCALARS[field.cpp_type]
    else:
        return None
    return _each(one) if field.is_repeated else one


def _submessage(message: Any) -> Convert:
    fields = _fields_of(message)
    if message.full_name != "opentelemetry.proto.common.v1.AnyValue":
        return lambda document: _message(fields, document)

    def value(document: Any) -> dict[str, Any]:
        if len(document) > 1:  # two values for one
            raise _UnusualError
        return _message(fields, document)

    return value


def _each(convert: Convert) -> Convert:
    def items(values: Any) -> list[Any]:
        if values.__class__ is not list:
            raise _UnusualError
        return [convert(value) for value in values]

    return items


def _enum(numbers: Mapping[str, int]) -> Convert:
    def number(value: Any) -> int:
        return value if value.__class__ is int else numbers[value]

    return number


def _id(digits: int) -> Convert:
    def identifier(value: Any) -> bytes:
        if value.__class__ is not str or not (value.isalnum() if len(value) == digits else not value):
            raise _UnusualError
        return bytes.fromhex(value)

    return identifier


def _text(value: Any) -> str:
    if value.__class__ is not str:
        raise _UnusualError
    return str(value)


def _integer(value: Any) -> int:
    """A number, or its decimal digits: JSON numbers don't hold 64 bits."""
    if value.__class__ is int:
        return int(value)
    if value.__class__ is str and value.isascii() and value.removeprefix("-").isdecimal():
        return int(value)
    raise _UnusualError


def _double(value: Any) -> float:
    if (value.__class__ is float and math.isfinite(value)) or value.__class__ is int:
        return float(value)
    raise _UnusualError


def _flag(value: Any) -> bool:
    if value.__class__ is not bool:
        raise _UnusualError
    return bool(value)


_SCALARS: Final[dict[int, Convert]] = {
    FieldDescriptor.CPPTYPE_STRING: _text,
    FieldDescriptor.CPPTYPE_BOOL: _flag,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_INT32: _integer,
    FieldDescriptor.CPPTYPE_UINT32: _integer,
    FieldDescriptor.CPPTYPE_INT64: _integer,
    FieldDescriptor.CPPTYPE_UINT64: _integer,
}
