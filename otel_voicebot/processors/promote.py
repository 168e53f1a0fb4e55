"""Attributes that have a column of their own: from the flat table into typed columns."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.dialects import COLUMNS
from otel_voicebot.giving_way import breathe
from otel_voicebot.processors.derived import Derived
from otel_voicebot.processors.identifiers import NAME_COLUMNS, are_identifiers, are_names
from otel_voicebot.processors.lookup import Keyed
from otel_voicebot.processors.plans import CONTENT_COLUMNS, STAMPED, Asks, Source
from otel_voicebot.processors.ranges import CHOICES, FIRST_CHUNK_OF_ERROR, RANGES, note, rule_of, within
from otel_voicebot.processors.spread import Filling, spread_numbers, spread_texts
from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind, Mask
from otel_voicebot.spans.schema import SPANS

__all__ = ["Promoter"]

_EXACT: Final = float(2**53)
"""Doubles beyond this don't hold every integer."""


class Promoter:
    """Moves attributes into columns, all entries of a key at once. What doesn't fit its column stays.

    An attribute may fill several columns. An empty text and a number that is not finite fill none: they say nothing.

    Args:
        attributes: of the spans.
        size: number of spans.
        keyed: the same attributes by key, where they are known so already.
        asked: attributes that may fill a column of identifiers or names, beside the stamps.
    """

    def __init__(
        self, attributes: Attributes, size: int, keyed: Keyed | None = None, asked: frozenset[str] = frozenset()
    ) -> None:
        self._table = attributes
        self._size = size
        self._keyed = keyed or Keyed(attributes)
        self._asked = asked | _STAMPS
        self._left = np.ones(len(attributes), dtype=bool)
        self._derived = Derived(len(attributes.kind))
        self._filled: dict[str, Filling] = {}
        self._fits: dict[tuple[object, ...], Mask] = {}
        self._unknown: dict[tuple[str, ...], Mask | None] = {}
        self.broken: dict[str, Mask] = {}
        """Quality rule to the rows that break it: they carry a value that its column may not hold."""

    def offer(self, name: str, group: int, rows: Int32s, values: pa.Array) -> None:
        """Take values that were derived from a group's attributes, one for each of these rows.

        Before anything is promoted.
        """
        self._derived.add((name, group), rows, values, names=name in self._asked)

    def promote(self, plan: Iterable[Source], group: int | None, ask: Asks | None = None) -> None:
        """Fill columns from the first of their attributes that fits.

        Args:
            plan: what fills them.
            group: the group of the rows on which, as in ``keyed``; None for all.
            ask: the rows on which a field counts, and the texts that say nothing.
        """
        for source in plan:
            derived = None if group is None else self._derived.places.get((source.name, group))
            found = derived or self._keyed.find(source.name, group)
            if found is not None:
                breathe()
                self._fill(source, found, None if derived else self._keyed.positions(source.name, group), ask)

    def _fill(
        self,
        source: Source,
        found: tuple[Int32s, Int32s],
        entries: Indices | None,
        ask: Asks | None,
    ) -> None:
        column, (at, values) = source.column, found
        allowed = self._allowed(source)[values]
        judged = (column in RANGES or source.name in CHOICES) and not allowed.all()
        take = self._fitting(column)[values] if judged else allowed
        if source.positive:
            take &= self._doubles[values] > 0
        if ask is not None:
            if source.field is not None and (source.field.spans or not source.field.failed):
                rows = ask.counts(source.field, at)
                if column == "time_to_first_chunk_s" and not source.field.failed and not rows.all():
                    note(self.broken, FIRST_CHUNK_OF_ERROR, at[take & ~rows & ask.failed(source.field, at)], self._size)
                take &= rows
            if ask.unknown and _TYPES[column] == pa.string():
                unknown = self._unknowns(ask.unknown)
                if unknown is not None:
                    take &= ~unknown[values]
        filled = self._filled.get(column)
        if filled is None:
            filled = self._filled[column] = Filling(self._size)
        else:
            take &= ~filled.there[at]
        if judged:
            # only what would be taken: elsewhere the attribute is another column's, or the column has its value
            note(self.broken, rule_of(column), at[take & ~allowed], self._size)
            take &= allowed
        if not take.all():
            at, values = at[take], values[take]
            entries = None if entries is None else entries[take]
        filled.add(at, values)
        if entries is not None:
            self._left[entries] = False

    def _fitting(self, column: str) -> Mask:
        """Which values fit a column; worked out once for all columns that take the same."""
        kind = _KINDS[column]
        if (kind,) not in self._fits:
            table = self._values
            fits = _FITS[kind](table)
            judge = _JUDGES.get(kind)
            if judge is not None:
                # only what may come into such a column is judged: reading every prompt would cost more than all else
                asked = np.flatnonzero(self._of_texts & fits)
                fits = np.zeros(len(fits), dtype=bool)
                fits[asked] = judge(self._texts(asked))
            self._fits[kind,] = fits
        return self._fits[kind,]

    def _texts(self, values: Int32s | Indices) -> pa.StringArray:
        """The texts of values, of attributes and derived ones."""
        return self._derived.texts(self._table.text, values)

    @cached_property
    def _of_texts(self) -> Mask:
        """Which values may fill a column of identifiers or names."""
        asked = np.array([key in self._asked for key in self._table.keys] + [True, False], dtype=bool)
        mask: Mask = asked[self._values.key]
        return mask

    @cached_property
    def _values(self) -> Attributes:
        """The values of attributes, and behind them those that were derived; without the texts of these."""
        return self._derived.behind(self._table)

    def _allowed(self, source: Source) -> Mask:
        """Which values fit a column and are in its range or among its words; once for all with the same bounds."""
        column = source.column
        choices, bounds = CHOICES.get(source.name), RANGES.get(column)
        if choices is None and bounds is None:
            return self._fitting(column)
        name = (_KINDS[column], source.name if choices else bounds)
        if name not in self._fits:
            fits = self._fitting(column)
            if choices is not None:
                # only this key's values are ever asked for
                found = self._keyed.find(source.name)
                mine = np.unique(found[1]) if found is not None else np.zeros(0, np.int32)
                fits = fits.copy()
                fits[mine] &= np.asarray(pc.is_in(self._table.text.take(pa.array(mine)), pa.array(choices)))
            elif bounds is not None:
                fits = fits & within(self._doubles if _TYPES[column] == pa.float64() else self._integers, bounds)
            self._fits[name] = fits
        return self._fits[name]

    def _unknowns(self, texts: tuple[str, ...]) -> Mask | None:
        """Which values are one of these texts; None when none is."""
        if texts not in self._unknown:
            asked = np.flatnonzero(self._of_texts & _any_text(self._values))
            found = np.asarray(pc.is_in(self._texts(asked), pa.array(texts)))
            mask = np.zeros(len(self._values.kind), dtype=bool)
            mask[asked] = found
            self._unknown[texts] = mask if found.any() else None
        return self._unknown[texts]

    def columns(self) -> dict[str, pa.Array]:
        """The columns that were filled, and typed nulls for those that could have been."""
        return {
            name: self._column(self._filled[name], kind) if name in self._filled else pa.nulls(self._size, kind)
            for name, kind in _TYPES.items()
        }

    def _column(self, filled: Filling, kind: pa.DataType) -> pa.Array:
        values = filled.values()
        if kind == pa.string():
            return spread_texts(self._texts(values), filled.there)
        if kind == pa.float64():
            return spread_numbers(self._doubles[values], filled.there, kind)
        if kind == pa.bool_():
            return spread_numbers(self._values.integer[values] != 0, filled.there, kind)
        numbers = self._integers[values].astype(kind.to_pandas_dtype(), copy=False)
        return spread_numbers(numbers, filled.there, kind)

    @cached_property
    def _doubles(self) -> npt.NDArray[np.float64]:
        table = self._values
        doubles: npt.NDArray[np.float64] = np.where(table.kind == Kind.DOUBLE, table.double, table.integer)
        return doubles

    @cached_property
    def _integers(self) -> npt.NDArray[np.int64]:
        whole = np.where(_integral(self._values), self._values.double, 0).astype(np.int64)
        integers: npt.NDArray[np.int64] = whole + self._values.integer
        return integers

    def rest(self) -> Attributes:
        """The attributes that have no column."""
        return self._table.take(np.flatnonzero(self._left)).in_use()


_STAMPS: Final = frozenset(source.name for source in STAMPED)


def _integral(table: Attributes) -> Mask:
    doubles = np.where(table.kind == Kind.DOUBLE, table.double, np.nan)
    integral: Mask = (np.floor(doubles) == doubles) & (np.abs(doubles) <= _EXACT)
    return integral


def _any_int64(table: Attributes) -> Mask:
    whole: Mask = (table.kind == Kind.INT) | _integral(table)
    return whole


def _any_int32(table: Attributes) -> Mask:
    number = np.where(table.kind == Kind.DOUBLE, table.double, table.integer)
    whole: Mask = _any_int64(table) & (np.abs(number) < 2**31)
    return whole


def _any_double(table: Attributes) -> Mask:
    numbers: Mask = ((table.kind == Kind.DOUBLE) & np.isfinite(table.double)) | (table.kind == Kind.INT)
    return numbers


def _any_text(table: Attributes) -> Mask:
    texts: Mask = table.kind == Kind.STRING
    return texts


_FITS: Final[dict[str, Callable[[Attributes], Mask]]] = {
    "bool": lambda table: table.kind == Kind.BOOL,
    "int32": _any_int32,
    "int64": _any_int64,
    "double": _any_double,
    "content": _any_text,
    "name": _any_text,
    "identifier": _any_text,
}
"""Which values a column of a kind takes. Integers are taken for doubles, whole doubles for integers."""
_JUDGES: Final = {"name": are_names, "identifier": are_identifiers}
"""Which of the texts a column takes."""

_TYPES: Final = {name: SPANS.field(name).type for name in COLUMNS}


def _kind(column: str) -> str:
    if _TYPES[column] != pa.string():
        return str(_TYPES[column])
    return "content" if column in CONTENT_COLUMNS else "name" if column in NAME_COLUMNS else "identifier"


_KINDS: Final = {column: _kind(column) for column in _TYPES}
