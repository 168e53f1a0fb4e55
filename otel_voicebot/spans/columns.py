"""What a batch of spans and one of log records have in common: columns, attributes, resources."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import pyarrow as pa

from otel_voicebot.spans.attributes import Attributes, Int32s

__all__ = ["Columns"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows as columns. Stages don't change a batch; they return a new one that shares what stayed.

    Attributes:
        size: number of rows.
        columns: columns of the schema that are known so far.
        attributes: attributes that have no column.
        resource: index of each row's resource.
        resources: attributes of the resources; ``row`` there is that index.
    """

    SCHEMA: ClassVar[pa.Schema]

    size: int
    columns: Mapping[str, pa.Array]
    attributes: Attributes
    resource: Int32s
    resources: Attributes

    def __len__(self) -> int:
        return self.size

    def resource_count(self) -> int:
        """How many resources there are; some may have no row."""
        return 1 + max(int(self.resource.max(initial=-1)), int(self.resources.row.max(initial=-1)))

    def column(self, name: str) -> pa.Array:
        """The column, all null while no stage has filled it."""
        found = self.columns.get(name)
        return pa.nulls(self.size, self.SCHEMA.field(name).type) if found is None else found

    def with_columns(self, columns: Mapping[str, pa.Array], **changes: Any) -> Self:
        """The same batch with these columns added or replaced, and other fields changed."""
        return replace(self, columns={**self.columns, **columns}, **changes)
