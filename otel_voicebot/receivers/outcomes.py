"""Tables of late outcomes (surveys, callbacks, corrections) as `voicebot.feedback` spans: no second way to record.

A row is a fact of one session; its columns are the fields of ``facts``. A row that is imported again counts once.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
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
    if wrong:
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        raise UnreadableDataError(f"{path}: {wrong[0]}{more}; the rest was read", (str(path),))


def _read(rows: Sequence[tuple[int, Cells]], wrong: list[str], now: datetime) -> Iterator[tuple[int, Outcome]]:
    for number, cells in rows:
        try:
            yield number, facts.checked(cells, now)
        except WrongFactError as error:
            wrong.append(f"row {number}: {error}")


def _batches(rows: Iterator[tuple[int, Cells]]) -> Iterator[list[tuple[int, Cells]]]:
    while batch := list(islice(rows, _TOGETHER)):
        yield batch


def _numbered(path: Path, note: Callable[[str], None]) -> Iterator[tuple[int, Cells]]:
    """The rows, from 1; of a CSV file the first one is below its header."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        header, rows = _parquet(path) if parquet else _csv(path)
        _check(path, header, note)
        yield from enumerate(rows, 1)
    except OSError as error:
        raise UsageError(f"can't open {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise UnreadableDataError(f"{path}: neither CSV nor Parquet: {error}", (str(path),)) from error


def _csv(path: Path) -> tuple[Sequence[str], Iterable[Cells]]:
    text = path.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head and "," not in head else ",")
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    return names, reader


def _parquet(path: Path) -> tuple[Sequence[str], Iterable[Cells]]:
    file = pq.ParquetFile(path)
    rows = (row for batch in file.iter_batches(_TOGETHER) for row in batch.to_pylist())
    return file.schema_arrow.names, rows


def _check(path: Path, header: Sequence[str], note: Callable[[str], None]) -> None:
    if "session_id" not in header or not set(FACTS) & set(header):
        shown = ", ".join(header) or "none"
        msg = f"{path}: its columns are {shown}; outcomes need session_id, and at least one of {', '.join(FACTS)}"
        raise UsageError(msg)
    others = [name for name in header if name not in FIELDS]
    if others:
        note(f"{path}: columns that mean nothing here are left out: {', '.join(others)}")
