"""Opens a data directory for a question: the files that can be read, the models over them, and what was left out."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb
import pyarrow as pa

from otel_voicebot.errors import NoDataError, TooSlowError, UnreadableDataError
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.reports.kept import Kept, memory_for
from otel_voicebot.reports.scope import Scope, Unreadable
from otel_voicebot.store.layout import is_trace
from otel_voicebot.store.reader import Snapshot, reading, snapshot

if TYPE_CHECKING:
    from otel_voicebot.store.lookup import Lookup

__all__ = ["Opened", "Opener", "ask", "ask_about", "names", "scope_of"]

Answer = TypeVar("Answer")

Opener = Callable[[Snapshot, Selection, Terms], AbstractContextManager[Any]]
"""Makes an engine over a source: such as ``models.spark.SparkEngine``."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open data directory; closed when the question is answered."""

    snapshot: Snapshot
    engine: Engine
    scope: Scope

    def ids(self) -> list[tuple[str, str]]:
        """(session id, trace id) of every trace, whatever the selection."""
        found = self.engine.sql("SELECT DISTINCT session_id, lower(hex(trace_id)) AS trace_id FROM steps")
        return list(zip(*(found.column(name).to_pylist() for name in ("session_id", "trace_id")), strict=True))

    def spans_of(self, session_id: str) -> pa.Table:
        """Every span of one session with all columns (form SPANS_READ), each once, ``session_id`` filled in.

        ``turn_index`` is the turn that the models put the span in: spans of frameworks often don't say theirs.
        """
        return self.engine.sql(self._spans("s.session_id = ?", ("session_id", "turn_index")), [session_id])

    def spans(self) -> pa.Table:
        """The spans of the selected sessions, likewise, by session and time."""
        chosen = self._spans("s.session_id IN (SELECT session_id FROM sessions)")
        return self.engine.sql(f"{chosen} ORDER BY session_id, start_unix_nano, span_id")

    def _spans(self, condition: str, placed: Sequence[str] = ("session_id",)) -> str:
        """The models read few columns and bytes for ids: the rest comes from the files, matched by the span's key.

        ``placed`` are the columns that the models know better.
        """
        columns = ", ".join(f'{"s" if name in placed else "w"}."{name}"' for name in self.snapshot.schema.names)
        steps = "SELECT session_id, turn_index, lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS span FROM steps"
        first = "row_number() OVER (PARTITION BY w.trace_id, w.span_id ORDER BY w.ingest_time, w.start_unix_nano) = 1"
        # no text of a user's gets in here: names are the schema's, conditions are written above
        return (
            f"SELECT {columns} FROM ({steps}) s JOIN ({self.snapshot.sql()}) w "  # noqa: S608
            f"ON w.trace_id = s.trace AND w.span_id = s.span WHERE {condition} QUALIFY {first}"
        )


_BEFORE: Final = timedelta(days=31)
"""So far before a window a call may have begun that one in it repeats: the longest window of FCR, and a day."""


def ask(  # noqa: PLR0913 - how much is read is part of the question
    data: Path,
    selection: Selection,
    now: datetime,
    compute: Callable[[Opened], Answer],
    *,
    brief: bool = False,
    cut: bool = True,
    terms: Terms | None = None,
    kept: bool = False,
    given_up: Callable[[], bool] | None = None,
    on: Opener | None = None,
) -> Answer:
    """The answer to ``compute`` from what can be read in ``data``.

    When a file has vanished on the way (its hour was merged) the directory is listed again and the question asked once
    more; when one turns out to be damaged, every file is looked through in full first. What was left out stands in
    ``scope.unreadable``.

    Args:
        data: the data directory.
        selection: which sessions count.
        now: the moment that the answer is as of, where the selection names no earlier one.
        compute: called once, or again when an attempt met damage or a file that was gone.
        brief: the question is about KPIs and sections only (faster).
        cut: it is about segments of waits (slower by far, where it isn't brief).
        terms: what KPIs depend on beside the spans; those of a window are told of the days before it. None: the
            question is about no KPI.
        kept: it is about the usual sections of a report and no other, so rows of turns and sessions may be taken as
            they were stored where they are up to date (faster still; with ``brief`` and ``terms``).
        given_up: as of ``Engine``.
        on: another engine than DuckDB; ``brief`` and ``cut`` are DuckDB's.

    Raises:
        NoDataError: there is no data.
        UnreadableDataError: there is, and none of it can be read.
        TooSlowError: it was given up.
    """
    tried: list[Snapshot] = []

    def answer(source: Snapshot) -> Answer:
        full = None
        if terms is not None:
            before = _before(source, selection, again=bool(tried))
            full = replace(terms, as_of=now, before=before)
        tried.append(source)
        if on is not None:
            with on(source, selection, full or Terms(as_of=now)) as engine:
                return compute(Opened(source, engine, scope_of(source, selection, now)))
        return _answer(source, selection, now, compute, brief=brief, cut=cut, terms=full, kept=kept, given_up=given_up)

    return reading(data, answer, since=selection.since)


def _before(source: Snapshot, selection: Selection, *, again: bool) -> Snapshot | None:
    """The files of the days before a window, but for those that are read anyway; None where there are none.

    ``again``: something couldn't be read; it may be one of these.
    """
    if selection.since is None:
        return None
    try:
        found = snapshot(source.data, since=max(selection.since - _BEFORE, _EPOCH))
        found = found.without_unreadable() if again else found
    except (NoDataError, UnreadableDataError):
        return None
    known = set(source.files)
    found = replace(
        found,
        hot=tuple(path for path in found.hot if path not in known),
        history=tuple(path for path in found.history if path not in known),
    )
    return found if found.files else None


def ask_about(name: str, data: Path, now: datetime, compute: Callable[[Opened], Answer]) -> Answer:
    """The answer to ``compute`` from one session alone: of all files only those are opened that may hold it.

    Args:
        name: a trace id (32 hex digits) or a session id, in full.
        data: the data directory.
        now: the moment that the answer is as of.
        compute: called as by ``ask``; it sees all traces of the session, and no other.

    Raises:
        NoDataError: no session or trace is called so; what it begins is found in ``names``.
        UnreadableDataError, TooSlowError: as ``names``.
    """
    from otel_voicebot.store.lookup import Lookup  # noqa: PLC0415 - not for reports

    lookup = Lookup()
    trace = name.lower()
    unknown = NoDataError(
        f"no session or trace is called {name!r}: it was never stored in {data}, or retention or an erasure removed it"
    )
    sessions = _told(data, "session_id", [name, trace], lookup, unknown)
    named = [one for one in sessions if one]
    traces = [trace] if is_trace(trace) else []
    if named:
        traces += [one for one in _told(data, "trace_id", named, lookup, unknown) if one]
    if not sessions:
        raise unknown
    return reading(
        data,
        lambda source: _answer(source.of_traces(traces), Selection(), now, compute, brief=True),
        choice=lookup.holding(traces),
    )


def names(data: Path) -> list[tuple[str, str]]:
    """(session id, trace id) of every trace, as ``Opened.ids`` has them, without the models.

    Raises:
        NoDataError, UnreadableDataError: as ``ask``.
        TooSlowError: there are more than memory holds.
    """
    pairs = reading(data, lambda source: _rows(source, f"SELECT DISTINCT * FROM ({source.sql(_NAMES)})"))  # noqa: S608
    known = {trace for session, trace in pairs if session}
    return [(session or trace, trace) for session, trace in pairs if session or trace not in known]


def _told(data: Path, wanted: str, called: Sequence[str], lookup: "Lookup", unknown: NoDataError) -> list[str | None]:
    """The sessions, or traces, of the rows that carry one of these names as their session or trace.

    Raises:
        NoDataError: there is no data; ``unknown`` where there is, and no file holds such a name.
        UnreadableDataError, TooSlowError: as ``names``.
    """
    choice, listed = lookup.holding(called), False

    def choose(hot: list[str], history: list[str]) -> tuple[list[str], list[str]]:
        nonlocal listed
        listed = bool(hot or history)
        return choice(hot, history)

    def use(source: Snapshot) -> list[str | None]:
        marks = ", ".join("?" for _ in called)
        query = (
            f"SELECT DISTINCT {wanted} FROM ({source.sql(_NAMES)}) "  # noqa: S608 - names are ours
            f"WHERE trace_id IN ({marks}) OR session_id IN ({marks})"
        )
        return [row[0] for row in _rows(source, query, [*called, *called])]

    try:
        return reading(data, use, choice=choose)
    except NoDataError:
        if listed:
            raise unknown from None
        raise


_NAMES: Final = ("session_id", "trace_id")
_MEMORY: Final = "700MB"


def _rows(source: Snapshot, query: str, parameters: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    # Nothing is written beside the user, where DuckDB would put what doesn't fit into memory.
    with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": ""}) as connection:
        try:
            connection.execute("SET enable_progress_bar = false")  # it would go to stdout, before the answer
            return connection.execute(query, list(parameters)).fetchall()
        except duckdb.OutOfMemoryException as error:
            raise TooSlowError(f"looking for names needs more than {_MEMORY} of memory; give one in full") from error
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise UnreadableDataError(f"reading spans in {source.data} failed: {first_line}") from error


def _answer(  # noqa: PLR0913 - as ``ask``
    source: Snapshot,
    selection: Selection,
    now: datetime,
    compute: Callable[[Opened], Answer],
    *,
    brief: bool,
    cut: bool = False,
    terms: Terms | None = None,
    kept: bool = False,
    given_up: Callable[[], bool] | None = None,
) -> Answer:
    full = terms or Terms(as_of=now)
    memory = memory_for(source)
    engine = (
        Kept(source, selection, full, given_up)
        if kept
        else Engine(source, selection, brief=brief, cut=cut, terms=full, given_up=given_up, memory=memory)
    )
    with engine:
        return compute(Opened(source, engine, scope_of(source, selection, now)))


def scope_of(source: Snapshot, selection: Selection, now: datetime) -> Scope:
    """What a question was asked of, as it stands in the answer."""
    return Scope(
        data=str(source.data),
        as_of=selection.as_of or now,
        since=selection.since,
        until=selection.until,
        filters=selection.filters,
        unreadable=tuple(Unreadable(str(path), reason) for path, reason in source.damaged),
    )
