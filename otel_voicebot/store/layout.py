"""Where files lie, and what they are called.

    <data>/hot/<table>/date=YYYY-MM-DD/hour=HH/<writer>-<number>.parquet      written by commits, by ingest hour (UTC)
    <data>/hot/<table>/date=YYYY-MM-DD/hour=HH.sealed                         late files of this hour don't count
    <data>/history/<table>/date=YYYY-MM-DD/hour=HH/<any>.parquet              a closed hour, merged; wins over hot
    <data>/tombstones/<id>.json                                               who was erased: nobody shows or keeps them
    <data>/horizon.json                                                       hours before this are dropped
    <data>/tmp/<table>-<writer>-<number>.tmp                                  half a file: no reader looks here

``tmp`` is beside ``hot`` so that renames stay in one file system, and its files don't end in ``.parquet`` so that no
glob of any tool finds them. A seal is an empty directory, as tools take every file below ``hot`` for data.
"""

import itertools
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

__all__ = [
    "HISTORY",
    "HOT",
    "HOUR_NS",
    "OURS",
    "Names",
    "horizon_path",
    "hour_of",
    "is_trace",
    "seal_path",
    "start_of",
    "table_directory",
    "tmp_directory",
    "tombstones_directory",
]

HOT = "hot"
HISTORY = "history"
HOUR_NS: Final = 3_600_000_000_000
OURS: Final = {
    "spans": ("trace_id", "span_id"),
    "turns": ("session_id", "turn_index"),
    "sessions": ("session_id", "duration_s"),
    "logs": ("observed_unix_nano", "body"),
}
_TRACE: Final = re.compile(r"[0-9a-f]{32}").fullmatch
"""Columns of which every file of a table has some. A column that is missing is read as null, so without them the rows
of another program would count."""


def hour_of(unix_nano: int) -> str:
    """The hour of a time, in UTC, as the two directory levels that hold it: ``date=2026-11-21/hour=04``."""
    return datetime.fromtimestamp(unix_nano // 1_000_000_000, UTC).strftime("date=%Y-%m-%d/hour=%H")


def start_of(hour: str) -> int:
    """When an hour (``date=2026-11-21/hour=04``) begins, in nanoseconds since 1970.

    Raises:
        ValueError: it is not the name of an hour.
    """
    return int(datetime.strptime(hour, "date=%Y-%m-%d/hour=%H").replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def table_directory(data: Path, tier: str, table: str) -> Path:
    """The directory of a table in ``hot`` or ``history``: readable as it is by pandas, DuckDB and pyarrow."""
    return data / tier / table


def tmp_directory(data: Path) -> Path:
    """The directory of files that are being written."""
    return data / "tmp"


def seal_path(data: Path, table: str, hour: str) -> Path:
    """The seal of an hour of a table, beside the hour's directory in ``hot``."""
    return data / HOT / table / f"{hour}.sealed"


def tombstones_directory(data: Path) -> Path:
    """The directory of tombstones."""
    return data / "tombstones"


def horizon_path(data: Path) -> Path:
    """The file that says up to when hours are dropped."""
    return data / "horizon.json"


class Names:
    """File names without suffix that are never given twice: not by threads, by restarts, nor by a forked child.

    A writer's id is its start (UTC, so that names sort by time) and 64 random bits, since a clock may be set back.
    """

    def __init__(self, unix_nano: int) -> None:
        self._started = unix_nano
        self._draw()

    def next(self) -> str:
        """The next name. After a fork the child draws a writer id of its own."""
        if os.getpid() != self._pid:
            self._draw()
        return f"{self.writer}-{next(self._numbers):08d}"

    def _draw(self) -> None:
        start = datetime.fromtimestamp(self._started // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        self.writer = f"{start}-{secrets.token_hex(8)}"
        self._numbers = itertools.count()
        self._pid = os.getpid()


def is_trace(name: str) -> bool:
    """Whether a name has the form of a trace id: 32 lowercase hex digits."""
    return _TRACE(name) is not None
