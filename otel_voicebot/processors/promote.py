"""Attributes that have a column of their own: from the flat table into typed columns."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.dialects import COLUMNS, Columns, Field
from otel_voicebot.processors.identifiers import NAME_COLUMNS, are_identifiers, are_names
from otel_voicebot.processors.ranges import CHOICES, RANGES, rule_of, within
from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind, Mask
from otel_voicebot.spans.schema import SPANS

__all__ = ["CONTENT_COLUMNS", "Promoter"]

CONTENT_COLUMNS: Final = ("user_text", "bot_text")
"""Columns that take any text."""

_EXACT: Final = float(2**53)
"""Doubles beyond this don't hold every integer."""


class Promoter:
    """Moves attributes into columns, all entries of a key at once. What doesn't fit its column stays.

    An attribute may fill several columns. An empty text and a number that is not finite fill none: they say nothing.

    Args:
        attributes: of the spans.
        size: number of spans.
    """

    def __init__(self, attributes: Attributes, size: int) -> None:
        self._table = attributes
        self._size = size
        self._order = attributes.by_key()
        self._rows = attributes.row[self._order]
        self._values = attributes.value[self._order]
        ends = np.searchsorted(attributes.key[self._values], np.arange(len(attributes.keys) + 1))
        self._slices = {key: slice(ends[code], ends[code + 1]) for code, key in enumerate(attributes.keys)}
        # one more: what was derived is no entry
        self._left = np.ones(len(attributes) + 1, dtype=bool)
        self._derived: dict[str, tuple[Int32s, Int32s]] = {}
        self._unknown: dict[tuple[str, ...], Mask] = {}
        self._filled: dict[str, Int32s] = {}
        self._fits: dict[tuple[object, ...], Mask] = {}
        self.broken: dict[str, Mask] = {}
        """Quality rule to the rows that break it: they carry a value that its column may not hold."""

    def entries(self, key: str) -> tuple[Int32s, Int32s] | None:
        """The rows that have the attribute, and its value's place of each; None when there are none."""
        place = self._slices.get(key)
        return None if place is None or place.stop <= place.start else (self._rows[place], self._values[place])

    def texts(self, values: Int32s | Indices) -> list[str | None]:
        """The values that are texts."""
        kinds = self._table.kind[values]
        texts = self._table.text.take(pa.array(values)).to_pylist()
        return [text if kind == Kind.STRING else None for text, kind in zip(texts, kinds, strict=True)]

    def numbers(self, values: Int32s) -> npt.NDArray[np.float64]:
        """The values that are numbers; NaN for the others."""
        kind = self._table.kind[values]
        whole = np.where(kind == Kind.INT, self._table.integer[values], np.nan)
        return np.where(kind == Kind.DOUBLE, self._table.double[values], whole)

    def offered(self, name: str) -> bool:
        """Whether there is a derived value of this name."""
        return name in self._derived

    def offer(self, name: str, rows: Int32s, values: pa.Array) -> None:
        """Take values that were derived from attributes, one for each of these rows; before anything is promoted."""
        table, count = self._table, len(values)
        kind = {pa.string(): Kind.STRING, pa.bool_(): Kind.BOOL}.get(values.type, Kind.DOUBLE)
        zeros = np.zeros(count, np.int64)
        self._derived[name] = rows, np.arange(count, dtype=np.int32) + np.int32(len(table.kind))
        self._table = replace(
            table,
            key=np.append(table.key, np.full(count, -1, np.int32)),
            kind=np.append(table.kind, np.full(count, kind, np.uint8)),
            text=pa.concat_arrays([table.text, values if kind == Kind.STRING else pa.nulls(count, pa.string())]),
            integer=np.append(table.integer, np.asarray(values).astype(np.int64) if kind == Kind.BOOL else zeros),
            double=np.append(table.double, np.asarray(values) if kind == Kind.DOUBLE else zeros),
        )

    def promote(self, columns: Columns, rows: Mask | None, ask: "Asks | None" = None) -> None:
        """Fill columns from the first of their attributes that fits.

        Args:
            columns: what fills them.
            rows: the rows on which; None for all.
            ask: the rows on which a field counts, and the texts that say nothing.
        """
        for column, keys in columns.items():
            for key in keys:
                name = key if isinstance(key, str) else key.name
                place = self._slices.get(name)
                if name in self._derived or (place is not None and place.stop > place.start):
                    self._fill(column, key, rows, ask)

    def _place(self, name: str) -> tuple[Int32s, Int32s, Indices]:
        """Rows, values and entries of an attribute or a derived value."""
        if name in self._derived:
            rows, values = self._derived[name]
            return rows, values, np.full(len(rows), len(self._left) - 1)
        place = self._slices[name]
        return self._rows[place], self._values[place], self._order[place]

    def _fill(self, column: str, key: str | Field, rows: Mask | None, ask: "Asks | None") -> None:
        name = key if isinstance(key, str) else key.name
        at, values, entries = self._place(name)
        take = self._allowed(column, name)[values]
        if isinstance(key, Field) and key.positive:
            told = self._doubles[values] > 0
            at, values, entries, take = at[told], values[told], entries[told], take[told]
        if rows is not None:
            mine = rows[at]
            if not mine.all():
                at, values, entries, take = at[mine], values[mine], entries[mine], take[mine]
        if not take.all() and (column in RANGES or name in CHOICES):
            self._note(column, values, at, take)
        if ask is not None:
            if isinstance(key, Field) and (key.spans or not key.failed):
                take &= ask.rows(key)[at]
            if ask.unknown and _TYPES[column] == pa.string():
                take &= ~self._unknowns(ask.unknown)[values]
        filled = self._filled.get(column)
        if filled is None:
            filled = self._filled[column] = np.full(self._size, -1, np.int32)
        else:
            take &= filled[at] < 0
        if not take.all():
            at, values, entries = at[take], values[take], entries[take]
        filled[at] = values
        self._left[entries] = False

    def _fitting(self, column: str) -> Mask:
        """Which values fit a column; worked out once for all columns that take the same."""
        kind = _KINDS[column]
        if (kind,) not in self._fits:
            self._fits[kind,] = _FITS[kind](self._table)
        return self._fits[kind,]

    def _allowed(self, column: str, key: str) -> Mask:
        """Which values fit a column and are in its range or among its words; once for all with the same bounds."""
        choices, bounds = CHOICES.get(key), RANGES.get(column)
        name = (_KINDS[column], key if choices else bounds)
        if name not in self._fits:
            fits = self._fitting(column)
            if choices is not None:
                # only this key's values are ever asked for
                mine = np.unique(self._values[self._slices[key]])
                fits = fits.copy()
                fits[mine] &= np.asarray(pc.is_in(self._table.text.take(pa.array(mine)), pa.array(choices)))
            elif bounds is not None:
                fits = fits & within(self._doubles if _TYPES[column] == pa.float64() else self._integers, bounds)
            self._fits[name] = fits
        return self._fits[name]

    def _unknowns(self, texts: tuple[str, ...]) -> Mask:
        """Which values are one of these texts."""
        if texts not in self._unknown:
            self._unknown[texts] = np.asarray(pc.is_in(self._table.text, pa.array(texts)))
        return self._unknown[texts]

    def _note(self, column: str, values: Int32s, at: Int32s, taken: Mask) -> None:
        """Remember the rows with a value of the column's type that it may not hold."""
        strange = at[self._fitting(column)[values] & ~taken]
        if len(strange):
            self.broken.setdefault(rule_of(column), np.zeros(self._size, dtype=bool))[strange] = True

    def columns(self) -> dict[str, pa.Array]:
        """The columns that were filled, and typed nulls for those that could have been."""
        return {
            name: self._column(self._filled[name], kind) if name in self._filled else pa.nulls(self._size, kind)
            for name, kind in _TYPES.items()
        }

    def _column(self, values: Int32s, kind: pa.DataType) -> pa.Array:
        table, missing = self._table, values < 0
        if kind == pa.string():
            return table.text.take(pa.array(values, mask=missing))
        if kind == pa.float64():
            return pa.array(self._doubles[values], mask=missing)
        if kind == pa.bool_():
            return pa.array(table.integer[values] != 0, mask=missing)
        return pa.array(self._integers[values].astype(kind.to_pandas_dtype(), copy=False), mask=missing)

    @cached_property
    def _doubles(self) -> npt.NDArray[np.float64]:
        doubles: npt.NDArray[np.float64] = np.where(
            self._table.kind == Kind.DOUBLE, self._table.double, self._table.integer
        )
        return doubles

    @cached_property
    def _integers(self) -> npt.NDArray[np.int64]:
        whole = np.where(_integral(self._table), self._table.double, 0).astype(np.int64)
        integers: npt.NDArray[np.int64] = whole + self._table.integer
        return integers

    def rest(self) -> Attributes:
        """The attributes that have no column."""
        return self._table.take(np.flatnonzero(self._left[:-1])).in_use()


class Asks(Protocol):
    """What a dialect says of the rows of its fields."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Texts that say that a value is not known."""
        ...

    def rows(self, field: Field) -> Mask:
        """The rows on which the field counts."""
        ...


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
    "name": lambda table: _any_text(table) & are_names(table.text),
    "identifier": lambda table: _any_text(table) & are_identifiers(table.text),
}
"""Which values a column of a kind takes. Integers are taken for doubles, whole doubles for integers."""

_TYPES: Final = {name: SPANS.field(name).type for name in COLUMNS}


def _kind(column: str) -> str:
    if _TYPES[column] != pa.string():
        return str(_TYPES[column])
    return "content" if column in CONTENT_COLUMNS else "name" if column in NAME_COLUMNS else "identifier"


_KINDS: Final = {column: _kind(column) for column in _TYPES}
