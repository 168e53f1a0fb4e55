"""Exchanges and the segments of their waits as columns: what slow, why and the report's section compute from.

The segments of one wait never overlap and add up to it, so times may be summed, by segment and owner, over any turns.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = [
    "COLUMNS",
    "LONGEST",
    "MOST_KEYS",
    "NOT_CUT",
    "OTHERS",
    "Key",
    "Spent",
    "Waits",
    "combined",
    "equals",
    "folded",
    "indices",
    "longest",
    "numbers",
    "row_of",
    "truths",
    "waits",
    "with_longest",
]

COLUMNS: Final = (
    *("kind", "session_id", "turn_index", "bot", "channel", "variant", "environment", "outcome", "abandon_reason"),
    *("response_gap_s", "wait_s", "error_type", "stt_provider", "stt_model", "llm_provider", "llm_model"),
    *("tts_provider", "tts_model", "segments"),
)
"""Columns of turns that ``waits`` reads."""

_CELLS: Final = 4_000_000
"""Turns times keys that are held at once: 32 MB."""
_ROWS: Final = 100_000
"""Turns whose longest segments are looked for at once."""

Ints = NDArray[np.int64]
Places = NDArray[np.int64] | NDArray[np.int32]
Bools = NDArray[np.bool_]


class Key(NamedTuple):
    """A segment and who owns it; None where nobody does, or nothing of the kind is known."""

    segment: str
    owner: str | None = None
    owner_kind: str | None = None
    provider: str | None = None
    model: str | None = None

    def document(self) -> dict[str, object]:
        """As it stands in JSON and CSV."""
        return self._asdict()

    @property
    def label(self) -> str:
        """In words: ``tts_first_audio by elevenlabs/flash``."""
        return f"{self.segment} by {self.owner}" if self.owner else self.segment


NOT_CUT: Final = Key("not_cut")
"""What a wait has beyond its segments: all of one that could not be cut, a rounding of the framework's figure else."""


OTHERS: Final = Key("others")
"""Segments of owners that are too many to be told apart, summed."""

MOST_KEYS: Final = 500
"""Segments and owners that are told apart; a sender may make up any number of names."""


@dataclass(frozen=True, slots=True)
class Spent:
    """How long waits were, and their segments.

    Attributes:
        waited_ns: how long the caller waited: the response gap of an answered exchange; of an abandoned one at least so
            long.
        keys: segments and owners that occur, the one with the most time first.
        turn: of each segment, the row of its exchange; ascending.
        key: of each segment, its place in ``keys``.
        ns: of each segment, how long it lasted.
    """

    waited_ns: Ints
    keys: tuple[Key, ...]
    turn: Places
    key: Places
    ns: Ints

    def __len__(self) -> int:
        return len(self.waited_ns)

    def totals(self) -> Iterator[tuple[int, Ints]]:
        """The nanoseconds by exchange and key, in pieces: (first exchange, exchanges x keys)."""
        width = max(len(self.keys), 1)
        step = max(_CELLS // width, 1)
        for first in range(0, len(self), step):
            rows = min(step, len(self) - first)
            left, right = np.searchsorted(self.turn, (first, first + rows))
            place = (self.turn[left:right] - first) * width + self.key[left:right]
            # doubles hold whole nanoseconds of up to 104 days
            sums = np.bincount(place, weights=self.ns[left:right], minlength=rows * width)
            yield first, sums.astype(np.int64).reshape(rows, width)

    def cut_ns(self) -> Ints:
        """How much of each wait its segments make up."""
        return np.bincount(self.turn, weights=self.ns, minlength=len(self)).astype(np.int64)

    def has(self) -> Bools:
        """Whether each wait has segments at all."""
        return np.bincount(self.turn, minlength=len(self)) > 0

    def only(self, chosen: Bools) -> "Spent":
        """Only the chosen exchanges; keys keep their places."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.turn]
        return Spent(self.waited_ns[chosen], self.keys, number[self.turn[kept]], self.key[kept], self.ns[kept])

    def folding(self, kept: Collection[Key]) -> Self:
        """The same with all other keys taken for one, ``OTHERS``, the last."""
        keys = [key for key in self.keys if key in kept]
        places = {key: place for place, key in enumerate(keys)}
        place = np.fromiter((places.get(key, len(keys)) for key in self.keys), np.int64, len(self.keys))
        return replace(self, keys=(*keys, OTHERS), key=place[self.key])


@dataclass(frozen=True, slots=True)
class Waits(Spent):
    """Exchanges with a known wait, and the segments of these waits.

    Attributes:
        table: one row per exchange, with ``COLUMNS``.
        answered: whether the bot answered.
    """

    table: pa.Table
    answered: Bools

    def sessions(self) -> tuple[Ints, int]:
        """Each exchange's call as a number from 0, in order of their names, and how many calls there are."""
        coded = self.table["session_id"].combine_chunks().dictionary_encode()
        place = np.empty(len(coded.dictionary), np.int64)  # rows come in another order each time
        place[numbers(pc.sort_indices(coded.dictionary)).astype(np.int64)] = np.arange(len(place))
        return place[numbers(coded.indices).astype(np.int64)], len(place)

    def where(self, chosen: Bools) -> "Waits":
        """Only the chosen exchanges; keys keep their places."""
        part = self.only(chosen)
        table = self.table.take(indices(np.flatnonzero(chosen)))
        return Waits(part.waited_ns, part.keys, part.turn, part.key, part.ns, table, self.answered[chosen])

    def segments_of(self, row: int) -> list[dict[str, object]]:
        """The segments of one exchange, by start, as they are stored."""
        found = self.table["segments"][row].as_py() if "segments" in self.table.column_names else None
        return found if isinstance(found, list) else []


Some = TypeVar("Some", bound=Spent)


def folded(found: Sequence[Some]) -> list[Some]:
    """The same with at most ``MOST_KEYS`` keys in all and ``OTHERS``: sums stay exact, and memory is bounded."""
    times: Counter[Key] = Counter()
    for one in found:
        sums = np.bincount(one.key, weights=one.ns, minlength=len(one.keys))
        times.update(dict(zip(one.keys, sums.astype(np.int64).tolist(), strict=True)))
    if len(times) <= MOST_KEYS:
        return list(found)
    kept = {key for key, _ in times.most_common(MOST_KEYS)}
    return [one.folding(kept) for one in found]


def waits(turns: pa.Table) -> Waits:
    """The exchanges among ``turns`` (form TURNS; of its columns only ``COLUMNS``) of which the wait is known."""
    waited = pc.coalesce(turns["response_gap_s"], turns["wait_s"])
    known = equals(turns["kind"], "exchange") & truths(pc.is_valid(waited))
    table = turns.append_column("waited_s", waited)
    if not known.all():
        table = table.take(indices(np.flatnonzero(known)))
    turn, key, ns, keys = _segments(table["segments"]) if "segments" in table.column_names else _NONE
    answered = truths(pc.is_valid(table["response_gap_s"]))
    return Waits(_nano(numbers(table["waited_s"])), keys, turn, key, ns, table, answered)


LONGEST: Final = ("longest_segment", "longest_owner")
"""Columns of turns: on what most of the wait was spent."""


def longest(segments: Sequence[Mapping[str, Any]]) -> tuple[Key, int] | None:
    """On what most of a wait was spent, and how many nanoseconds, as the model ``longest`` has it; None of no segments.

    Several segments of one kind and owner count together; of equally long ones the first.
    """
    times: dict[tuple[object, object], int] = {}
    for one in segments:
        what = (one["segment"], one["owner"])
        times[what] = times.get(what, 0) + round(one["duration_s"] * 1e9)
    if not times:
        return None
    most = max(times, key=lambda what: times[what])
    told = next(one for one in segments if (one["segment"], one["owner"]) == most)
    return Key(*(told[name] for name in Key._fields)), times[most]


def with_longest(turns: pa.Table) -> pa.Table:
    """The same with the columns ``LONGEST``, of rows that were stored without them from their segments."""
    for name in LONGEST:
        if name not in turns.column_names:
            turns = turns.append_column(name, pa.nulls(len(turns), pa.string()))
    if "segments" not in turns.column_names:
        return turns
    old = truths(pc.is_null(turns["longest_segment"])) & (_lengths(turns["segments"]) > 0)
    if not old.any():
        return turns
    parts = [turns.take(indices(np.flatnonzero(~old)))]
    rows = np.flatnonzero(old)
    for first in range(0, len(rows), _ROWS):
        part = turns.take(indices(rows[first : first + _ROWS]))
        lists = part["segments"].combine_chunks()
        most = lists.flatten().take(indices(_most(part["segments"])))
        for name, inner in zip(LONGEST, ("segment", "owner"), strict=True):
            part = part.set_column(part.column_names.index(name), name, pc.struct_field(most, inner))
        parts.append(part)
    return pa.concat_tables(parts)


def _most(segments: pa.ChunkedArray) -> Ints:
    """Of each list, none of them empty, where in all their segments the first of those stands that took longest."""
    turn, key, ns, keys = _segments(segments)
    pairs, firsts, pair = np.unique(turn * len(keys) + key, return_index=True, return_inverse=True)
    sums = np.bincount(pair, weights=ns)
    order = np.lexsort((firsts, -sums, pairs // len(keys)))
    leads = np.unique((pairs // len(keys))[order], return_index=True)[1]
    return np.asarray(firsts[order[leads]], np.int64)


_EMPTY: Final[Ints] = np.array([], np.int64)
_NONE: Final[tuple[Ints, Ints, Ints, tuple[Key, ...]]] = (_EMPTY, _EMPTY, _EMPTY, ())
"""Turns that were read, or stored, without their segments have none."""


def _nano(seconds: NDArray[np.float64]) -> Ints:
    return np.rint(seconds * 1e9).astype(np.int64)


def _lengths(column: pa.ChunkedArray) -> Ints:
    """How many segments each row has; 0 where it is null."""
    lists = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return np.asarray(np.diff(numbers(lists.offsets)) * truths(pc.is_valid(lists)), np.int64)


def _segments(column: pa.ChunkedArray) -> tuple[Ints, Ints, Ints, tuple[Key, ...]]:
    lists = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    turn = np.repeat(np.arange(len(lists), dtype=np.int64), _lengths(column))
    flat = lists.flatten()
    if not len(flat):
        return _NONE
    # `acme/x` may be a provider's model x, or a model of that name
    code, values = combined([pc.struct_field(flat, name) for name in Key._fields])
    firsts = np.empty(len(values), np.int64)
    firsts[code[::-1]] = np.arange(len(code))[::-1]
    told = flat.take(indices(firsts)).to_pylist()
    ns = _nano(numbers(pc.struct_field(flat, "duration_s")))
    order = np.argsort(-np.bincount(code, weights=ns), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return turn, place[code], ns, tuple(Key(*(told[at][name] for name in Key._fields)) for at in order.tolist())


def equals(column: pa.ChunkedArray, value: str) -> Bools:
    """Where a text is this one; null is not."""
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode("encode")
    names = coded.dictionary.to_pylist()
    same: Bools = numbers(coded.indices) == (names.index(value) if value in names else -1)
    return same


# ``pa.array``, ``pa.scalar`` and ``to_numpy`` import pandas first, which takes half a second; what follows doesn't.


def numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The values of a column without nulls."""
    return np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def truths(column: pa.Array | pa.ChunkedArray) -> Bools:
    """The same of booleans."""
    return numbers(column.cast(pa.uint8())).astype(np.bool_)


def row_of(table: pa.Table, at: int) -> dict[str, Any]:
    """One row as Python values."""
    one = table.slice(at, 1)
    times = [field.name for field in one.schema if pa.types.is_timestamp(field.type)]
    row: dict[str, Any] = one.drop_columns(times).to_pylist()[0]
    for name in times:
        (micros,) = one[name].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
        row[name] = None if micros is None else _EPOCH + timedelta(microseconds=micros)
    return row


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def indices(rows: Ints) -> pa.Array:
    """Row numbers for Arrow."""
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def combined(columns: Sequence[pa.Array]) -> tuple[Ints, list[tuple[str | None, ...]]]:
    """Of each row the number of its combination of values, and the combinations."""
    coded = [column.cast(pa.string()).dictionary_encode("encode") for column in columns]
    code = np.zeros(len(columns[0]), np.int64)
    for one in coded:
        code = _renumbered(code * len(one.dictionary) + numbers(one.indices).astype(np.int64))
    firsts = np.empty(int(code.max(initial=-1)) + 1, np.int64)
    firsts[code[::-1]] = np.arange(len(code))[::-1]
    return code, [tuple(one[at].as_py() for one in coded) for at in firsts.tolist()]


def _renumbered(code: Ints) -> Ints:
    """The same with the numbers that occur counted from 0. Where they are small there is no need to sort millions."""
    if int(code.max(initial=0)) > _CELLS:  # a sender that makes up names: a place for each pair may take gigabytes
        return np.unique(code, return_inverse=True)[1].astype(np.int64)
    occurs = np.bincount(code) > 0
    return (np.cumsum(occurs) - 1)[code]
