"""What is said about data beside the data: sealed hours, erased people, the horizon of retention.

Each mark is made durable before its function returns, and in one step, so that whoever looks sees it whole or not at
all. A mark is made *before* what it announces is done (the hour merged, the session removed, the hours dropped), and
looked for *after* the files were put in place or listed; so one of the two sides always knows.

Erased is, wherever spans, logs, turns or sessions are read or written, a row

- of an erased session, by its own ``session_id``; a session without an explicit id has the id of its trace (hex),
- of an erased caller, by its own ``user_hash``,
- of an erased trace, whatever session it names,
- without a ``session_id`` in a trace that belongs to an erased session (``unnamed``). A row alone can't tell that:
  whoever buries a session finds its traces and names them too, and a writer that meets a further one adds it.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.store import disk
from otel_voicebot.store.layout import (
    HOUR_NS,
    horizon_path,
    hour_of,
    is_trace,
    seal_path,
    tmp_directory,
    tombstones_directory,
)

__all__ = [
    "Erased",
    "Marks",
    "Tombstone",
    "bury",
    "erased",
    "forget",
    "horizon",
    "is_dropped",
    "is_sealed",
    "move_horizon",
    "seal",
    "tombstones",
    "traces_of",
    "unseal",
]

_KINDS: Final = ("sessions", "callers", "traces", "unnamed")


@dataclass(frozen=True, slots=True)
class Erased:
    """Who is erased, all tombstones together. Ids of traces are lowercase hex."""

    sessions: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    traces: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()
    """Traces whose rows without a session id belong to an erased session."""

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in _KINDS)

    def __or__(self, other: Self) -> "Erased":
        return Erased(*(getattr(self, kind) | getattr(other, kind) for kind in _KINDS))

    def condition(self, schema: pa.Schema) -> str:
        """An SQL condition that holds for the rows that stay, or "" when all do.

        Args:
            schema: of the rows as they are stored: ids of traces are bytes or hex by its types.
        """
        terms = []
        trace = "lower(hex(trace_id))" if _has_bytes(schema) else "trace_id"
        if "session_id" in schema.names and (named := self.sessions | self.traces):
            terms.append(f"session_id IN ({_quoted(named)})")
        if "user_hash" in schema.names and self.callers:
            terms.append(f"user_hash IN ({_quoted(self.callers)})")
        if "trace_id" in schema.names and self.traces:
            terms.append(f"{trace} IN ({_quoted(self.traces)})")
        if {"trace_id", "session_id"} <= {*schema.names} and self.unnamed:
            terms.append(f"(session_id IS NULL AND {trace} IN ({_quoted(self.unnamed)}))")
        # A comparison with null is null, and a row that can't be told to be erased stays.
        return " AND ".join(f"NOT coalesce({term}, false)" for term in terms)

    def find(self, rows: pa.Table) -> pa.ChunkedArray | None:
        """Which rows are erased, as booleans; None when none is.

        A row without session id is erased too where another row of its trace, in ``rows``, names an erased session.
        """
        if not self:
            return None
        from otel_voicebot.store import masks  # noqa: PLC0415 - loads slowly; who reads leaves such rows out by SQL

        named = (("session_id", self.sessions | self.traces), ("user_hash", self.callers), ("trace_id", self.traces))
        mask = masks.either(*(masks.holding(rows, column, ids) for column, ids in named))
        unnamed = self.unnamed if mask is None else self.unnamed | traces_of(rows.filter(mask))
        mask = masks.either(mask, masks.holding(rows, "trace_id", unnamed, where_null="session_id"))
        return mask if mask is not None and masks.any_(mask) else None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erasure: it stays until no repeat of what it erased can arrive."""

    id: str
    unix_nano: int
    """When it was made."""
    erased: Erased


def traces_of(rows: pa.Table) -> frozenset[str]:
    """The traces of these rows, as hex."""
    ids = rows["trace_id"].unique().drop_null().to_pylist() if "trace_id" in rows.column_names else []
    return frozenset(one.hex() if isinstance(one, bytes) else one for one in ids)


def seal(data: Path, table: str, hour: str) -> None:
    """Say that the hour will be merged: what is renamed into it from now on may not count. Before it is listed."""
    path = seal_path(data, table, hour)
    disk.make(path.parent)
    disk.make_one(path)
    disk.sync_directory(path.parent)  # also one that another holder had made, and may not have synced


def is_sealed(data: Path, table: str, hour: str) -> bool:
    """True when the hour is sealed; one stat. Writers look after their rename, who counts on files after listing."""
    return disk.exists(seal_path(data, table, hour))


def unseal(data: Path, table: str, hour: str) -> None:
    """Remove the seal of an hour that retention has dropped: the horizon stands in its place."""
    path = seal_path(data, table, hour)
    if disk.remove_directory(path):
        disk.sync_directory(path.parent)


def bury(
    data: Path,
    *,
    sessions: Iterable[str] = (),
    callers: Iterable[str] = (),
    traces: Iterable[str] = (),
    unnamed: Iterable[str] = (),
    clock: Callable[[], int] = time.time_ns,
) -> str:
    """Make a tombstone; when this returns, no read that starts later shows what it names.

    Args:
        data: the data directory.
        sessions: session ids; of sessions without an explicit id, the trace id as hex.
        callers: values of ``user_hash``. Rows that carry none belong to a caller by their session: name that too.
        traces: trace ids as hex, erased whatever sessions their spans name.
        unnamed: trace ids as hex, of which only the rows without a session id are erased.
        clock: nanoseconds since 1970.

    Returns:
        its id, for ``forget``.
    """
    now = clock()
    identity = f"{now:020d}-{secrets.token_hex(8)}"
    named = dict(zip(_KINDS, (sorted({*ids}) for ids in (sessions, callers, traces, unnamed)), strict=True))
    directory = tombstones_directory(data)
    for needed in (tmp_directory(data), directory):
        disk.make(needed)
    disk.sync_directory(data)  # whoever made the directories
    content = json.dumps({"unix_nano": now, **named}).encode()
    disk.write_durable(directory / f"{identity}.json", tmp_directory(data) / f"tombstone-{identity}.tmp", content)
    return identity


def tombstones(data: Path) -> tuple[Tombstone, ...]:
    """All tombstones, the oldest first.

    Raises:
        UnreadableDataError: one can't be read. Nothing is shown then, as it may name anyone.
    """
    found = (_tombstone(data, name) for name in _tombstone_names(data))
    return tuple(one for one in found if one is not None)


def erased(data: Path) -> Erased:
    """Who is erased now; raises as ``tombstones``. Costs a listing when nobody is."""
    return _union(tombstones(data))


def forget(data: Path, identity: str) -> None:
    """Remove a tombstone: no partition holds what it names, and no repeat can arrive any more."""
    directory = tombstones_directory(data)
    if disk.remove(directory / f"{identity}.json"):
        disk.sync_directory(directory)


def move_horizon(data: Path, unix_nano: int, publish: Callable[[bytes], None] | None = None) -> int:
    """Drop the hours that ended before this time: from now on nobody shows them. It never moves back.

    Args:
        data: the directory.
        unix_nano: nanoseconds since 1970.
        publish: puts the mark at ``horizon_path``. A maintainer passes one that its lease guards, as a horizon that
            was worked out before a pause might be behind by now.

    Returns:
        the horizon that holds now: the start of an hour, in nanoseconds since 1970.
    """
    new = max(horizon(data), unix_nano - unix_nano % HOUR_NS)
    content = json.dumps({"unix_nano": new}).encode()
    if publish is not None:
        publish(content)
        return new
    disk.make(tmp_directory(data))
    disk.write_durable(horizon_path(data), tmp_directory(data) / f"horizon-{secrets.token_hex(8)}.tmp", content)
    return new


def horizon(data: Path) -> int:
    """Hours (of ingest) that began before this are dropped; nanoseconds since 1970, 0 when none is.

    Raises:
        UnreadableDataError: the file can't be read.
    """
    content = disk.read(horizon_path(data))
    return 0 if content is None else int(_load(horizon_path(data), content)["unix_nano"])


def is_dropped(hour: str, horizon_ns: int) -> bool:
    """True when retention has dropped this hour (``date=2026-11-21/hour=04``)."""
    return horizon_ns > 0 and hour < hour_of(horizon_ns)


class Marks:
    """The marks of a directory for someone who looks often: a listing and a stat, and a file is read only once."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._known: tuple[tuple[str, ...], Erased] = ((), Erased())
        self._horizon: tuple[tuple[int, int] | None, int] = (None, 0)

    def erased(self) -> Erased:
        """Who is erased now; raises as ``tombstones``."""
        names = tuple(_tombstone_names(self._data))  # a name is never given twice, so the names tell the content
        if names != self._known[0]:
            self._known = (names, erased(self._data))
        return self._known[1]

    def horizon(self) -> int:
        """See the function ``horizon``."""
        stamp = disk.identity(horizon_path(self._data))
        if stamp != self._horizon[0]:
            self._horizon = (stamp, horizon(self._data))
        return self._horizon[1]


def _tombstone_names(data: Path) -> list[str]:
    return [name for name in disk.names(tombstones_directory(data)) if name.endswith(".json")]


def _tombstone(data: Path, name: str) -> Tombstone | None:
    path = tombstones_directory(data) / name
    content = disk.read(path)
    if content is None:
        return None  # forgotten meanwhile
    found = _load(path, content)
    named = [frozenset(str(one) for one in found.get(kind, ())) for kind in _KINDS]
    # A session that carries no id is known by its trace.
    named[3] |= {one for one in named[0] if is_trace(one)}
    return Tombstone(name.removesuffix(".json"), int(found["unix_nano"]), Erased(*named))


def _union(found: Iterable[Tombstone]) -> Erased:
    total = Erased()
    for one in found:
        total |= one.erased
    return total


def _load(path: Path, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
        int(found["unix_nano"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableDataError(f"{path} can't be read: {error}; restore it or remove it", (str(path),)) from error
    return dict(found)


def _has_bytes(schema: pa.Schema) -> bool:
    return "trace_id" in schema.names and not pa.types.is_string(schema.field("trace_id").type)


def _quoted(ids: Iterable[str]) -> str:
    return ", ".join("'" + one.replace("'", "''") + "'" for one in sorted(ids))
