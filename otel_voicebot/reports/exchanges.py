"""The turns of a question with the segments of their waits: as they were stored where that is up to date."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.models import Engine, Selection
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import scope_of
from otel_voicebot.reports.stored import Stored, sampled
from otel_voicebot.reports.waits import COLUMNS
from otel_voicebot.store.reader import Snapshot, reading

__all__ = ["RANKING", "Exchanges", "InMemory", "ask"]

Answer = TypeVar("Answer")

RANKING: Final = ("kind", "session_id", "turn_index", "response_gap_s", "wait_s")
"""What it takes to find the slowest turns."""


class Exchanges(Protocol):
    """Turns that can be read until the question is answered."""

    @property
    def scope(self) -> Scope:
        """What they are of."""
        ...

    def ranking(self) -> pa.Table:
        """All turns with the columns ``RANKING``."""
        ...

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1, beside: Sequence[str] = ()) -> pa.Table:
        """All turns with these columns of TURNS, or those of a sample of the calls and of the calls ``beside``.

        About every ``one_in``-th call is ``drawn`` (a further column), by the hash of its id.
        """
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """Turns of a table in form TURNS."""

    table: pa.Table
    scope: Scope

    def ranking(self) -> pa.Table:
        """All of them."""
        return self.table

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1, beside: Sequence[str] = ()) -> pa.Table:
        """All of them, or those of every ``one_in``-th call by name."""
        names = sorted(self.table["session_id"].unique().to_pylist())[::one_in]
        table = self.table.select([name for name in columns if name in self.table.column_names])
        table = table.append_column("drawn", pc.is_in(self.table["session_id"], pa.array(names, pa.string())))
        return table.filter(pc.or_(table["drawn"], pc.is_in(table["session_id"], pa.array(beside, pa.string()))))


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """Stored rows, and rows computed from spans of calls that have none; one of the two is there."""

    scope: Scope
    stored: Stored | None
    engine: Engine | None

    def ranking(self) -> pa.Table:
        return self.turns(RANKING)

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1, beside: Sequence[str] = ()) -> pa.Table:
        parts = [self.stored.rows(columns, one_in, beside)] if self.stored is not None else []
        if self.engine is not None:
            parts.append(self.engine.sql(sampled("turns", columns, one_in, beside)))
        return pa.concat_tables(parts, promote_options="permissive")


def ask(data: Path, selection: Selection, now: datetime, compute: Callable[[Exchanges], Answer]) -> Answer:
    """The answer to ``compute``; arguments and errors as of ``source.ask``."""
    return reading(data, lambda source: _answer(source, selection, now, compute), since=selection.since)


def _answer(source: Snapshot, selection: Selection, now: datetime, compute: Callable[[Exchanges], Answer]) -> Answer:
    scope = scope_of(source, selection, now)
    with ExitStack() as stack:
        stored = Stored.of(source, selection)
        if stored is not None:
            stack.enter_context(stored)
            if stored.usable and not stored.stale:
                return compute(_OnDisk(scope, stored, None))
            if stored.usable:
                engine = stack.enter_context(Engine(stored.rest(), selection))
                return compute(_OnDisk(scope, stored, engine))
            stored.close()
        return compute(_OnDisk(scope, None, stack.enter_context(Engine(source, selection))))
