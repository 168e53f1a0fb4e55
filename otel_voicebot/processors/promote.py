"""Attributes that have a column of their own: from the flat table into typed columns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from otel_voicebot.dialects import DIALECTS, STAMPS
from otel_voicebot.spans.attributes import Attributes, Kind, Mask
from otel_voicebot.spans.schema import SPANS

__all__ = ["Promoter"]

_EXACT: Final = float(2**53)
"""Doubles beyond this don't hold every integer."""


class Promoter:
    """Moves attributes into columns, entry by entry of a key at once. What doesn't fit its column stays.

    Args:
        attributes: of the spans.
        size: number of spans.
    """

    def __init__(self, attributes: Attributes, size: int) -> None:
        self._attributes = attributes
        self._size = size
        self._order = attributes.by_key()
        codes = attributes.key[attributes.value[self._order]] if len(attributes) else np.zeros(0, np.int32)
        starts = np.searchsorted(codes, np.arange(len(attributes.keys) + 1))
        self._slices = {key: slice(starts[code], starts[code + 1]) for code, key in enumerate(attributes.keys)}
        self._left = np.ones(len(attributes), dtype=bool)
        self._filled: dict[str, tuple[np.ndarray, Mask]] = {}

    def promote(self, columns: Mapping[str, Sequence[str]], rows: Mask | None) -> None:
        """Fill columns from the first of their attributes that fits, on these rows (None: on all)."""
        for column, keys in columns.items():
            for key in keys:
                place = self._slices.get(key)
                if place is not None and place.stop > place.start:
                    self._fill(column, self._order[place], rows)

    def _fill(self, column: str, entries: np.ndarray, rows: Mask | None) -> None:
        values, known = self._filled.get(column) or self._fresh(column)
        at = self._attributes.row[entries]
        value = self._attributes.value[entries]
        take = _FITS[_TYPES[column]](self._attributes)[value] & self._left[entries] & ~known[at]
        if rows is not None:
            take &= rows[at]
        at, value, entries = at[take], value[take], entries[take]
        values[at] = value
        known[at] = True
        self._left[entries] = False

    def _fresh(self, column: str) -> tuple[np.ndarray, Mask]:
        self._filled[column] = np.zeros(self._size, np.int32), np.zeros(self._size, dtype=bool)
        return self._filled[column]

    def columns(self) -> dict[str, pa.Array]:
        """The columns that were filled, and typed nulls for those that could have been."""
        return {
            name: self._column(name, *self._filled[name]) if name in self._filled else pa.nulls(self._size, kind)
            for name, kind in _TYPES.items()
        }

    def _column(self, name: str, values: np.ndarray, known: Mask) -> pa.Array:
        kind, table = _TYPES[name], self._attributes
        missing = ~known
        if kind == pa.string():
            return table.text.take(pa.array(values, mask=missing))
        if kind == pa.bool_():
            return pa.array(table.integer[values] != 0, mask=missing)
        numbers = np.where(table.kind == Kind.DOUBLE, table.double, table.integer)[values]
        if kind == pa.float64():
            return pa.array(numbers, mask=missing)
        integers = np.where(table.kind == Kind.DOUBLE, 0, table.integer)[values]
        whole = np.where((table.kind == Kind.DOUBLE)[values], numbers, 0).astype(np.int64) + integers
        return pa.array(whole, mask=missing).cast(kind)

    def rest(self) -> Attributes:
        """The attributes that have no column."""
        return self._attributes.take(np.flatnonzero(self._left)).in_use()


def _whole(attributes: Attributes, limit: float) -> Mask:
    """Values that are whole numbers within the limit."""
    doubles = attributes.double
    integral = (
        (attributes.kind == Kind.DOUBLE) & (np.floor(doubles) == doubles) & (np.abs(doubles) <= min(limit, _EXACT))
    )
    whole: Mask = integral | ((attributes.kind == Kind.INT) & (np.abs(attributes.integer.astype(np.float64)) <= limit))
    return whole


def _finite(attributes: Attributes) -> Mask:
    """Values that are numbers."""
    numbers: Mask = ((attributes.kind == Kind.DOUBLE) & np.isfinite(attributes.double)) | (attributes.kind == Kind.INT)
    return numbers


_FITS: Final[dict[pa.DataType, Callable[[Attributes], Mask]]] = {
    pa.string(): lambda table: table.kind == Kind.STRING,
    pa.bool_(): lambda table: table.kind == Kind.BOOL,
    pa.float64(): _finite,
    pa.int64(): partial(_whole, limit=float("inf")),
    pa.int32(): partial(_whole, limit=float(2**31 - 1)),
}
"""Which values a column of a type takes. Integers are taken for doubles, whole doubles for integers."""

_TYPES: Final = {
    name: SPANS.field(name).type
    for name in dict.fromkeys([*STAMPS, *(column for dialect in DIALECTS for column in dialect.columns)])
}
"""The columns that attributes may fill."""
