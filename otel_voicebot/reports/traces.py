"""Traces as they were sent: by id, by a search, and the services and operations that there are.

Nothing here goes through the models: a trace by its id opens only the files that may hold it. One ``Traces`` serves
many threads; each question has its own cursor and its own deadline, memory is bounded for all together, and nobody
waits for another's question.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.errors import NoDataError, TooSlowError, UnreadableDataError
from otel_voicebot.models.spill import Spill
from otel_voicebot.reports.deadline import Deadline
from otel_voicebot.reports.matching import MATCHED, UNKNOWN_SERVICE, Search, matching
from otel_voicebot.reports.trace_sql import Summary, counted, once, summarised
from otel_voicebot.store import disk
from otel_voicebot.store.lookup import Lookup
from otel_voicebot.store.marks import Erased
from otel_voicebot.store.reader import Choice, Snapshot, reading

__all__ = ["MOST_SPANS", "Found", "Operation", "Traces", "canonical"]

MOST_SPANS: Final = 50_000
"""Spans of one answer. A call of an hour has some thousands."""

_MEMORY: Final = "512MB"
_RECENT_HOURS: Final = 72
_MOST_OPERATIONS: Final = 10_000
_TIMEOUT_S: Final = 30.0
_INSIST_S: Final = 0.05

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Found:
    """Spans of some traces (form SPANS_READ), each once, by trace in the order asked for, then by start.

    Traces are whole, as many as ``MOST_SPANS`` hold. Only where the first has more by itself, it alone is there, cut.
    """

    spans: pa.Table
    cut: bool = False
    """The one trace has further spans, which start later."""
    left_out: tuple[str, ...] = ()
    """Ids of the traces that are there, too, and for which this answer had no room."""
    unreadable: int = 0
    """Files that may hold more of these traces and can't be read."""


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """A kind of span that some service sends."""

    service: str
    name: str
    kind: str


File = tuple[Path, tuple[int, int] | None]
"""A file by its name, and, where that may be given again, its identity."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What was found in files that were looked through together."""

    found: frozenset[Operation]
    cut: bool
    """There were more: these are the first ones."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of the files' operations; hidden rows are among them as of ``erased``."""

    erased: Erased = field(default_factory=Erased)
    files: Mapping[File, _Names] = field(default_factory=dict)


class Traces:
    """Answers questions about one data directory.

    Args:
        data: the directory.
        timeout_s: seconds that one question may take, all its parts together.
        clock: seconds that only grow.
    """

    def __init__(self, data: Path, timeout_s: float = _TIMEOUT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._data = data
        self._timeout_s = timeout_s
        self._clock = clock
        self._lookup = Lookup()
        self._open = ExitStack()
        spill = self._open.enter_context(Spill())
        # Half of the cores: the others take spans in. Every thread that asks works on its question beside these.
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": max(1, (os.cpu_count() or 1) // 2),
            "temp_directory": spill.path,
        }
        self._connection = duckdb.connect(config=limits)
        self._open.callback(self._connection.close)
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._stopped = False
        self._seen = _Seen()

    def by_id(self, traces: Sequence[str]) -> Found:
        """These traces (ids as ``canonical`` gives them); none of those that nobody knows.

        Raises:
            TooSlowError, UnreadableDataError: as their names say.
        """
        return self._found(traces, self._deadline())

    def matching(self, search: Search) -> Found:
        """The traces that match, as ``search`` and ``by_id`` would give them, as one question. Raises as ``by_id``."""
        deadline = self._deadline()
        return self._found(self._searched(search, deadline), deadline)

    def search(self, search: Search) -> list[str]:
        """Ids of the traces that match; those whose matching spans began last, the last first. Raises as ``by_id``."""
        return self._searched(search, self._deadline())

    def summaries(self, search: Search) -> list[Summary]:
        """What the traces that match hold, in the order of ``search``, whatever their size. Raises as ``by_id``."""
        deadline = self._deadline()
        wanted = self._searched(search, deadline)

        def use(source: Snapshot) -> list[Summary]:
            rows = self._ask(summarised(source.of_traces(wanted)), [], deadline).to_pylist()
            found = {row["trace_id"]: Summary(**row) for row in rows}
            return [found[one] for one in wanted if one in found]

        return self._reading(use, self._lookup.holding(wanted, deadline.left), [], deadline) if wanted else []

    def operations(self) -> tuple[Operation, ...]:
        """Services, span names and kinds in the newest 72 hours of ingest, in order. Raises as ``by_id``.

        Of more than 10,000 the first ones of each service, so that one with many hides no other.
        """
        deadline = self._deadline()
        return self._reading(lambda source: self._look(source, deadline), _newest, (), deadline)

    def dependencies(self, first: int, last: int) -> list[tuple[str, str, int]]:
        """Which service calls which, and how often, by spans that start in this time (nanoseconds since 1970).

        Raises as ``by_id``.
        """
        deadline = self._deadline()

        def use(source: Snapshot) -> list[tuple[str, str, int]]:
            columns = ("trace_id", "span_id", "parent_span_id", "service_name", "start_unix_nano")
            query = f"""WITH inside AS (
                    SELECT trace_id, span_id, parent_span_id, coalesce(service_name, '{UNKNOWN_SERVICE}') AS service
                    FROM ({source.sql(columns)}) WHERE start_unix_nano BETWEEN ? AND ?
                ), several AS (SELECT trace_id FROM inside GROUP BY trace_id HAVING min(service) <> max(service)),
                theirs AS MATERIALIZED (SELECT DISTINCT * FROM inside SEMI JOIN several USING (trace_id))
                SELECT p.service AS parent, c.service AS child, count(*) AS calls
                FROM theirs c JOIN theirs p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
                WHERE p.service <> c.service GROUP BY ALL ORDER BY ALL"""  # noqa: S608 - names are the schema's
            rows = self._ask(query, [first, last], deadline).to_pylist()
            return [(row["parent"], row["child"], row["calls"]) for row in rows]

        return self._reading(use, self._lookup.between(first, last, deadline.left), [], deadline)

    def stop(self) -> None:
        """Stop what is running; further questions are refused."""
        self._stopped = True
        for cursor in list(self._running):
            _interrupt(cursor)

    def close(self) -> None:
        """Free everything, once nobody asks any more. Idempotent."""
        self._open.close()

    def _deadline(self) -> Deadline:
        return Deadline(self._timeout_s, self._clock)

    def _searched(self, search: Search, deadline: Deadline) -> list[str]:
        condition, parameters = matching(search)

        def use(source: Snapshot) -> list[str]:
            query = (
                f"SELECT trace_id FROM ({source.sql()}) WHERE {condition} "  # noqa: S608 - values are parameters
                "GROUP BY trace_id ORDER BY max(start_unix_nano) DESC, trace_id LIMIT ?"
            )
            found = self._ask(query, [*parameters, search.limit], deadline)
            ids: list[str] = found.column(MATCHED[0]).to_pylist()
            return ids

        return self._reading(use, self._lookup.between(search.first, search.last, deadline.left), [], deadline)

    def _found(self, traces: Sequence[str], deadline: Deadline) -> Found:
        wanted = list(dict.fromkeys(traces))

        def use(source: Snapshot) -> Found:
            chosen = source.of_traces(wanted)
            try:
                found = self._taken(chosen, wanted, deadline)
            except UnreadableDataError:
                chosen = self._readable(chosen, deadline)
                found = self._taken(chosen, wanted, deadline)
            return replace(found, unreadable=len(source.damaged) + len(source.files) - len(chosen.files))

        nothing = Found(pa.table({"trace_id": pa.array([], pa.string())}))
        return self._reading(use, self._lookup.holding(wanted, deadline.left), nothing, deadline) if wanted else nothing

    def _taken(self, source: Snapshot, wanted: Sequence[str], deadline: Deadline) -> Found:
        """As many of the traces as an answer holds. Mostly all do: they are counted only where there may be more."""
        spans = self._ask(f"{source.sql()} LIMIT {MOST_SPANS + 1}", [], deadline)
        if spans.num_rows <= MOST_SPANS:
            return Found(_ordered(spans, wanted))
        sizes = dict(zip(*self._ask(counted(source), [], deadline).to_pydict().values(), strict=True))
        there = [one for one in wanted if one in sizes]
        whole = sum(so_far <= MOST_SPANS for so_far in accumulate(sizes[one] for one in there))
        taken, left_out = there[: max(1, whole)], there[max(1, whole) :]
        query = once(source.of_traces(taken), None if whole else MOST_SPANS)
        return Found(_ordered(self._ask(query, [], deadline), taken), not whole, tuple(left_out))

    def _readable(self, source: Snapshot, deadline: Deadline) -> Snapshot:
        """Without the files in which these rows can't be read; they are few, as only those that hold them are here.

        Raises:
            TooSlowError: as ``by_id``.
            UnreadableDataError: some file vanished, or none can be read.
        """
        spoilt = [path for path in source.files if not self._reads(_only(source, {path}), deadline)]
        good = _only(source, set(source.files) - set(spoilt))
        if not good.files or not all(disk.exists(path) for path in spoilt):
            raise UnreadableDataError(f"no file with these spans can be read, of {len(source.files)} in {self._data}")
        return good

    def _reads(self, source: Snapshot, deadline: Deadline) -> bool:
        try:
            self._ask(f"SELECT max(hash(COLUMNS(*))) FROM ({source.sql()})", [], deadline)  # noqa: S608 - as above
        except UnreadableDataError:
            return False
        return True

    def _look(self, source: Snapshot, deadline: Deadline) -> tuple[Operation, ...]:
        """Only files that are new are read: the others don't change, unless somebody is erased."""
        known = self._seen.files if source.erased == self._seen.erased else {}
        files: dict[Path, File] = {path: (path, None) for path in source.hot}
        files |= {path: (path, disk.identity(str(path))) for path in source.history}  # a merged hour keeps its name
        if known.keys() - files.values():  # there is room for names that were cut
            known = {file: names for file, names in known.items() if not names.cut}
        seen = {file: known[file] for file in files.values() if file in known}
        fresh = _only(source, {path for path, file in files.items() if file not in seen})
        if fresh.files:
            distinct = (
                "SELECT DISTINCT coalesce(service_name, ?) AS service, coalesce(name, '') AS name, "  # noqa: S608 - as above
                f"coalesce(kind, '') AS kind FROM ({fresh.sql(('service_name', 'name', 'kind'))})"
            )
            place = "row_number() OVER (PARTITION BY service ORDER BY name, kind)"  # see _first
            query = f"FROM ({distinct}) ORDER BY {place}, service LIMIT {_MOST_OPERATIONS + 1}"
            found = [Operation(**row) for row in self._ask(query, [UNKNOWN_SERVICE], deadline).to_pylist()]
            names = _Names(frozenset(found[:_MOST_OPERATIONS]), len(found) > _MOST_OPERATIONS)
            seen |= {files[path]: names for path in fresh.files}
        self._seen = _Seen(source.erased, seen)  # whoever looks at the same time puts the same there
        return _first(frozenset().union(*{id(names): names.found for names in seen.values()}.values()))

    def _reading(
        self, use: Callable[[Snapshot], Answer], choice: Choice, nothing: Answer, deadline: Deadline
    ) -> Answer:
        def choose(hot: list[str], history: list[str]) -> tuple[list[str], list[str]]:
            deadline.left()  # a directory may be listed again and again
            return choice(hot, history)

        try:
            return reading(self._data, use, choice=choose, thorough=False)
        except NoDataError:
            return nothing

    def _ask(self, query: str, parameters: Sequence[object], deadline: Deadline) -> pa.Table:
        seconds = deadline.left()
        cursor = self._connection.cursor()  # DuckDB: one per thread
        done = threading.Event()
        self._running.add(cursor)
        try:
            threading.Thread(target=_stop_late, args=(cursor, seconds, done), daemon=True).start()
            if self._stopped:
                raise TooSlowError("shutting down")
            return cursor.sql(query, params=list(parameters)).to_arrow_table()
        except duckdb.InterruptException as error:
            raise deadline.missed() from error
        except duckdb.OutOfMemoryException as error:
            raise TooSlowError(f"the question needs more than {_MEMORY} of memory; ask about less time") from error
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise UnreadableDataError(f"reading spans in {self._data} failed: {first_line}") from error
        finally:
            done.set()
            self._running.discard(cursor)
            cursor.close()


def _stop_late(cursor: duckdb.DuckDBPyConnection, seconds: float, done: threading.Event) -> None:
    """Again and again: with little time left the first interruption may come before the query begins, and be lost."""
    while not done.wait(seconds):
        _interrupt(cursor)
        seconds = _INSIST_S


def _interrupt(cursor: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # it has just been closed
        cursor.interrupt()


def _first(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """In order; of too many the first of each service, then the second of each, and so on."""
    found, places = sorted(operations), Counter[str]()
    ranked = []
    for one in found:
        places[one.service] += 1
        ranked.append((places[one.service], one))
    return tuple(sorted(one for _, one in sorted(ranked)[:_MOST_OPERATIONS]))


def _only(source: Snapshot, files: AbstractSet[Path]) -> Snapshot:
    """The same with these of its files."""
    hot, history = (tuple(path for path in paths if path in files) for paths in (source.hot, source.history))
    return replace(source, hot=hot, history=history)


def _ordered(spans: pa.Table, traces: Sequence[str]) -> pa.Table:
    """By trace in this order and start, parents first; of a span that is there twice the one that came in first."""
    ranks = pc.index_in(spans["trace_id"], pa.array(traces, pa.string()))
    keys = spans.select(["start_unix_nano", "end_unix_nano", "span_id", "ingest_time"]).append_column("rank", ranks)
    came = pc.sort_indices(keys, sort_keys=[("ingest_time", "ascending"), ("start_unix_nano", "ascending")]).to_pylist()
    ids = list(zip(ranks.to_pylist(), spans["span_id"].to_pylist(), strict=True))
    kept: dict[object, int] = {}
    for at in came:
        kept.setdefault(ids[at], at)
    rows = pa.array(kept.values(), pa.int64())
    order = [("rank", "ascending"), ("start_unix_nano", "ascending"), ("end_unix_nano", "descending")]
    return spans.take(rows.take(pc.sort_indices(keys.take(rows), sort_keys=[*order, ("span_id", "ascending")])))


def canonical(trace: str) -> str | None:
    """A trace id as the store has it, 32 lowercase hex digits; None when it is none. Leading zeros may be left out."""
    text = trace.strip().lower()
    return text.zfill(32) if 0 < len(text) <= 32 and not set(text) - set("0123456789abcdef") else None


def _newest(hot: list[str], history: list[str]) -> tuple[list[str], list[str]]:
    hours = sorted({_hour(path) for path in (*hot, *history)})[-_RECENT_HOURS:]
    first = hours[0] if hours else ""
    return [path for path in hot if _hour(path) >= first], [path for path in history if _hour(path) >= first]


def _hour(path: str) -> str:
    return "/".join(path.rsplit("/", 3)[1:3])
