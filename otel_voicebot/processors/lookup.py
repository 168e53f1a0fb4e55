"""Where an attribute stands in the flat tables, and what stands there."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Keyed", "entries_of", "in_events", "texts_of"]


class Keyed:
    """Attributes ordered by key: all entries of a key stand together.

    Args:
        attributes: of any owners.
    """

    def __init__(self, attributes: Attributes) -> None:
        self.table = attributes
        self._order = attributes.by_key()
        self._rows = attributes.row[self._order]
        self._values = attributes.value[self._order]
        ends = np.searchsorted(attributes.key[self._values], np.arange(len(attributes.keys) + 1)).tolist()
        self._slices = {
            key: slice(ends[code], ends[code + 1])
            for code, key in enumerate(attributes.keys)
            if ends[code + 1] > ends[code]
        }

    def find(self, key: str) -> tuple[Int32s, Int32s] | None:
        """The rows that have the attribute, ascending, and the number of each one's value; None where none has it."""
        place = self._slices.get(key)
        return None if place is None else (self._rows[place], self._values[place])

    def positions(self, key: str) -> Indices:
        """The positions of these entries in the table."""
        return self._order[self._slices[key]]

    def texts(self, key: str) -> tuple[Int32s, Int32s]:
        """The rows whose value is a text, and its number."""
        found = self.find(key)
        if found is None:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        rows, values = found
        are = self.table.kind[values] == Kind.STRING
        return (rows, values) if are.all() else (rows[are], values[are])

    def numbers(self, values: Int32s) -> npt.NDArray[np.float64]:
        """The values that are numbers; NaN for the others."""
        kind = self.table.kind[values]
        whole = np.where(kind == Kind.INT, self.table.integer[values], np.nan)
        numbers: npt.NDArray[np.float64] = np.where(kind == Kind.DOUBLE, self.table.double[values], whole)
        return numbers


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


def in_events(batch: SpanBatch, event: str, key: str, kind: Kind) -> tuple[Indices, Indices]:
    """Each time an event of this name carries the key: the span's row, the value's index in the events' attributes."""
    named = np.asarray(pc.fill_null(pc.equal(batch.events.columns["name"], event), False))  # noqa: FBT003
    if not named.any():
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    entries = entries_of(batch.events.attributes, key, kind)
    entries = entries[named[batch.events.attributes.row[entries]]]
    rows: Indices = batch.events.row[batch.events.attributes.row[entries]].astype(np.intp)
    return rows, batch.events.attributes.value[entries].astype(np.intp)
