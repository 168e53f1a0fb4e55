"""Runs the models over a store's files, on an embedded DuckDB."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple, Self

import duckdb
import pyarrow as pa

from otel_voicebot.errors import TooSlowError, UnreadableDataError, VoicebotError
from otel_voicebot.models import groups
from otel_voicebot.models.catalog import EMPTY, MODELS, NO_CUTS, PLACING, SEGMENTS, SPAN_COLUMNS, chain
from otel_voicebot.models.selection import LABELS, Selection
from otel_voicebot.models.spill import Spill
from otel_voicebot.models.terms import Past, Source, Terms, define
from otel_voicebot.models.watch import Watch

__all__ = ["Engine"]

# What the KPIs and sections of a report read; the rest is left null. Full turns cost a second a million spans more.
BRIEF: Final = {
    "turns": """session_id, turn_index, {labels}, start_nano, end_nano, kind, outcome, abandon_reason, response_gap_s,
        wait_s, interrupted, NULL::BIGINT AS words, NULL AS trace_id, NULL AS session_source, intent,
        NULL::BIGINT AS operations, NULL::BIGINT AS errors, NULL::BIGINT AS wer_errors, NULL::BIGINT AS wer_words""",
    "sessions": """session_id, {labels}, user_hash, intent, start_time, end_time, duration_s, turns, answered, outcome,
        end_reason, escalated_by, planned_handoff, csat, nps""",
}
_SUSPECTED: Final = """WITH holding AS MATERIALIZED (
    SELECT operates, passes, parent FROM links
    WHERE (operates OR passes) AND span IN (SELECT parent FROM links WHERE operates)
)
SELECT
    EXISTS (SELECT 1 FROM links GROUP BY span HAVING count(*) > 1),
    EXISTS (SELECT 1 FROM holding WHERE operates) OR EXISTS (
        SELECT 1 FROM links
        WHERE (operates OR passes) AND span IN (SELECT parent FROM holding WHERE passes)
    ),
    EXISTS (SELECT 1 FROM links WHERE loose),
    EXISTS (SELECT 1 FROM links WHERE framework)"""
"""Whether a span may be repeated; whether one may be nested; whether one lacks its session; whether one is a
framework's, whose turns have to be put together. Where none is, which is the usual case, the models that find and join
such spans are spared: they cost half of a report."""
_COMPUTED: Final = frozenset(
    (
        *("links", "repeats", "nested", "lent", "traces", "once", "plain", "framed", "placed", "exchanges", "steps"),
        *("parts", "known", "unplaced", *SEGMENTS),
        *("texts", "turns", "sessions", "operations", "components"),
    )
)
"""Models that the engine defines one by one; the others are views over these."""
_GROUPED_BYTES: Final = {"brief": 65, "full": 300}
"""What grouping spans into turns holds for each: it can't all be written to disk, so of more calls come one after the
other. Each share of them reads all spans once more."""
_KEPT: Final = ("contacts", *groups.FEW)
"""Models that are computed when first asked for: a report reads them more than once, or they are a few rows of all
spans, whose many columns each view over them would bind again."""


class _Spared(NamedTuple):
    reads: str
    condition: str
    columns: str


_SPARED: Final = {
    "split_costs": _Spared(
        reads="service_prices",
        condition="SELECT EXISTS (FROM service_prices WHERE split)",
        columns="NULL::BIGINT AS things, NULL::BIGINT AS priced, NULL::DECIMAL(38, 12) AS cost_usd",
    )
}
"""Models that have no row unless a condition holds, which reads another model: then their text, which reads every
operation, isn't even planned."""


class Engine:
    """The models over one source of spans, as of one moment.

    Args:
        source: where spans come from.
        selection: which sessions count. Turns and operations count when their session does.
        brief: keep only the columns of turns and sessions that KPIs and report sections read.
        cut: say what waits were spent on: ``segments``, ``breakdowns`` and these columns of ``turns``. It takes longer
            than all the rest; a brief engine never does.
        terms: what KPIs depend on beside the spans.
        given_up: asked ten times a second while there is the engine: True breaks off what it does, which raises
            TooSlowError then. None: nobody gives up.
        memory: what DuckDB may take before it writes to disk (MB, GB); exact percentiles of many values have to fit in.
        threads: cores that it may use at once. None: all.
    """

    def __init__(  # noqa: PLR0913 - what a question needs of it
        self,
        source: Source,
        selection: Selection | None = None,
        *,
        brief: bool = False,
        cut: bool = True,
        terms: Terms | None = None,
        given_up: Callable[[], bool] | None = None,
        memory: str = "700MB",
        threads: int | None = None,
    ) -> None:
        if given_up is not None and given_up():
            raise TooSlowError(_GIVEN_UP)
        self._spill = Spill()
        self._grouping, self._memory = False, memory
        limits = {"memory_limit": memory, "temp_directory": self._spill.path}
        cores = {} if threads is None else {"threads": threads}
        try:
            self._connection = duckdb.connect(config={"preserve_insertion_order": False, **limits, **cores})
        except BaseException:
            self._spill.close()
            raise
        self._watch = None if given_up is None else Watch(self._connection, given_up)
        try:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute("SET parquet_metadata_cache = true")  # each model opens every file again
            self._connection.execute("SET enable_progress_bar = false")  # it would go to stdout, before the answer
            selection, terms = selection or Selection(), terms or Terms()
            if selection.as_of is not None:
                source, terms = _past(source, terms, selection.as_of)
            define(self._connection.execute, source, terms)
            self._define(source, selection, brief=brief, cut=cut and not brief)
        except duckdb.Error as error:
            self.close()
            raise self._failed("the spans can't be read", error) from error
        except BaseException:
            self.close()
            raise

    def _define(self, source: Source, selection: Selection, *, brief: bool, cut: bool) -> None:
        self._connection.execute(f"CREATE VIEW spans AS {self._spans(source)}")
        # strings of each span: a brief engine leaves out what nothing is selected by, but the channel: it has a price
        selected = any(getattr(selection, label) is not None for label in LABELS)
        labels = ", ".join(label if selected or label == "channel" else f"NULL::VARCHAR AS {label}" for label in LABELS)
        self._compute(labels, brief=brief, cut=cut)
        self._select(selection, cut=cut)
        self._define_sections(brief=brief)
        self._there = set(_COMPUTED)

    def _compute(self, labels: str, *, brief: bool, cut: bool) -> None:
        """Compute turns and sessions from ``spans``, and define ``steps`` and the operations.

        Args:
            labels: those of ``BRIEF``.
            brief: as of the engine.
            cut: likewise.
        """
        run = self._connection.execute
        run(f"CREATE TEMP TABLE links AS {MODELS['links'].text}")
        repeated, nests, loose, framed = self._connection.sql(_SUSPECTED).fetchall()[0]
        spans = self._connection.sql("SELECT count(*) FROM links").fetchall()[0][0]
        grouped = spans * _GROUPED_BYTES["brief" if brief else "full"]
        self._shares = 1 if cut else grouped // _bytes(self._memory) + 1
        self._framed = framed
        run("DROP TABLE links")
        # From here on joins read files, which DuckDB takes for one row: it would hold all spans, to look up a few.
        run("SET disabled_optimizers = 'build_side_probe_side'")
        if repeated:
            run(f"CREATE TEMP TABLE repeats AS {MODELS['repeats'].text}")
        run(f"CREATE VIEW once AS {MODELS['once'].text if repeated else 'SELECT * FROM spans'}")
        if nests or loose or framed:
            for name, found in (("nested", nests), ("traces", loose)):
                run(f"CREATE TEMP TABLE {name} AS SELECT * FROM ({MODELS[name].text}) {'' if found else 'WHERE false'}")
        else:
            run("CREATE TEMP TABLE traces (trace_id BLOB, trace_session_id VARCHAR)")
        # a tool in a model call looks like an attempt of it at first
        nests = nests and self._connection.sql("SELECT EXISTS (FROM nested)").fetchall()[0][0]
        for name, columns in EMPTY.items():
            run(f"CREATE TEMP TABLE {name} ({columns})")
        for name in (*(("lent",) if nests else ()), *(PLACING if framed else ())):
            run(f"CREATE OR REPLACE TEMP TABLE {name} AS {MODELS[name].text}")
        run(f"CREATE VIEW steps AS {MODELS['steps' if nests or loose or framed else 'plain'].text}")
        run(f"CREATE VIEW parts AS {MODELS['parts'].text}")
        run(f"CREATE VIEW known AS {MODELS['known' if framed else 'unplaced'].text}")
        # What was said stands in no section: known to be empty, it isn't even looked for.
        run(f"CREATE VIEW texts AS SELECT * FROM ({MODELS['texts'].text}) {'WHERE false' if brief else ''}")
        self._define_cuts(cut=cut)
        self._define_rows(labels, brief=brief)

    def _define_rows(self, labels: str, *, brief: bool) -> None:
        """Turns, sessions and operations."""
        run = self._connection.execute
        several = self._shares > 1
        if several:
            run("ALTER VIEW steps RENAME TO all_steps")
        for share in range(self._shares):
            only = f"WHERE hash(session_id) % {self._shares} = {share}" if several else ""
            if several:
                run(f"CREATE OR REPLACE VIEW steps AS SELECT * FROM all_steps {only}")
            # Each model reads the one before as a table, so that it is computed once.
            for name in ("turns", "sessions"):
                columns = BRIEF[name].format(labels=labels) if brief else "*"
                into = f"INSERT INTO {name}_all" if share else f"CREATE TEMP TABLE {name}_all AS"
                run(f"{into} SELECT {columns} FROM ({MODELS[name].text})")
                run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}_all {only}")
        if several:
            for name, whole in (("steps", "all_steps"), ("turns", "turns_all"), ("sessions", "sessions_all")):
                run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {whole}")
        run(f"CREATE VIEW operations_all AS {MODELS['operations'].text}")

    def _select(self, selection: Selection, *, cut: bool) -> None:
        """Leave out what doesn't count."""
        run = self._connection.execute
        run("CREATE VIEW operations AS SELECT * FROM operations_all")
        where, parameters = selection.where()
        if where:
            run(f"CREATE TEMP TABLE selected AS SELECT session_id FROM sessions_all WHERE {where}", parameters)
            for name in ("turns", "sessions", "operations", *(("segments",) if cut else ())):
                run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}_all SEMI JOIN selected USING (session_id)")

    def _define_sections(self, *, brief: bool) -> None:
        """What a report always shows."""
        kind = "TEMP TABLE" if brief else "VIEW"
        self._connection.execute(f"CREATE {kind} components AS {MODELS['components'].text}")

    def _spans(self, source: Source) -> str:
        """A query for the spans that turns and sessions are computed from."""
        return source.sql(SPAN_COLUMNS, raw_ids=True)

    def _have(self, name: str) -> None:
        """Define a model's view, those that it reads first; one that nobody asks for would cost its text's binding."""
        if name not in MODELS or name in self._there:
            return
        text, inputs = MODELS[name].text, MODELS[name].inputs
        if name in _SPARED:
            spared = _SPARED[name]
            self._have(spared.reads)
            if not self._connection.sql(spared.condition).fetchall()[0][0]:
                text, inputs = f"SELECT {spared.columns} WHERE false", ()
        for needed in inputs:
            self._have(needed)
        kind = "TEMP TABLE" if name in _KEPT else "VIEW"
        self._connection.execute(f"CREATE OR REPLACE {kind} {name} AS {text}")
        self._there.add(name)

    def _have_all(self) -> None:
        for name in MODELS:
            with suppress(duckdb.BinderException, duckdb.CatalogException):  # it reads what a brief engine leaves out
                self._have(name)

    def _define_cuts(self, *, cut: bool) -> None:
        """What the wait of each exchange was spent on."""
        run = self._connection.execute
        run(f"CREATE {'TEMP TABLE' if cut else 'VIEW'} judged AS {MODELS['judged'].text}")
        if not cut:
            for name, columns in NO_CUTS.items():
                run(f"CREATE TEMP TABLE {name} ({columns})")
            return
        for name in ("waits", "stages", "milestones"):
            run(f"CREATE TEMP TABLE {name} AS {MODELS[name].text}")
        run(f"CREATE VIEW walked AS {MODELS['walked'].text}")
        run(f"CREATE TEMP TABLE segments_all AS {MODELS['segments'].text}")
        for name in ("waits", "stages", "milestones"):
            run(f"DROP TABLE {name}")
        run("CREATE VIEW segments AS SELECT * FROM segments_all")
        for name in NO_CUTS:
            run(f"CREATE VIEW {name} AS {MODELS[name].text}")

    def _chain(self, model: str) -> str:
        """The common tables of a query that computes a model from ``steps``, and the query."""
        known = {"known": "known" if self._framed else "unplaced"}
        return chain(model, frozenset({"steps", "exchanges"}), known).removeprefix("WITH ")

    def give(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Fill one of the tables ``terms.GIVEN``, which are empty until then.

        Raises:
            UnreadableDataError: as ``sql``.
        """
        columns = list(rows[0]) if rows else []
        places = f"({', '.join('?' for _ in columns)})"
        try:
            # few rows; as Arrow they would have pyarrow import pandas, which takes longer than most reports
            if rows:
                self._connection.execute(
                    f"INSERT INTO {name} ({', '.join(columns)}) VALUES {', '.join(places for _ in rows)}",
                    [value for row in rows for value in row.values()],
                )
        except duckdb.Error as error:
            raise self._failed(f"{name} can't be used", error) from error
        self._there -= _SPARED.keys()

    def table(self, name: str) -> pa.Table:
        """A model's rows; raises as ``sql``."""
        try:
            self._have(name)
        except duckdb.Error as error:
            raise self._failed("the query failed", error) from error
        return self.sql(f"SELECT * FROM {name}")

    def group(self, by: Sequence[str]) -> list[tuple[int, tuple[str | None, ...]]]:
        """(sessions, values) of each group of the selected calls, the largest first.

        From then on ``look_at`` shows the KPI models one of them; models that read spans themselves no longer fit.

        Args:
            by: names of ``groups.GROUPINGS``. Labels but the channel need an engine that isn't brief.

        Raises:
            UnreadableDataError: as ``sql``.
        """
        try:
            if not self._grouping:
                self._have("all_kpis")
                groups.begin(self._connection.execute)
                self._grouping = True
            return groups.listed(self._connection.execute, by)
        except duckdb.Error as error:
            raise self._failed("the groups can't be read", error) from error

    def look_at(self, values: Sequence[str | None] | None) -> None:
        """Show the KPI models the calls of one group of the last ``group``; None: all again. Raises as ``sql``."""
        try:
            groups.look_at(self._connection.execute, values)
        except duckdb.Error as error:
            raise self._failed("the group can't be read", error) from error

    def turns_of(self, sessions: Sequence[str]) -> pa.Table:
        """All turns of these sessions with all columns, also from a brief engine; raises as ``sql``."""
        chosen = "SELECT * FROM main.steps WHERE session_id IN (SELECT unnest(?))"
        return self.sql(f"WITH steps AS ({chosen}), {self._chain('turns')}", [list(sessions)])

    def sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Any query over the models (``spans``, ``steps``, ``operations``, ``turns``, ``sessions``, ...).

        Raises:
            UnreadableDataError: a file turned out to be damaged, or vanished.
            TooSlowError: it was given up, or needs more memory than it may take.
        """
        try:
            try:
                return self._connection.sql(text, params=list(parameters)).to_arrow_table()
            except duckdb.CatalogException:  # it may name a model that nobody has asked for yet
                self._have_all()
                return self._connection.sql(text, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise self._failed("the query failed", error) from error

    def _failed(self, what: str, error: duckdb.Error) -> VoicebotError:
        if self._watch is not None and self._watch.fired:
            return TooSlowError(_GIVEN_UP)
        if isinstance(error, duckdb.OutOfMemoryException):
            return TooSlowError(f"the answer needs more than {self._memory} of memory: ask about less time")
        return UnreadableDataError(f"{what}: {_first_line(error)}")

    def close(self) -> None:
        """Free the engine. Idempotent."""
        if self._watch is not None:
            self._watch.end()
        self._connection.close()
        self._spill.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_GIVEN_UP: Final = "the question takes too long, or the service is stopping; ask about less time"


def _past(source: Source, terms: Terms, as_of: datetime) -> tuple[Source, Terms]:
    before = None if terms.before is None else Past(terms.before, as_of)
    return Past(source, as_of), replace(terms, as_of=as_of, before=before)


def _bytes(memory: str) -> int:
    """Of a limit in DuckDB's words."""
    return int(float(memory[:-2]) * {"MB": 1e6, "GB": 1e9}[memory[-2:].upper()])


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
