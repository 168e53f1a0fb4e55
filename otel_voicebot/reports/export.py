"""Whole tables in the formats of other tools."""

import csv
import io
import json
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened
from otel_voicebot.reports.values import plain
from otel_voicebot.spans.schema import PUBLISHED, SPANS_READ

__all__ = ["document", "encode", "rows"]

_BATCH = 5000
"""Rows that are turned into text at once."""


def rows(opened: Opened, table: str) -> pa.Table:
    """The selected rows of spans, turns or sessions, in the published schema, in order of session and time.

    Costs are by the prices that the engine was given.
    """
    if table == "spans":
        return _as(opened.spans(), SPANS_READ)
    order = {"turns": "session_id, turn_index", "sessions": "start_time, session_id"}[table]
    return _as(
        opened.engine.sql(f"SELECT * FROM priced_{table} ORDER BY {order}"),  # noqa: S608 - both are words of this file
        PUBLISHED[table],
    )


def _as(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """In exactly the columns of ``schema``; one that isn't there is null."""
    columns = [
        found.column(field.name).cast(field.type)
        if field.name in found.column_names
        else pa.nulls(len(found), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def encode(table: pa.Table, kind: str) -> Iterator[bytes]:
    """The table as csv, jsonl or parquet, piece by piece."""
    if kind == "parquet":
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        yield out.getvalue()
        return
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\r\n")
    if kind == "csv":
        writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = [_plain(column) for column in batch.columns]
        if kind == "csv":
            kinds = batch.schema.types
            writer.writerows(zip(*map(_cells, columns, kinds), strict=True))
        else:
            names = batch.schema.names
            for row in zip(*columns, strict=True):
                lines.write(_json(dict(zip(names, row, strict=True))) + "\n")
        yield lines.getvalue().encode()
        lines.seek(0)
        lines.truncate()
    if rest := lines.getvalue():
        yield rest.encode()


def _plain(column: pa.Array) -> list[object]:
    """A column's values in JSON's types. Column by column: value by value takes ten times as long."""
    if pa.types.is_timestamp(column.type):
        return list(pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ").to_pylist())
    values = column.to_pylist()
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        return [plain(value) for value in values]
    return list(values)


def _cells(values: list[object], kind: pa.DataType) -> list[object]:
    """As ``reports.grid.cell`` has it."""
    if pa.types.is_boolean(kind):
        return [None if value is None else "true" if value else "false" for value in values]
    return [None if value is None else _json(value) for value in values] if pa.types.is_nested(kind) else values


_json = json.JSONEncoder(ensure_ascii=False).encode
"""``json.dumps`` with options makes an encoder a call."""


def document(scope: Scope, name: str, table: pa.Table) -> Mapping[str, object]:
    """One JSON document."""
    return {**scope.document("export"), "table": name, "rows": [plain(row) for row in table.to_pylist()]}
