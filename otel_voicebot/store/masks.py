"""Which rows hold one of some ids: apart from ``marks``, as what this takes loads slowly."""

from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.store.layout import is_trace

__all__ = ["any_", "either", "holding"]


def holding(rows: pa.Table, column: str, ids: frozenset[str], where_null: str | None = None) -> pa.ChunkedArray | None:
    """The rows with one of these ids in a column; None where no row can have one.

    Args:
        rows: of any columns.
        column: text, or bytes, of which ids are the hex digits.
        ids: what is looked for.
        where_null: only rows in which this column is null.
    """
    if not ids or not {column, where_null or column} <= {*rows.column_names}:
        return None
    kind = rows.schema.field(column).type
    values = sorted(ids)
    if not pa.types.is_string(kind):
        values = [bytes.fromhex(one) for one in values if is_trace(one)]  # type: ignore[misc]
    found = pc.is_in(rows[column], pa.array(values, kind))
    return found if where_null is None else pc.and_(found, rows[where_null].is_null())


def either(*masks: pa.ChunkedArray | None) -> pa.ChunkedArray | None:
    """The rows that are in any of these; None is none."""
    there = [mask for mask in masks if mask is not None]
    return reduce(pc.or_, there) if there else None


def any_(mask: pa.ChunkedArray) -> bool:
    """Whether a row is in it."""
    return bool(pc.any(mask).as_py())
