"""Rows of open sessions, in memory, chunk by chunk as they came."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot import semconv
from otel_voicebot.models.prepared import OPERATIONS
from otel_voicebot.models.quality import LONGEST_STAGE_NS

__all__ = ["Part", "Rows", "facts", "facts_told", "handoffs_of", "operations_of", "without"]

Part = tuple[int, NDArray[np.int64]]
"""A chunk's number and row indexes in it."""

_OF_OPERATIONS: Final = (
    *("trace_id", "span_id", "session_id", "turn_index", "component", "bot", "provider", "model", "status"),
    *("operation", "error_type", "start_time", "duration_ns", "time_to_first_chunk_s", "input_tokens"),
    *("output_tokens", "cached_input_tokens", "audio_s", "characters", "wer_errors"),
    *("wer_words", "mos", "mos_kind", "cache_hit", "cache_name", "cache_level", "confidence", "intent_fallback"),
)
"""What metrics read of operations: two fifths of the columns, and each costs a copy."""
_LENT: Final = (
    *("provider", "model", "error_type", "input_tokens", "output_tokens", "cached_input_tokens", "audio_s"),
    "characters",
)
_OF_HANDOFFS: Final = (
    *("trace_id", "session_id", "turn_index", "component", "bot", "status", "duration_ns"),
    *("handoff_blocked", "handoff_target"),
)


class Rows:
    """Holds chunks of rows until nobody needs a row of them. For one thread.

    Args:
        schema: the columns that are kept; there is a ``session_id`` among them.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.held = 0
        """Rows in memory."""
        self._schema = schema
        self._chunks: dict[int, dict[str, pa.Array]] = {}
        self._sizes: dict[int, int] = {}
        self._needed: dict[int, int] = {}
        self._next = 0

    def add(self, rows: pa.RecordBatch, needed: int) -> int:
        """Take a chunk, of which so many rows will be released one day; gives its number."""
        number, self._next = self._next, self._next + 1
        if needed:
            # a column in which nothing stands costs as much memory and time as any other: half of them are such
            columns = {name: rows[name] for name in self._schema.names}
            self._chunks[number] = {
                name: column for name, column in columns.items() if column.null_count < rows.num_rows
            }
            self._sizes[number] = rows.num_rows
            self._needed[number] = needed
            self.held += rows.num_rows
        return number

    def release(self, chunk: int, rows: int) -> None:
        """So many rows of a chunk are needed no longer."""
        self._needed[chunk] -= rows
        if not self._needed[chunk]:
            self.held -= self._sizes.pop(chunk)
            del self._chunks[chunk], self._needed[chunk]

    def move(self, parts: Sequence[Part]) -> tuple[list[Part], pa.RecordBatch]:
        """Copy rows into a chunk of their own, and release them where they lay.

        Args:
            parts: where they lie; at least one row.

        Returns:
            Their new places, in the same order, and the chunk. They lose their ``session_id``.
        """
        order = sorted(range(len(parts)), key=lambda place: parts[place][0])  # as ``gather`` puts them
        (rows,) = self.gather([(None, parts[place]) for place in order]).combine_chunks().to_batches()
        number, moved, start = self.add(rows, rows.num_rows), list(parts), 0
        for place in order:
            chunk, indexes = parts[place]
            self.release(chunk, len(indexes))
            moved[place] = number, np.arange(start, start + len(indexes))
            start += len(indexes)
        return moved, rows

    def gather(self, parts: Sequence[tuple[str | None, Part]]) -> pa.Table:
        """The rows at these places, as a table, with the session that each part belongs to (None: null)."""
        by_chunk: dict[int, list[tuple[str | None, NDArray[np.int64]]]] = {}
        for name, (chunk, indexes) in parts:
            by_chunk.setdefault(chunk, []).append((name, indexes))
        taken: list[tuple[dict[str, pa.Array], pa.Array]] = []
        sessions: list[pa.Array] = []
        for chunk, places in by_chunk.items():
            repeats = np.repeat(np.arange(len(places)), [len(indexes) for _, indexes in places])
            sessions.append(pa.array([name for name, _ in places], pa.string()).take(pa.array(repeats)))
            taken.append((self._chunks[chunk], pa.array(np.concatenate([indexes for _, indexes in places]))))
        rows = sum(map(len, sessions))
        nothing: dict[pa.DataType, pa.Array] = {}
        columns = []
        for field in self._schema:
            if field.name == "session_id":
                columns.append(pa.chunked_array(sessions, field.type))
            elif any(field.name in chunk for chunk, _ in taken):
                columns.append(pa.chunked_array([_take(chunk, field, indexes) for chunk, indexes in taken], field.type))
            else:
                if field.type not in nothing:
                    nothing[field.type] = pa.nulls(rows, field.type)
                columns.append(pa.chunked_array([nothing[field.type]]))
        return pa.Table.from_arrays(columns, schema=self._schema)


def _take(chunk: Mapping[str, pa.Array], field: pa.Field, indexes: pa.Array) -> pa.Array:
    column = chunk.get(field.name)
    return pa.nulls(len(indexes), field.type) if column is None else column.take(indexes)


def facts(rows: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which spans the model ``sessions`` reads itself (it filters again): all that a turn's row doesn't tell."""
    own = pc.or_(pc.is_null(rows["turn_index"]), pc.less(pc.fill_null(rows["turn_index"], 0), 1))
    for name in ("csat", "nps", "mos", "user_hash"):
        own = pc.or_(own, pc.is_valid(rows[name]))
    return np.asarray(pc.or_(own, pc.is_in(rows["component"], pa.array(["session", "handoff"]))))


def facts_told(rows: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which spans tell a late fact of a session: they are no part of the call."""
    return np.asarray(pc.fill_null(pc.equal(rows["name"], semconv.SPAN_FEEDBACK), False))  # noqa: FBT003


def operations_of(rows: pa.Table, nested: pa.Table | None = None, lent: pa.Table | None = None) -> pa.Table:
    """What the model ``operations`` says of these spans, as far as metrics read it: a filter that needs no engine.

    A test holds it to the model.

    Args:
        rows: spans, schema NARROW.
        nested: trace and span ids of operations inside an operation of their kind, which don't count. None: no others.
        lent: the model ``lent`` over these spans: what those that count don't tell themselves. None: nothing.
    """
    found = rows.select(_OF_OPERATIONS).filter(pc.is_in(rows["component"], OPERATIONS))
    if nested is not None and nested.num_rows:
        found = found.filter(pc.invert(pc.is_in(_keys(found), _keys(nested))))
    found = _named(found)
    failed = pc.fill_null(pc.equal(found["status"], "error"), False)  # noqa: FBT003 - Arrow's signature
    wrong = pc.and_(pc.equal(found["component"], "tool"), pc.is_valid(found["error_type"]))
    failed = pc.or_(failed, pc.fill_null(wrong, False))  # noqa: FBT003
    if lent is not None and lent.num_rows:
        found, failed = _with_lent(found, failed, lent)
    length = found["duration_ns"]
    absurd = pc.and_(pc.greater(length, LONGEST_STAGE_NS), pc.not_equal(found["component"], "stt"))
    length = pc.if_else(pc.fill_null(absurd, False), None, length)  # noqa: FBT003
    seconds = pc.divide(pc.cast(length, pa.float64()), 1e9)
    return found.append_column("failed", failed).append_column("duration_s", seconds)


def _with_lent(rows: pa.Table, failed: pa.ChunkedArray, lent: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
    """The operations with what nested calls tell and they don't, and which of them failed then: as ``steps``."""
    at = pc.index_in(_keys(rows), _keys(lent))
    for name in _LENT:
        told = pc.coalesce(rows[name], lent[name].take(at))
        rows = rows.set_column(rows.schema.get_field_index(name), name, told)
    return rows, pc.or_(failed, pc.fill_null(lent["failed"].take(at), False))  # noqa: FBT003 - Arrow's signature


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    """What tells a span from all others: a span id alone may be in several traces."""
    trace, span = (pc.cast(rows[name], pa.binary()) for name in ("trace_id", "span_id"))
    return pc.binary_join_element_wise(trace, span, b"")


def handoffs_of(rows: pa.Table) -> pa.Table:
    """The handoffs among these spans (schema NARROW), as far as metrics read them."""
    return _named(rows.select(_OF_HANDOFFS).filter(pc.equal(rows["component"], "handoff")))


def _named(rows: pa.Table) -> pa.Table:
    """The rows with their sessions: without an id of its own the trace's."""
    if not rows["session_id"].null_count:
        return rows
    traces = pa.array([trace.hex() for trace in rows["trace_id"].to_pylist()], pa.string())
    position = rows.schema.get_field_index("session_id")
    return rows.set_column(position, "session_id", pc.coalesce(rows["session_id"], traces))


def without(rows: pa.Table, keys: Iterable[tuple[str, int]]) -> pa.Table:
    """The rows whose (session, turn) is not among ``keys``."""
    unwanted = set(keys)
    if not unwanted:
        return rows
    pairs = zip(rows["session_id"].to_pylist(), rows["turn_index"].to_pylist(), strict=True)
    return rows.filter(pa.array([pair not in unwanted for pair in pairs], pa.bool_()))
