"""Tables of late outcomes (surveys, callbacks, corrections) as `voicebot.feedback` spans: no second way to record.

A row is a fact of one session. Columns: `session_id`, and at least one of `csat` (1 to 5), `nps` (0 to 10), `outcome`
(a correction), `callback` (yes, no: the caller came back for the same thing by a way that has no spans); `time` says
when it became known, else it is now. The later fact of a session counts. A row that is imported again is the same span,
and counts once.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_voicebot import semconv
from otel_voicebot.errors import NoDataError, UnreadableDataError, UsageError
from otel_voicebot.receivers.requests import Request
from otel_voicebot.store.reader import Snapshot, reading

__all__ = ["Outcome", "outcomes"]

_FACTS: Final = ("csat", "nps", "outcome", "callback")
_SCALES: Final = {"csat": (semconv.CSAT, 1, 5), "nps": (semconv.NPS, 0, 10)}
_YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_TOGETHER: Final = 2_000
"""Rows that are looked up and sent on at once."""

Cells = Mapping[str, object]


class _WrongRowError(Exception):
    """A row can't be used; the text says which column, its value, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One late fact of a session; None where the row says nothing."""

    session_id: str
    time: datetime | None
    csat: int | None
    nps: int | None
    outcome: str | None
    callback: bool | None

    def span(self, now: datetime) -> Span:
        """The fact as a span. Its ids follow from what the row says, so that the same row gives the same span."""
        key = hashlib.sha256(repr(self).encode()).digest()
        nano = int((self.time or now).timestamp() * 1_000_000) * 1000
        span = Span(
            trace_id=key[:16], span_id=key[16:24], name=semconv.SPAN_FEEDBACK,
            start_time_unix_nano=nano, end_time_unix_nano=nano,
        )  # fmt: skip
        span.attributes.add(key=semconv.SESSION_ID).value.string_value = self.session_id
        for name, (attribute, _, _) in _SCALES.items():
            if (score := getattr(self, name)) is not None:
                span.attributes.add(key=attribute).value.int_value = score
        if self.outcome is not None:
            span.attributes.add(key=semconv.SESSION_OUTCOME).value.string_value = self.outcome
        if self.callback:
            span.events.add(name=semconv.EVENT_PREFIX + semconv.CALLBACK, time_unix_nano=nano)
        return span


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
    for rows in _batches(_numbered(path, note)):
        found = list(_read(rows, wrong))
        known = _known(data, {one.session_id for _, one in found})
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add()
        spans.scope.name = semconv.SCOPE_NAME
        for number, one in found:
            if one.session_id in known:
                spans.spans.append(one.span(now))
            else:
                wrong.append(f"row {number}: session_id {one.session_id!r}: no such session in {data}")
        if spans.spans:
            yield Request("traces", request.SerializeToString())
    if wrong:
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        raise UnreadableDataError(f"{path}: {wrong[0]}{more}; the rest was read", (str(path),))


def _read(rows: Sequence[tuple[int, Cells]], wrong: list[str]) -> Iterator[tuple[int, Outcome]]:
    for number, cells in rows:
        try:
            yield number, _outcome(cells)
        except _WrongRowError as error:
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
    if "session_id" not in header or not set(_FACTS) & set(header):
        shown = ", ".join(header) or "none"
        msg = f"{path}: its columns are {shown}; outcomes need session_id, and at least one of {', '.join(_FACTS)}"
        raise UsageError(msg)
    others = [name for name in header if name not in ("session_id", "time", *_FACTS)]
    if others:
        note(f"{path}: columns that mean nothing here are left out: {', '.join(others)}")


def _outcome(cells: Cells) -> Outcome:
    told = {name: value.strip() if isinstance(value, str) else value for name, value in cells.items()}
    given = {name: value for name, value in told.items() if value is not None and value != ""}
    session = given.get("session_id")
    if session is None:
        msg = "session_id is missing"
        raise _WrongRowError(msg)
    facts = {name: given.get(name) for name in _FACTS}
    if all(value is None for value in facts.values()):
        msg = f"it tells nothing: {', '.join(_FACTS)} are all empty"
        raise _WrongRowError(msg)
    outcome = facts["outcome"]
    if outcome is not None and outcome not in semconv.OUTCOMES:
        raise _WrongRowError(f"outcome {outcome!r}: must be one of {', '.join(semconv.OUTCOMES)}")
    return Outcome(
        session_id=str(session),
        time=_time(given.get("time")),
        csat=_score("csat", facts["csat"]),
        nps=_score("nps", facts["nps"]),
        outcome=None if outcome is None else str(outcome),
        callback=_yes_no(facts["callback"]),
    )


def _score(name: str, value: object) -> int | None:
    if value is None:
        return None
    _, low, high = _SCALES[name]
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not number.is_integer() or not low <= number <= high:
        raise _WrongRowError(f"{name} {value!r}: must be a whole number from {low} to {high}")
    return int(number)


def _yes_no(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if str(value).lower() not in _YES_NO:
        raise _WrongRowError(f"callback {value!r}: must be yes or no")
    return _YES_NO[str(value).lower()]


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, date):
            when = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
        else:
            when = datetime.fromisoformat(str(value))
    except ValueError:
        msg = f"time {value!r}: must be ISO 8601, such as 2026-03-01T09:30:00+01:00"
        raise _WrongRowError(msg) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _known(data: Path, sessions: set[str]) -> set[str]:
    """Which of these sessions have spans."""

    def look(source: Snapshot) -> set[str]:
        text = source.sql(("session_id", "trace_id"))
        listed = pa.table({"name": pa.array(sorted(sessions), pa.string())})
        with duckdb.connect() as connection:
            connection.execute("SET enable_progress_bar = false")  # it would go to stdout
            connection.register("listed", listed)
            try:
                found = connection.execute(
                    f"SELECT name FROM listed WHERE name IN (SELECT session_id FROM ({text})) "  # noqa: S608 - ours
                    f"OR name IN (SELECT trace_id FROM ({text}))"
                )
                return {name for (name,) in found.fetchall()}
            except duckdb.Error as error:
                raise UnreadableDataError(
                    f"reading spans in {data} failed: {str(error).partition(chr(10))[0]}"
                ) from error

    try:
        return reading(data, look)
    except NoDataError:
        return set()
