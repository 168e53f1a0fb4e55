"""Hot segments: rows become Parquet files that are whole, durable and never overwritten.

A commit encodes in memory, writes ``tmp/….tmp``, fsyncs it, renames it into the hour of the commit, fsyncs that
directory, and looks whether the hour was sealed meanwhile. It was: the compactor may have listed the hour without this
file, so a copy goes into an open hour, in the same way, and the first stays where it is (moving it would open a moment
in which a reader sees it nowhere). Only then it returns. Whoever is killed in between leaves at most a ``.tmp`` file
that nobody reads, or rows that were not told to be safe.

Rows of who was erased are left out; see ``marks``.
"""

import contextlib
import errno
import functools
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from otel_voicebot.errors import CannotStartError, UnreadableDataError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_COMMITTED, SELF_DROPPED, SELF_LOGS_COMMITTED, SELF_ROWS_DROPPED
from otel_voicebot.spans.schema import TABLES
from otel_voicebot.store import disk, marks
from otel_voicebot.store.contents import Gathered
from otel_voicebot.store.layout import HOT, HOUR_NS, Names, hour_of, start_of, table_directory, tmp_directory
from otel_voicebot.store.overflow import OVERFLOW

__all__ = ["Commit", "SpanStore"]

_COMMITTED: Final = {"spans": SELF_COMMITTED, "logs": SELF_LOGS_COMMITTED}

_STALE_S: Final = 3600
"""A commit takes milliseconds: a temporary file this old belongs to a writer that is dead."""

_DISTINCT: Final = frozenset({"trace_id", "span_id", "user_text", "bot_text"})
"""Text that hardly repeats: a dictionary costs time and saves nothing."""

_STATISTICS: Final = frozenset({"start_unix_nano", "start_time", "session_id"})
"""What queries are narrowed by. Statistics of every column double the footer, which every reader parses."""

_ADVICE: Final = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the file size limit of this process",
    errno.EACCES: "give this user write permission or choose another data directory",
    errno.EPERM: "give this user write permission or choose another data directory",
    errno.EROFS: "choose a data directory on a writable file system",
    errno.ENOTDIR: "remove the file that is in the way or choose another data directory",
    errno.EEXIST: "remove the file that is in the way or choose another data directory",
}


@dataclass(frozen=True)
class Commit:
    """Rows that are on disk for good: a crash or a power cut after this keeps them."""

    path: Path | None
    """The file that holds them; None when all of them belong to somebody who was erased, and nothing was written."""
    rows: int
    """How many were written."""
    unix_nano: int
    """When the commit began; the file's hour is that of this time, or a later one when that was closed already."""
    table: pa.Table = field(repr=False, compare=False)
    """The rows written, in the table's schema. Keeping the commit keeps them in memory."""

    def span_ids(self) -> list[tuple[str, str]]:
        """(trace_id, span_id) of every row, as lowercase hex. Costs about a microsecond a row, when asked for."""
        traces, spans = (self.table.column(name).to_pylist() for name in ("trace_id", "span_id"))
        return [(trace.hex(), span.hex()) for trace, span in zip(traces, spans, strict=True)]


class SpanStore:
    """Writes into one data directory. Any number of stores, threads and processes may share it.

    Args:
        data: the directory; made when it is missing.
        clock: nanoseconds since 1970; decides in which hour a commit lies.
        metrics: counts what was committed, what was left out as erased, and failures of ``on_commit``.
        on_commit: called after a commit is durable, on the committing thread. What it raises is contained and counted:
            the rows are safe, so the caller must not be told to try again.

    Raises:
        CannotStartError: the directory can't be made or written to; the message says why and what to do.
    """

    def __init__(
        self,
        data: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        metrics: SelfMetrics | None = None,
        on_commit: Callable[[Commit], None] | None = None,
    ) -> None:
        self.data = data.absolute()  # the process may change its directory later
        self._clock = clock
        self._metrics = metrics or SelfMetrics()
        self._on_commit = on_commit
        self._names = Names(clock())
        self._marks = marks.Marks(self.data)
        self._ready: dict[str, Path] = {}  # the hour that this store has made and synced, by table
        try:
            disk.make(tmp_directory(self.data))
            self._probe()
            self._remove_stale()
        except OSError as error:
            raise _cannot_write(self.data, error) from error

    @property
    def writer(self) -> str:
        """The id of this writer: what its files' names begin with."""
        return self._names.writer

    def commit(self, rows: Sequence[pa.RecordBatch], table: Literal["spans", "logs"] = "spans") -> Commit:
        """Put rows (schema of the table, at least one) on disk, in one file, and return when they are durable.

        Raises:
            CannotStartError: the disk refused. The rows are still the caller's, and the same commit may succeed later.
        """
        whole = pa.Table.from_batches(rows, schema=TABLES[table]).combine_chunks()  # or each chunk is encoded apart
        now = self._clock()
        path, kept = self._write(table, whole, now, durable=True)
        self._metrics.add(_COMMITTED[table], kept.num_rows)
        commit = Commit(path, kept.num_rows, now, kept)
        if self._on_commit is not None:
            try:
                self._on_commit(commit)
            except Exception as error:  # noqa: BLE001 - the rows are durable, whatever the callback does
                self._metrics.contained("on_commit", error)
        return commit

    def write_rows(self, table: Literal["turns", "sessions"], rows: pa.Table) -> Path | None:
        """Write turn or session rows: whole or not at all, but without fsync, as they can be computed again.

        Returns:
            the file; None when all rows belong to somebody who was erased.

        Raises:
            CannotStartError: as in ``commit``.
        """
        return self._write(table, rows.cast(TABLES[table]), self._clock(), durable=False)[0]

    def _write(self, table: str, rows: pa.Table, now: int, *, durable: bool) -> tuple[Path | None, pa.Table]:
        """Put what is not erased into an hour that is still open when it is there; what was written, and where."""
        try:
            hour = self._open_hour(table, hour_of(now))
            while (rows := self._without_erased(table, rows)).num_rows:
                path = self._put(table, rows, hour, durable=durable)
                placed, hour = hour, self._open_hour(table, hour)
                if placed == hour:
                    return path, rows
        except UnreadableDataError as error:  # a mark that can't be read: who is erased can't be told
            raise CannotStartError(f"can't write to {self.data}: {error}") from error
        except OSError as error:
            raise _cannot_write(self.data, error) from error
        return None, rows

    def _open_hour(self, table: str, hour: str) -> str:
        """The first hour from this one on that is neither sealed nor dropped: later ones are, if a clock runs ahead."""
        while True:
            if marks.is_sealed(self.data, table, hour):
                hour = hour_of(start_of(hour) + HOUR_NS)
                continue
            # After the seal: retention moves the horizon first, and then removes the seal.
            horizon = self._marks.horizon()
            if not marks.is_dropped(hour, horizon):
                return hour
            hour = hour_of(horizon)

    def _without_erased(self, table: str, rows: pa.Table) -> pa.Table:
        erased = self._marks.erased()
        mask = erased.find(rows)
        if mask is None:
            return rows
        gone = rows.filter(mask)
        if table == "spans":
            self._metrics.add(SELF_DROPPED, gone.num_rows, "erased")
        else:
            self._metrics.add(SELF_ROWS_DROPPED, gone.num_rows, table)
        if further := marks.traces_of(gone) - erased.unnamed - erased.traces:
            marks.bury(self.data, unnamed=further, clock=self._clock)  # its rows that name no session, here or earlier
        return rows.filter(pc.invert(mask)).combine_chunks()

    def _put(self, table: str, rows: pa.Table, hour: str, *, durable: bool) -> Path:
        content = _encode(table, rows)
        name = self._names.next()
        tmp = tmp_directory(self.data) / f"{table}-{name}.tmp"
        path = table_directory(self.data, HOT, table) / hour / f"{name}.parquet"
        try:
            try:
                self._prepare(table, path.parent)
                _place(content, tmp, path, durable=durable)
            except FileNotFoundError:  # somebody removed a directory that we had made: make it again, once
                self._ready.clear()
                self._prepare(table, path.parent)
                _place(content, tmp, path, durable=durable)
        except OSError as error:
            raise _cannot_write(path, error) from error
        return path

    def _prepare(self, table: str, hour: Path) -> None:
        if self._ready.get(table) == hour:
            return
        disk.make(tmp_directory(self.data))
        disk.make(hour)
        # Another process may have made these directories and not have synced them yet: whoever relies on an entry
        # syncs it, whoever made it.
        for parent in hour.relative_to(self.data).parents:
            disk.sync_directory(self.data / parent)
        self._ready[table] = hour

    def _probe(self) -> None:
        probe = tmp_directory(self.data) / f"probe-{self._names.next()}.tmp"
        try:
            disk.write(probe, b"PAR1", durable=False)
        finally:
            disk.remove(probe)

    def _remove_stale(self) -> None:
        limit = self._clock() - _STALE_S * 1_000_000_000
        tmp = tmp_directory(self.data)
        for leftover in (tmp / name for name in disk.names(tmp) if name.endswith(".tmp")):
            written = disk.modified_ns(leftover)
            if written is None or written >= limit:
                continue
            if leftover.name.startswith(OVERFLOW):
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                disk.remove(leftover)  # another writer that starts now may have removed it


def _encode(table: str, rows: pa.Table) -> pa.Buffer:
    # In memory, so that one descriptor writes and fsyncs: a write error can't be lost between two of them. The Arrow
    # schema is left out (it triples the footer): Parquet's own types give every column back as it was. Page checksums
    # cost 2 % and tell a flipped bit from data.
    options = _parquet_options(table)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, TABLES[table], compression="lz4", write_page_checksum=True, **options) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(TABLES[table].metadata)
        if table == "spans":
            gathered = Gathered()
            gathered.add(rows)
            writer.add_key_value_metadata(gathered.note())
    return sink.getvalue()


@functools.cache
def _parquet_options(table: str) -> dict[str, Any]:
    dictionary: list[str] = []
    for column in TABLES[table]:
        dictionary += [path for path in _leaves(column.name, column.type) if path.rpartition(".")[2] not in _DISTINCT]
    statistics = [name for name in TABLES[table].names if name in _STATISTICS]
    return {"use_dictionary": dictionary, "write_statistics": statistics, "store_schema": False}


def _leaves(path: str, kind: pa.DataType) -> list[str]:
    """Parquet paths of the texts in a column."""
    if pa.types.is_map(kind):
        return [*_leaves(f"{path}.key_value.key", kind.key_type), *_leaves(f"{path}.key_value.value", kind.item_type)]
    if pa.types.is_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for part in kind for leaf in _leaves(f"{path}.{part.name}", part.type)]
    return [path] if kind == pa.string() else []


def _place(content: pa.Buffer, tmp: Path, path: Path, *, durable: bool) -> None:
    """Make ``path`` appear with this content, in one step."""
    try:
        disk.write(tmp, content, durable=durable)
        disk.rename(tmp, path)
        if durable:
            disk.sync_directory(path.parent)
    except OSError:
        # After the rename too: the caller is told to try again, and a file that stayed would hold the rows twice.
        for leftover in (tmp, path):
            with contextlib.suppress(OSError):
                disk.remove(leftover)
        raise


def _cannot_write(path: Path, error: OSError) -> CannotStartError:
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "check the disk")
    return CannotStartError(f"can't write {path}: {reason}; {advice}")
