"""Attributes of many owners (spans, events, links, resources) as flat, parallel arrays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Attributes", "Indices", "Int32s", "Kind", "Mask", "renumbered"]

Int32s = npt.NDArray[np.int32]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_CELLS: Final = 1 << 20
"""Owners times keys that are marked in a table whatever the number of entries; a megabyte."""


class Kind(IntEnum):
    """What an attribute's value is, and which array of ``Attributes`` holds it."""

    EMPTY = 0
    """An OTLP value without a value: JSON null."""
    STRING = 1
    """In ``text``."""
    BOOL = 2
    """In ``integer``, 0 or 1."""
    INT = 3
    """In ``integer``."""
    DOUBLE = 4
    """In ``double``."""
    JSON = 5
    """An array, a map or bytes, as JSON in ``text``."""
    WITHHELD = 6
    """A text that is not stored: ``integer`` is the number of its characters."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of many owners, ascending by owner; an owner has a key at most once.

    Calls repeat themselves: nine of ten entries (a key with its value) occur again. So an entry points to a *value*,
    and what is done to texts, keys and numbers is done once per value.

    Attributes:
        row: the owner's row, per entry.
        value: index into the arrays of values, per entry.
        key: index into ``keys``, per value.
        keys: the distinct keys.
        kind: a ``Kind``, per value.
        text: of STRING and JSON values; null elsewhere.
        integer: of INT, BOOL and WITHHELD values.
        double: of DOUBLE values.
    """

    row: Int32s
    value: Int32s
    key: Int32s
    keys: Sequence[str]
    kind: npt.NDArray[np.uint8]
    text: pa.StringArray
    integer: npt.NDArray[np.int64]
    double: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, entries: Indices) -> Self:
        """The entries at these positions, in this order."""
        return replace(self, row=self.row[entries], value=self.value[entries])

    def of_keys(self, keys: Collection[str]) -> Self:
        """The entries with one of these keys."""
        wanted = np.array([key in keys for key in self.keys], dtype=bool)
        return self.take(np.flatnonzero(wanted[self.key][self.value]))

    def in_use(self) -> Self:
        """The same entries without the values that no entry points to, unless these are so few that they may stay."""
        used = np.zeros(len(self.key), dtype=bool)
        used[self.value] = True
        if np.count_nonzero(used) > 0.75 * len(used):
            return self
        return replace(
            self,
            value=renumbered(used)[self.value],
            key=self.key[used],
            kind=self.kind[used],
            text=self.text.filter(pa.array(used)),
            integer=self.integer[used],
            double=self.double[used],
        )

    def withheld(self, values: Mask) -> Self:
        """The same; of these values, which are texts, only the number of characters is left."""
        lengths = np.asarray(pc.fill_null(pc.utf8_length(self.text), 0))
        return replace(
            self,
            kind=np.where(values, np.uint8(Kind.WITHHELD), self.kind),
            text=pc.if_else(pa.array(values), pa.scalar(None, pa.string()), self.text),
            integer=np.where(values, lengths, self.integer),
        )

    def with_texts(self, key: str, texts: pa.StringArray) -> Self:
        """The same and these texts, one per owner, under one key; null is none. What was under the key is replaced."""
        row = np.flatnonzero(np.asarray(texts.is_valid()))
        added = len(row)
        owners = np.concatenate([self.row, row.astype(np.int32)])
        order = np.argsort(owners, kind="stable")
        values = np.concatenate([self.value, np.arange(added, dtype=np.int32) + len(self.key)])
        keys = [*self.keys, *(() if key in self.keys else (key,))]
        return replace(
            self,
            row=owners[order],
            value=values[order],
            key=np.append(self.key, np.full(added, keys.index(key), dtype=np.int32)),
            keys=keys,
            kind=np.append(self.kind, np.full(added, Kind.STRING, dtype=np.uint8)),
            text=pa.concat_arrays([self.text, texts.drop_null()]),
            integer=np.append(self.integer, np.zeros(added, dtype=np.int64)),
            double=np.append(self.double, np.zeros(added)),
        ).last_of_each_key()

    def plain(self, values: Int32s) -> list[str | int | float | bool | None]:
        """These values as Python has them, a list or a map as its JSON; None of one that is withheld or empty."""
        texts: list[str | None] = self.text.take(pa.array(values)).to_pylist()
        others: dict[int, list[int] | list[float] | list[bool]] = {
            Kind.INT: self.integer[values].tolist(),
            Kind.DOUBLE: self.double[values].tolist(),
            Kind.BOOL: (self.integer[values] != 0).tolist(),
        }
        kinds = self.kind[values].tolist()
        return [
            others[kind][place] if kind in others else text
            for place, (kind, text) in enumerate(zip(kinds, texts, strict=True))
        ]

    def by_key(self) -> Indices:
        """Positions of the entries ordered by key; within a key they stay ascending."""
        # NumPy's stable sort of 16-bit integers is a radix sort, several times faster than that of wider ones
        narrow = np.int16 if len(self.keys) <= np.iinfo(np.int16).max else np.int32
        return np.argsort(self.key.astype(narrow)[self.value], kind="stable")

    def last_of_each_key(self) -> Self:
        """The same without repeated keys: of an owner's entries with one key the last stays."""
        if not self._repeats_keys():
            return self
        order = self.by_key()
        key, row = self.key[self.value[order]], self.row[order]
        repeated = (key[1:] == key[:-1]) & (row[1:] == row[:-1])
        keep = np.ones(len(self), dtype=bool)
        keep[order[:-1][repeated]] = False
        return self.take(np.flatnonzero(keep))

    def _repeats_keys(self) -> bool:
        """Whether an owner may have a key twice."""
        owners, keys = int(self.row.max(initial=-1)) + 1, len(self.keys)
        if owners * keys > _CELLS + 16 * len(self):
            return True
        # marks in a table of owners and keys: a tenth of the cost of sorting
        marks = np.zeros(owners * keys, dtype=bool)
        marks[self.row * keys + self.key[self.value]] = True
        return int(np.count_nonzero(marks)) < len(self)

    def of_rows(self, keep: Mask) -> Self:
        """The attributes of the owners in ``keep``, which are then counted anew."""
        left = self.take(np.flatnonzero(keep[self.row]))
        return replace(left, row=renumbered(keep)[left.row])


def renumbered(keep: Mask) -> Int32s:
    """The new index of each row once only those in ``keep`` are left."""
    return (np.cumsum(keep, dtype=np.int64) - 1).astype(np.int32)
