"""Turn rows as they were stored, of the calls for which they are up to date.

A turn row is computed when its turn is over, and again when a late span comes (a higher revision). So of most calls the
rows on disk are what the models would compute from the spans again, and reading them is a hundred times cheaper. Which
calls those are is asked of the spans each time (docs/decisions/008): a call's rows count when they number its turns
from 1 without a hole, one row each, and none of its spans of work came in after the last of them was computed.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.models import Selection
from otel_voicebot.models.catalog import END, WORK
from otel_voicebot.reports.waits import equals, indices, truths, with_longest
from otel_voicebot.spans.schema import TURNS
from otel_voicebot.store.reader import Snapshot

__all__ = ["PartOf", "RowsError", "Stored", "of_calls", "sampled"]

_LABELS: Final = ("bot", "channel", "variant", "environment")
_MOST_STALE: Final = 5000
"""Calls that are computed from their spans beside stored ones; of more, all are."""
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
        quoted = ", ".join(f'"{name}"' for name in names)
        traces = ", ".join(f"unhex('{trace}')" if raw_ids else f"'{trace}'" for trace in self.traces) or "NULL"
        return (
            f"SELECT {quoted} FROM ({self.whole.sql(asked, raw_ids=raw_ids)}) "
            f"WHERE session_id IN ({_quoted(self.sessions)}) OR trace_id IN ({traces})"
        )


def sampled(one_in: int) -> str:
    """A condition over turns for about every ``one_in``-th call, by the hash of its id."""
    return f"hash(session_id) % {one_in} = 0" if one_in > 1 else "true"


def of_calls(sessions: Sequence[str]) -> str:
    """The same for these calls."""
    return f"session_id IN ({_quoted(sessions)})"


def _quoted(names: Sequence[str]) -> str:
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
            for setting in ("TimeZone = 'UTC'", "parquet_metadata_cache = true", "enable_progress_bar = false"):
                self._connection.execute(f"SET {setting}")
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
        known = "".join(f", max({label}) AS {label}" for label in labels)
        if windowed:
            known += ", make_timestamp(coalesce(min(own), min(first)) // 1000) AT TIME ZONE 'UTC' AS start_time"
        run(
            f"""CREATE TEMP TABLE calls AS
            SELECT session_id, max(came) AS came, max(ended) AS ended, bool_or(talks) AS talks{known}
            FROM parts GROUP BY session_id"""
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
            SELECT session_id, max(computed_at) AS computed_at,
                count(*) = max(turn_index) AND min(turn_index) = 1
                    AND sum(turn_index) = count(*) * (count(*) + 1) // 2
                    -- a bit a turn, of the first 62: counting distinct ones takes five times as long
                    AND bit_count(bit_or(
                        CASE WHEN turn_index BETWEEN 1 AND 62 THEN 1::BIGINT << (turn_index - 1) ELSE 0 END
                    )) = least(count(*), 62) AS whole,
                {given_up} AS given_up
            FROM latest GROUP BY session_id"""
        )
        run(
            """CREATE TEMP TABLE fresh AS
            SELECT session_id FROM chosen JOIN counted USING (session_id)
            WHERE whole AND computed_at >= came AND (ended IS NULL OR computed_at >= ended OR NOT given_up)"""
        )
        all_fresh = run("SELECT (SELECT count(*) FROM fresh) = (SELECT count(*) FROM counted)").fetchall()[0][0]
        if not all_fresh:
            self._joins += " SEMI JOIN fresh f ON e.session_id = f.session_id"
        self.stale = [
            name for (name,) in run("SELECT session_id FROM chosen ANTI JOIN fresh USING (session_id)").fetchall()
        ]
        self.usable = len(self.stale) <= _MOST_STALE

    def _parts(self, labels: Sequence[str], *, windowed: bool) -> str:
        """Of each call, or of each of its traces where its id isn't on all spans yet: when its spans came in."""
        columns = ["trace_id", "session_id", "component", "name", "dialect", "ingest_time", "user_speech_end_unix_nano"]
        known = "".join(f", max({label}) AS {label}" for label in labels)
        if windowed:
            columns.append("start_unix_nano")
            known += """, min(start_unix_nano) AS first,
                min(CASE WHEN component = 'session' THEN start_unix_nano END) AS own"""
        # hot spans of frameworks lack their session; compaction has filled it in
        kinds = (
            (replace(self._spans, hot=()), "session_id", "session_id, NULL::BLOB AS trace_id"),
            (
                replace(self._spans, history=()),
                "trace_id",
                "coalesce(max(session_id), lower(hex(trace_id))) AS session_id, trace_id",
            ),
        )
        return " UNION ALL ".join(
            f"""SELECT {names},
                max(CASE WHEN {WORK} THEN ingest_time END) AS came, max(CASE WHEN {END} THEN ingest_time END) AS ended,
                bool_or(component IN ('turn', 'stt', 'endpointing') OR user_speech_end_unix_nano IS NOT NULL) AS talks
                {known}
            FROM ({part.sql([*columns, *labels], raw_ids=True)}) GROUP BY {key}"""
            for part, key, names in kinds
            if part.files
        )

    def rows(self, columns: Sequence[str], condition: str) -> pa.Table:
        """Turn rows of the calls that are up to date, where the ``condition`` over turns holds.

        Who asks for the longest segment asks for ``kind``, ``response_gap_s`` and ``wait_s``, too.

        Raises:
            RowsError: a file turned out to be damaged, or vanished.
        """
        table = self._where(columns, condition)
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
        again = with_longest(self._where((*columns, "segments"), f"({condition}) AND {unsure}")).select(columns)
        kept = table.take(indices(np.flatnonzero(~old)))
        return pa.concat_tables([kept, again], promote_options="permissive")

    def rows_of(self, sessions: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Those of these calls; raises as ``rows``."""
        if len(sessions) > _FEW:
            return self.rows(columns, of_calls(sessions))
        # A file's segments are decoded in full for a list of names, and hardly for one name. Where are they?
        listed = _quoted([str(path) for path in self._turns.files])
        found = self._sql(
            f"""SELECT DISTINCT session_id, filename FROM read_parquet([{listed}], filename = true,
                schema = MAP {{'session_id': {{name: 'session_id', type: 'VARCHAR', default_value: NULL}}}},
                hive_partitioning = false) WHERE {of_calls(sessions)}"""
        ).to_pylist()
        return pa.concat_tables(
            [
                self._where(columns, f"session_id = {_quoted([name])}", self._turns_in(files, columns))
                for name in sessions
                if (files := {row["filename"] for row in found if row["session_id"] == name})
            ]
            or [self._where(columns, "false")]
        )

    def _turns_in(self, files: Container[str], columns: Sequence[str]) -> str:
        names = dict.fromkeys((*columns, "session_id", "turn_index", "revision"))
        hot, history = (tuple(p for p in part if str(p) in files) for part in (self._turns.hot, self._turns.history))
        return f"({replace(self._turns, hot=hot, history=history).sql(list(names))})"

    def _where(self, columns: Sequence[str], condition: str, source: str = "every") -> pa.Table:
        return self._sql(
            f"SELECT {', '.join(columns)} FROM (SELECT e.* FROM {source} e {self._joins}) WHERE {condition}"
        )

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
