"""Turn rows as they were stored, of the calls for which they are up to date.

A turn row is computed when its turn is over, and again when a late span comes (a higher revision). So of most calls the
rows on disk are what the models would compute from the spans again, and reading them is a hundred times cheaper. Which
calls those are is asked of the spans each time (docs/decisions/008): a call's rows count when they number its turns
from 1 without a hole, one row each, and none of its spans of work came in after the last of them was computed.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.models import Selection
from otel_voicebot.models.catalog import END, FLAT, STAGE, WORK
from otel_voicebot.reports.rows import WHOLE
from otel_voicebot.reports.waits import equals, indices, truths, with_longest
from otel_voicebot.spans.schema import TURNS
from otel_voicebot.store.reader import Snapshot

__all__ = ["PartOf", "RowsError", "Stored", "of_calls", "quoted", "sampled"]

_LABELS: Final = ("bot", "channel", "variant", "environment")
_MOST_STALE: Final = 5000
"""Calls that are computed from their spans beside stored ones; of more, all are."""
_FLAT: Final = ", ".join(f"'{name}'" for name in FLAT)
_BATCH: Final = 200_000
"""Rows that are looked at together."""
_FEW: Final = 32
"""Calls that are read one by one."""


@dataclass(frozen=True)
class PartOf:
    """Some calls of a snapshot, as a source of spans. ``traces`` are hex: spans may lack their session's id."""

    whole: Snapshot
    sessions: tuple[str, ...]
    traces: tuple[str, ...]

    def sql(self, columns: Sequence[str] | None = None, *, raw_ids: bool = False) -> str:
        """As ``Snapshot.sql``."""
        names = list(columns or self.whole.schema.names)
        asked = list(dict.fromkeys([*names, "session_id", "trace_id"]))
        listed = ", ".join(f'"{name}"' for name in names)
        traces = ", ".join(f"unhex('{trace}')" if raw_ids else f"'{trace}'" for trace in self.traces) or "NULL"
        return (
            f"SELECT {listed} FROM ({self.whole.sql(asked, raw_ids=raw_ids)}) "
            f"WHERE session_id IN ({quoted(self.sessions)}) OR trace_id IN ({traces})"
        )


def sampled(one_in: int) -> str:
    """A condition over turns for about every ``one_in``-th call, by the hash of its id."""
    return f"hash(session_id) % {one_in} = 0" if one_in > 1 else "true"


def of_calls(sessions: Sequence[str]) -> str:
    """The same for these calls."""
    return f"session_id IN ({quoted(sessions)})"


def quoted(names: Sequence[str]) -> str:
    """The names as a list of SQL texts."""
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names) or "NULL"


class RowsError(Exception):
    """Stored rows can't be read. Nobody needs to know: they can be computed from spans.

    Attributes:
        too_large: they don't fit into memory; there is no damage.
    """

    def __init__(self, cause: duckdb.Error) -> None:
        super().__init__(f"the turns can't be read: {str(cause).partition(chr(10))[0]}")
        self.too_large = isinstance(cause, duckdb.OutOfMemoryException)


class Stored:
    """Turn rows of one moment's spans. Close it.

    Attributes:
        stale: ids of the calls that have to be computed from their spans.
        usable: whether they are few enough for stored rows to be worth it.

    Raises:
        RowsError: the turns can't be read.
        UnreadableDataError: the spans can't.
    """

    def __init__(self, spans: Snapshot, turns: Snapshot, selection: Selection) -> None:
        self._spans, self._turns = spans, turns
        self._joins = ""
        self._connection = duckdb.connect(
            # nothing is written beside the user: what doesn't fit is computed by the engine, which has a place for it
            config={"memory_limit": "700MB", "preserve_insertion_order": False, "temp_directory": ""}
        )
        try:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute("SET parquet_metadata_cache = true")  # each query opens every file again
            self._connection.execute("SET enable_progress_bar = false")  # it would go to stdout, before the answer
            self._ask_spans(selection)
            self._ask_turns()
        except duckdb.OutOfMemoryException as error:
            self.close()
            raise RowsError(error) from error
        except duckdb.Error as error:
            self.close()
            raise UnreadableDataError(f"the spans can't be read: {str(error).partition(chr(10))[0]}") from error
        except BaseException:
            self.close()
            raise

    def _ask_spans(self, selection: Selection) -> None:
        """Which calls there are, and when their spans came in."""
        run = self._connection.execute
        # a column that no filter asks for costs a tenth of a second of ten million spans
        labels = [label for label in _LABELS if getattr(selection, label) is not None]
        windowed = selection.since is not None or selection.until is not None
        run(f"CREATE TEMP TABLE parts AS {self._parts(labels, windowed=windowed)}")
        if run("SELECT count(*) > 0 FROM parts WHERE session_id IS NULL").fetchall()[0][0]:
            self._name_by_trace(labels, windowed=windowed)
        framed = run("SELECT coalesce(bool_or(framed), false) FROM parts").fetchall()[0][0]
        begun = self._begun() if framed else "SELECT NULL::VARCHAR AS session_id, NULL::BIGINT AS began WHERE false"
        run(f"CREATE TEMP TABLE begun AS {begun}")
        known = "".join(f", max({label}) AS {label}" for label in labels)
        if windowed:
            known += ", make_timestamp(coalesce(min(own), min(first)) // 1000) AT TIME ZONE 'UTC' AS start_time"
        run(
            f"""CREATE TEMP TABLE calls AS
            SELECT session_id, max(came) AS came, max(ended) AS ended, bool_or(talks) AS talks,
                max(numbered) AS numbered, max(began) AS began{known}
            FROM parts LEFT JOIN begun USING (session_id) GROUP BY session_id"""
        )
        where, parameters = selection.where()
        run(
            f"CREATE TEMP TABLE chosen AS SELECT * FROM calls WHERE talks{' AND ' + where if where else ''}", parameters
        )

    def _ask_turns(self) -> None:
        """Of which of them the rows count."""
        try:
            self._define()
        except duckdb.Error as error:
            raise RowsError(error) from error

    def _define(self) -> None:
        run = self._connection.execute
        run(f"CREATE VIEW every AS {self._turns.sql(TURNS.names)}")
        run(
            """CREATE TEMP TABLE restated AS
            SELECT session_id, turn_index, max(revision) AS revision FROM every WHERE revision > 1 GROUP BY ALL"""
        )
        # joins over all turns cost a second of ten million spans: each is left out where it would change nothing
        if run("SELECT count(*) > 0 FROM restated").fetchall()[0][0]:
            self._joins = """ANTI JOIN restated r
                ON e.session_id = r.session_id AND e.turn_index = r.turn_index AND e.revision < r.revision"""
        run(f"CREATE VIEW latest AS SELECT e.* FROM every e {self._joins}")
        ends = run("SELECT count(ended) > 0 FROM chosen").fetchall()[0][0]
        given_up = "arg_max(outcome, turn_index) IS NOT DISTINCT FROM 'abandoned'" if ends else "false"
        run(
            f"""CREATE TEMP TABLE counted AS
            SELECT session_id, max(computed_at) AS computed_at, max(turn_index) AS numbered,
                max(epoch_us(end_time)) * 1000 AS last_ended,
                {WHOLE} AS whole,
                {given_up} AS given_up
            FROM latest GROUP BY session_id"""
        )
        run(
            """CREATE TEMP TABLE fresh AS
            SELECT c.session_id FROM chosen c JOIN counted r ON c.session_id = r.session_id
            WHERE r.whole AND r.computed_at >= c.came
                AND (c.ended IS NULL OR r.computed_at >= c.ended OR NOT r.given_up)
                -- the last row may be the one that is missing: not written yet, or lost with its file
                AND (c.numbered IS NULL OR c.numbered <= r.numbered) AND (c.began IS NULL OR c.began < r.last_ended)"""
        )
        all_fresh = run("SELECT (SELECT count(*) FROM fresh) = (SELECT count(*) FROM counted)").fetchall()[0][0]
        if not all_fresh:
            self._joins += " SEMI JOIN fresh f ON e.session_id = f.session_id"
        self.stale = [
            name for (name,) in run("SELECT session_id FROM chosen ANTI JOIN fresh USING (session_id)").fetchall()
        ]
        self.usable = len(self.stale) <= _MOST_STALE

    def _parts(self, labels: Sequence[str], *, windowed: bool, loose: bool = False) -> str:
        """Of each call, or of each of its traces where its id isn't on all spans yet: when its spans came in.

        ``loose``: only of merged spans without one.
        """
        columns = ["trace_id", "session_id", "component", "name", "dialect", "turn_index", "ingest_time"]
        columns.append("user_speech_end_unix_nano")
        known = f""", max(CASE WHEN dialect IS NULL OR dialect IN ({_FLAT}) THEN turn_index END) AS numbered,
            bool_or(dialect NOT IN ({_FLAT})) AS framed"""
        known += "".join(f", max({label}) AS {label}" for label in labels)
        if windowed:
            columns.append("start_unix_nano")
            known += """, min(start_unix_nano) AS first,
                min(CASE WHEN component = 'session' THEN start_unix_nano END) AS own"""
        known += (
            ", bool_or(component IN ('turn', 'stt', 'endpointing') OR user_speech_end_unix_nano IS NOT NULL) AS talks"
        )
        # Hot spans of frameworks lack their session; compaction has filled it in where their trace has one. Of the many
        # spans of history names are read where they count only: that halves the time.
        history, hot = replace(self._spans, hot=()), replace(self._spans, history=())
        by_trace = "coalesce(max(session_id), lower(hex(trace_id))) AS session_id, trace_id"
        by_call = "session_id, NULL::BLOB AS trace_id"
        passes: tuple[tuple[Snapshot, str, str, str, str, str], ...] = (
            (history, by_call, "session_id", "true", STAGE, "false"),
            (history, by_call, "session_id", f"component = 'other' AND ({WORK} OR {END})", WORK, END),
            (history, by_call, "session_id", f"component = 'session' AND {END}", "false", "true"),
            (hot, by_trace, "trace_id", "true", WORK, END),
        )
        if loose:
            passes = ((history, by_trace, "trace_id", "session_id IS NULL", WORK, END),)
        return " UNION ALL ".join(
            f"""SELECT {names}, max(CASE WHEN {work} THEN ingest_time END) AS came,
                max(CASE WHEN {end} THEN ingest_time END) AS ended{known}
            FROM ({part.sql([*columns, *labels], raw_ids=True)}) WHERE {condition} GROUP BY {key}"""
            for part, names, key, condition, work, end in passes
            if part.files
        )

    def _name_by_trace(self, labels: Sequence[str], *, windowed: bool) -> None:
        """Merged spans without a session's id are of the call that another span of their trace names, or the trace."""
        run = self._connection.execute
        run("DELETE FROM parts WHERE session_id IS NULL")
        run(f"INSERT INTO parts {self._parts(labels, windowed=windowed, loose=True)}")
        run(
            f"""UPDATE parts SET session_id = named.session_id
            FROM (
                SELECT trace_id, max(session_id) AS session_id
                FROM ({self._spans.sql(["trace_id", "session_id"], raw_ids=True)})
                WHERE session_id IS NOT NULL
                    AND trace_id IN (SELECT trace_id FROM parts WHERE session_id = lower(hex(trace_id)))
                GROUP BY trace_id
            ) named
            WHERE parts.trace_id = named.trace_id"""
        )

    def _begun(self) -> str:
        """When the last turn or utterance of each framework's call began: its rows must reach that far."""
        columns = ["trace_id", "session_id", "component", "dialect", "start_unix_nano"]
        return f"""SELECT coalesce(s.session_id, p.session_id, lower(hex(s.trace_id))) AS session_id,
                max(s.start_unix_nano) AS began
            FROM ({self._spans.sql(columns, raw_ids=True)}) s
            LEFT JOIN (
                SELECT trace_id, max(session_id) AS session_id FROM parts WHERE trace_id IS NOT NULL GROUP BY trace_id
            ) p ON p.trace_id = s.trace_id
            WHERE s.component IN ('turn', 'stt') AND s.dialect NOT IN ({_FLAT}) GROUP BY 1"""

    def rows(self, columns: Sequence[str], condition: str) -> pa.Table:
        """Turn rows of the calls that are up to date, where the ``condition`` over turns holds.

        Who asks for the longest segment asks for ``kind``, ``response_gap_s`` and ``wait_s``, too.

        Raises:
            RowsError: a file turned out to be damaged, or vanished.
        """
        table = self._sql(self._select(columns, condition))
        if "longest_segment" not in columns:
            return table
        if "segments" in columns:
            return with_longest(table)
        # stored before there were these columns, or a wait that was not cut: only its segments tell
        unsure = "kind = 'exchange' AND longest_segment IS NULL AND coalesce(response_gap_s, wait_s) IS NOT NULL"
        old = equals(table["kind"], "exchange") & truths(pc.is_null(table["longest_segment"]))
        old &= truths(pc.is_valid(pc.coalesce(table["response_gap_s"], table["wait_s"])))
        if not old.any():
            return table
        again = self._sql(self._select((*columns, "segments"), f"({condition}) AND {unsure}"))
        kept = table.take(indices(np.flatnonzero(~old)))
        return pa.concat_tables([kept, with_longest(again).select(columns)], promote_options="permissive")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All turn rows of the calls that are up to date, some at a time: so many segments take gigabytes.

        Raises:
            RowsError: as ``rows``.
        """
        try:
            for batch in self._connection.sql(self._select(columns, "true")).to_arrow_reader(_BATCH):
                yield pa.Table.from_batches([batch])
        except duckdb.Error as error:
            raise RowsError(error) from error

    def rows_of(self, sessions: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Those of these calls; raises as ``rows``."""
        if len(sessions) > _FEW or "longest_segment" in columns:
            return self.rows(columns, of_calls(sessions))
        # A file's segments are decoded in full for a list of names, and hardly for one name. Where are they?
        listed = quoted([str(path) for path in self._turns.files])
        found = self._sql(
            f"""SELECT DISTINCT session_id, filename FROM read_parquet([{listed}], filename = true,
                schema = MAP {{'session_id': {{name: 'session_id', type: 'VARCHAR', default_value: NULL}}}},
                hive_partitioning = false) WHERE {of_calls(sessions)}"""
        ).to_pylist()
        queries = [
            self._select(columns, f"session_id = {quoted([name])}", self._turns_in(files, columns))
            for name in sessions
            if (files := {row["filename"] for row in found if row["session_id"] == name})
        ]
        return self._sql(" UNION ALL ".join(queries or [self._select(columns, "false")]))

    def _turns_in(self, files: Container[str], columns: Sequence[str]) -> str:
        names = dict.fromkeys((*columns, "session_id", "turn_index", "revision"))
        hot, history = (tuple(p for p in part if str(p) in files) for part in (self._turns.hot, self._turns.history))
        return f"({replace(self._turns, hot=hot, history=history).sql(list(names))})"

    def _select(self, columns: Sequence[str], condition: str, source: str = "every") -> str:
        return f"SELECT {', '.join(columns)} FROM (SELECT e.* FROM {source} e {self._joins}) WHERE {condition}"

    def rest(self) -> PartOf:
        """The spans of the calls whose rows are missing or out of date."""
        query = """SELECT DISTINCT lower(hex(trace_id)) AS trace FROM parts
            WHERE session_id IN (SELECT unnest(?)) AND trace_id IS NOT NULL"""
        traces = self._sql(query, [self.stale])["trace"].to_pylist()
        return PartOf(self._spans, tuple(self.stale), tuple(traces))

    def _sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table:
        try:
            return self._connection.sql(text, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise RowsError(error) from error

    def close(self) -> None:
        """Free it. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
