"""Runs the models over sets of rows, again and again: small ones by statements that were bound once."""

import contextlib
import functools
import re
import warnings
from typing import Final, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.models.catalog import EMPTY, MODELS, SEGMENTS, SPAN_COLUMNS, chain
from otel_voicebot.models.packed import TOLD, packed
from otel_voicebot.models.terms import SHORT_SESSION_S
from otel_voicebot.spans.schema import SPANS

__all__ = ["NARROW", "OPERATIONS", "Prepared", "as_arrow", "begin_anew", "connect", "may_nest"]

NARROW: Final = pa.schema([SPANS.field(name) for name in SPAN_COLUMNS])
"""The columns of spans that the models read: what the live state keeps."""


@functools.cache
def _words(model: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", MODELS[model].text))


def _reads(model: str, column: str) -> bool:
    return column in _words(model)


_RUN: Final = ("nested", "lent", "plain", "steps", "parts", "texts", "turns", "sessions", *SEGMENTS)
_READ: Final = [name for name in NARROW.names if any(_reads(model, name) for model in _RUN)]
"""Those among them that turns and sessions read: each column costs, whatever stands in it."""

OPERATIONS: Final = pa.array(semconv.OPERATIONS)
"""Components that are operations, as in ``steps``."""


_GIVEN: Final = frozenset({"once", "spans", "nested", "lent", "traces", "placed"})
_CUT: Final = tuple(name for name in SEGMENTS if name != "cuts")
"""What is executed in its order; segments are put into the rows of turns by ``packed``."""

_BETWEEN: Final = 8
"""So many spans of no component may lie between two operations of which one counts, as in ``nested``."""


class Prepared:
    """The models ``turns`` and ``calls`` as prepared statements over tables of rows.

    The rows must hold each span once and with its session: what ``once`` and ``traces`` do in batch has been done.
    For one thread. It uses one core: a tick is small, and the bot needs the others.

    DuckDB binds a prepared statement again, at each execution and for good, once anything in the catalog has changed
    since (a table truncated, a view registered), and that costs more than running it. So the tables stay as they are,
    and rows are only ever inside a transaction that is rolled back.
    """

    def __init__(self, short_session_s: float = SHORT_SESSION_S) -> None:
        self._connection = connect(short_session_s)
        run = self._connection.execute
        # Each execution would optimise the plan again, which costs more than it saves on so few rows.
        run("PRAGMA disable_optimizer")
        self._connection.register("empty", NARROW.empty_table())
        run(f"CREATE TEMP TABLE once AS SELECT {', '.join(_READ)} FROM empty")
        run("CREATE TEMP VIEW spans AS FROM once")
        run(f"CREATE TEMP TABLE nested AS {MODELS['nested'].text}")
        run("CREATE TEMP TABLE traces AS SELECT trace_id, session_id AS trace_session_id FROM once")
        for name, columns in EMPTY.items():  # spans that have to be placed are another's
            run(f"CREATE TEMP TABLE {name} ({columns})")
        given = _GIVEN
        for name in ("texts", *SEGMENTS, "turns"):  # each reads those before it
            run(f"CREATE TEMP TABLE {name} AS {chain(name, given, {'known': 'unplaced'})}")
            given |= {name}
        run(f"PREPARE nested AS INSERT INTO nested {MODELS['nested'].text}")
        run(f"PREPARE lent AS INSERT INTO lent {MODELS['lent'].text}")
        run(f"PREPARE texts AS INSERT INTO texts {chain('texts', _GIVEN)}")
        for name in (*_CUT, "calls"):
            into = "" if name == "calls" else f"INSERT INTO {name} "
            for steps in ("plain", "steps"):
                query = chain(name, given - {name}, {"steps": steps, "known": "unplaced"})
                run(f"PREPARE {name}_{steps} AS {into}{query}")
        run(f"PREPARE turns AS {chain('turns', given - {'turns'})}")
        run(f"PREPARE told AS {TOLD}")
        self._steps = "plain"
        turns = self.run("turns").schema
        self.summed = pa.schema([column for column in turns if _reads("sessions", column.name)])
        """Columns of the model ``turns`` that ``sessions`` reads: a third of them."""

    def load(self, rows: pa.Table, finished: pa.Table | None = None) -> None:
        """Replace what the models see.

        Args:
            rows: spans, schema NARROW.
            finished: rows of ``turns`` (schema ``summed``), which ``sessions`` reads; None where it is not to run.
        """
        nests = may_nest(rows)
        self._steps = "steps" if nests or rows["session_id"].null_count else "plain"
        run = self._connection.execute
        begin_anew(self._connection)
        filled = ", ".join(name for name in _READ if rows[name].null_count < rows.num_rows)
        if filled:  # what is left out is null, at no cost
            run(f"INSERT INTO once ({filled}) SELECT {filled} FROM rows")  # the argument: DuckDB finds it by its name
        if nests:
            run("EXECUTE nested")
            run("EXECUTE lent")
        if any(rows[name].null_count < rows.num_rows for name in ("user_text", "bot_text")):
            run("EXECUTE texts")
        if finished is not None:
            run(f"INSERT INTO turns ({', '.join(self.summed.names)}) FROM finished")

    def run(self, model: Literal["turns", "calls"], *, cut: bool = True) -> pa.Table:
        """A model over the rows that were loaded last; ``turns`` once for each time that rows were loaded.

        ``calls`` are ``sessions``, and beside that what rates of sessions are counted by.

        Args:
            model: which.
            cut: turns have their segments; else null stands there.
        """
        if model == "calls":
            return as_arrow(self._connection.execute(f"EXECUTE calls_{self._steps}"))
        for name in _CUT if cut else _CUT[:1]:
            self._connection.execute(f"EXECUTE {name}_{self._steps}")
        turns = as_arrow(self._connection.execute("EXECUTE turns"))
        return packed(turns, as_arrow(self._connection.execute("EXECUTE told"))) if cut else turns

    def nested(self) -> pa.Table | None:
        """The model ``nested`` over the spans loaded last; None where none of them is nested."""
        return None if self._steps == "plain" else as_arrow(self._connection.execute("FROM nested"))

    def lent(self) -> pa.Table | None:
        """The model ``lent`` over the spans loaded last; None where none of them is nested."""
        return None if self._steps == "plain" else as_arrow(self._connection.execute("FROM lent"))

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._connection.close()


def connect(short_session_s: float) -> duckdb.DuckDBPyConnection:
    """An engine in memory, on one core, that writes nowhere; a session abandoned before so many seconds is short."""
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "500MB", "temp_directory": ""})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET VARIABLE short_session_s = ?", [short_session_s])
    connection.execute("SET enable_progress_bar = false")  # the bot's standard output is the bot's
    return connection


def begin_anew(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget the rows of the last transaction and begin another."""
    with contextlib.suppress(duckdb.TransactionException):  # none is open where the last try to begin one failed
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")


def as_arrow(result: duckdb.DuckDBPyConnection) -> pa.Table:
    """A result's rows."""
    with warnings.catch_warnings():
        # It warns of a copy of the rows; what it recommends, sql(), binds the statement twice, which costs more.
        warnings.simplefilter("ignore", UserWarning)
        return result.to_arrow_table()


def may_nest(rows: pa.Table) -> bool:
    """Whether an operation is inside an operation; the model ``nested`` says which of them count."""
    # as numbers: to hash bytes takes several times longer
    ids = pa.table({name: _numbers(rows[name]) for name in ("span_id", "parent_span_id")})
    components = rows["component"]
    operations = np.asarray(pc.fill_null(pc.is_in(components, OPERATIONS), False))  # noqa: FBT003
    chosen = ids.filter(pa.array(operations))
    others = ids.filter(pc.equal(components, "other"))
    outside, above = chosen["span_id"].combine_chunks(), chosen["parent_span_id"]
    for _ in range(_BETWEEN + 1):
        if pc.any(pc.is_in(above, outside)).as_py():
            return True
        above = others["parent_span_id"].filter(pc.is_in(others["span_id"], above.combine_chunks()))
        if not len(above):
            break
    return False


def _numbers(ids: pa.ChunkedArray) -> pa.Array:
    """Ids of 8 bytes as integers."""
    return ids.combine_chunks().view(pa.int64())
