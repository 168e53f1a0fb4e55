"""The turns of a question with the segments of their waits: as they were stored where that is up to date."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.models import Engine, Selection
from otel_voicebot.models.cutting import Cutting
from otel_voicebot.reports.parts import InParts, parts
from otel_voicebot.reports.scope import Scope, Unreadable
from otel_voicebot.reports.source import scope_of
from otel_voicebot.reports.spent import TOLD, joined, of_turns, spent
from otel_voicebot.reports.stored import RowsError, Stored, of_calls, sampled
from otel_voicebot.reports.waits import COLUMNS, Spent, with_longest
from otel_voicebot.store.reader import Snapshot, reading, snapshot

__all__ = ["Exchanges", "InMemory", "ask"]

Answer = TypeVar("Answer")

_ATTEMPTS: Final = 3
"""Readings of stored rows: a file may vanish in the first, and damage show in the next."""


class Exchanges(Protocol):
    """Turns that can be read until the question is answered."""

    @property
    def scope(self) -> Scope:
        """What they are of."""
        ...

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        """All turns with these columns of TURNS, or those of about every ``one_in``-th call, by its id's hash."""
        ...

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The turns of these calls."""
        ...

    def spent(self) -> Spent:
        """What the answered waits were spent on."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """Turns of a table in form TURNS."""

    table: pa.Table
    scope: Scope

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        """All of them, or those of every ``one_in``-th call by name."""
        return self.of(sorted(self.table["session_id"].unique().to_pylist())[::one_in], columns)

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The turns of these calls."""
        table = with_longest(self.table)
        table = table.filter(pc.is_in(table["session_id"], pa.array(sessions, pa.string())))
        return table.select([name for name in columns if name in table.column_names])

    def spent(self) -> Spent:
        """What the answered waits were spent on."""
        return of_turns(self.table)


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """Stored rows, and rows computed from spans of calls that have none, if there are such."""

    scope: Scope
    stored: Stored
    engine: Engine | None

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        stored = self.stored.rows(columns, sampled(one_in))
        return pa.concat_tables([stored, *self._computed(columns, sampled(one_in))], promote_options="permissive")

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        stored = self.stored.rows_of(sessions, columns)
        return pa.concat_tables([stored, *self._computed(columns, of_calls(sessions))], promote_options="permissive")

    def spent(self) -> Spent:
        return joined(map(of_turns, itertools.chain(self.stored.batches(TOLD), self._computed(TOLD, "true"))))

    def _computed(self, columns: Sequence[str], condition: str) -> Iterator[pa.Table]:
        if self.engine is not None:
            yield _chosen(self.engine, columns, condition)


@dataclass(slots=True)
class _FromSpans:
    """Rows computed from spans. Close it."""

    scope: Scope
    source: Snapshot
    selection: Selection
    engine: Engine | None = None

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        return self._computed(columns, sampled(one_in))

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        return self._computed(columns, of_calls(sessions))

    def spent(self) -> Spent:
        with Cutting(self.source, self.selection) as engine:
            return joined([spent(engine.waited(), engine.segments())])

    def _computed(self, columns: Sequence[str], condition: str) -> pa.Table:
        if self.engine is None:
            self.engine = Engine(self.source, self.selection)
        return _chosen(self.engine, columns, condition)

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()


def _chosen(engine: Engine, columns: Sequence[str], condition: str) -> pa.Table:
    # no text of a user's gets in here: names are the schema's, ids are quoted
    return engine.sql(f"SELECT {', '.join(columns)} FROM turns WHERE {condition}")  # noqa: S608


def ask(data: Path, selection: Selection, now: datetime, compute: Callable[[Exchanges], Answer]) -> Answer:
    """The answer to ``compute``; arguments and errors as of ``source.ask``.

    Stored rows only save work. Where a file of theirs vanished (its hour was merged) they are listed once more; without
    a damaged one, which stands in ``scope.unreadable``, its calls are computed from spans, as all are in the end.
    """
    return reading(data, lambda source: _answer(source, selection, now, compute), since=selection.since)


def _answer(source: Snapshot, selection: Selection, now: datetime, compute: Callable[[Exchanges], Answer]) -> Answer:
    scope = scope_of(source, selection, now)
    # of stored turns nobody knows what their call was about without its spans, nor which of these came later
    asked = selection.intent is not None or selection.as_of is not None
    turns, damaged = (None, ()) if asked else _listed(source)
    for _ in range(_ATTEMPTS):
        if turns is None:
            break
        try:
            with Stored(source, turns, selection) as stored:
                if not stored.usable:
                    break
                if not stored.stale:
                    return compute(_OnDisk(_without(scope, damaged), stored, None))
                with Engine(stored.rest(), selection) as engine:
                    return compute(_OnDisk(_without(scope, damaged), stored, engine))
        except RowsError as error:
            turns, damaged = (None, damaged) if error.too_large else _again(turns)
    if several := parts(source):
        return compute(InParts(_without(scope, damaged), source, several, selection))
    with closing(_FromSpans(_without(scope, damaged), source, selection)) as found:
        return compute(found)


_Damaged = tuple[Unreadable, ...]


def _listed(source: Snapshot) -> tuple[Snapshot | None, _Damaged]:
    """The stored rows beside these spans, None where there are none that can be read; and files that can't be."""
    return _told(lambda: snapshot(source.data, "turns", since=source.since))


def _again(turns: Snapshot) -> tuple[Snapshot | None, _Damaged]:
    """The same after a query over them failed."""
    if all(path.exists() for path in turns.files):
        found, damaged = _told(turns.without_unreadable)
        # what fails for another reason would fail again
        return (None, ()) if found is not None and found.files == turns.files else (found, damaged)
    return _told(lambda: snapshot(turns.data, "turns", since=turns.since))


def _told(take: Callable[[], Snapshot]) -> tuple[Snapshot | None, _Damaged]:
    try:
        found = take()
    except NoDataError:
        return None, ()
    except UnreadableDataError as error:
        return None, tuple(Unreadable(path, "its turns can't be read") for path in error.paths)
    return found, tuple(Unreadable(str(path), reason) for path, reason in found.damaged)


def _without(scope: Scope, damaged: _Damaged) -> Scope:
    return replace(scope, unreadable=(*scope.unreadable, *damaged))
