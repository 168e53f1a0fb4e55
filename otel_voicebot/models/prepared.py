"""Runs the models over small sets of rows, again and again: planned once, executed each tick."""

from typing import Final, Literal

import duckdb
import pyarrow as pa

from otel_voicebot.models.catalog import SPAN_COLUMNS, chain
from otel_voicebot.spans.schema import SPANS

__all__ = ["NARROW", "Prepared"]

NARROW: Final = pa.schema([SPANS.field(name) for name in SPAN_COLUMNS])
"""The columns of spans that the models read: what the live state keeps."""


class Prepared:
    """The models ``operations``, ``turns`` and ``sessions`` as prepared statements over a table of rows.

    The rows must hold each span once and with its session: what ``once`` and ``traces`` do in batch has been done.
    For one thread. It uses one core: a tick is small, and the bot needs the others.
    """

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "500MB"})
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        run("SET enable_progress_bar = false")  # the bot's standard output is the bot's
        self._connection.register("rows", NARROW.empty_table())
        run("CREATE TEMP TABLE once AS SELECT * FROM rows")
        run("CREATE TEMP VIEW spans AS SELECT * FROM once")
        run("CREATE TEMP VIEW traces AS SELECT trace_id, session_id AS trace_session_id FROM once WHERE false")
        steps = chain("steps", frozenset({"spans", "once", "traces"}))
        run(f"CREATE TEMP TABLE steps AS {steps}")
        run(f"PREPARE fill AS INSERT INTO steps {steps}")
        for name in ("operations", "turns", "sessions"):
            run(f"PREPARE {name} AS {chain(name, frozenset({'steps'}))}")

    def load(self, rows: pa.Table) -> None:
        """Replace the rows that the models see (schema NARROW)."""
        run = self._connection.execute
        run("TRUNCATE once")
        run("TRUNCATE steps")
        self._connection.register("rows", rows)
        run("INSERT INTO once SELECT * FROM rows")
        self._connection.unregister("rows")
        run("EXECUTE fill")

    def run(self, model: Literal["operations", "turns", "sessions"]) -> pa.Table:
        """A model over the rows that were loaded last."""
        return self._connection.sql(f"EXECUTE {model}").to_arrow_table()

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._connection.close()
