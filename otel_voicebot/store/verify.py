"""Looks through a data directory: is every file whole, is history what it promises, what lies about."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.spans.schema import SCHEMA_VERSION, TABLES, TABLES_READ
from otel_voicebot.store import disk, marks
from otel_voicebot.store.compact import Hour, hours_of, parquet_files
from otel_voicebot.store.encoding import readable
from otel_voicebot.store.keys import RULES, order_of, repeats, version_of
from otel_voicebot.store.layout import HISTORY, HOT, OURS, tmp_directory
from otel_voicebot.store.lease import WORK, holder

__all__ = ["Finding", "Verified", "verify"]

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    kind: str
    """damaged, foreign, newer, schema, repeated, unsorted, parts, unsealed, marks: trouble. hidden, leftover, erased,
    dropped: the next maintenance sees to it."""
    path: str
    detail: str

    @property
    def is_trouble(self) -> bool:
        """True when somebody has to look."""
        return self.kind not in ("hidden", "leftover", "erased", "dropped")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a data directory holds, and what is wrong with it."""

    data: str
    files: int
    rows: int
    bytes: int
    hours: int
    """Hours of a table, in hot or history."""
    findings: tuple[Finding, ...]

    @property
    def trouble(self) -> tuple[Finding, ...]:
        """The findings that somebody has to look at."""
        return tuple(one for one in self.findings if one.is_trouble)


def verify(data: Path, *, tell: Callable[[Hour], None] = lambda _hour: None) -> Verified:
    """Read every file of a data directory to its end. Changes nothing; others may write and compact meanwhile.

    Args:
        data: the data directory.
        tell: called before each hour.

    Raises:
        NoDataError: there is no such directory.
    """
    if not data.is_dir():
        raise NoDataError(f"no data: {data} is not a directory; name another with --data")
    look = _Look(data)
    hours = sorted({*hours_of(data, HOT), *hours_of(data, HISTORY)})
    for hour in hours:
        tell(hour)
        look.hour(hour)
    look.leftovers()
    return Verified(str(data), look.files, look.rows, look.bytes, len(hours), tuple(look.findings))


class _Look:
    def __init__(self, data: Path) -> None:
        self.files = self.rows = self.bytes = 0
        self.findings: list[Finding] = []
        self._data = data
        self._erased, self._horizon = marks.Erased(), 0
        try:
            self._erased, self._horizon = marks.erased(data), marks.horizon(data)
        except UnreadableDataError as error:
            self._found("marks", data, str(error))

    def hour(self, hour: Hour) -> None:
        hot, history = (parquet_files(hour.directory(self._data, tier)) for tier in (HOT, HISTORY))
        directory = hour.directory(self._data, HISTORY)
        if marks.is_dropped(hour.name, self._horizon):
            self._found("dropped", directory, "before the horizon of retention, and not removed yet")
        if history and hot:
            where = hour.directory(self._data, HOT)
            self._found("hidden", where, f"{len(hot)} files that readers ignore, as the hour is in history")
        if history and not marks.is_sealed(self._data, hour.table, hour.name):
            self._found("unsealed", directory, "in history without a seal: a writer may still put files into the hour")
        if len(history) > 1:
            self._found("parts", directory, f"{len(history)} files where one is replaced in one step")
        for path in hot:
            self._file(path, hour.table, merged=False)
        whole = [path for path in history if self._file(path, hour.table, merged=True)]
        if whole and (count := _repeated(hour.table, whole)):
            self._found("repeated", directory, f"{count} rows with a key that is there already")

    def leftovers(self) -> None:
        now = holder(self._data)
        mine = "" if now is None or not now.until_ns else f"{now.number:08d}-{now.name}"
        for name in disk.names(self._data / WORK):
            if name != mine:
                self._found("leftover", self._data / WORK / name, "of a maintainer that was killed")
        for name in disk.names(tmp_directory(self._data)):
            self._found("leftover", tmp_directory(self._data) / name, "being written, or of a writer that was killed")

    def _file(self, path: Path, table: str, *, merged: bool) -> bool:
        """True when it could be read to its end."""
        try:
            size = disk.size(path)
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if not self._fits(path, file, table, merged=merged):
                    return False
                last, sorted_ = None, True
                erased = 0
                for batch in file.iter_batches():
                    rows = readable(batch, table)
                    if merged:
                        last, in_order = _continues(order_of(rows, table), last)
                        sorted_ = sorted_ and in_order
                    mask = self._erased.find(pa.Table.from_batches([rows]))
                    erased += pc.sum(mask).as_py() if mask is not None else 0
                self.rows += file.metadata.num_rows
        except FileNotFoundError:
            return False  # merged or removed since it was listed
        except (OSError, pa.ArrowException) as error:
            self._found("damaged", path, str(error).partition("\n")[0].rstrip("."))
            return False
        self.files += 1
        self.bytes += size or 0
        if not sorted_:
            self._found("unsorted", path, "not in the order of bot, session and time")
        if erased:
            self._found("erased", path, f"{erased} rows of somebody erased, which readers hide")
        return True

    def _fits(self, path: Path, file: pq.ParquetFile, table: str, *, merged: bool) -> bool:
        wanted = (TABLES_READ if merged else TABLES)[table]
        version = version_of(file.metadata.metadata)
        if version > SCHEMA_VERSION:
            self._found("newer", path, f"schema version {version}, this program knows {SCHEMA_VERSION}")
            return False
        stored = file.schema_arrow
        if not any(name in stored.names for name in OURS[table]):
            self._found("foreign", path, "another program's: it has none of the columns of a file of otel_voicebot")
            return False
        other = [name for name in wanted.names if not _same(stored, wanted, name)]
        if other:
            more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
            self._found("schema", path, f"columns of another type: {', '.join(other[:_SHOWN])}{more}")
        return not other

    def _found(self, kind: str, path: Path, detail: str) -> None:
        self.findings.append(Finding(kind, str(path), detail))


def _same(stored: pa.Schema, wanted: pa.Schema, name: str) -> bool:
    """A column that is missing is null."""
    at = stored.get_field_index(name)
    return at < 0 or _shape(stored.field(at).type) == _shape(wanted.field(name).type)


def _shape(kind: pa.DataType) -> str:
    """A type without the names that Parquet gives to the parts of lists and maps."""
    if pa.types.is_map(kind):
        return f"map<{_shape(kind.key_type)}, {_shape(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"list<{_shape(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{part.name}: {_shape(part.type)}' for part in kind)}>"
    return str(kind)


def _continues(order: pa.Table, last: tuple[Any, ...] | None) -> tuple[tuple[Any, ...] | None, bool]:
    """The last place of these rows, and whether they are in order and come after ``last``."""
    if not order.num_rows:
        return last, True
    first, end = (tuple(order.slice(at, 1).to_pylist()[0].values()) for at in (0, order.num_rows - 1))
    keys = [(name, "ascending") for name in order.column_names]
    if not order.take(pc.sort_indices(order, sort_keys=keys)).equals(order):
        return end, False
    return end, last is None or last <= first


def _repeated(table: str, paths: list[Path]) -> int:
    return repeats(table, paths) if RULES[table].key else 0
