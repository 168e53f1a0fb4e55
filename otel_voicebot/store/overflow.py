"""DuckDB for what a process looks up at its start: in bounded memory, and beyond that on the disk of the data."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from otel_voicebot.store import disk
from otel_voicebot.store.layout import tmp_directory

__all__ = ["OVERFLOW", "bounded"]

OVERFLOW: Final = "overflow-"
"""What the directories' names begin with; one that a killed process has left is removed like any old file there."""
_MEMORY: Final = "250MB"


@contextmanager
def bounded(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that may sort more than fits into memory.

    By itself DuckDB would do so in ``.tmp`` of the working directory, which a service often can't write and shares with
    others.

    Raises:
        OSError: the data directory can't be written to.
    """
    disk.make(tmp_directory(data))
    with (
        tempfile.TemporaryDirectory(prefix=OVERFLOW, suffix=".tmp", dir=tmp_directory(data)) as directory,
        duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": directory}) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would go to stdout, before the ready line
        yield connection
