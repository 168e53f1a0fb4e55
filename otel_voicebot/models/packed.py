"""Segments of waits, put into the rows of their turns."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from otel_voicebot.spans.schema import TURNS

__all__ = ["TOLD", "packed"]

TOLD: Final = """SELECT session_id, turn_index, position, segment, owner, owner_kind, provider, model,
    lower(hex(span_id)) AS span_id, start_nano AS start_unix_nano, (end_nano - start_nano) / 1e9 AS duration_s, detail
FROM segments"""
"""The model ``segments`` as ``packed`` takes it."""

_KIND: Final = TURNS.field("segments").type
_FIELDS: Final = [_KIND.value_type.field(place) for place in range(_KIND.value_type.num_fields)]


def packed(turns: pa.Table, segments: pa.Table) -> pa.Table:
    """The turns with their column ``segments``, as the model ``cuts`` makes it.

    Args:
        turns: rows of the model ``turns``.
        segments: what ``TOLD`` gives, of no other turns.
    """
    if not segments.num_rows:
        return turns
    turn, wanted = np.split(_numbered(turns, segments), [turns.num_rows])
    order = np.argsort(turn)
    of = order[np.searchsorted(turn, wanted, sorter=order)]  # the row of each segment's turn
    along = np.lexsort((segments["position"].to_numpy(), of))
    lengths = np.bincount(of, minlength=turns.num_rows)
    chosen = segments.take(pa.array(along))
    values = pa.StructArray.from_arrays(
        [chosen[field.name].combine_chunks().cast(field.type) for field in _FIELDS], fields=_FIELDS
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), values, type=_KIND, mask=pa.array(lengths == 0))
    return turns.set_column(turns.schema.get_field_index("segments"), turns.schema.field("segments"), lists)


def _numbered(*tables: pa.Table) -> NDArray[np.int64]:
    """A number for the turn of each row, one table behind the other: the same for the same turn."""
    sessions = pa.concat_arrays([chunk for table in tables for chunk in table["session_id"].chunks])
    indexes = np.concatenate([table["turn_index"].to_numpy() for table in tables])
    numbers: NDArray[np.int64] = np.asarray(sessions.dictionary_encode().indices).astype(np.int64) << 32 | indexes
    return numbers
