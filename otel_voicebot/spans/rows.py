"""``SpanBatch`` as rows of the ``SPANS`` schema."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.schema import SCHEMA_VERSION, SPANS
from otel_voicebot.spans.values import json_objects, json_text, offsets

if TYPE_CHECKING:
    from otel_voicebot.spans.batch import Children, SpanBatch

__all__ = ["rows"]


def rows(batch: "SpanBatch", ingest_time: int) -> pa.RecordBatch:
    """Rows of the ``SPANS`` schema; ``ingest_time`` is in microseconds since 1970."""
    size = len(batch)
    resources = json_objects(batch.resources, batch.resource_count())
    made = {
        "attributes": _strings(batch.attributes, size),
        "attributes_typed": _typed(batch.attributes, size),
        "resource_attributes": resources.take(pa.array(batch.resource)),
        "events": _list(batch.events, "events", size),
        "links": _list(batch.links, "links", size),
        "ingest_time": pa.array(np.full(size, ingest_time, dtype=np.int64)).cast(SPANS.field("ingest_time").type),
        "schema_version": pa.array(np.full(size, SCHEMA_VERSION, dtype=np.int16)),
    }
    columns = [made[field.name] if field.name in made else batch.column(field.name) for field in SPANS]
    return pa.RecordBatch.from_arrays(columns, schema=SPANS)


def _strings(attributes: Attributes, owners: int) -> pa.MapArray:
    shown = attributes.take(np.flatnonzero(np.isin(attributes.kind, (Kind.STRING, Kind.WITHHELD))[attributes.value]))
    return _map(shown, shown.text.take(pa.array(shown.value)), owners)


def _typed(attributes: Attributes, owners: int) -> pa.MapArray:
    typed = attributes.take(np.flatnonzero((attributes.kind != Kind.STRING)[attributes.value]))
    return _map(typed, json_text(typed), owners)


def _map(attributes: Attributes, items: pa.StringArray, owners: int) -> pa.MapArray:
    keys = pa.array(attributes.keys, pa.string()).take(pa.array(attributes.key[attributes.value]))
    return pa.MapArray.from_arrays(offsets(attributes.row, owners), keys, items)


def _list(children: "Children", name: str, owners: int) -> pa.ListArray:
    kind = SPANS.field(name).type
    columns = {**children.columns, "attributes": json_objects(children.attributes, len(children))}
    items = pa.StructArray.from_arrays([columns[field.name] for field in kind.value_type], fields=list(kind.value_type))
    return pa.ListArray.from_arrays(offsets(children.row, owners), items, type=kind)
