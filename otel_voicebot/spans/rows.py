"""``SpanBatch`` as rows of the ``SPANS`` schema."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from otel_voicebot.giving_way import breathe
from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.schema import SCHEMA_VERSION, SPANS
from otel_voicebot.spans.values import json_objects, json_text, offsets

if TYPE_CHECKING:
    from otel_voicebot.spans.batch import Children, SpanBatch

__all__ = ["rows", "strings_map", "typed_map"]


def rows(batch: "SpanBatch", ingest_time: int) -> pa.RecordBatch:
    """Rows of the ``SPANS`` schema; ``ingest_time`` is in microseconds since 1970."""
    size = len(batch)
    resources = json_objects(batch.resources, batch.resource_count())
    made = {
        "attributes": strings_map(batch.attributes, size),
        "attributes_typed": typed_map(batch.attributes, size),
        "resource_attributes": resources.take(pa.array(batch.resource)),
        "events": _list(batch.events, "events", size),
        "links": _list(batch.links, "links", size),
        "ingest_time": pa.array(np.full(size, ingest_time, dtype=np.int64)).cast(SPANS.field("ingest_time").type),
        "schema_version": pa.array(np.full(size, SCHEMA_VERSION, dtype=np.int16)),
    }
    columns = [made[field.name] if field.name in made else batch.column(field.name) for field in SPANS]
    return pa.RecordBatch.from_arrays(columns, schema=SPANS)


def strings_map(attributes: Attributes, owners: int) -> pa.MapArray:
    """The column ``attributes``: texts, and null for those that are withheld."""
    shown = attributes.take(np.flatnonzero(np.isin(attributes.kind, (Kind.STRING, Kind.WITHHELD))[attributes.value]))
    return _map(shown, shown.text.take(pa.array(shown.value)), owners)


def typed_map(attributes: Attributes, owners: int) -> pa.MapArray:
    """The column ``attributes_typed``: what is no text, as JSON."""
    typed = attributes.take(np.flatnonzero((attributes.kind != Kind.STRING)[attributes.value]))
    return _map(typed, json_text(typed), owners)


def _map(attributes: Attributes, items: pa.StringArray, owners: int) -> pa.MapArray:
    breathe()
    keys = pa.array(attributes.keys, pa.string()).take(pa.array(attributes.key[attributes.value]))
    return pa.MapArray.from_arrays(offsets(attributes.row, owners), keys, items)


def _list(children: "Children", name: str, owners: int) -> pa.ListArray:
    breathe()
    kind = SPANS.field(name).type
    columns = {**children.columns, "attributes": json_objects(children.attributes, len(children))}
    items = pa.StructArray.from_arrays([columns[field.name] for field in kind.value_type], fields=list(kind.value_type))
    return pa.ListArray.from_arrays(offsets(children.row, owners), items, type=kind)
