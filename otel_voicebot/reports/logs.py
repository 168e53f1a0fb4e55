"""Log records of a call: those that carry its session id, and those of its traces that carry none."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from otel_voicebot.errors import NoDataError, TooSlowError, UnreadableDataError, UsageError
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope, Unreadable
from otel_voicebot.reports.values import instant, plain
from otel_voicebot.spans.schema import LOGS_READ
from otel_voicebot.store.reader import Snapshot, snapshot

__all__ = ["SEVERITIES", "Logs", "Wanted", "compute", "document", "grid", "head"]

SEVERITIES: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
"""The least number of each severity."""
_WORDS: Final = {**SEVERITIES, "notice": 10, "warning": 13, "critical": 21, "panic": 21}
"""What sources write that give no number."""
_ATTRIBUTES_SHOWN: Final = 6
_BOUNDS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "400MB",
    "threads": 1,
    "temp_directory": "",
}
"""Of a question to a service, which has other things to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records. None asks for nothing."""

    session: str | None = None
    """A session id, or the unique beginning of one."""
    trace: str | None = None
    """A trace id in hex, or the unique beginning of one."""
    severity: str | None = None
    """At least this one, of ``SEVERITIES``. A record without any severity is none of these."""
    since: datetime | None = None
    """The record's time; ``until`` is exclusive."""
    until: datetime | None = None
    limit: int = 1000
    """At most so many: the last ones."""


@dataclass(frozen=True, slots=True)
class Logs:
    """Of the records ``found`` the last ones, by time: the columns of ``LOGS_READ`` with ``session_id`` filled in."""

    scope: Scope
    found: int
    records: pa.Table

    @property
    def left_out(self) -> int:
        """How many earlier records the limit hides."""
        return self.found - len(self.records)


def compute(data: Path, wanted: Wanted, now: datetime, give_up_s: float | None = None) -> Logs:
    """The records that are wanted; with ``give_up_s`` within so many seconds, and within bounds of memory.

    When a file turns out to be damaged on the way, or has vanished, every file is looked through and the question asked
    once more. What was left out stands in ``scope.unreadable``.

    Raises:
        NoDataError: there are no logs at all.
        UnreadableDataError: there are, and none can be read.
        UsageError: a beginning of an id fits several.
        TooSlowError: it took longer, or more memory.
    """
    logs, spans = snapshot(data, "logs", since=wanted.since), _spans(data)
    try:
        return _answer(logs, spans, wanted, now, give_up_s)
    except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
        raise TooSlowError("the question takes too long, or too much memory; ask about less time") from error
    except duckdb.Error:
        if give_up_s is not None:
            raise UnreadableDataError(f"reading logs in {data} failed; otel-voicebot verify names the file") from None
        spans = spans and spans.without_unreadable()
        try:
            return _answer(logs.without_unreadable(), spans, wanted, now)
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise UnreadableDataError(f"reading logs in {data} failed: {first_line}") from error


def _spans(data: Path) -> Snapshot | None:
    """Spans tell whose session a trace is; logs without any spans are logs all the same."""
    try:
        return snapshot(data)
    except (NoDataError, UnreadableDataError):
        return None


def _answer(
    logs: Snapshot, spans: Snapshot | None, wanted: Wanted, now: datetime, give_up_s: float | None = None
) -> Logs:
    damaged = (*logs.damaged, *(spans.damaged if spans else ()))
    with duckdb.connect(config=_BOUNDS if give_up_s is not None else {}) as connection, ExitStack() as open_:
        if give_up_s is not None:
            timer = threading.Timer(give_up_s, connection.interrupt)
            timer.start()
            open_.callback(timer.cancel)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        connection.execute(f"CREATE VIEW records AS {_records(logs, spans)}")
        conditions, values = _conditions(wanted)
        filters = {}
        for option, column in (("session", "session_id"), ("trace", "trace_id")):
            if (start := getattr(wanted, option)) is not None:
                filters[option] = _whole(connection, column, start if option == "session" else start.lower())
                conditions.append(f"{column} = ?")
                values.append(filters[option])
        if wanted.severity:
            filters["severity"] = wanted.severity
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        ((counted,),) = connection.execute(f"SELECT count(*) FROM records {where}", values).fetchall()
        last = f"SELECT * FROM (SELECT * FROM records {where} {_ORDER} DESC LIMIT ?) {_ORDER}"
        chosen: pa.Table = connection.sql(last, params=[*values, wanted.limit]).to_arrow_table()
    scope = Scope(
        data=str(logs.data),
        as_of=now,
        since=wanted.since,
        until=wanted.until,
        filters=filters,
        unreadable=tuple(Unreadable(str(path), reason) for path, reason in damaged),
    )
    return Logs(scope, counted, chosen.select(LOGS_READ.names).cast(LOGS_READ))


_ORDER: Final = "ORDER BY coalesce(time_unix_nano, observed_unix_nano, epoch_ns(time))"


def _records(logs: Snapshot, spans: Snapshot | None) -> str:
    """Each record once, with its session: its own id, else that of its trace's spans, else of its trace's records.

    A record has no key of its own: two that are equal in every column, to the nanosecond, are one that was delivered
    twice.
    """
    columns = [f'"{name}"' for name in LOGS_READ.names]
    same = ", ".join(column for column in columns if column not in ('"ingest_time"', '"schema_version"'))
    of_spans = (
        f"SELECT trace_id, coalesce(min(session_id), trace_id) FROM ({spans.sql(['trace_id', 'session_id'])}) "
        "GROUP BY trace_id"
        if spans
        else "SELECT NULL, NULL LIMIT 0"
    )
    of_trace = "coalesce(s.session_id, min(r.session_id) OVER (PARTITION BY r.trace_id), r.trace_id)"
    session = f"coalesce(r.session_id, CASE WHEN r.trace_id IS NOT NULL THEN {of_trace} END)"
    chosen = ", ".join(f"{session} AS session_id" if name == '"session_id"' else f"r.{name}" for name in columns)
    # names are the schema's: no text of a user's gets in here
    return (
        f"WITH stored AS ({logs.sql()}), sessions(trace_id, session_id) AS ({of_spans}), "
        f"once AS (SELECT * FROM stored QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY ingest_time) = 1) "
        f"SELECT {chosen} FROM once r LEFT JOIN sessions s ON s.trace_id = r.trace_id"
    )


def _conditions(wanted: Wanted) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if wanted.since:
        conditions.append("time >= ?")
        values.append(wanted.since)
    if wanted.until:
        conditions.append("time < ?")
        values.append(wanted.until)
    if wanted.severity:
        words = " ".join(f"WHEN '{word}' THEN {number}" for word, number in _WORDS.items())
        conditions.append(f"coalesce(severity_number, CASE lower(severity_text) {words} END) >= ?")
        values.append(SEVERITIES[wanted.severity])
    return conditions, values


def _whole(connection: duckdb.DuckDBPyConnection, column: str, start: str) -> str:
    """The id that is, or begins with, ``start``; ``start`` itself where none does."""
    found = connection.execute(
        f"SELECT DISTINCT {column} FROM records WHERE starts_with({column}, ?) ORDER BY {column} LIMIT 4", [start]
    ).fetchall()
    ids = [str(row[0]) for row in found]
    if len(ids) > 1 and start not in ids:
        msg = f"{start!r} is the beginning of several: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}"
        raise UsageError(msg)
    return ids[0] if ids and start not in ids else start


def document(logs: Logs) -> dict[str, object]:
    """The JSON document of ``logs --json``."""
    return {
        **logs.scope.document("logs"),
        "found": logs.found,
        "records": [_object(row) for row in logs.records.to_pylist()],
    }


def _object(row: Mapping[str, object]) -> dict[str, object]:
    maps = {name: dict(_pairs(row[name])) for name in ("attributes", "attributes_typed")}
    return {name: plain(value) for name, value in {**row, **maps}.items()}


def head(logs: Logs) -> list[str]:
    """Of which data."""
    return logs.scope.lines(f"{logs.found} log records")


def grid(logs: Logs) -> Grid:
    """A table: one record a line."""
    columns = (
        Column("_time", "time"),
        Column("_severity", "severity", style="bold"),
        Column("session_id", "session"),
        Column("_source", "logger"),
        Column("_message", "message"),
        Column("_attributes", "attributes"),
    )
    rows = tuple({**row, **_shown(row)} for row in logs.records.to_pylist())
    notes = (f"{logs.left_out} earlier records are left out: --limit",) if logs.left_out else ()
    return Grid("logs", f"{len(rows)} log records", columns, rows, "no record fits", notes)


def _shown(row: Mapping[str, object]) -> dict[str, object]:
    time = row["time"]
    return {
        "_time": instant(time if isinstance(time, datetime) else None),
        "_severity": row["severity_text"] or _severity(row["severity_number"]),
        "_source": row["scope_name"] or row["service_name"],
        "_message": _message(row),
        "_attributes": _attributes(row),
    }


def _message(row: Mapping[str, object]) -> str:
    parts = [str(row["event_name"])] if row["event_name"] else []
    if row["body"] is not None:
        parts.append(str(row["body"]))
    elif row["body_characters"]:
        parts.append(f"(withheld, {row['body_characters']} characters)")
    return ": ".join(parts)


def _severity(number: object) -> str | None:
    fitting = [name for name, least in SEVERITIES.items() if isinstance(number, int) and number >= least]
    return fitting[-1].upper() if fitting else None


def _attributes(row: Mapping[str, object]) -> str:
    texts = {key: text for key, text in _pairs(row["attributes"]) if text is not None}
    found = [f"{key}={text}" for key, text in {**texts, **dict(_pairs(row["attributes_typed"]))}.items()]
    more = f" and {len(found) - _ATTRIBUTES_SHOWN} more" if len(found) > _ATTRIBUTES_SHOWN else ""
    return " ".join(found[:_ATTRIBUTES_SHOWN]) + more


def _pairs(value: object) -> Sequence[tuple[str, object]]:
    return value if isinstance(value, list) else ()
