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
from otel_voicebot.reports.stored import Stored
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

    def turns(self, one_in: int = 1) -> pa.Table:
        """All turns with ``waits.COLUMNS``, or those of about every ``one_in``-th call, drawn by the hash of its id."""
        ...

    def whole(self, sessions: Sequence[str]) -> pa.Table:
        """The turns of some calls with all columns."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """Turns of a table in form TURNS."""

    table: pa.Table
    scope: Scope

    def ranking(self) -> pa.Table:
        """All of them."""
        return self.table

    def turns(self, one_in: int = 1) -> pa.Table:
        """All of them, or those of every ``one_in``-th call by name."""
        if one_in == 1:
            return self.table
        names = sorted(self.table["session_id"].unique().to_pylist())
        return self.whole(names[::one_in])

    def whole(self, sessions: Sequence[str]) -> pa.Table:
        """The rows of these calls."""
        return self.table.filter(pc.is_in(self.table["session_id"], pa.array(sessions, pa.string())))


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """Stored rows, and rows computed from spans of calls that have none."""

    scope: Scope
    stored: Stored | None
    engine: Engine | None

    def ranking(self) -> pa.Table:
        return self._read(RANKING, 1)

    def turns(self, one_in: int = 1) -> pa.Table:
        return self._read(COLUMNS, one_in)

    def _read(self, columns: Sequence[str], one_in: int) -> pa.Table:
        parts = [self.stored.rows(columns, one_in)] if self.stored is not None else []
        if self.engine is not None:
            sample = f" WHERE hash(session_id) % {one_in} = 0" if one_in > 1 else ""
            query = f"SELECT {', '.join(columns)} FROM turns{sample}"  # noqa: S608 - names of ours
            parts.append(self.engine.sql(query))
        return pa.concat_tables(parts, promote_options="permissive")

    def whole(self, sessions: Sequence[str]) -> pa.Table:
        if self.stored is None:
            assert self.engine is not None  # noqa: S101 - one of the two is there
            return self.engine.turns_of(sessions)
        stale = set(self.stored.stale)
        parts = [self.stored.of_sessions([name for name in sessions if name not in stale])]
        if self.engine is not None:
            parts.append(self.engine.turns_of([name for name in sessions if name in stale]))
        common = [name for name in parts[0].column_names if all(name in part.column_names for part in parts)]
        return pa.concat_tables([part.select(common) for part in parts], promote_options="permissive")


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
