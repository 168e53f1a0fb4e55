"""Where an attribute stands in the flat tables, and what stands there."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Indices, Kind, Mask
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["entries_of", "having", "in_events", "texts_of"]


def entries_of(attributes: Attributes, key: str, kind: Kind) -> Indices:
    """Positions of the entries with this key and kind of value, ascending by owner."""
    if key not in attributes.keys:
        return np.zeros(0, np.intp)
    values = (attributes.key == list(attributes.keys).index(key)) & (attributes.kind == kind)
    return np.flatnonzero(values[attributes.value])


def having(attributes: Attributes, key: str, owners: int) -> Mask:
    """Which owners have a text under the key."""
    mask = np.zeros(owners, dtype=bool)
    mask[attributes.row[entries_of(attributes, key, Kind.STRING)]] = True
    return mask


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
