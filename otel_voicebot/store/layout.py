"""Where files lie, and what they are called.

    <data>/hot/<table>/date=YYYY-MM-DD/hour=HH/<writer>-<number>.parquet      written by commits, by ingest hour (UTC)
    <data>/history/<table>/date=YYYY-MM-DD/hour=HH/<any>.parquet              a closed hour, merged; wins over hot
    <data>/tmp/<table>-<writer>-<number>.tmp                                  half a file: no reader looks here

``tmp`` is beside ``hot`` so that renames stay in one file system, and its files don't end in ``.parquet`` so that no
glob of any tool finds them.
"""

import itertools
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["HISTORY", "HOT", "Names", "hour_of", "table_directory", "tmp_directory"]

HOT = "hot"
HISTORY = "history"


def hour_of(unix_nano: int) -> str:
    """The hour of a time, in UTC, as the two directory levels that hold it: ``date=2026-11-21/hour=04``."""
    return datetime.fromtimestamp(unix_nano // 1_000_000_000, UTC).strftime("date=%Y-%m-%d/hour=%H")


def table_directory(data: Path, tier: str, table: str) -> Path:
    """The directory of a table in ``hot`` or ``history``: readable as it is by pandas, DuckDB and pyarrow."""
    return data / tier / table


def tmp_directory(data: Path) -> Path:
    """The directory of files that are being written."""
    return data / "tmp"


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
