"""Tables of late outcomes (surveys, callbacks, corrections) as `voicebot.feedback` spans: no second way to record.

A row is a fact of one session; its columns are the fields of ``facts``. A row that is imported again counts once.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers import facts
from otel_voicebot.receivers.facts import FACTS, FIELDS, Cells, Outcome, WrongFactError
from otel_voicebot.receivers.requests import Request
from otel_voicebot.store.lookup import Lookup

__all__ = ["outcomes"]

_TOGETHER: Final = 2_000
"""Rows that are looked up and sent on at once."""


def outcomes(path: Path, data: Path, now: datetime, note: Callable[[str], None]) -> Iterator[Request]:
    """The rows of a CSV or Parquet file as requests of feedback spans. What can be used is yielded first.

    Args:
        path: the file; Parquet is told by its first bytes. CSV has a header, and commas or semicolons.
        data: the data directory: a fact about a session that isn't in it is refused.
        now: (aware) the time of rows that have none.
        note: told of columns that mean nothing here.

    Raises:
        UsageError: the file can't be opened, or its columns hold no outcomes.
        UnreadableDataError: at the end: rows were left out. The message names the first, its value and why.
    """
    wrong: list[str] = []
    lookup = Lookup()
    try:
        for rows in _batches(_numbered(path, note)):
            found = list(_read(rows, wrong, now))
            known = facts.known(data, {one.session_id for _, one in found}, lookup)
            told = [one for _, one in found if one.session_id in known]
            wrong += [
                f"row {number}: session_id {one.session_id!r}: no such session in {data}"
                for number, one in found
                if one.session_id not in known
            ]
            if told:
                yield Request("traces", facts.request(told, known, now))
    except UnreadableDataError as error:
        before = f"; of what stands before, {wrong[0]}{_more(wrong)}" if wrong else ""
        raise UnreadableDataError(f"{error}{before}", (str(path),)) from error
    if wrong:
        raise UnreadableDataError(f"{path}: {wrong[0]}{_more(wrong)}; the rest was read", (str(path),))


def _more(wrong: Sequence[str]) -> str:
    return f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""


def _read(rows: Sequence[tuple[int, Cells]], wrong: list[str], now: datetime) -> Iterator[tuple[int, Outcome]]:
    for number, cells in rows:
        try:
            yield number, facts.checked(cells, now)
        except WrongFactError as error:
            wrong.append(f"row {number}: {error}")


def _batches(rows: Iterator[tuple[int, Cells]]) -> Iterator[list[tuple[int, Cells]]]:
    """What stands before damage is given before it is told."""
    batch: list[tuple[int, Cells]] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == _TOGETHER:
                yield batch
                batch = []
    except UnreadableDataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _numbered(path: Path, note: Callable[[str], None]) -> Iterator[tuple[int, Cells]]:
    """The rows, from 1; of a CSV file the first one is below its header."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise UsageError(f"can't open {path}: {error.strerror or error}") from error
    number = 0
    try:
        header, rows = _parquet(path) if parquet else _csv(path)
        _check(path, header, note)
        for number, cells in enumerate(rows, 1):
            yield number, cells
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        what = f"nothing can be read behind row {number}" if number else "neither CSV nor Parquet"
        reason = str(error).partition("\n")[0]
        raise UnreadableDataError(f"{path}: {what}: {reason}", (str(path),)) from error


def _csv(path: Path) -> tuple[Sequence[str], Iterable[Cells]]:
    text = path.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    # strict: a quote that is never closed would take the rows behind it into one cell
    delimiter = ";" if ";" in head and "," not in head else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    return names, reader


def _parquet(path: Path) -> tuple[Sequence[str], Iterable[Cells]]:
    file = pq.ParquetFile(path)
    # group by group: a damaged one takes none before it
    groups = (file.iter_batches(_TOGETHER, row_groups=[group]) for group in range(file.num_row_groups))
    rows = (row for batches in groups for batch in batches for row in batch.to_pylist())
    return file.schema_arrow.names, rows


def _check(path: Path, header: Sequence[str], note: Callable[[str], None]) -> None:
    if "session_id" not in header or not set(FACTS) & set(header):
        shown = ", ".join(header) or "none"
        msg = f"{path}: its columns are {shown}; outcomes need session_id, and at least one of {', '.join(FACTS)}"
        raise UsageError(msg)
    if twice := [name for name in FIELDS if list(header).count(name) > 1]:
        raise UsageError(f"{path}: it has the column {twice[0]} twice, and which of them counts isn't known: leave one")
    others = [name for name in header if name not in FIELDS]
    if others:
        note(f"{path}: columns that mean nothing here are left out: {', '.join(others)}")
