"""Calls of frameworks whose spans don't carry their turns: computed whole, each time a turn has come.

A turn is known by the spans around it, so all spans of such a call stay together. A turn that nothing to come should
change enters the metrics once; one that changes later is restated. An operation is counted once, by its key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.live.engines import Engines
from otel_voicebot.models.catalog import FLAT
from otel_voicebot.models.framed import PreparedCalls

__all__ = ["Computed", "Framed", "Whole", "of_frameworks"]

_FLAT: Final = pa.array(FLAT)
_PLACE: Final = ["session_id", "turn_index", "trace_id", "span_id"]
Same = Callable[[Mapping[str, object], Mapping[str, object]], bool]


@dataclass(slots=True)
class Whole:
    """What was counted of a call that is computed whole."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Its rows of turns as they were written last, by turn index."""
    revisions: dict[int, int] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    """Keys of operations and handoffs: trace id and span id, hex."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What a computation found. Tables of the models' columns; ``turns`` has revisions, too."""

    turns: pa.Table
    """Rows that are new or have changed."""
    fresh: pa.Table
    """Those that are new."""
    operations: pa.Table
    """Operations that were not counted before."""
    handoffs: pa.Table
    """Spans of handoffs that were not counted before."""
    sessions: pa.Table | None
    """Rows of the model ``calls`` of those that have ended; None where none has."""


def of_frameworks(rows: pa.RecordBatch) -> NDArray[np.bool_] | None:
    """Which spans a framework wrote that leaves turns to be put together; None where none did, which is usual."""
    dialects = rows["dialect"]
    found = pc.and_(pc.is_valid(dialects), pc.invert(pc.is_in(dialects, _FLAT)))
    return np.asarray(found) if found.true_count else None


class Framed:
    """Computes whole calls. For one thread."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def compute(self, rows: pa.Table, calls: dict[str, Whole], ended: Sequence[str]) -> Computed:
        """Compute calls and note what is counted with that.

        Args:
            rows: all spans of these calls, schema NARROW.
            calls: session id to what is known of it.
            ended: ids of those that are over: all of them is final.
        """
        over = set(ended)
        models = self._loaded(rows, [name for name in calls if name not in over])
        exchanges = models.run("exchanges").select(["session_id", "turn_index", "closed"]).to_pylist()
        closed = {(row["session_id"], row["turn_index"]) for row in exchanges if row["closed"]}
        turns = models.run("turns")
        places, numbers, fresh = [], [], []
        for place, row in enumerate(turns.to_pylist()):
            name, index = row["session_id"], row["turn_index"]
            known = calls[name]
            if (name in over or (name, index) in closed or index in known.rows) and known.rows.get(index) != row:
                fresh.append(index not in known.rows)
                known.rows[index] = row
                numbers.append(known.revisions.get(index, 0) + 1)
                known.revisions[index] = numbers[-1]
                places.append(place)
        changed = turns.take(pa.array(places, pa.int64())).append_column("revision", pa.array(numbers, pa.int32()))
        sessions = models.run("calls") if over else None  # a sixth of the queries' time
        if sessions is not None:
            sessions = sessions.filter(pc.is_in(sessions["session_id"], pa.array(over, pa.string())))
        return Computed(
            turns=changed,
            fresh=changed.filter(pa.array(fresh, pa.bool_())),
            operations=_uncounted(models.run("operations"), calls, over),
            handoffs=_handoffs(rows, calls),
            sessions=sessions,
        )

    def take_up(self, rows: pa.Table, calls: dict[str, Whole], same: Same) -> dict[str, int]:
        """Go on where another process was killed: operations of turns that have a row were counted.

        Args:
            rows: all spans of these calls, schema NARROW.
            calls: session id to what is known of it, with its rows as they were stored, and what was noted as counted.
            same: whether a computed row says what the stored one does. One that doesn't is restated later.

        Returns:
            How many operations of each were counted.
        """
        models = self._loaded(rows, list(calls))
        placed = models.run("placed").select(["trace_id", "span_id", "turn_index"]).to_pylist()
        places = {row["trace_id"].hex() + row["span_id"].hex(): row["turn_index"] for row in placed}
        for row in rows.filter(pc.equal(rows["component"], "handoff")).select(_PLACE).to_pylist():
            known, key = _of(row, calls)
            stored = known.rows.get(places.get(key, row["turn_index"]))
            if stored is not None and stored["handoff"]:
                known.counted.add(key)
        for row in models.run("turns").to_pylist():
            known = calls[row["session_id"]]
            stored = known.rows.get(row["turn_index"])
            if stored is not None and same(row, stored):
                known.rows[row["turn_index"]] = row
        counts = dict.fromkeys(calls, 0)
        for row in models.run("operations").select(_PLACE).to_pylist():
            known, key = calls[row["session_id"]], row["trace_id"] + row["span_id"]
            if row["turn_index"] in known.rows:
                known.counted.add(key)
            counts[row["session_id"]] += key in known.counted
        return counts

    def _loaded(self, rows: pa.Table, under_way: list[str]) -> PreparedCalls:
        models = self._engines.framed
        models.load(rows, under_way)
        return models


def _of(row: Mapping[str, Any], calls: Mapping[str, Whole]) -> tuple[Whole, str]:
    """The call of a span, and the span's key."""
    return calls[row["session_id"] or row["trace_id"].hex()], row["trace_id"].hex() + row["span_id"].hex()


def _handoffs(rows: pa.Table, calls: dict[str, Whole]) -> pa.Table:
    found = rows.filter(pc.equal(rows["component"], "handoff"))
    wanted = []
    for row in found.select(_PLACE).to_pylist():
        known, key = _of(row, calls)
        wanted.append(key not in known.counted)
        known.counted.add(key)
    return found.filter(pa.array(wanted, pa.bool_()))


def _uncounted(operations: pa.Table, calls: dict[str, Whole], over: set[str]) -> pa.Table:
    """Operations of turns that have a row, and all of calls that are over, which were not counted before."""
    wanted = []
    for row in operations.select(_PLACE).to_pylist():
        known, key = calls[row["session_id"]], row["trace_id"] + row["span_id"]
        final = row["session_id"] in over or row["turn_index"] in known.rows
        wanted.append(final and key not in known.counted)
        if final:
            known.counted.add(key)
    return operations.filter(pa.array(wanted, pa.bool_()))
