"""Traces as they were sent: by id, by a search, and the services and operations that there are.

Nothing here goes through the models: a trace by its id opens only the files that may hold it. One ``Traces`` serves
many threads; each question has its own cursor, memory is bounded for all together, and a question that takes too
long is stopped.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import duckdb
import pyarrow as pa

from otel_voicebot.errors import NoDataError, TooSlowError, UnreadableDataError
from otel_voicebot.reports.matching import MATCHED, UNKNOWN_SERVICE, Search, matching
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

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Found:
    """Spans of some traces (form SPANS_READ), each once, by trace in the order asked for, then by start."""

    spans: pa.Table
    cut: bool
    """There are more spans than one answer may hold; what is missing belongs to the last trace, or to further ones."""


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """A kind of span that some service sends."""

    service: str
    name: str
    kind: str


class Traces:
    """Answers questions about one data directory.

    Args:
        data: the directory.
        timeout_s: seconds that one question may take.
    """

    def __init__(self, data: Path, timeout_s: float = _TIMEOUT_S) -> None:
        self._data = data
        self._timeout_s = timeout_s
        self._lookup = Lookup()
        self._open = ExitStack()
        # By itself DuckDB would put what doesn't fit into memory beside the user: in the working directory.
        overflow = self._open.enter_context(TemporaryDirectory(prefix="otel-voicebot-", ignore_cleanup_errors=True))
        self._connection = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": overflow})
        self._open.callback(self._connection.close)
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._seen: dict[Path, frozenset[Operation]] = {}
        """What was in each file that was looked through; files that were looked through together share it."""
        self._erased = Erased()
        self._looking = threading.Lock()

    def by_id(self, traces: Sequence[str]) -> Found:
        """All spans of these traces (ids as ``canonical`` gives them); none of those that nobody knows.

        Raises:
            TooSlowError, UnreadableDataError: as their names say.
        """
        wanted = list(dict.fromkeys(traces))
        listed = ", ".join(f"'{one}'" for one in wanted)

        def use(source: Snapshot) -> Found:
            first = "row_number() OVER (PARTITION BY trace_id, span_id ORDER BY ingest_time, start_unix_nano) = 1"
            query = (
                f"SELECT * FROM ({source.of_traces(wanted).sql()}) QUALIFY {first} "  # noqa: S608 - hex digits only
                f"ORDER BY list_position([{listed}], trace_id), start_unix_nano, end_unix_nano DESC, span_id "
                f"LIMIT {MOST_SPANS + 1}"
            )
            spans = self._ask(query, [])
            return Found(spans.slice(0, MOST_SPANS), spans.num_rows > MOST_SPANS)

        nothing = Found(pa.table({"trace_id": pa.array([], pa.string())}), cut=False)
        return self._reading(use, self._lookup.holding(wanted), nothing) if wanted else nothing

    def search(self, search: Search) -> list[str]:
        """Ids of the traces that match; those whose matching spans began last, the last first. Raises as ``by_id``."""
        condition, parameters = matching(search)

        def use(source: Snapshot) -> list[str]:
            query = (
                f"SELECT trace_id FROM ({source.sql()}) WHERE {condition} "  # noqa: S608 - values are parameters
                "GROUP BY trace_id ORDER BY max(start_unix_nano) DESC, trace_id LIMIT ?"
            )
            ids: list[str] = self._ask(query, [*parameters, search.limit]).column(MATCHED[0]).to_pylist()
            return ids

        return self._reading(use, self._lookup.between(search.first, search.last), [])

    def operations(self) -> tuple[Operation, ...]:
        """Every service, span name and kind in the newest 72 hours of ingest. Raises as ``by_id``."""
        with self._looking:  # who asks meanwhile finds the files known
            return self._reading(self._look, _newest, ())

    def dependencies(self, first: int, last: int) -> list[tuple[str, str, int]]:
        """Which service calls which, and how often, by spans that start in this time (nanoseconds since 1970).

        Raises as ``by_id``.
        """

        def use(source: Snapshot) -> list[tuple[str, str, int]]:
            columns = ("trace_id", "span_id", "parent_span_id", "service_name", "start_unix_nano")
            query = f"""WITH some AS (
                    SELECT trace_id, span_id, parent_span_id, coalesce(service_name, '{UNKNOWN_SERVICE}') AS service
                    FROM ({source.sql(columns)}) WHERE start_unix_nano BETWEEN ? AND ?
                ), several AS (SELECT trace_id FROM some GROUP BY trace_id HAVING min(service) <> max(service)),
                theirs AS MATERIALIZED (SELECT DISTINCT * FROM some SEMI JOIN several USING (trace_id))
                SELECT p.service AS parent, c.service AS child, count(*) AS calls
                FROM theirs c JOIN theirs p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
                WHERE p.service <> c.service GROUP BY ALL ORDER BY ALL"""  # noqa: S608 - names are the schema's
            rows = self._ask(query, [first, last]).to_pylist()
            return [(row["parent"], row["child"], row["calls"]) for row in rows]

        return self._reading(use, self._lookup.between(first, last), [])

    def close(self) -> None:
        """Stop what is running, and free everything. Idempotent."""
        for cursor in list(self._running):
            cursor.interrupt()
        self._open.close()

    def _look(self, source: Snapshot) -> tuple[Operation, ...]:
        """Only files that are new are read: the others don't change, unless somebody is erased."""
        if source.erased != self._erased:
            self._erased, self._seen = source.erased, {}
        seen = {path: self._seen[path] for path in source.files if path in self._seen}
        fresh = replace(
            source,
            hot=tuple(path for path in source.hot if path not in seen),
            history=tuple(path for path in source.history if path not in seen),
        )
        if fresh.files:
            query = (
                f"SELECT DISTINCT coalesce(service_name, ?) AS service, name, kind FROM "  # noqa: S608 - as above
                f"({fresh.sql(('service_name', 'name', 'kind'))}) LIMIT {_MOST_OPERATIONS}"
            )
            rows = self._ask(query, [UNKNOWN_SERVICE]).to_pylist()
            names = ("service", "name", "kind")
            seen |= dict.fromkeys(
                fresh.files, frozenset(Operation(*(str(row[key] or "") for key in names)) for row in rows)
            )
        self._seen = seen
        return tuple(sorted(frozenset().union(*{id(found): found for found in seen.values()}.values())))[
            :_MOST_OPERATIONS
        ]

    def _reading(self, use: Callable[[Snapshot], Answer], choice: Choice, nothing: Answer) -> Answer:
        try:
            return reading(self._data, use, choice=choice)
        except NoDataError:
            return nothing

    def _ask(self, query: str, parameters: Sequence[object]) -> pa.Table:
        cursor = self._connection.cursor()  # DuckDB: one per thread
        late = threading.Timer(self._timeout_s, cursor.interrupt)
        late.daemon = True
        self._running.add(cursor)
        try:
            late.start()
            return cursor.sql(query, params=list(parameters)).to_arrow_table()
        except duckdb.InterruptException as error:
            msg = f"the question takes longer than {self._timeout_s:g} s; ask about less time"
            raise TooSlowError(msg) from error
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise UnreadableDataError(f"reading spans in {self._data} failed: {first_line}") from error
        finally:
            late.cancel()
            self._running.discard(cursor)
            cursor.close()


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
