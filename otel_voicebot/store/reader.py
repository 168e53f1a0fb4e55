"""Reads a data directory: which files count, which are damaged, and one SQL form for files of every version.

A reader never sees half a file, as files appear by a rename. It lists ``hot`` before ``history`` and ignores the hot
files of an hour that is in history, so that an hour that moves meanwhile is seen once. Where a file has vanished since
it was listed, it lists again. Tombstones and horizon are looked up after the files were listed: whoever removes a
session or an hour marks it first, so what is half removed is hidden altogether.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.spans.schema import TABLES, TABLES_READ
from otel_voicebot.store import disk
from otel_voicebot.store.layout import HISTORY, HOT, OURS, hour_of, table_directory
from otel_voicebot.store.marks import Erased, erased, horizon, is_dropped

__all__ = ["Snapshot", "reading", "snapshot"]

Answer = TypeVar("Answer")

_LISTINGS: Final = 8
"""Listings until we give up: each further one means that some file was removed during the one before."""

_CLOCK_SLACK: Final = timedelta(days=1)
"""How far a sender's clock may run ahead of ours."""

_DECIDES: Final = ("session_id", "user_hash", "trace_id")
"""What tells whether a row is erased."""

Check = Callable[[Path], str | None]
"""Says what is wrong with a file; None when nothing is. Raises FileNotFoundError when it has vanished."""

Paths = list[str]
Choice = Callable[[Paths, Paths], tuple[Paths, Paths]]
"""Picks, of the files in hot and in history that count, those that a question is about. Thousands: no Path yet."""


@dataclass(frozen=True)
class Snapshot:
    """The files of one table that count, as of one moment. Files are immutable, so reading it twice gives the same.

    A file may vanish later (an hour was merged): a query then fails, and ``without_unreadable`` lists again.
    """

    data: Path
    table: str
    hot: tuple[Path, ...]
    history: tuple[Path, ...]
    damaged: tuple[tuple[Path, str], ...]
    """Files that can't be read, each with the reason. They are in neither ``hot`` nor ``history``."""
    since: datetime | None = None
    erased: Erased = field(default_factory=Erased)
    """Whose rows are hidden, by the tombstones of that moment."""
    choice: Choice | None = field(default=None, compare=False)
    """How the files were picked; all were when None."""
    traces: frozenset[str] = frozenset()
    """Only rows of these traces (ids as hex) are shown; of all when empty."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read."""
        return self.history + self.hot

    @property
    def schema(self) -> pa.Schema:
        """What readers get: the table's columns with ids as hex."""
        return TABLES_READ[self.table]

    @cached_property
    def rows(self) -> int:
        """Rows in all files, hidden ones too. Reads each file's footer (half a millisecond)."""
        return sum(pq.read_metadata(path).num_rows for path in self.files)

    def sql(self, columns: Sequence[str] | None = None, *, raw_ids: bool = False) -> str:
        """A DuckDB query that gives the rows with these columns (all of ``schema`` when None), in that order.

        Ids are lowercase hex, or bytes when ``raw_ids`` (cheaper to join on); a column that a file doesn't have is
        null; columns that we don't know are ignored.
        """
        raw, hexed = TABLES[self.table], self.schema
        wanted = [(raw if raw_ids else hexed).field(name) for name in columns or hexed.names]
        stored = ((hexed, self.history), (raw, self.hot))
        return " UNION ALL ".join(
            _select(wanted, schema, files, self._condition(schema)) for schema, files in stored if files
        )

    def parts(self) -> list[tuple[pa.Schema, tuple[Path, ...], str]]:
        """What engines need that read files themselves.

        Returns:
            The schema that files are stored in, the files, and the condition of rows that count (DuckDB's SQL; or "").
        """
        stored = ((self.schema, self.history), (TABLES[self.table], self.hot))
        return [(schema, files, self._condition(schema)) for schema, files in stored if files]

    def of_traces(self, traces: Iterable[str]) -> "Snapshot":
        """The same files, of which only the rows of these traces (ids as 32 lowercase hex digits) are shown."""
        return replace(self, traces=frozenset(traces))

    def _condition(self, schema: pa.Schema) -> str:
        terms = [self.erased.condition(schema)]
        if self.traces:
            # The bytes or the digits themselves and no function of the column: Parquet's bloom filters know those,
            # and an equality better than a list.
            has_digits = pa.types.is_string(schema.field("trace_id").type)
            listed = [f"'{one}'" if has_digits else _blob(one) for one in sorted(self.traces)]
            terms.append(f"trace_id = {listed[0]}" if len(listed) == 1 else f"trace_id IN ({', '.join(listed)})")
        return " AND ".join(term for term in terms if term)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as Arrow, with these columns of ``schema``, in memory.

        Raises:
            UnreadableDataError: a file turned out to be damaged, or has vanished; ``without_unreadable`` knows which.
        """
        schema = pa.schema([self.schema.field(name) for name in columns or self.schema.names])
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")  # it would go to stdout
            try:
                return connection.sql(self.sql(columns)).to_arrow_table().cast(schema)
            except duckdb.Error as error:
                first_line = str(error).partition("\n")[0]
                raise UnreadableDataError(f"reading {self.table} in {self.data} failed: {first_line}") from error

    def without_unreadable(self) -> "Snapshot":
        """List again and read every file in full: for after a query failed on damage deep inside a file.

        Raises:
            NoDataError, UnreadableDataError: as ``snapshot``.
        """
        return replace(_take(self.data, self.table, self.since, _check_pages, self.choice), traces=self.traces)

    def damage(self) -> str:
        """One sentence about what was left out; empty when nothing was."""
        if not self.damaged:
            return ""
        named = ", ".join(f"{path} ({reason})" for path, reason in self.damaged[:3])
        more = f" and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
        return f"{len(self.damaged)} of {len(self.damaged) + len(self.files)} files can't be read: {named}{more}"


def snapshot(
    data: Path, table: str = "spans", *, since: datetime | None = None, choice: Choice | None = None
) -> Snapshot:
    """List a table's files and look at the ends of each (about 20 µs a file), so that damage is known up front.

    Args:
        data: the data directory.
        table: spans, turns or sessions.
        since: leave out hours that came in more than a day before this (aware) time. It saves work and narrows nothing:
            older rows may be in the files that stay, and an import of today holds spans of any time.
        choice: picks the files that the question is about; only those are looked at.

    Raises:
        NoDataError: there is no such directory, or no file in it, or none is chosen.
        UnreadableDataError: there are files, and none can be read.
    """
    return _take(data, table, since, _check_ends, choice)


def reading(
    data: Path,
    use: Callable[[Snapshot], Answer],
    table: str = "spans",
    *,
    since: datetime | None = None,
    choice: Choice | None = None,
    thorough: bool = True,
) -> Answer:
    """What ``use`` makes of a snapshot: asked again where a file vanished meanwhile, and without what is damaged.

    Args:
        data: the data directory.
        use: raises UnreadableDataError where a query failed. It may be called several times.
        table: as in ``snapshot``.
        since: as in ``snapshot``.
        choice: as in ``snapshot``; asked again with every listing.
        thorough: find out which files are damaged, by reading all in full, and go on without them. It takes as long as
            there is data; otherwise damage deep inside a file is an error.

    Raises:
        NoDataError, UnreadableDataError: as ``snapshot``.
    """
    found, in_full = snapshot(data, table, since=since, choice=choice), False
    for _ in range(_LISTINGS):
        try:
            return use(found)
        except UnreadableDataError:
            if not all(disk.exists(path) for path in found.files):
                found = snapshot(data, table, since=since, choice=choice)
            elif in_full or not thorough:
                raise
            else:
                found, in_full = found.without_unreadable(), True
    raise UnreadableDataError(f"files in {data} vanish while they are read; try again")


def _take(data: Path, table: str, since: datetime | None, check: Check, choice: Choice | None = None) -> Snapshot:
    if not data.is_dir():
        raise NoDataError(
            f"no data: {data} is not a directory; run a bot with otel_voicebot or name another with --data"
        )
    missed: set[Path] = set()
    for _ in range(_LISTINGS):
        hot, history = _list(data, table, since)
        if choice is not None:
            hot, history = choice(hot, history)
        hot_paths, history_paths = [Path(one) for one in hot], [Path(one) for one in history]
        wrong = {path: reason for path in (*hot_paths, *history_paths) if (reason := _reason(path, check))}
        vanished = {path for path, reason in wrong.items() if reason is _GONE}
        if not vanished <= missed:
            missed |= vanished
            continue  # one that is listed again, and still can't be opened, has not vanished: a link to nothing
        damaged = tuple(wrong.items())
        good_hot, good_history = (
            tuple(path for path in paths if path not in wrong) for paths in (hot_paths, history_paths)
        )
        found = Snapshot(data, table, good_hot, good_history, damaged, since, erased(data), choice)
        if damaged and not found.files:
            raise UnreadableDataError(
                f"no {table} can be read: {found.damage()}", tuple(str(path) for path, _ in damaged)
            )
        if not found.files:
            raise NoDataError(f"no data: {data} holds no {table}{f' since {since:%Y-%m-%d %H:%M}' if since else ''}")
        return found
    raise UnreadableDataError(f"files in {data} vanish while they are read; try again")


def _list(data: Path, table: str, since: datetime | None) -> tuple[Paths, Paths]:
    """Files in hot whose hour is not in history, and files in history. Hot is listed first: see the module."""
    # Not ``since - _CLOCK_SLACK``: there is no day before the first of all.
    seconds = int(since.timestamp() - _CLOCK_SLACK.total_seconds()) if since else 0
    first = hour_of(seconds * 1_000_000_000) if seconds > 0 else ""
    hot = dict(_hours(table_directory(data, HOT, table), first))
    history = dict(_hours(table_directory(data, HISTORY, table), first))
    dropped = horizon(data)
    return (
        [path for hour, paths in hot.items() if not (hour in history or is_dropped(hour, dropped)) for path in paths],
        [path for hour, paths in history.items() if not is_dropped(hour, dropped) for path in paths],
    )


def _hours(directory: Path, first: str) -> Iterator[tuple[str, Paths]]:
    for date in disk.names(directory):
        for hour in disk.names(directory / date):
            name = f"{date}/{hour}"
            if name < first or hour.endswith(".sealed"):
                continue
            inside = f"{directory}/{name}"
            if paths := [f"{inside}/{file}" for file in disk.names(inside) if file.endswith(".parquet")]:
                yield name, paths


_GONE: Final = "there is no such file"


def _reason(path: Path, check: Check) -> str | None:
    try:
        return check(path)
    except FileNotFoundError:
        return _GONE


def _check_ends(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            return "not a file"
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size < 12:
                return "empty" if not size else f"only {size} bytes"
            file.seek(0)
            head = file.read(4)
            file.seek(-8, os.SEEK_END)
            tail = file.read(8)
            footer = int.from_bytes(tail[:4], "little")
            whole = tail[4:] == b"PAR1" and footer <= size - 12
            file.seek(size - 8 - footer if whole else 0)
            columns = file.read(min(footer, _FOOTER_BYTES)) if whole else b""
    except FileNotFoundError:
        raise
    except OSError as error:
        return error.strerror or str(error)
    if head != b"PAR1":
        return "not a Parquet file"
    if not whole:
        return "the end is missing"
    return None if _ours(path, columns) else "not a file of otel_voicebot: it has none of the columns of one"


def _ours(path: Path, columns: bytes) -> bool:
    names = OURS.get(path.parent.parent.parent.name)  # <table>/<date>/<hour>/<file>
    return names is None or any(name.encode() in columns for name in names)


_FOOTER_BYTES: Final = 1 << 14
"""The columns' names stand at its beginning."""


def _check_pages(path: Path) -> str | None:
    if reason := _check_ends(path):
        return reason
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        return str(error).partition("\n")[0].rstrip(".")
    return None


def _select(wanted: Sequence[pa.Field], stored: pa.Schema, files: Sequence[Path], condition: str) -> str:
    # An explicit schema and not union_by_name: that knows only columns that some file has, and would let a newer file
    # change a type. It is as fast.
    columns = ", ".join(
        f"{_convert(_quote(f.name), stored.field(f.name).type, f.type)} AS {_quote(f.name)}" for f in wanted
    )
    needed = [stored.field(name) for name in _DECIDES if condition and name in stored.names]
    types = {field.name: _type(stored.field(field.name).type) for field in (*wanted, *needed)}
    schema = ", ".join(
        f"'{name}': {{name: '{name}', type: '{kind}', default_value: NULL}}" for name, kind in types.items()
    )
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    source = f"read_parquet([{listed}], schema = MAP {{{schema}}}, hive_partitioning = false)"
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {columns} FROM {source}{where}"  # noqa: S608 - names are the schema's, paths and ids are quoted


def _blob(digits: str) -> str:
    return "'" + "".join(f"\\x{digits[at : at + 2]}" for at in range(0, len(digits), 2)) + "'::BLOB"


def _quote(name: str) -> str:
    return f'"{name}"'


def _convert(value: str, stored: pa.DataType, wanted: pa.DataType) -> str:
    """An SQL expression that gives a value, stored with ids in one form, with ids in the form wanted."""
    if stored == wanted:
        return value
    if pa.types.is_list(stored):
        parts = zip(stored.value_type, wanted.value_type, strict=True)
        item = ", ".join(f"{part.name}: {_convert(f'item.{part.name}', part.type, to.type)}" for part, to in parts)
        return f"[{{{item}}} FOR item IN {value}]"
    return f"lower(hex({value}))" if pa.types.is_fixed_size_binary(stored) else f"unhex({value})"


def _type(kind: pa.DataType) -> str:
    """The SQL name of an Arrow type."""
    if pa.types.is_map(kind):
        return f"MAP({_type(kind.key_type)}, {_type(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{part.name} {_type(part.type)}' for part in kind)})"
    return _SQL_TYPES[kind.id]


_SQL_TYPES: Final = {
    pa.string().id: "VARCHAR",
    pa.binary(1).id: "BLOB",
    pa.bool_().id: "BOOLEAN",
    pa.int16().id: "SMALLINT",
    pa.int32().id: "INTEGER",
    pa.int64().id: "BIGINT",
    pa.float64().id: "DOUBLE",
    pa.timestamp("us", tz="UTC").id: "TIMESTAMP WITH TIME ZONE",
}
