"""Erasing people: a tombstone first, which hides them at once and for ever; then no file holds them any more.

Who is named by a session, a caller's hash or a trace is looked up in all files, as rows of one call name it in
different ways: some carry the session, some only the trace. What is found is named in a second tombstone, so that a
row that comes late, and a row of an hour that is still open, is known too.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from otel_voicebot.errors import LeaseError, UnreadableDataError
from otel_voicebot.store import marks
from otel_voicebot.store.compact import (
    Compacted,
    Hour,
    closed_hours,
    compact_hour,
    hours_of,
    parquet_files,
    rewrite_hour,
)
from otel_voicebot.store.layout import HISTORY, HOT
from otel_voicebot.store.lease import Lease, take
from otel_voicebot.store.marks import Erased

__all__ = ["Erasure", "erase", "holding", "purge"]

_NAMING: Final = ("session_id", "trace_id", "user_hash")
_ROUNDS: Final = 8
"""A call is found in two or three: caller, session, traces."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How far an erasure is."""

    tombstones: tuple[str, ...]
    """Their ids. From the first on nobody sees the rows."""
    rewritten: tuple[Hour, ...]
    remaining: tuple[Hour, ...]
    """Hours whose files still hold rows: open ones, which lose them when they are merged, and those that another
    maintainer is to do."""

    @property
    def complete(self) -> bool:
        """True when no partition holds a row of them."""
        return not self.remaining


def erase(
    data: Path,
    *,
    sessions: Iterable[str] = (),
    callers: Iterable[str] = (),
    traces: Iterable[str] = (),
    clock: Callable[[], int] = time.time_ns,
) -> Erasure:
    """Hide these people for good, and rewrite the closed hours that hold them.

    Args:
        data: the data directory.
        sessions: session ids; of a session without an explicit id, the trace id as hex.
        callers: values of ``user_hash``; all their sessions go.
        traces: trace ids as hex.
        clock: nanoseconds since 1970.

    Raises:
        UnreadableDataError: a file can't be read, so that it isn't known who is in it. They are hidden nevertheless.
        CannotStartError: the disk refuses.
    """
    named = Erased(frozenset(sessions), frozenset(callers), frozenset(traces))
    tombstones = [marks.bury(data, sessions=sessions, callers=callers, traces=traces, clock=clock)]
    found = _resolved(data, named)
    if found != named:
        further = {"sessions": found.sessions, "callers": found.callers, "traces": found.traces}
        tombstones.append(marks.bury(data, **further, unnamed=found.unnamed, clock=clock))
    rewritten: tuple[Hour, ...] = ()
    try:
        with take(data, clock=clock) as lease:
            rewritten = tuple(one.hour for one in purge(lease, clock(), step=lease.keep))
    except LeaseError:
        pass  # whoever holds it sees the tombstones, and purges in its next round
    return Erasure(tuple(tombstones), rewritten, tuple(holding(data)))


def purge(lease: Lease, now: int, *, step: Callable[[], None]) -> list[Compacted]:
    """Rewrite the closed hours that hold anyone erased.

    Raises:
        UnreadableDataError: a file can't be read; the hours before it are done.
        LeaseError: another maintainer has taken over.
        OSError: the disk refuses.
    """
    data = lease.data
    closed = set(closed_hours(data, now))
    done = []
    for hour in holding(data):
        step()
        one = None
        if hour in closed:  # also what lies in hot beside a merged hour
            one = compact_hour(lease, hour, step=step)
        if one is None and parquet_files(hour.directory(data, HISTORY)):
            one = rewrite_hour(lease, hour, step=step)
        if one is not None:
            done.append(one)
    return done


def holding(data: Path) -> list[Hour]:
    """The hours whose files hold rows of anyone erased.

    Raises:
        UnreadableDataError: a file can't be read.
    """
    erased = marks.erased(data)
    if not erased:
        return []
    hours = sorted({*hours_of(data, HOT), *hours_of(data, HISTORY)})
    return [hour for hour in hours if any(_holds(path, erased) for path in _files(data, hour))]


def _holds(path: Path, erased: Erased) -> bool:
    return any(erased.find(rows) is not None for rows in _naming(path))


def _resolved(data: Path, named: Erased) -> Erased:
    """Who is meant: the sessions of the callers and the traces of the sessions, however their rows name them."""
    found = _Found(named.callers, set(named.sessions))
    for _ in range(_ROUNDS):
        before = found.count()
        for hour in {*hours_of(data, HOT), *hours_of(data, HISTORY)}:
            for path in _files(data, hour):
                for rows in _naming(path):
                    found.look(rows)
        if found.count() == before:
            break
    sessions, loose = frozenset(found.sessions), frozenset(found.loose)
    return Erased(sessions | loose, named.callers, named.traces, frozenset(found.unnamed))


class _Found:
    """What has been found out about callers and sessions."""

    def __init__(self, callers: frozenset[str], sessions: set[str]) -> None:
        self.sessions = sessions
        self.unnamed: set[str] = set()
        """Traces of these sessions."""
        self.loose: set[str] = set()
        """Traces in which a caller's row names no session."""
        self._callers = Erased(callers=callers)

    def count(self) -> int:
        """It only grows."""
        return len(self.sessions) + len(self.unnamed) + len(self.loose)

    def look(self, rows: pa.Table) -> None:
        """Learn from some rows of one file."""
        own = _chosen(rows, self._callers)
        self.sessions.update(_texts(own, "session_id"))
        self.loose |= marks.traces_of(own.filter(own["session_id"].is_null()))
        self.sessions.update(_texts(_chosen(rows, Erased(traces=frozenset(self.loose))), "session_id"))
        self.unnamed |= marks.traces_of(_chosen(rows, Erased(sessions=frozenset(self.sessions))))


def _chosen(rows: pa.Table, erased: Erased) -> pa.Table:
    mask = erased.find(rows)
    return rows.slice(0, 0) if mask is None else rows.filter(mask)


def _naming(path: Path) -> Iterator[pa.Table]:
    """What the rows of a file are known by, piece by piece. Nothing when the file is gone."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = [name for name in _NAMING if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=columns):
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        return
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise UnreadableDataError(f"{path} can't be read: {first_line}", (str(path),)) from error


def _texts(rows: pa.Table, column: str) -> list[str]:
    return [text for text in pc.unique(rows[column]).to_pylist() if text] if column in rows.column_names else []


def _files(data: Path, hour: Hour) -> list[Path]:
    return [path for tier in (HOT, HISTORY) for path in parquet_files(hour.directory(data, tier))]
