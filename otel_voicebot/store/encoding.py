"""How a closed hour is written: ordinary Parquet with ids as lowercase hex, small, and quick to narrow down."""

import functools
import inspect
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from otel_voicebot.spans.schema import TABLES_READ

__all__ = ["ROW_GROUP", "open_writer", "readable"]

ROW_GROUP: Final = 131_072
"""Rows of a row group: what one thread of an engine takes at a time, and about 6 MB of spans."""

_STATISTICS: Final = frozenset(
    {"trace_id", "session_id", "bot", "user_hash", "component", "start_unix_nano", "start_time", "time", "ingest_time"}
)
"""What questions are narrowed by. Statistics of every column double the footer, which every reader parses."""

_SPARSE: Final = frozenset(
    (
        *("time_to_first_chunk_s", "cached_input_tokens", "audio_s", "characters", "confidence", "intent_fallback"),
        *("cache_hit", "wer_errors", "wer_words", "mos", "csat", "nps", "handoff_target", "handoff_planned"),
        *("handoff_blocked", "tracked_events"),
    )
)
"""What many bots never tell: an engine that knows from statistics that there are only nulls doesn't read them."""

_SOUGHT: Final = ("trace_id", "user_hash")
"""Looked up one by one, and not what rows are sorted by: a bloom filter says which row groups needn't be read."""

_DIGITS: Final = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)


def open_writer(path: Path, table: str) -> pq.ParquetWriter:
    """A writer of a closed hour of this table; rows have the schema of ``TABLES_READ``."""
    return pq.ParquetWriter(path, TABLES_READ[table], **_options(table))


@functools.cache
def _options(table: str) -> dict[str, Any]:
    # Measured on 1 M generated spans: 47.8 bytes a span so, 62.6 with pyarrow's own choice; zstd levels 3 to 9 take up
    # to twice the time for nothing. BYTE_STREAM_SPLIT for floats would save one byte more, but Spark can't read it.
    schema = TABLES_READ[table]
    leaves = [leaf for column in schema for leaf in _leaves(column.name, column.type)]
    numbers = {path: "DELTA_BINARY_PACKED" for path, kind in leaves if _counts(path, kind)}
    plain = {path: "PLAIN" for path, _ in leaves if path == "span_id"}  # each is there once
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 1,
        "column_encoding": numbers | plain,
        "use_dictionary": [path for path, _ in leaves if path not in numbers and path not in plain],
        "write_statistics": [name for name in schema.names if name in _STATISTICS | _SPARSE],
        "write_page_checksum": True,
        "store_schema": False,  # it triples the footer, and Parquet's own types give every column back as it was
    }
    if "bloom_filter_options" in inspect.signature(pq.ParquetWriter.__init__).parameters:
        sought = [name for name in _SOUGHT if name in schema.names]
        options["bloom_filter_options"] = {name: {"ndv": ROW_GROUP // 16, "fpp": 0.01} for name in sought}
    return options


def _counts(path: str, kind: pa.DataType) -> bool:
    """Times and durations: neighbours are alike, and hardly any value is there twice."""
    return pa.types.is_timestamp(kind) or (pa.types.is_int64(kind) and path.endswith(("_nano", "_ns")))


def _leaves(path: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """Parquet's names of what a column is made of."""
    if pa.types.is_map(kind):
        parts = ((f"{path}.key_value.key", kind.key_type), (f"{path}.key_value.value", kind.item_type))
    elif pa.types.is_list(kind):
        parts = ((f"{path}.list.element", kind.value_type),)  # type: ignore[assignment]
    elif pa.types.is_struct(kind):
        parts = tuple((f"{path}.{part.name}", part.type) for part in kind)  # type: ignore[assignment]
    else:
        return [(path, kind)]
    return [leaf for part in parts for leaf in _leaves(*part)]


def readable(rows: pa.RecordBatch, table: str) -> pa.RecordBatch:
    """Rows of a file of any version, in the form of ``TABLES_READ``: null where a column is missing."""
    schema = TABLES_READ[table]
    columns = []
    for field in schema:
        at = rows.schema.get_field_index(field.name)
        column = pa.nulls(rows.num_rows, field.type) if at < 0 else _as(rows.column(at), field.type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    kind = column.type
    if kind == wanted:
        return column
    if pa.types.is_fixed_size_binary(kind) and pa.types.is_string(wanted):
        return _hexed(column)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        column = column.take(pa.array(np.arange(len(column)))) if column.offset else column
        values = pa.StructArray.from_arrays(
            [_as(part, field.type) for part, field in zip(column.values.flatten(), wanted.value_type, strict=True)],
            fields=list(wanted.value_type),
        )
        mask = column.is_null() if column.null_count else None
        return pa.ListArray.from_arrays(column.offsets, values, type=wanted, mask=mask)
    return column.cast(wanted)


def _hexed(column: pa.Array) -> pa.Array:
    """Bytes as lowercase hex, without a Python object a row."""
    rows, width = len(column), column.type.byte_width
    if not rows:
        return pa.array([], pa.string())
    content = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + rows) * width]
    offsets = np.arange(rows + 1, dtype=np.int32) * (2 * width)
    validity = None
    if column.null_count:
        validity = pa.py_buffer(np.packbits(column.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(_DIGITS[content])]
    return pa.Array.from_buffers(pa.string(), rows, buffers, null_count=column.null_count)
