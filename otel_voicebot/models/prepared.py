"""Runs the models over small sets of rows, again and again: planned once, executed each tick."""

import warnings
from typing import Final, Literal

import duckdb
import pyarrow as pa

from otel_voicebot.models.catalog import MODELS, SPAN_COLUMNS, chain
from otel_voicebot.spans.schema import SPANS

__all__ = ["NARROW", "Prepared"]

NARROW: Final = pa.schema([SPANS.field(name) for name in SPAN_COLUMNS])
"""The columns of spans that the models read: what the live state keeps."""

_LINKING: Final = ("trace_id", "span_id", "parent_span_id", "component", "turn_index")
"""The columns that ``nested`` reads."""


class Prepared:
    """The models ``operations``, ``turns`` and ``sessions`` as prepared statements over tables of rows.

    The rows must hold each span once and with its session: what ``once`` and ``traces`` do in batch has been done.
    For one thread. It uses one core: a tick is small, and the bot needs the others.
    """

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "500MB"})
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        # DuckDB plans a prepared statement again at each execution; optimising costs more than it saves on so few rows.
        run("PRAGMA disable_optimizer")
        run("SET enable_progress_bar = false")  # the bot's standard output is the bot's
        self._show(NARROW.empty_table())
        run(f"CREATE TEMP TABLE nested AS {MODELS['nested'].text}")
        run("CREATE TEMP TABLE traces AS SELECT trace_id, session_id AS trace_session_id FROM once")
        run(f"CREATE TEMP TABLE steps AS {MODELS['steps'].text}")
        run(f"CREATE TEMP TABLE turns AS {MODELS['turns'].text}")
        for name in ("operations", "turns", "sessions"):
            run(f"PREPARE {name} AS {chain(name, frozenset({'steps', 'turns'}) - {name})}")
        self.turns: pa.Schema = self.run("turns").schema
        """Columns of the model ``turns``."""

    def _show(self, rows: pa.Table) -> None:
        """Make rows visible as the models' inputs, without a copy."""
        self._connection.register("once", rows)
        self._connection.register("spans", rows.select(_LINKING))

    def load(self, rows: pa.Table) -> None:
        """Replace the spans that the models see (schema NARROW)."""
        run = self._connection.execute
        self._show(rows)
        run("TRUNCATE nested")
        run(f"INSERT INTO nested {MODELS['nested'].text}")
        run("TRUNCATE steps")
        run(f"INSERT INTO steps {MODELS['steps'].text}")

    def load_turns(self, rows: pa.Table) -> None:
        """Replace the turns that ``sessions`` sees (columns as ``turns``)."""
        run = self._connection.execute
        run("TRUNCATE turns")
        self._connection.register("finished", rows)
        run("INSERT INTO turns BY NAME SELECT * FROM finished")
        self._connection.unregister("finished")

    def run(self, model: Literal["operations", "turns", "sessions"]) -> pa.Table:
        """A model over the rows that were loaded last."""
        with warnings.catch_warnings():
            # It warns of a copy of the rows; what it recommends, sql(), binds the statement twice, which costs more.
            warnings.simplefilter("ignore", UserWarning)
            return self._connection.execute(f"EXECUTE {model}").to_arrow_table()

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._connection.close()
