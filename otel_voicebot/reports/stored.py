"""Turn rows as they were stored, of the calls for which they are up to date.

A turn row is computed when its turn is over, and again when a late span comes (a higher revision). So of most calls the
rows on disk are what the models would compute from the spans again, and reading them is a hundred times cheaper. Which
calls those are is asked of the spans each time (docs/decisions/008): a call's rows count when they number its turns
from 1 without a hole, one row each, and none of its spans of work came in after the last of them was computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import duckdb
import pyarrow as pa

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.models import Selection
from otel_voicebot.spans.schema import TURNS
from otel_voicebot.store.reader import Snapshot, snapshot

__all__ = ["PartOf", "Stored", "sampled"]

_LABELS: Final = ("bot", "channel", "variant", "environment")
_MOST_STALE: Final = 5000
"""Calls that are computed from their spans beside stored ones; of more, all are."""


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


def sampled(source: str, columns: Sequence[str], one_in: int, beside: Sequence[str]) -> str:
    """SQL for the turns of about every ``one_in``-th call, ``drawn`` by the hash of its id, and of calls ``beside``."""
    drawn = f"hash(session_id) % {one_in} = 0" if one_in > 1 else "true"
    where = f"WHERE {drawn} OR session_id IN ({_quoted(beside)})" if one_in > 1 else ""
    return f"SELECT {', '.join(columns)}, {drawn} AS drawn FROM {source} {where}"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names) or "NULL"


class Stored:
    """Turn rows of one moment's spans. Close it.

    Attributes:
        usable: whether few enough calls have to be computed from their spans for stored rows to be worth it.
    """

    def __init__(self, spans: Snapshot, turns: Snapshot, selection: Selection) -> None:
        self._spans = spans
        self._connection = duckdb.connect(
            # nothing is written beside the user: what doesn't fit is computed by the engine, which has a place for it
            config={"memory_limit": "700MB", "preserve_insertion_order": False, "temp_directory": ""}
        )
        try:
            for setting in ("TimeZone = 'UTC'", "parquet_metadata_cache = true", "enable_progress_bar = false"):
                self._connection.execute(f"SET {setting}")
            self._define(turns, selection)
        except duckdb.Error as error:
            self.close()
            raise UnreadableDataError(f"the turns can't be read: {str(error).partition(chr(10))[0]}") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, spans: Snapshot, selection: Selection) -> Self | None:
        """The stored rows beside these spans; None where there are none that can be read."""
        try:
            return cls(spans, snapshot(spans.data, "turns", since=spans.since), selection)
        except (NoDataError, UnreadableDataError):
            return None  # they can be computed from spans

    def _define(self, turns: Snapshot, selection: Selection) -> None:
        run = self._connection.execute
        run(f"CREATE TEMP TABLE parts AS {self._parts(selection)}")
        labels = "".join(f", max({label}) AS {label}" for label in _LABELS)
        run(
            f"""CREATE TEMP TABLE calls AS
            SELECT session_id, max(came) AS came, bool_or(talks) AS talks,
                make_timestamp(coalesce(min(own), min(first)) // 1000) AT TIME ZONE 'UTC' AS start_time{labels}
            FROM parts GROUP BY session_id"""
        )
        where, parameters = selection.where()
        run(
            f"CREATE TEMP TABLE chosen AS SELECT * FROM calls WHERE talks{' AND ' + where if where else ''}", parameters
        )
        run(f"CREATE VIEW every AS {turns.sql(TURNS.names)}")
        run(
            """CREATE TEMP TABLE restated AS
            SELECT session_id, turn_index, max(revision) AS revision FROM every WHERE revision > 1 GROUP BY ALL"""
        )
        # joins over all turns cost a second of ten million spans: each is left out where it would change nothing
        repeated = run("SELECT count(*) > 0 FROM restated").fetchall()[0][0]
        older = """ANTI JOIN restated r
            ON e.session_id = r.session_id AND e.turn_index = r.turn_index AND e.revision < r.revision"""
        run(f"CREATE VIEW latest AS SELECT e.* FROM every e {older if repeated else ''}")
        run(
            """CREATE TEMP TABLE counted AS
            SELECT session_id, max(computed_at) AS computed_at,
                count(*) = max(turn_index) AND min(turn_index) = 1
                    AND sum(turn_index) = count(*) * (count(*) + 1) // 2
                    -- a bit a turn, of the first 62: counting distinct ones takes five times as long
                    AND bit_count(bit_or(
                        CASE WHEN turn_index BETWEEN 1 AND 62 THEN 1::BIGINT << (turn_index - 1) ELSE 0 END
                    )) = least(count(*), 62) AS whole
            FROM latest GROUP BY session_id"""
        )
        run(
            """CREATE TEMP TABLE fresh AS
            SELECT session_id FROM chosen JOIN counted USING (session_id) WHERE whole AND computed_at >= came"""
        )
        all_fresh = run("SELECT (SELECT count(*) FROM fresh) = (SELECT count(*) FROM counted)").fetchall()[0][0]
        self._fresh = "latest" if all_fresh else "latest SEMI JOIN fresh USING (session_id)"
        self.stale = [
            name for (name,) in run("SELECT session_id FROM chosen ANTI JOIN fresh USING (session_id)").fetchall()
        ]
        self.usable = len(self.stale) <= _MOST_STALE

    def _parts(self, selection: Selection) -> str:
        """Of each call, or of each of its traces where its id isn't on all spans yet: when its spans came in."""
        wanted = [label for label in _LABELS if getattr(selection, label) is not None]
        columns = ["trace_id", "session_id", "component", "start_unix_nano", "ingest_time", "user_speech_end_unix_nano"]
        known = "".join(f", {f'max({label})' if label in wanted else 'NULL::VARCHAR'} AS {label}" for label in _LABELS)
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
                max(CASE WHEN component NOT IN ('session', 'other') THEN ingest_time END) AS came,
                min(CASE WHEN component = 'session' THEN start_unix_nano END) AS own,
                min(start_unix_nano) AS first,
                bool_or(component IN ('turn', 'stt', 'endpointing') OR user_speech_end_unix_nano IS NOT NULL) AS talks
                {known}
            FROM ({part.sql([*columns, *wanted], raw_ids=True)}) GROUP BY {key}"""
            for part, key, names in kinds
            if part.files
        )

    def rows(self, columns: Sequence[str], one_in: int = 1, beside: Sequence[str] = ()) -> pa.Table:
        """Turn rows of all calls that are up to date, or of every ``one_in``-th of them, chosen by its id's hash.

        Those of the calls ``beside`` are always among them; ``drawn`` tells them apart.

        Raises:
            UnreadableDataError: a file turned out to be damaged, or vanished.
        """
        return self._sql(sampled(self._fresh, columns, one_in, beside))

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
            raise UnreadableDataError(f"the turns can't be read: {str(error).partition(chr(10))[0]}") from error

    def close(self) -> None:
        """Free it. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
