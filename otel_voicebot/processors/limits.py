"""Bounds on what one span may carry, as the SDK's span limits are: what is too much is dropped or cut, and counted."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Bounds", "Limited", "limit"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a span, an event, a link or a resource may carry. Wide: they stop what nobody meant to send."""

    attributes: int = 1_000
    """The first so many stay. The SDK's own default of 128 cuts what some frameworks send of a long prompt."""
    length: int = 65_536
    """Characters of a text; of an array, a map or bytes, as JSON."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What was taken off: attributes dropped because there were too many, values cut because they were too long."""

    count: int = 0
    length: int = 0

    def __add__(self, other: "Limited") -> "Limited":
        return Limited(self.count + other.count, self.length + other.length)


def limit(batch: SpanBatch, bounds: Bounds) -> tuple[SpanBatch, Limited]:
    """The batch within the bounds, and what was taken off. Costs next to nothing where nothing is beyond them."""
    attributes, taken = limited(batch.attributes, bounds)
    of_events, more = limited(batch.events.attributes, bounds)
    of_links, still_more = limited(batch.links.attributes, bounds)
    resources, most = limited(batch.resources, bounds)
    taken += more + still_more + most
    if taken == Limited():
        return batch, taken
    events, links = replace(batch.events, attributes=of_events), replace(batch.links, attributes=of_links)
    return replace(batch, attributes=attributes, events=events, links=links, resources=resources), taken


def limited(attributes: Attributes, bounds: Bounds) -> tuple[Attributes, Limited]:
    """The attributes within the bounds, and what was taken off."""
    fewer, dropped = _first(attributes, bounds.attributes)
    shorter, cut = _short(fewer, bounds.length)
    return shorter, Limited(dropped, cut)


def _first(attributes: Attributes, most: int) -> tuple[Attributes, int]:
    if len(attributes) <= most:
        return attributes, 0
    counts = np.bincount(attributes.row)
    if counts.max() <= most:
        return attributes, 0
    starts = np.cumsum(counts) - counts
    keep = np.arange(len(attributes)) - starts[attributes.row] < most
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
