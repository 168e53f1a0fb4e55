"""Turns of very many spans, computed part by part: where a part fits into memory a wait is cut in half the time.

A part is some hours of ingest. Calls that lie in several parts are a part of their own.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.models import Engine, Selection
from otel_voicebot.models.catalog import NO_CUTS
from otel_voicebot.models.cutting import Cutting
from otel_voicebot.models.packed import TOLD, packed
from otel_voicebot.models.terms import Source
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.spent import joined, spent
from otel_voicebot.reports.stored import PartOf, quoted, sampled
from otel_voicebot.reports.waits import COLUMNS, Spent
from otel_voicebot.store.reader import Snapshot

__all__ = ["InParts", "parts"]

_SPANS: Final = 400_000
"""Spans of a part, at least; what the engine holds of twice as many doesn't fit into its memory."""
_AT_ONCE: Final = 4
"""Parts that are computed at once, at most, each by an engine of its own: so few rows keep one core busy, not two."""
_MOST_ASTRIDE: Final = 5000
"""Calls in several parts; of more, nothing is divided."""


@dataclass(frozen=True)
class _Hours:
    """Some hours' files, without the calls that lie in others, too."""

    files: Snapshot
    astride: tuple[str, ...]

    def sql(self, columns: Sequence[str] | None = None, *, raw_ids: bool = False) -> str:
        """As ``Snapshot.sql``."""
        names = list(columns or self.files.schema.names)
        inside = self.files.sql(list(dict.fromkeys([*names, "session_id"])), raw_ids=raw_ids)
        if not self.astride:
            return inside if "session_id" in names else f"SELECT {', '.join(names)} FROM ({inside})"
        return f"SELECT {', '.join(names)} FROM ({inside}) WHERE session_id NOT IN ({quoted(self.astride)})"


class _Packed(Engine):
    """An engine whose turns get their segments outside of it: it is slow with lists of texts."""

    def _define_cuts(self, *, cut: bool) -> None:
        super()._define_cuts(cut=cut)
        if cut:
            self._connection.execute("DROP VIEW cuts")
            self._connection.execute(f"CREATE TEMP TABLE cuts ({NO_CUTS['cuts']})")

    def turns(self, columns: Sequence[str], condition: str) -> pa.Table:
        """Turns with these columns, which hold ``session_id`` and ``turn_index``."""
        found = self.sql(f"SELECT {', '.join(columns)} FROM turns WHERE {condition}")
        return packed(found, self.sql(f"{TOLD} WHERE {condition}")) if "segments" in columns else found


@dataclass(frozen=True, slots=True)
class InParts:
    """Turns (see ``Exchanges``) that are computed from their spans, part by part, each time that they are asked for."""

    scope: Scope
    source: Snapshot
    several: tuple[Source, ...]
    selection: Selection

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        """All turns with these columns of TURNS, or those of about every ``one_in``-th call."""
        needed = tuple(dict.fromkeys((*columns, "session_id", "turn_index")))
        found = list(self._each(needed, sampled(one_in)))
        return pa.concat_tables(found, promote_options="permissive").select(list(columns))

    def _each(self, columns: Sequence[str], condition: str) -> Iterator[pa.Table]:
        for part in self.several:
            with _Packed(part, self.selection) as engine:
                yield engine.turns(columns, condition)

    def spent(self) -> Spent:
        """What the answered waits were spent on."""

        def cut(part: Source) -> Spent:
            with Cutting(part, self.selection, threads) as engine:
                return spent(engine.waited(), engine.segments())

        cores = os.cpu_count() or 1
        workers = min(cores, _AT_ONCE)
        threads = cores // workers
        with ThreadPoolExecutor(workers, "otel-voicebot-cut") as pool:
            waiting = deque(pool.submit(cut, part) for part in self.several)
            try:
                # each is let go of once it is added: hundreds of millions of spans have gigabytes of segments
                return joined(waiting.popleft().result() for _ in self.several)
            finally:
                pool.shutdown(cancel_futures=True)

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The turns of these calls."""
        with Engine(PartOf(self.source, tuple(sessions), ()), self.selection) as engine:
            return engine.sql(f"SELECT {', '.join(columns)} FROM turns WHERE session_id IN ({quoted(sessions)})")


def parts(source: Snapshot) -> tuple[Source, ...]:
    """The spans in parts; none where they are few, or where calls can't be told apart by their spans alone.

    Raises:
        UnreadableDataError: they can't be read.
    """
    hours: dict[str, list[Path]] = {}
    for path in source.files:
        hours.setdefault(f"{path.parent.parent.name}/{path.parent.name}", []).append(path)
    groups: list[set[Path]] = []
    rows = _SPANS
    try:
        for _, files in sorted(hours.items()):
            if rows >= _SPANS:
                groups.append(set())
                rows = 0
            groups[-1].update(files)
            rows += sum(pq.read_metadata(path).num_rows for path in files)
        if len(groups) < 2:
            return ()
        pieces = [_only(source, group) for group in groups]
        astride = _astride(pieces)
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        raise UnreadableDataError(f"the spans can't be read: {str(error).partition(chr(10))[0]}") from error
    if astride is None:
        return ()
    found: list[Source] = [_Hours(piece, astride) for piece in pieces]
    return (*found, PartOf(source, astride, ())) if astride else tuple(found)


def _only(source: Snapshot, files: set[Path]) -> Snapshot:
    hot, history = (tuple(path for path in some if path in files) for some in (source.hot, source.history))
    return replace(source, hot=hot, history=history)


def _astride(pieces: Sequence[Snapshot]) -> tuple[str, ...] | None:
    """Calls that lie in several pieces; None where they are many, or a span doesn't say whose it is."""
    with duckdb.connect(config={"memory_limit": "700MB", "temp_directory": ""}) as connection:
        run = connection.execute
        run("SET enable_progress_bar = false")  # it would go to stdout, before the answer
        run("CREATE TEMP TABLE homes (session_id VARCHAR)")
        for piece in pieces:
            run(f"INSERT INTO homes SELECT DISTINCT session_id FROM ({piece.sql(['session_id'])})")
        if run("SELECT count(*) > count(session_id) FROM homes").fetchall()[0][0]:
            return None
        found = run("SELECT session_id FROM homes GROUP BY session_id HAVING count(*) > 1 ORDER BY ALL").fetchall()
    return tuple(name for (name,) in found) if len(found) <= _MOST_ASTRIDE else None
