"""``SpanBatch``: spans as columns, the one form in which they go from stage to stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pyarrow as pa

from otel_voicebot.spans.attributes import Attributes, Int32s, Mask, renumbered
from otel_voicebot.spans.rows import rows
from otel_voicebot.spans.schema import SPANS

__all__ = ["Children", "SpanBatch"]


@dataclass(frozen=True, slots=True)
class Children:
    """Events or links of all spans of a batch, ascending by owner.

    Attributes:
        row: the owner's row.
        columns: what one has, beside attributes, in the names and types of the ``events`` or ``links`` column.
        attributes: their attributes; ``row`` there is the position here.
    """

    row: Int32s
    columns: Mapping[str, pa.Array]
    attributes: Attributes

    def __len__(self) -> int:
        return len(self.row)

    def of_rows(self, keep: Mask) -> Self:
        """The children of the owners in ``keep``, which are then counted anew."""
        left = keep[self.row]
        return replace(
            self,
            row=renumbered(keep)[self.row[left]],
            columns={name: column.filter(pa.array(left)) for name, column in self.columns.items()},
            attributes=self.attributes.of_rows(left),
        )


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Spans as columns. Stages don't change a batch; they return a new one that shares what stayed.

    Attributes:
        size: number of spans.
        columns: columns of the ``SPANS`` schema that are known so far.
        attributes: span attributes that have no column.
        events: span events.
        links: span links.
        resource: index of each span's resource.
        resources: attributes of the resources; ``row`` there is that index.
        rejected: spans that could not be kept, by reason.
        unmapped: spans that no dialect recognised, by scope.
        drift: names of spans, then of attributes, that the table of a known framework doesn't have, and how often.
        withheld: texts that were taken out.
    """

    size: int
    columns: Mapping[str, pa.Array]
    attributes: Attributes
    events: Children
    links: Children
    resource: Int32s
    resources: Attributes
    rejected: Mapping[str, int] = field(default_factory=dict)
    unmapped: Mapping[str, int] = field(default_factory=dict)
    drift: tuple[Mapping[str, int], Mapping[str, int]] = field(default_factory=lambda: ({}, {}))
    withheld: int = 0

    def __len__(self) -> int:
        return self.size

    def resource_count(self) -> int:
        """How many resources there are; some may have no span."""
        return 1 + max(int(self.resource.max(initial=-1)), int(self.resources.row.max(initial=-1)))

    def column(self, name: str) -> pa.Array:
        """The column, all null while no stage has filled it."""
        found = self.columns.get(name)
        return pa.nulls(self.size, SPANS.field(name).type) if found is None else found

    def with_columns(self, columns: Mapping[str, pa.Array], **changes: Any) -> Self:
        """The same batch with these columns added or replaced, and other fields changed."""
        return replace(self, columns={**self.columns, **columns}, **changes)

    def rows(self, ingest_time: int) -> pa.RecordBatch:
        """The batch as rows of the ``SPANS`` schema; ``ingest_time`` is in microseconds since 1970."""
        return rows(self, ingest_time)
