"""Columns from the values of some rows: they are laid out between the gaps, and no gap is asked for its value.

Most columns hold something on every tenth row or fewer. Taking a value or a null row by row costs a third more.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otel_voicebot.spans.attributes import Int32s, Mask

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

    def values(self) -> Int32s:
        """The number of each value, by row."""
        place = np.empty(len(self.there), np.int32)
        for rows, values in self._parts:
            place[rows] = values
        return place[np.flatnonzero(self.there)]


def spread_texts(texts: pa.StringArray, there: Mask) -> pa.StringArray:
    """One text on each of these rows; null on the others."""
    rows = np.flatnonzero(there)
    if texts.null_count:
        said = np.asarray(texts.is_valid())
        there = there.copy()
        there[rows[~said]] = False
        rows, texts = rows[said], texts.drop_null()
    _, ends, data = texts.buffers()
    stops = np.zeros(len(there) + 1, np.int32)
    if len(texts):
        found = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        stops[0] = found[0]
        stops[rows + 1] = np.diff(found)
        np.cumsum(stops, out=stops)
    buffers = [_bits(there), pa.py_buffer(stops), data or pa.py_buffer(b"")]
    return pa.Array.from_buffers(pa.string(), len(there), buffers, len(there) - len(texts))


def spread_numbers(values: npt.NDArray[Any], there: Mask, kind: pa.DataType) -> pa.Array:
    """The same of numbers and of booleans."""
    wide = np.zeros(len(there), values.dtype)
    wide[np.flatnonzero(there)] = values
    data = _bits(wide) if pa.types.is_boolean(kind) else pa.py_buffer(wide)
    return pa.Array.from_buffers(kind, len(there), [_bits(there), data], len(there) - len(values))


def _bits(mask: npt.NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))
