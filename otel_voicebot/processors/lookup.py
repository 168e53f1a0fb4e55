"""Where an attribute stands in the flat tables, and what stands there."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Keyed", "distinct", "entries_of", "in_events", "numbers_of", "texts_of"]


class Keyed:
    """Attributes ordered by key: all entries of a key stand together, and in them those of owners of one group.

    Args:
        attributes: of any owners.
        group: number of each owner's group, -1 for none; None: there are no groups.
        groups: how many groups there are.
    """

    def __init__(self, attributes: Attributes, group: Int32s | None = None, groups: int = 0) -> None:
        self.table = attributes
        self._width = groups + 1
        size = len(attributes.keys) * self._width
        # NumPy's stable sort of 16-bit integers is a radix sort, several times faster than that of wider ones
        narrow: type[np.signedinteger[Any]] = np.int16 if size <= np.iinfo(np.int16).max else np.int32
        code = (attributes.key * self._width).astype(narrow)[attributes.value]
        if group is not None:
            code = code + (group + 1).astype(narrow)[attributes.row]
        self._order = np.argsort(code, kind="stable")
        self._rows = attributes.row[self._order]
        self._values = attributes.value[self._order]
        counts = np.bincount(code, minlength=size)
        self._ends = [0, *np.cumsum(counts).tolist()]
        self._codes = {key: code * self._width for code, key in enumerate(attributes.keys)}

    def _place(self, key: str, group: int | None) -> slice | None:
        code = self._codes.get(key)
        if code is None:
            return None
        first = code if group is None else code + group + 1
        place = slice(self._ends[first], self._ends[first + (self._width if group is None else 1)])
        return place if place.stop > place.start else None

    def find(self, key: str, group: int | None = None) -> tuple[Int32s, Int32s] | None:
        """The rows that have the attribute (of a group: ascending), each one's value; None where none has it."""
        place = self._place(key, group)
        return None if place is None else (self._rows[place], self._values[place])

    def positions(self, key: str, group: int | None = None) -> Indices:
        """The positions of these entries in the table."""
        return self._order[self._place(key, group) or slice(0)]

    def texts(self, key: str, group: int | None = None, *, nested: bool = False) -> tuple[Int32s, Int32s]:
        """The rows whose value is a text, or with ``nested`` a list or a map, and its number."""
        found = self.find(key, group)
        if found is None:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        rows, values = found
        kind = self.table.kind[values]
        are = (kind == Kind.STRING) | (kind == Kind.JSON) if nested else kind == Kind.STRING
        return (rows, values) if are.all() else (rows[are], values[are])

    def numbers(self, values: Int32s) -> npt.NDArray[np.float64]:
        """The values that are numbers; NaN for the others."""
        kind = self.table.kind[values]
        whole = np.where(kind == Kind.INT, self.table.integer[values], np.nan)
        numbers: npt.NDArray[np.float64] = np.where(kind == Kind.DOUBLE, self.table.double[values], whole)
        return numbers


def distinct(values: Int32s) -> tuple[Int32s, Int32s]:
    """The values, each once, and where each place's stands; by hashing, as sorting them takes several times longer."""
    encoded = pa.array(values).dictionary_encode()
    return encoded.dictionary.to_numpy(), encoded.indices.to_numpy()


def entries_of(attributes: Attributes, key: str, kind: Kind) -> Indices:
    """Positions of the entries with this key and kind of value, ascending by owner."""
    if key not in attributes.keys:
        return np.zeros(0, np.intp)
    values = (attributes.key == list(attributes.keys).index(key)) & (attributes.kind == kind)
    return np.flatnonzero(values[attributes.value])


def texts_of(attributes: Attributes, key: str, owners: int) -> pa.StringArray:
    """The text under a key, per owner; null where there is none."""
    entries = entries_of(attributes, key, Kind.STRING)
    if not len(entries):
        return pa.nulls(owners, pa.string())
    position = np.full(owners, -1, np.int32)
    position[attributes.row[entries]] = attributes.value[entries]
    return attributes.text.take(pa.array(position, mask=position < 0))


def numbers_of(attributes: Attributes, key: str, owners: int) -> npt.NDArray[np.float64]:
    """The number under a key, also where it is written as a text, per owner; NaN where there is none."""
    found = np.full(owners, np.nan)
    for kind, values in ((Kind.INT, attributes.integer), (Kind.DOUBLE, attributes.double)):
        entries = entries_of(attributes, key, kind)
        found[attributes.row[entries]] = values[attributes.value[entries]]
    for owner, text in enumerate(texts_of(attributes, key, owners).to_pylist()):
        if text is not None:
            with contextlib.suppress(ValueError):  # no number is no setting
                found[owner] = float(text)
    return found


def in_events(batch: SpanBatch, event: str, key: str, kind: Kind) -> tuple[Indices, Indices]:
    """Each time an event of this name carries the key: the span's row, the value's index in the events' attributes."""
    named = np.asarray(pc.fill_null(pc.equal(batch.events.columns["name"], event), False))  # noqa: FBT003
    if not named.any():
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    entries = entries_of(batch.events.attributes, key, kind)
    entries = entries[named[batch.events.attributes.row[entries]]]
    rows: Indices = batch.events.row[batch.events.attributes.row[entries]].astype(np.intp)
    return rows, batch.events.attributes.value[entries].astype(np.intp)
