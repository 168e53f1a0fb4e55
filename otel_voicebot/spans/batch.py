"""``SpanBatch``: spans as columns, the one form in which they go from stage to stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import pyarrow as pa

from otel_voicebot.spans.attributes import Attributes, Int32s, Mask, renumbered
from otel_voicebot.spans.columns import Columns
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
class SpanBatch(Columns):
    """Spans as columns of the ``SPANS`` schema.

    Attributes:
        events: span events.
        links: span links.
        rejected: spans that could not be kept, by reason.
        unmapped: spans that no dialect recognised, by scope.
        drift: names of spans, then of attributes, that the table of a known framework doesn't have, and how often.
        withheld: texts that were taken out.
    """

    SCHEMA = SPANS

    events: Children
    links: Children
    rejected: Mapping[str, int] = field(default_factory=dict)
    unmapped: Mapping[str, int] = field(default_factory=dict)
    drift: tuple[Mapping[str, int], Mapping[str, int]] = field(default_factory=lambda: ({}, {}))
    withheld: int = 0

    def rows(self, ingest_time: int) -> pa.RecordBatch:
        """The batch as rows of the ``SPANS`` schema; ``ingest_time`` is in microseconds since 1970."""
        return rows(self, ingest_time)
