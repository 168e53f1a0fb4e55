"""What the keys of many files tell before their rows are read: what is repeated, whose session, how the order divides.

DuckDB reads them, out of core where they are many.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.schema import SCHEMA_VERSION, TABLES
from otel_voicebot.store.encoding import readable

__all__ = [
    "PART_BYTES",
    "RULES",
    "Plan",
    "Rules",
    "filled",
    "order_of",
    "plan",
    "repeats",
    "schema_of",
    "version_of",
    "whole",
]

PART_BYTES: Final = 96 << 20
"""Of rows in memory, as Arrow. A part is held three times while it is sorted and written."""
_MOST_PARTS: Final = 400
"""Files that are open at once."""
_ENGINE_MEMORY: Final = "400MB"
_LOOK_S: Final = 0.2
"""Seconds between two looks whether somebody wants us to stop."""
_VERSION: Final = b"otel_voicebot.schema_version"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a closed hour of a table looks like."""

    time: str
    """Third part of the order, after ``bot`` (where there is one) and the session."""
    key: tuple[str, ...] = ()
    """What must not be there twice; empty: everything is kept."""
    best: str = ""
    """SQL: the first of this order stays of rows with the same key."""


RULES: Final[Mapping[str, Rules]] = {
    # the copy that came in first, as the models take it
    "spans": Rules("start_unix_nano", ("trace_id", "span_id"), "ingest_time, start_unix_nano"),
    "logs": Rules("time"),
    "turns": Rules("start_time", ("session_id", "turn_index"), "revision DESC, computed_at DESC"),
    "sessions": Rules("start_time", ("session_id",), "revision DESC, computed_at DESC"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the keys tell."""

    bounds: list[tuple[str, str, int]]
    """Where a part begins; one less than there are parts."""
    traces: pa.Array
    """Traces (hex) with spans that don't name the session."""
    sessions: pa.Array
    """Their sessions."""
    losers: dict[str, NDArray[np.int64]]
    """Rows that are left out, by file."""


def plan(table: str, stored: Mapping[Path, pa.Schema], work: Path, step: Callable[[], None]) -> Plan:
    """Read the keys of these files, of which the schemas are known.

    Args:
        table: spans, logs, turns or sessions.
        stored: the files and their schemas.
        work: takes what doesn't fit into memory.
        step: called now and then, on another thread while this one waits; what it raises ends the reading.
    """
    rules = RULES[table]
    wanted = {"session_id", rules.time, *rules.key, *("bot", "trace_id", "ingest_time", "revision", "computed_at")}
    names = [name for name in TABLES[table].names if name in wanted]
    parts = min(_parts(table, list(stored)), _MOST_PARTS)
    with _engine(work / "engine", step) as engine:
        engine.execute(f"CREATE VIEW keys AS {_keys(table, names, stored)}")
        losers = _losers(engine, rules) if rules.key else {}
        traces = sessions = pa.array([], pa.string())
        if "trace_id" in names and table in ("spans", "logs"):
            fill = (
                "SELECT lower(hex(trace_id)) AS trace, min(session_id) AS session FROM keys WHERE trace_id IS NOT NULL "
                "GROUP BY trace_id HAVING count(session_id) > 0 AND count(session_id) < count(*)"
            )
            found = engine.sql(fill).to_arrow_table().combine_chunks()
            traces, sessions = (whole(found.column(name)) for name in ("trace", "session"))
        shown = ", ".join(f"lower(hex({n})) AS {n}" if _is_id(table, n) else n for n in names)
        sample = f"SELECT {shown} FROM keys USING SAMPLE reservoir({parts * 200} ROWS) REPEATABLE (1)"  # noqa: S608 - names are the schema's
        sampled = engine.sql(sample).to_arrow_table() if parts > 1 else None
    planned = Plan([], traces, sessions, losers)
    if sampled is None:
        return planned
    rows = pa.Table.from_batches([readable(batch, table) for batch in sampled.to_batches()])
    order = order_of(filled(rows, planned), table)
    points = sorted(zip(*(order.column(name).to_pylist() for name in order.column_names), strict=True))
    bounds = [points[len(points) * part // parts] for part in range(1, parts)]
    return Plan(sorted(set(bounds)), traces, sessions, losers)


def repeats(table: str, paths: Sequence[Path]) -> int:
    """How many rows of these files have a key that another row has already.

    Raises:
        UnreadableDataError: as ``schema_of``.
    """
    rules = RULES[table]
    key = ", ".join(rules.key)
    often = f"SELECT hash({key}) FROM keys GROUP BY ALL HAVING count(*) > 1"  # noqa: S608 - names are the schema's
    chosen = f"SELECT {key}, count(*) AS copies FROM keys WHERE hash({key}) IN ({often}) GROUP BY {key}"  # noqa: S608
    stored = {path: schema_of(path) for path in paths}
    with tempfile.TemporaryDirectory() as work, _engine(Path(work), lambda: None) as engine:
        engine.execute(f"CREATE VIEW keys AS {_keys(table, rules.key, stored)}")
        found = engine.execute(f"SELECT coalesce(sum(copies - 1), 0) FROM ({chosen}) WHERE copies > 1").fetchone()  # noqa: S608
    return int(found[0]) if found else 0


@contextmanager
def _engine(overflow: Path, step: Callable[[], None]) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB on one core, with little memory, that stops when ``step`` raises: a query may take half a minute."""
    config = {"memory_limit": _ENGINE_MEMORY, "threads": 1, "preserve_insertion_order": False}
    ended = threading.Event()
    raised: list[BaseException] = []
    with duckdb.connect(config=config) as engine:  # type: ignore[arg-type]

        def watch() -> None:
            while not ended.wait(_LOOK_S):
                try:
                    step()
                except BaseException as error:  # noqa: BLE001 - it is raised on the thread that waits for the engine
                    raised.append(error)
                    engine.interrupt()

        watcher = threading.Thread(target=watch, name="otel_voicebot-merge", daemon=True)
        watcher.start()
        try:
            engine.execute("SET TimeZone = 'UTC'")
            engine.execute("SET enable_progress_bar = false")
            engine.execute(f"SET temp_directory = '{_quoted(overflow)}'")
            yield engine
        except duckdb.Error:
            if not raised:
                raise
        finally:
            ended.set()
            watcher.join()
    if raised:
        raise raised[0]


def _is_id(table: str, name: str) -> bool:
    return bool(pa.types.is_fixed_size_binary(TABLES[table].field(name).type))


def _losers(engine: duckdb.DuckDBPyConnection, rules: Rules) -> dict[str, NDArray[np.int64]]:
    key = ", ".join(rules.key)
    # Candidates by a hash, which is cheap to group, then exactly.
    repeated = f"SELECT hash({key}) FROM keys GROUP BY ALL HAVING count(*) > 1"  # noqa: S608 - names are the schema's
    rank = f"row_number() OVER (PARTITION BY {key} ORDER BY {rules.best}, file, row)"
    chosen = f"SELECT file, row, {rank} AS place FROM keys WHERE hash({key}) IN ({repeated})"  # noqa: S608 - names are the schema's
    losers = f"SELECT file, row FROM ({chosen}) WHERE place > 1 ORDER BY file, row"  # noqa: S608 - names are the schema's
    found = engine.sql(losers).to_arrow_table()
    grouped: dict[str, NDArray[np.int64]] = {}
    rows = found.column("row").to_numpy()
    files = found.column("file").combine_chunks().dictionary_encode()
    files = files.combine_chunks() if isinstance(files, pa.ChunkedArray) else files
    codes = files.indices.to_numpy()
    for code, name in enumerate(files.dictionary.to_pylist()):
        first, last = np.searchsorted(codes, [code, code + 1])  # in order of appearance, and sorted by file
        grouped[name] = rows[first:last]
    return grouped


def _keys(table: str, names: Sequence[str], stored: Mapping[Path, pa.Schema]) -> str:
    """SQL: these columns of all files, ids as bytes, with ``file`` and ``row``."""
    forms: dict[tuple[str, ...], list[Path]] = {}
    for path, schema in stored.items():
        forms.setdefault(tuple(_sql_type(table, name, schema) for name in names), []).append(path)
    selects = []
    for types, paths in forms.items():
        columns = []
        for name, kind in zip(names, types, strict=True):
            columns.append(f"unhex({name}) AS {name}" if _is_id(table, name) and kind == "VARCHAR" else name)
        schema = ", ".join(
            f"'{name}': {{name: '{name}', type: '{kind}', default_value: NULL}}"
            for name, kind in zip(names, types, strict=True)
        )
        listed = ", ".join(f"'{_quoted(path)}'" for path in paths)
        options = f"schema = MAP {{{schema}}}, hive_partitioning = false, filename = true, file_row_number = true"
        selects.append(
            f"SELECT {', '.join(columns)}, filename AS file, file_row_number AS row "  # noqa: S608 - and paths are quoted
            f"FROM read_parquet([{listed}], {options})"
        )
    return " UNION ALL ".join(selects)


def _sql_type(table: str, name: str, stored: pa.Schema) -> str:
    kind = TABLES[table].field(name).type
    if _is_id(table, name):
        at = stored.get_field_index(name)
        return "VARCHAR" if at >= 0 and pa.types.is_string(stored.field(at).type) else "BLOB"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE"
    return {"string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT"}[str(kind)]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _parts(table: str, paths: Sequence[Path]) -> int:
    """How many parts the rows make, from a look at some files: Parquet doesn't say how much they take in memory."""
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    looked, size = 0, 0
    for path in paths[:: max(len(paths) // 5, 1)]:
        batch = next(batches(path, 4096), None)
        if batch is not None and batch.num_rows:
            found = readable(batch, table)
            looked, size = looked + found.num_rows, size + found.nbytes
    return -(-rows * size // (looked * PART_BYTES)) if looked else 1


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    found = column.combine_chunks()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a file, so many at a time; its checksums are looked at.

    Raises:
        UnreadableDataError: it is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=rows, use_threads=False)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0].rstrip(".")
        raise UnreadableDataError(f"{path} can't be read: {first_line}", (str(path),)) from error


def filled(rows: Any, plan: Plan) -> Any:
    """Rows with the session of their trace where they name none."""
    if not len(plan.traces):
        return rows
    at = pc.index_in(rows.column("trace_id"), value_set=plan.traces)
    session = pc.coalesce(rows.column("session_id"), plan.sessions.take(at))
    return rows.set_column(rows.schema.get_field_index("session_id"), rows.schema.field("session_id"), session)


def order_of(rows: pa.RecordBatch | pa.Table, table: str) -> pa.Table:
    """What rows (``TABLES_READ``) are sorted by: bot, session (of spans without one the trace), time; no nulls."""
    session = rows.column("session_id")
    if "trace_id" in TABLES[table].names and table in ("spans", "logs"):
        session = pc.coalesce(session, rows.column("trace_id"))
    bot = rows.column("bot") if "bot" in rows.schema.names else pa.nulls(rows.num_rows, pa.string())
    time = rows.column(RULES[table].time).cast(pa.int64())
    return pa.table({"bot": pc.fill_null(bot, ""), "session": pc.fill_null(session, ""), "time": pc.fill_null(time, 0)})


def version_of(metadata: Mapping[bytes, bytes] | None) -> int:
    """The schema version that a file says it has; the first when it doesn't say."""
    said = (metadata or {}).get(_VERSION, b"1")
    return int(said) if said.isdigit() else 1


def schema_of(path: Path) -> pa.Schema:
    """The schema of a file.

    Raises:
        UnreadableDataError: a newer version wrote it: what it means by a column isn't known, and none may be lost.
    """
    try:
        with pq.ParquetFile(path) as file:
            version = version_of(file.metadata.metadata)
            if version > SCHEMA_VERSION:
                msg = f"{path} has schema version {version}, this program knows {SCHEMA_VERSION}: run a newer one"
                raise UnreadableDataError(msg, (str(path),))
            return file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UnreadableDataError(f"{path} can't be read: {str(error).partition(chr(10))[0]}", (str(path),)) from error
