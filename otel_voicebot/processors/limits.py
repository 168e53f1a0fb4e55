"""Bounds on what one span may carry, as the SDK's span limits are: what is too much is dropped or cut, and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Bounds", "Limited", "few", "limited", "short"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a span, an event, a link or a resource may carry. Wide: they stop what nobody meant to send."""

    attributes: int = 1_000
    """The first so many stay. The SDK's own default of 128 cuts what some frameworks send of a long prompt."""
    length: int = 65_536
    """Characters of a text; of an array, a map or bytes, as JSON. Longer ones are cut after they were read."""
    name: int = 1_024
    """Characters of the name of a span, an event or a scope, and of a trace state."""


_SAID: Final = ("status_message", "user_text", "bot_text")
_NAMES: Final = ("name", "scope_name", "scope_version", "trace_state")
"""With content capture these may be texts of any length; columns of identifiers hold none that is long."""
_RESOURCE: Final = ("service_name", "service_instance", "environment", "framework_version")
"""Columns with texts of the resource, where they are counted."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What was taken off: attributes dropped because there were too many, values cut because they were too long."""

    count: int = 0
    length: int = 0

    def __add__(self, other: "Limited") -> "Limited":
        return Limited(self.count + other.count, self.length + other.length)


def few(batch: SpanBatch, most: int) -> tuple[SpanBatch, int]:
    """The batch with so many attributes of each owner, and how many were dropped. Before ``normalise``.

    Costs next to nothing where nobody has more.
    """
    held = (batch.attributes, batch.events.attributes, batch.links.attributes, batch.resources)
    return _replaced(batch, [_first(one, most) for one in held])


def short(batch: SpanBatch, bounds: Bounds) -> tuple[SpanBatch, int]:
    """The batch without longer texts in attributes and columns, and how many were cut. Before ``rows``.

    Costs next to nothing where none is longer.
    """
    held = (batch.attributes, batch.events.attributes, batch.links.attributes, batch.resources)
    batch, cut = _replaced(batch, [_short(one, bounds.length) for one in held])
    said, of_said = _cut(batch.columns, _SAID, bounds.length)
    again, _ = _cut(batch.columns, _RESOURCE, bounds.length)
    names, of_names = _cut(batch.columns, _NAMES, bounds.name)
    in_events, of_events = _cut(batch.events.columns, _NAMES, bounds.name)
    in_links, of_links = _cut(batch.links.columns, _NAMES, bounds.name)
    if said or again or names or in_events or in_links:
        events = replace(batch.events, columns={**batch.events.columns, **in_events})
        links = replace(batch.links, columns={**batch.links.columns, **in_links})
        batch = batch.with_columns({**said, **again, **names}, events=events, links=links)
    return batch, cut + of_said + of_names + of_events + of_links


def limited(attributes: Attributes, bounds: Bounds) -> tuple[Attributes, Limited]:
    """The attributes within the bounds, and what was taken off."""
    fewer, dropped = _first(attributes, bounds.attributes)
    shorter, cut = _short(fewer, bounds.length)
    return shorter, Limited(dropped, cut)


def _replaced(batch: SpanBatch, found: Sequence[tuple[Attributes, int]]) -> tuple[SpanBatch, int]:
    """The batch with these attributes of spans, events, links and resources, and what was taken off them in all."""
    taken = sum(count for _, count in found)
    if not taken:
        return batch, 0
    attributes, of_events, of_links, resources = (one for one, _ in found)
    events, links = replace(batch.events, attributes=of_events), replace(batch.links, attributes=of_links)
    return replace(batch, attributes=attributes, events=events, links=links, resources=resources), taken


def _cut(columns: Mapping[str, pa.Array], names: Sequence[str], most: int) -> tuple[dict[str, pa.Array], int]:
    """Those columns that have a text that is too long, cut, and how many of them were."""
    found, count = {}, 0
    for name in names:
        texts = columns.get(name)
        if texts is None or texts.nbytes <= most:
            continue
        if (pc.max(pc.binary_length(texts)).as_py() or 0) <= most:
            continue
        cut = pc.sum(pc.greater(pc.utf8_length(texts), most)).as_py() or 0
        if cut:
            found[name] = pc.utf8_slice_codeunits(texts, 0, most)
            count += cut
    return found, count


def _first(attributes: Attributes, most: int) -> tuple[Attributes, int]:
    row = attributes.row
    # rows ascend: who has more has the same row so many entries later
    if len(row) <= most or not (row[most:] == row[:-most]).any():
        return attributes, 0
    counts = np.bincount(row)
    starts = np.cumsum(counts) - counts
    keep = np.arange(len(row)) - starts[row] < most
    return attributes.take(np.flatnonzero(keep)), int(np.count_nonzero(~keep))


def _short(attributes: Attributes, most: int) -> tuple[Attributes, int]:
    text = attributes.text
    # bytes first: no text has more characters than bytes, and the bytes are known
    sizes = np.asarray(pc.fill_null(pc.binary_length(text), 0))
    if sizes.max(initial=0) <= most:
        return attributes, 0
    lengths = np.asarray(pc.fill_null(pc.utf8_length(text), 0))
    long = lengths > most
    cut = int(np.count_nonzero(long[attributes.value]))
    if not cut:
        return attributes, 0
    # JSON can't be cut and stay JSON: only its length is left, as of a text that is withheld
    nested = long & (attributes.kind == Kind.JSON)
    attributes = attributes.withheld(nested) if nested.any() else attributes
    plain = pa.array(long & ~nested)
    return replace(
        attributes, text=pc.if_else(plain, pc.utf8_slice_codeunits(attributes.text, 0, most), attributes.text)
    ), cut
