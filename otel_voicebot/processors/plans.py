"""The tables of the dialects, made ready: what is done for every batch is worked out once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import pyarrow as pa

from otel_voicebot.dialects import STAMPS, Columns, Dialect, Field
from otel_voicebot.spans.attributes import Int32s, Mask
from otel_voicebot.spans.schema import SPANS

__all__ = ["CONTENT_COLUMNS", "STAMPED", "Asks", "Source", "asked_by", "derived_by", "plan_of"]


CONTENT_COLUMNS: Final = ("user_text", "bot_text")
"""Columns that take any text."""


class Asks(Protocol):
    """What a dialect says of the rows of its fields."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Texts that say that a value is not known."""
        ...

    def counts(self, field: Field, rows: Int32s) -> Mask:
        """On which of the rows the field counts."""
        ...

    def failed(self, field: Field, rows: Int32s) -> Mask:
        """Which of the rows would be the field's, had they not failed."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """One way to fill a column.

    Attributes:
        column: the column.
        name: the attribute, or the name of the value that is derived from it.
        field: its conditions; None when it has none.
        key: the attribute, also where the value is derived.
        positive: as in ``Field``.
        before: the attributes that are asked before it.
    """

    column: str
    name: str
    field: Field | None
    key: str
    positive: bool
    before: tuple[str, ...]


def _sources(columns: Columns) -> Iterable[Source]:
    for column, keys in columns.items():
        before: list[str] = []
        for key in keys:
            field = None if isinstance(key, str) else key
            attribute, name = (key, key) if isinstance(key, str) else (key.key, key.name)
            positive = field is not None and field.positive
            yield Source(column, name, field, attribute, positive, tuple(before))
            before.append(attribute)


@lru_cache(maxsize=64)
def plan_of(dialect: Dialect) -> tuple[Source, ...]:
    """All that fills columns, in the dialect's order."""
    return tuple(_sources(dialect.columns))


@lru_cache(maxsize=64)
def derived_by(dialect: Dialect) -> Mapping[str, tuple[Source, ...]]:
    """The same of values that have to be derived, each once, by the attribute in which they stand."""
    derived = {one.name: one for one in plan_of(dialect) if one.field is not None and not one.field.is_plain}
    keys = dict.fromkeys(one.key for one in derived.values())
    return {key: tuple(one for one in derived.values() if one.key == key) for key in keys}


@lru_cache(maxsize=64)
def asked_by(dialects: tuple[Dialect, ...]) -> frozenset[str]:
    """The attributes that fill columns of names and identifiers in these dialects."""
    return frozenset(
        source.name
        for dialect in dialects
        for source in plan_of(dialect)
        if SPANS.field(source.column).type == pa.string() and source.column not in CONTENT_COLUMNS
    )


STAMPED: Final = tuple(_sources(STAMPS))
"""The same of what is read on every span."""
