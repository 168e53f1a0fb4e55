"""Values that were worked out of attributes, numbered behind those of the attributes themselves."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind

__all__ = ["Derived"]


class Derived:
    """Derived values. Texts stay in arrays of their own: to append them would copy all that people said.

    Args:
        first: number of the first derived value: how many the attributes have.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._count = 0
        self._arrays: list[pa.Array] = []
        self._names: list[bool] = []
        self._joined: pa.StringArray | None = None
        self.places: dict[tuple[str, int], tuple[Int32s, Int32s]] = {}
        """Name and group to the rows that have such a value, and the number of each value."""

    def add(self, name: tuple[str, int], rows: Int32s, values: pa.Array, *, names: bool) -> None:
        """Take values (texts, booleans or doubles), one for each row; ``names``: for a column of names."""
        start = self._first + self._count
        self.places[name] = rows, np.arange(start, start + len(values), dtype=np.int32)
        self._arrays.append(values)
        self._names.append(names)
        self._count += len(values)

    def behind(self, table: Attributes) -> Attributes:
        """The values of a table and the derived ones; the texts of these are null there.

        Their key is behind all others: the next one of those for columns of names, else the one after it.
        """
        if not self._count:
            return table
        kinds = {pa.string(): Kind.STRING, pa.bool_(): Kind.BOOL}
        key, kind, integer, double = [table.key], [table.kind], [table.integer], [table.double]
        for values, names in zip(self._arrays, self._names, strict=True):
            one = kinds.get(values.type, Kind.DOUBLE)
            zeros = np.zeros(len(values), np.int64)
            key.append(np.full(len(values), len(table.keys) + (not names), np.int32))
            kind.append(np.full(len(values), one, np.uint8))
            integer.append(np.asarray(values).astype(np.int64) if one == Kind.BOOL else zeros)
            double.append(np.asarray(values) if one == Kind.DOUBLE else zeros.astype(np.float64))
        return replace(
            table,
            key=np.concatenate(key),
            kind=np.concatenate(kind),
            integer=np.concatenate(integer),
            double=np.concatenate(double),
        )

    def texts(self, texts: pa.StringArray, values: Int32s | Indices) -> pa.StringArray:
        """The texts with these numbers."""
        mine = values >= self._first
        if not mine.any():
            return texts.take(pa.array(values))
        derived, own = np.flatnonzero(mine), np.flatnonzero(~mine)
        found = [texts.take(pa.array(values[own])), self._texts().take(pa.array(values[derived] - self._first))]
        place = np.empty(len(values), np.int32)
        place[own] = np.arange(len(own))
        place[derived] = np.arange(len(own), len(own) + len(derived))
        return pa.concat_arrays(found).take(pa.array(place))

    def _texts(self) -> pa.StringArray:
        """The texts of all derived values; null for one that is no text."""
        if self._joined is None or len(self._joined) < self._count:
            own = [one if one.type == pa.string() else pa.nulls(len(one), pa.string()) for one in self._arrays]
            self._joined = pa.concat_arrays(own)
        return self._joined
