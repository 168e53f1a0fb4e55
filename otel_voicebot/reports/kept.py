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

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.models.catalog import MODELS, OPERATES, SPAN_COLUMNS
from otel_voicebot.models.engine import BRIEF
from otel_voicebot.models.terms import Source
from otel_voicebot.reports.rows import WHOLE
from otel_voicebot.store.reader import Snapshot, snapshot

__all__ = ["Kept", "memory_for"]

_MOST_STALE: Final = 5000
"""Calls, and traces of spans without a session's id, that are computed beside stored rows; of more, all are."""
_TOLD: Final = f"""session_id, count(CASE WHEN kind = 'exchange' THEN 1 END) AS turns,
    count(CASE WHEN outcome = 'answered' THEN 1 END) AS answered, {WHOLE} AS whole"""
_TURNS: Final = ("kind", "outcome", "abandon_reason", "response_gap_s", "wait_s", "interrupted")
"""Columns of turns that the models of the usual sections read; where some calls are asked for, ``session_id``, too."""
_TURN: Final = ("session_id", "turn_index", "revision")
_SESSIONS: Final = (
    *("session_id", "channel", "user_hash", "intent", "start_time", "end_time"),
    *("duration_s", "turns", "answered", "outcome", "end_reason", "escalated_by", "planned_handoff", "csat", "nps"),
    *("operations", "computed_at", "revision"),
)
_LABELS: Final = ("bot", "variant", "environment")
"""Strings that are only read where calls are selected by one of them."""
_TRANSFER: Final = ("status", "handoff_target", "handoff_planned", "handoff_blocked")
_MANY_BYTES: Final = 600_000_000
_SELECTS: Final = frozenset(("since", "until", "bot", "channel", "variant", "environment", "intent"))
"""What of a selection asks about calls. Any other, as a moment that the answer is as of, is a question to the spans."""
_NOWHERE: Final = {
    "session_id": "VARCHAR",
    "turn_index": "INTEGER",
    **dict.fromkeys((*_LABELS, "channel", "intent"), "VARCHAR"),
    **dict.fromkeys(("start_nano", "end_nano"), "BIGINT"),
}
"""Columns of a brief engine's turns that aren't taken from rows, as no usual section reads them."""


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
        self._taken = False
        self._part = False
        asked = {field.name for field in fields(selection) if getattr(selection, field.name) is not None}
        self._some = bool(asked)
        self._labels = _LABELS if asked & set(_LABELS) else ()
        self._rows = _rows_beside(source) if asked <= _SELECTS else None
        memory = memory_for(source)
        super().__init__(source, selection, brief=True, cut=False, terms=terms, given_up=given_up, memory=memory)

    def _spans(self, source: Source) -> str:
        """The spans that the models compute turns and sessions from: those of calls without rows that count."""
        whole = super()._spans(source)
        if self._rows is None:
            return whole
        turns, sessions = self._rows
        if not self._load(turns, sessions) or not self._compare(source) or not self._take(turns):
            return whole
        run = self._connection.execute
        run(f"CREATE VIEW whole AS {whole}")
        self.kept, self._taken = self._count("fresh"), True
        # names and not a join: Parquet's statistics know those, and history is sorted by them
        names = [name for (name,) in run("SELECT session_id FROM stale").fetchall()]
        self._part = bool(names) or self._count("loose") > 0
        if not self._part:
            return "SELECT * FROM whole WHERE false"
        listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names) or "NULL"
        run(
            f"""CREATE TEMP TABLE part AS SELECT * FROM whole WHERE session_id IN ({listed})
            UNION ALL SELECT * FROM whole WHERE session_id IS NULL AND trace_id IN (SELECT trace_id FROM loose)"""
        )
        return "SELECT * FROM part"

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def _load(self, turns: Snapshot, sessions: Snapshot) -> bool:
        """Read the rows of sessions, and what those of turns say of each call, of each row the highest revision.

        Returns:
            Whether they can be read.
        """
        run = self._connection.execute
        try:
            run(f"CREATE TEMP TABLE kept_sessions AS {sessions.sql([*_SESSIONS, *self._labels])}")
            # few rows were restated, and a window over all of them would cost as much as all the rest
            run(
                """DELETE FROM kept_sessions USING (
                    SELECT session_id, max(revision) AS latest FROM kept_sessions WHERE revision > 1 GROUP BY session_id
                ) r WHERE kept_sessions.session_id = r.session_id AND revision < latest"""
            )
            numbered = turns.sql([*_TURN, "kind", "outcome"])
            told = f"SELECT {_TOLD}, max(revision) AS latest"
            run(f"CREATE TEMP TABLE told AS {told} FROM ({numbered}) GROUP BY session_id")
            run(
                f"""CREATE TEMP TABLE restated AS SELECT * FROM ({turns.sql([*_TURN, *_TURNS])})
                WHERE session_id IN (SELECT session_id FROM told WHERE latest > 1)
                QUALIFY revision = max(revision) OVER (PARTITION BY session_id, turn_index)"""
                if run("SELECT count(*) > 0 FROM told WHERE latest > 1").fetchall()[0][0]
                else f"CREATE TEMP TABLE restated AS SELECT * FROM ({turns.sql([*_TURN, *_TURNS])}) LIMIT 0"
            )
            run("DELETE FROM told WHERE latest > 1")
            run(f"INSERT INTO told {told} FROM restated GROUP BY session_id")
        except duckdb.Error:  # damaged, or vanished; rows only save work
            return False
        return True

    def _compare(self, source: Source) -> bool:
        """Find the calls whose rows say what the spans say; whether the others are few enough."""
        run = self._connection.execute
        run(
            f"""CREATE TEMP TABLE seen AS
            SELECT session_id, max(ingest_time) AS came, count(CASE WHEN {OPERATES} THEN 1 END) AS operations
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
            """CREATE TEMP TABLE fresh AS
            WITH rows AS (SELECT session_id FROM kept_sessions GROUP BY session_id HAVING count(*) = 1)
            SELECT s.session_id
            FROM kept_sessions s
            SEMI JOIN rows USING (session_id)
            ANTI JOIN mixed USING (session_id)
            ANTI JOIN contradicted USING (session_id)
            JOIN seen c ON c.session_id = s.session_id
            LEFT JOIN told t ON t.session_id = s.session_id
            WHERE s.computed_at >= c.came AND s.operations = c.operations
                AND coalesce(t.turns, 0) = s.turns AND coalesce(t.answered, 0) = s.answered
                AND coalesce(t.whole, true)"""
        )
        run(
            """CREATE TEMP TABLE stale AS
            SELECT session_id FROM seen ANTI JOIN fresh USING (session_id) WHERE session_id IS NOT NULL"""
        )
        most = "SELECT greatest((SELECT count(*) FROM stale), (SELECT count(*) FROM loose))"
        return bool(run(most).fetchall()[0][0] <= _MOST_STALE)

    def _contradict(self, source: Source) -> None:
        """Find the calls of which a survey, a correction or a transfer says what their row doesn't.

        An import beside a service may tell it before the service computes the row, which then lacks it. A query for
        each: few spans tell of any, and so no other column of theirs is read. And those with a score that stands twice:
        scores are read from spans, and a repeated one that is no operation makes these no more.
        """
        told = {
            "csat IS NOT NULL": (("csat",), "f.csat <> coalesce(s.csat, 0)"),
            "nps IS NOT NULL": (("nps",), "f.nps <> coalesce(s.nps, -1)"),
            "component = 'other' AND outcome IS NOT NULL": (
                ("component", "outcome"),
                "f.outcome <> coalesce(s.outcome, '')",
            ),
            "component = 'handoff'": (
                ("component", *_TRANSFER),
                """(f.handoff_planned AND NOT coalesce(s.planned_handoff, false)
                    OR f.handoff_target = 'human' AND f.status <> 'error'
                        AND NOT coalesce(f.handoff_planned, false) AND NOT coalesce(f.handoff_blocked, false)
                        AND s.escalated_by IS NULL)""",
            ),
        }
        parts = [
            f"""SELECT session_id FROM (SELECT * FROM ({source.sql(["session_id", *columns])}) WHERE {tells}) f
            JOIN kept_sessions s USING (session_id) WHERE {differs}"""
            for tells, (columns, differs) in told.items()
        ]
        scored = source.sql(["session_id", "trace_id", "span_id", "component", "mos"], raw_ids=True)
        parts.append(
            f"""SELECT session_id FROM (SELECT * FROM ({scored}) WHERE mos IS NOT NULL)
            WHERE NOT {OPERATES} GROUP BY session_id, trace_id, span_id HAVING count(*) > 1"""
        )
        self._connection.execute(f"CREATE TEMP TABLE contradicted AS {' UNION '.join(parts)}")

    def _take(self, turns: Snapshot) -> bool:
        """Keep the rows of the calls that are fresh, and no others; whether they can be read."""
        run = self._connection.execute
        columns = ", ".join(("session_id", *_TURNS) if self._some else _TURNS)
        others = run("SELECT count(*) > 0 FROM told ANTI JOIN fresh USING (session_id)").fetchall()[0][0]
        again = self._count("restated") > 0
        only = "SEMI JOIN fresh USING (session_id)" if others else ""
        but = "ANTI JOIN restated USING (session_id)" if again else ""
        needed = list(dict.fromkeys([*(["session_id"] if self._some or others or again else []), *_TURNS]))
        try:
            run(
                f"""CREATE TEMP TABLE kept_turns AS SELECT {columns} FROM ({turns.sql(needed)}) {only} {but}
                UNION ALL SELECT {columns} FROM restated {only}"""
            )
        except duckdb.Error:  # as in ``_load``
            return False
        if self._count("kept_sessions") > self._count("fresh"):
            run("DELETE FROM kept_sessions WHERE session_id NOT IN (SELECT session_id FROM fresh)")
        return True

    def _compute(self, labels: str, *, brief: bool, cut: bool) -> None:
        """Compute the turns and sessions that have to be, and put the stored ones beside them, and their operations."""
        if self._part or not self._taken:
            super()._compute(labels, brief=brief, cut=cut)
        if not self._taken:
            return
        run = self._connection.execute
        kept = {
            "turns": (self._without(BRIEF["turns"].format(labels=labels)), "kept_turns"),
            "sessions": (BRIEF["sessions"].format(labels=labels), "kept_sessions"),
        }
        for name, (columns, rows) in kept.items():
            computed = ""
            if self._part:
                run(f"ALTER TABLE {name}_all RENAME TO {name}_computed")
                computed = f"SELECT * FROM {name}_computed UNION ALL"
            run(f"CREATE OR REPLACE VIEW {name}_all AS {computed} SELECT {columns} FROM {rows}")
            run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}_all")
        self._continue_steps()

    def _without(self, columns: str) -> str:
        """These columns of turns, null where they aren't kept."""
        missing = {name: kind for name, kind in _NOWHERE.items() if not (name == "session_id" and self._some)}
        names = (name.strip() for name in columns.split(","))
        return ", ".join(f"NULL::{missing[name]} AS {name}" if name in missing else name for name in names)

    def _continue_steps(self) -> None:
        """Have ``steps`` and the operations hold the calls whose rows are kept, too."""
        run = self._connection.execute
        stale = ""
        if self._part:
            run("ALTER VIEW steps RENAME TO steps_computed")
            stale = "WHERE session_id IS NOT NULL AND session_id NOT IN (SELECT session_id FROM stale)"
        else:
            self._framed = False
            run("CREATE TEMP TABLE traces (trace_id BLOB, trace_session_id VARCHAR)")
        once = f"SELECT {', '.join(SPAN_COLUMNS)} FROM whole {stale}"
        steps = f"WITH once AS NOT MATERIALIZED ({once}) {MODELS['plain'].text}"
        run(f"CREATE VIEW steps AS {'SELECT * FROM steps_computed UNION ALL' if self._part else ''} ({steps})")
        run(f"CREATE OR REPLACE VIEW operations_all AS {MODELS['operations'].text}")


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
