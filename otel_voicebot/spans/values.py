"""Attribute values as JSON text, the same text whichever door a value came through.

Integers and doubles stay apart (``1`` and ``1.0``); what JSON can't say is an object with one member:
``{"double":"NaN"}``, ``{"bytes":"<base64>"}``, ``{"withheld_characters":12}``.
"""

import base64
import json
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Indices, Kind

__all__ = ["TOO_DEEP", "json_objects", "json_text", "nested_text", "offsets"]

_NEEDS_ESCAPE: Final = r'["\\\x00-\x1f]'
TOO_DEEP: Final = "nested too deep to be kept"
_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def nested_text(value: object) -> str:
    """JSON text of bytes, a sequence or a mapping of attribute values, nested as they come; one too deep says so."""
    try:
        return _dumps(_plain(value))
    except RecursionError:  # some hundred levels, which OTLP can't carry at all: the spans beside it shall not be lost
        return _dumps(TOO_DEEP)


def json_text(attributes: Attributes) -> pa.StringArray:
    """JSON text of each entry's value."""
    used = attributes.in_use()
    parts, places = [], []
    for kind, render in _RENDER.items():
        where = np.flatnonzero(used.kind == kind)
        if len(where):
            parts.append(render(used, where))
            places.append(where)
    if not parts:
        return pa.array([], pa.string())
    position = np.empty(len(used.kind), dtype=np.int32)
    position[np.concatenate(places)] = np.arange(len(position))
    return pa.concat_arrays(parts).take(pa.array(position[used.value]))


def json_objects(attributes: Attributes, owners: int) -> pa.StringArray:
    """One JSON object per owner: its attributes, in their order; ``{}`` where there are none."""
    if not len(attributes):
        return pa.array(["{}"], pa.string()).take(pa.array(np.zeros(owners, dtype=np.int32)))
    names = pa.array([_dumps(key) for key in attributes.keys], pa.string()).take(
        pa.array(attributes.key[attributes.value])
    )
    members = pc.binary_join_element_wise(names, json_text(attributes), ":")
    lists = pa.ListArray.from_arrays(offsets(attributes.row, owners), members)
    return pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")


def offsets(row: np.ndarray, owners: int) -> pa.Int32Array:
    """Arrow list offsets of entries that are ascending by owner."""
    ends = np.zeros(owners + 1, dtype=np.int32)
    np.cumsum(np.bincount(row, minlength=owners), out=ends[1:])
    return pa.array(ends)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> object:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"double": _NOT_FINITE[repr(float(value))]}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def _of_strings(attributes: Attributes, where: Indices) -> pa.StringArray:
    text = attributes.text.take(pa.array(where))
    quoted = pc.binary_join_element_wise('"', text, '"', "")
    special = pc.match_substring_regex(text, _NEEDS_ESCAPE)
    if not special.true_count:
        return quoted
    escaped = pa.array([_dumps(value) for value in text.filter(special).to_pylist()], pa.string())
    return pc.replace_with_mask(quoted, special, escaped)


def _of_bools(attributes: Attributes, where: Indices) -> pa.StringArray:
    return pa.array(["false", "true"], pa.string()).take(pa.array(attributes.integer[where]))


def _of_integers(attributes: Attributes, where: Indices) -> pa.StringArray:
    return pa.array(attributes.integer[where]).cast(pa.string())


def _of_doubles(attributes: Attributes, where: Indices) -> pa.StringArray:
    values = attributes.double[where]
    text = pa.array(values).cast(pa.string())
    integral = pc.invert(pc.match_substring_regex(text, "[.en]"))  # Arrow prints 1.0 as "1"; n as in nan, inf
    if integral.true_count:
        text = pc.if_else(integral, pc.binary_join_element_wise(text, ".0", ""), text)
    infinite = ~np.isfinite(values)
    if infinite.any():
        objects = [_dumps({"double": _NOT_FINITE[repr(value)]}) for value in values[infinite].tolist()]
        text = pc.replace_with_mask(text, pa.array(infinite), pa.array(objects, pa.string()))
    return text


def _of_json(attributes: Attributes, where: Indices) -> pa.StringArray:
    return attributes.text.take(pa.array(where))


def _of_empty(_attributes: Attributes, where: Indices) -> pa.StringArray:
    return pa.array(["null"], pa.string()).take(pa.array(np.zeros(len(where), dtype=np.int32)))


def _of_withheld(attributes: Attributes, where: Indices) -> pa.StringArray:
    return pc.binary_join_element_wise('{"withheld_characters":', _of_integers(attributes, where), "}", "")


_RENDER: Final[dict[Kind, Callable[[Attributes, Indices], pa.StringArray]]] = {
    Kind.EMPTY: _of_empty,
    Kind.STRING: _of_strings,
    Kind.BOOL: _of_bools,
    Kind.INT: _of_integers,
    Kind.DOUBLE: _of_doubles,
    Kind.JSON: _of_json,
    Kind.WITHHELD: _of_withheld,
}
