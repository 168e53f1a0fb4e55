"""The models over whole calls of frameworks whose spans don't carry their turns: placed first, then computed."""

from typing import Final, Literal

import pyarrow as pa

from otel_voicebot.models.catalog import EMPTY, MODELS, PLACING, SEGMENTS, chain
from otel_voicebot.models.prepared import NARROW, as_arrow, begin_anew, connect, may_nest
from otel_voicebot.models.terms import SHORT_SESSION_S

__all__ = ["PreparedCalls"]

_GIVEN: Final = frozenset({"once", "nested", "lent", "traces", "open_calls", *PLACING})
_CUT: Final = (*SEGMENTS, "turns")


class PreparedCalls:
    """As ``Prepared``, but all spans of a call are needed: what is placed depends on the others.

    The rows must hold each span once and with its session. For one thread.
    """

    def __init__(self, short_session_s: float = SHORT_SESSION_S) -> None:
        self._connection = connect(short_session_s)
        run = self._connection.execute
        # Each execution would optimise the plan again, which takes as long as running it. And worse: rows are only ever
        # inside a transaction, where nothing tells how many they are, and the order that is chosen for joins then pairs
        # all spans of a call with all of its turns. As written they are right.
        run("PRAGMA disable_optimizer")
        self._connection.register("empty", NARROW.empty_table())
        run("CREATE TEMP TABLE once AS FROM empty")
        run("CREATE TEMP VIEW spans AS FROM once")
        run(f"CREATE TEMP TABLE nested AS {MODELS['nested'].text}")
        run(f"CREATE TEMP TABLE traces AS {MODELS['traces'].text}")
        for name, columns in EMPTY.items():
            run(f"CREATE TEMP TABLE {name} ({columns})")
        run(f"CREATE TEMP TABLE framed AS {MODELS['framed'].text}")
        given = _GIVEN
        for name in _CUT:  # each reads those before it
            run(f"CREATE TEMP TABLE {name} AS {chain(name, given)}")
            given |= {name}
        for name in ("nested", "lent", "traces", *PLACING):
            run(f"PREPARE {name} AS INSERT INTO {name} {MODELS[name].text}")
        for name in _CUT:
            run(f"PREPARE {name} AS INSERT INTO {name} {chain(name, given - {name})}")
        for name in ("operations", "calls"):
            run(f"PREPARE {name} AS {chain(name, _GIVEN | {'turns'})}")

    def load(self, rows: pa.Table, under_way: list[str]) -> None:
        """Replace what the models see.

        Args:
            rows: all spans of some calls, schema NARROW.
            under_way: ids of those of which more is to come.
        """
        run = self._connection.execute
        begin_anew(self._connection)
        run("INSERT INTO once FROM rows")
        run("INSERT INTO open_calls SELECT unnest(?::VARCHAR[])", [under_way])
        linked = ("nested", "lent") if may_nest(rows) else ()
        for name in (*linked, "traces", *PLACING, *_CUT):
            run(f"EXECUTE {name}")

    def run(self, model: Literal["operations", "turns", "calls", "placed", "exchanges"]) -> pa.Table:
        """A model over the rows that were loaded last."""
        query = f"EXECUTE {model}" if model in ("operations", "calls") else f"FROM {model}"
        return as_arrow(self._connection.execute(query))

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._connection.close()
