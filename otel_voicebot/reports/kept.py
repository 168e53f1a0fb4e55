"""The models of a report's usual sections over rows as they were stored, for the calls whose rows are up to date.

A call that is over has a row of sessions, and one of turns for each turn. Where they say what its spans say, they are
taken as they are; which those are is asked of the spans each time, in one pass over three columns
(docs/decisions/011). The models compute the other calls, and of all calls what no row tells: the operations.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Final

import duckdb

from otel_voicebot import semconv
from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.models.catalog import MODELS, SPAN_COLUMNS
from otel_voicebot.models.engine import BRIEF
from otel_voicebot.models.terms import Source
from otel_voicebot.reports.stored import WHOLE
from otel_voicebot.store.reader import Snapshot, snapshot

__all__ = ["Kept", "memory_for"]

_MOST_STALE: Final = 5000
"""Calls, and traces of spans without a session's id, that are computed beside stored rows; of more, all are."""
_OPERATES: Final = "component IN ({})".format(", ".join(f"'{name}'" for name in semconv.OPERATIONS))
_TURNS: Final = (
    *("session_id", "turn_index", "bot", "channel", "variant", "environment", "kind", "outcome", "abandon_reason"),
    *("response_gap_s", "wait_s", "interrupted", "intent", "revision"),
)
_SESSIONS: Final = (
    *("session_id", "bot", "channel", "variant", "environment", "user_hash", "intent", "start_time", "end_time"),
    *("duration_s", "turns", "answered", "outcome", "end_reason", "escalated_by", "planned_handoff", "csat", "nps"),
    *("operations", "computed_at", "revision"),
)
_TRANSFER: Final = ("status", "handoff_target", "handoff_planned", "handoff_blocked")
_MANY_BYTES: Final = 600_000_000
_SELECTS: Final = frozenset(("since", "until", "bot", "channel", "variant", "environment", "intent"))
"""What of a selection asks about calls. Any other, as a moment that the answer is as of, is a question to the spans."""
_NOWHERE: Final = {"start_nano": "NULL::BIGINT AS start_nano", "end_nano": "NULL::BIGINT AS end_nano"}
"""Columns of a brief engine that stored rows have to the microsecond only; no usual section reads them."""


class Kept(Engine):
    """A brief engine for the usual sections of a report, and no other: it has rows that hold what those read.

    Args:
        source: where spans come from.
        selection: which sessions count.
        terms: what KPIs depend on beside the spans.
        given_up: as of ``Engine``.

    Raises:
        UnreadableDataError: the spans can't be read. Rows that can't be are computed.
    """

    def __init__(
        self, source: Snapshot, selection: Selection, terms: Terms, given_up: Callable[[], bool] | None = None
    ) -> None:
        self.kept = 0
        """Calls whose rows are taken as they were stored."""
        self._stale = ""
        asked = {field.name for field in fields(selection) if getattr(selection, field.name) is not None}
        self._rows = _rows_beside(source) if asked <= _SELECTS else None
        memory = memory_for(source)
        super().__init__(source, selection, brief=True, cut=False, terms=terms, given_up=given_up, memory=memory)

    def _spans(self, source: Source) -> str:
        """The spans that the models compute turns and sessions from: those of calls without rows that count."""
        whole = super()._spans(source)
        if self._rows is None or not self._load(*self._rows) or not self._compare(source):
            return whole
        run = self._connection.execute
        run(f"CREATE VIEW whole AS {whole}")
        # names and not a join: Parquet's statistics know those, and history is sorted by them
        names = [name for (name,) in run("SELECT session_id FROM stale").fetchall()]
        listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names) or "NULL"
        run(
            f"""CREATE TEMP TABLE part AS SELECT * FROM whole WHERE session_id IN ({listed})
            UNION ALL SELECT * FROM whole WHERE session_id IS NULL AND trace_id IN (SELECT trace_id FROM loose)"""
        )
        self._stale = "WHERE session_id IS NOT NULL AND session_id NOT IN (SELECT session_id FROM stale)"
        self._stale = self._stale if names or self._has("loose") else "WHERE true"
        self.kept = int(run("SELECT count(*) FROM fresh").fetchall()[0][0])
        return "SELECT * FROM part"

    def _has(self, table: str) -> bool:
        return bool(self._connection.execute(f"SELECT count(*) > 0 FROM {table}").fetchall()[0][0])

    def _load(self, turns: Snapshot, sessions: Snapshot) -> bool:
        """Read the rows, of each the highest revision; whether they can be read."""
        run = self._connection.execute
        try:
            for name, key, rows, columns in (
                ("kept_turns", "session_id, turn_index", turns, _TURNS),
                ("kept_sessions", "session_id", sessions, _SESSIONS),
            ):
                run(f"CREATE TEMP TABLE {name} AS {rows.sql(columns)}")
                # few rows were restated, and a window over all of them would cost as much as all the rest
                matches = " AND ".join(f"{name}.{one} = r.{one}" for one in key.split(", "))
                run(
                    f"""DELETE FROM {name} USING (
                        SELECT {key}, max(revision) AS latest FROM {name} WHERE revision > 1 GROUP BY {key}
                    ) r WHERE {matches} AND revision < latest"""
                )
        except duckdb.Error:  # damaged, or vanished; rows only save work
            return False
        return True

    def _compare(self, source: Source) -> bool:
        """Find the calls whose rows say what the spans say; whether the others are few enough."""
        run = self._connection.execute
        run(
            f"""CREATE TEMP TABLE seen AS
            SELECT session_id, max(ingest_time) AS came, count(CASE WHEN {_OPERATES} THEN 1 END) AS operations
            FROM ({source.sql(["session_id", "ingest_time", "component"])}) GROUP BY session_id"""
        )
        self._contradict(source)
        run("CREATE TEMP TABLE loose (trace_id BLOB)")
        run("CREATE TEMP TABLE mixed (session_id VARCHAR)")
        if run("SELECT count(*) > 0 FROM seen WHERE session_id IS NULL").fetchall()[0][0]:
            ids = source.sql(["session_id", "trace_id"], raw_ids=True)
            run(f"INSERT INTO loose SELECT DISTINCT trace_id FROM ({ids}) WHERE session_id IS NULL")
            run(
                f"""INSERT INTO mixed SELECT DISTINCT session_id FROM ({ids}) SEMI JOIN loose USING (trace_id)
                WHERE session_id IS NOT NULL"""
            )
        run(
            f"""CREATE TEMP TABLE fresh AS
            WITH told AS (
                SELECT session_id, count(CASE WHEN kind = 'exchange' THEN 1 END) AS turns,
                    count(CASE WHEN outcome = 'answered' THEN 1 END) AS answered, {WHOLE} AS whole
                FROM kept_turns GROUP BY session_id
            ),
            rows AS (SELECT session_id FROM kept_sessions GROUP BY session_id HAVING count(*) = 1)
            SELECT s.session_id
            FROM kept_sessions s
            SEMI JOIN rows USING (session_id)
            JOIN seen c ON c.session_id = s.session_id
            LEFT JOIN told t ON t.session_id = s.session_id
            WHERE s.computed_at >= c.came AND s.operations = c.operations
                AND coalesce(t.turns, 0) = s.turns AND coalesce(t.answered, 0) = s.answered AND coalesce(t.whole, true)
                AND s.session_id NOT IN (SELECT session_id FROM mixed)
                AND s.session_id NOT IN (SELECT session_id FROM contradicted)"""
        )
        run(
            """CREATE TEMP TABLE stale AS
            SELECT session_id FROM seen ANTI JOIN fresh USING (session_id) WHERE session_id IS NOT NULL"""
        )
        most = "SELECT greatest((SELECT count(*) FROM stale), (SELECT count(*) FROM loose))"
        return bool(run(most).fetchall()[0][0] <= _MOST_STALE)

    def _contradict(self, source: Source) -> None:
        """Find the calls of which a survey, a correction or a transfer says what their row doesn't.

        An import beside a service may tell it before the service computes the row, which then lacks it.
        """
        facts = source.sql(["session_id", "component", "outcome", "csat", "nps", *_TRANSFER])
        self._connection.execute(
            f"""CREATE TEMP TABLE contradicted AS
            SELECT DISTINCT session_id FROM ({facts}) f JOIN kept_sessions s USING (session_id)
            WHERE (f.csat IS NOT NULL OR f.nps IS NOT NULL OR f.component = 'handoff'
                    OR f.component = 'other' AND f.outcome IS NOT NULL)
                AND (f.csat <> coalesce(s.csat, 0) OR f.nps <> coalesce(s.nps, -1)
                    OR f.component = 'other' AND f.outcome <> coalesce(s.outcome, '')
                    OR f.component = 'handoff' AND f.handoff_planned AND NOT coalesce(s.planned_handoff, false)
                    OR f.component = 'handoff' AND f.handoff_target = 'human' AND f.status <> 'error'
                        AND NOT coalesce(f.handoff_planned, false) AND NOT coalesce(f.handoff_blocked, false)
                        AND s.escalated_by IS NULL)"""
        )

    def _complete(self, labels: str) -> None:
        """Put the stored rows beside the computed ones, and the operations of their calls."""
        if not self._stale:
            return
        run = self._connection.execute
        for name, kept in (("turns", "kept_turns"), ("sessions", "kept_sessions")):
            columns = BRIEF[name].format(labels=labels)
            for column, nothing in _NOWHERE.items():
                columns = columns.replace(column, nothing)
            # deleted once, as several models read them
            run(f"DELETE FROM {kept} WHERE session_id NOT IN (SELECT session_id FROM fresh)")
            run(f"ALTER TABLE {name}_all RENAME TO {name}_computed")
            run(f"CREATE VIEW {name}_all AS SELECT * FROM {name}_computed UNION ALL SELECT {columns} FROM {kept}")
            run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}_all")
        steps = MODELS["plain"].text
        of_kept = f"""WITH once AS NOT MATERIALIZED (SELECT {", ".join(SPAN_COLUMNS)} FROM whole {self._stale}),
            steps AS NOT MATERIALIZED ({steps}) {MODELS["operations"].text}"""
        if self._has("part"):
            run("ALTER VIEW operations_all RENAME TO operations_computed")
            run(f"CREATE VIEW operations_all AS SELECT * FROM operations_computed UNION ALL ({of_kept})")
        else:
            run(f"CREATE OR REPLACE VIEW operations_all AS {of_kept}")


def memory_for(spans: Snapshot) -> str:
    """What an engine may take for these spans, by the size of their files: 3 GB from about 15 M spans on."""
    with suppress(FileNotFoundError):  # it has moved: the query will say so
        return "700MB" if sum(path.stat().st_size for path in spans.files) < _MANY_BYTES else "3GB"
    return "700MB"


def _rows_beside(spans: Snapshot) -> tuple[Snapshot, Snapshot] | None:
    """The stored rows of turns and sessions beside these spans; None where there are none that can be read."""
    try:
        return snapshot(spans.data, "turns", since=spans.since), snapshot(spans.data, "sessions", since=spans.since)
    except (NoDataError, UnreadableDataError):
        return None
