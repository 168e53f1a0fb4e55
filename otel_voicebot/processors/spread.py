"""Columns from the values of some rows: they are laid out between the gaps, and no gap is asked for its value.

Most columns hold something on every tenth row or fewer. Taking a value or a null row by row costs a third more.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otel_voicebot.spans.attributes import Indices, Int32s, Mask

__all__ = ["Filling", "spread_numbers", "spread_texts"]


class Filling:
    """Which rows of a column have a value, and which; the first that comes for a row stays.

    Args:
        size: number of rows.
    """

    def __init__(self, size: int) -> None:
        self.there: Mask = np.zeros(size, dtype=bool)
        self._parts: list[tuple[Int32s, Int32s]] = []

    def add(self, rows: Int32s, values: Int32s) -> None:
        """Take the numbers of values for these rows, none of which has one yet."""
        self.there[rows] = True
        self._parts.append((rows, values))

    def found(self) -> tuple[Indices, Int32s]:
        """The rows that have a value, ascending, and its number."""
        rows = np.flatnonzero(self.there)
        place = np.empty(len(self.there), np.int32)
        for some, values in self._parts:
            place[some] = values
        return rows, place[rows]


def spread_texts(texts: pa.StringArray, rows: Indices, size: int) -> pa.StringArray:
    """One text on each of these rows, which ascend; null on the others."""
    if texts.null_count:
        rows, texts = rows[np.asarray(texts.is_valid())], texts.drop_null()
    _, ends, data = texts.buffers()
    stops = np.zeros(size + 1, np.int32)
    if len(texts):
        found = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        stops[0] = found[0]
        stops[rows + 1] = np.diff(found)
        np.cumsum(stops, out=stops)
    buffers = [_valid(rows, size), pa.py_buffer(stops), data or pa.py_buffer(b"")]
    return pa.Array.from_buffers(pa.string(), size, buffers, size - len(texts))


def spread_numbers(values: npt.NDArray[Any], rows: Indices, size: int, kind: pa.DataType) -> pa.Array:
    """The same of numbers and of booleans."""
    wide = np.zeros(size, values.dtype)
    wide[rows] = values
    data = _bits(wide) if pa.types.is_boolean(kind) else pa.py_buffer(wide)
    return pa.Array.from_buffers(kind, size, [_valid(rows, size), data], size - len(values))


def _valid(rows: Indices, size: int) -> pa.Buffer:
    there = np.zeros(size, dtype=bool)
    there[rows] = True
    return _bits(there)


def _bits(mask: npt.NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))
