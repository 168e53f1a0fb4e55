"""Which framework wrote a span, and what part of a bot it tells of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import Dialect, matches
from otel_voicebot.processors.lookup import Keyed, distinct
from otel_voicebot.spans.attributes import Int32s, Mask
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Distinct", "Recognised", "component_of", "recognise"]


class Distinct:
    """A column's distinct texts, so that each is asked once.

    Args:
        column: of texts.
    """

    def __init__(self, column: pa.StringArray) -> None:
        encoded = column.dictionary_encode()
        self.texts: list[str] = encoded.dictionary.to_pylist()
        self.index: Int32s = np.asarray(pc.fill_null(encoded.indices, len(self.texts)))
        """Of each row the place of its text; of a null the place behind the last."""

    def said(self, says: Callable[[str], bool]) -> Mask:
        """What is said of each text, and False behind the last."""
        return np.array([*(says(text) for text in self.texts), False], dtype=bool)

    def mask(self, says: Callable[[str], bool]) -> Mask:
        """What is said of each row's text; False of null."""
        mask: Mask = self.said(says)[self.index]
        return mask

    def numbers(self, says: Callable[[str], int]) -> Int32s:
        """The number that is given to each row's text; -1 to null."""
        numbers: Int32s = np.array([*(says(text) for text in self.texts), -1], dtype=np.int32)[self.index]
        return numbers


@dataclass(frozen=True)
class Recognised:
    """What is known of each span of a batch.

    Attributes:
        dialects: all that were tried.
        dialect: index of each span's dialect; -1: none.
        component: index of its component.
        by_scope: whether the scope told the dialect.
        names: the spans' names.
        status: their status.
    """

    dialects: Sequence[Dialect]
    dialect: Int32s
    component: Int32s
    by_scope: Mask
    names: Distinct
    status: pa.StringArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {})

    @cached_property
    def sound(self) -> Mask:
        """Which spans did not fail."""
        return ~np.asarray(pc.fill_null(pc.equal(self.status, "error"), False))  # noqa: FBT003

    @cached_property
    def present(self) -> list[bool]:
        """Which dialects have spans here."""
        counts = np.bincount(self.dialect + 1, minlength=len(self.dialects) + 1)
        return [bool(count) for count in counts[1:].tolist()]

    def named(self, names: tuple[str, ...], rows: Int32s | slice = slice(None)) -> Mask:
        """Which spans (of these rows) have one of these names; what is said of a name is worked out once."""
        known: dict[tuple[str, ...], Mask] = self._named  # type: ignore[attr-defined]
        if names not in known:
            known[names] = self.names.said(partial(matches, patterns=names))
        return known[names][self.names.index[rows]]


def recognise(batch: SpanBatch, dialects: Sequence[Dialect]) -> Recognised:
    """Each span's dialect, by its scope, else by its name or attributes; and its component."""

    @cache
    def keyed() -> Keyed:
        """Put in order only where names don't tell all, and only what is asked for."""
        return Keyed(batch.attributes.of_keys(_asked(tuple(dialects))))

    names = Distinct(batch.column("name"))
    dialect = Distinct(batch.column("scope_name")).numbers(partial(_of_scope, dialects=dialects))
    by_scope = dialect >= 0
    for number, one in enumerate(dialects):
        if (dialect >= 0).all():
            break
        marked = names.mask(partial(matches, patterns=one.marking_names))
        for key in one.marking_keys:
            marked[keyed().texts(key)[0]] = True
        dialect[marked & (dialect < 0)] = number
    component = np.full(len(batch), semconv.COMPONENTS.index("other"), np.int32)
    for number, one in enumerate(dialects):
        mine = dialect == number
        if mine.any():
            found = names.numbers(lambda name, one=one: _number(component_of(name, one)))  # type: ignore[misc]
            for key, kinds in one.kinds.items():
                if not (mine & (found < 0)).any():
                    break
                found = np.where(found >= 0, found, _by_kind(keyed(), key, kinds, len(batch)))
            component = np.where(mine & (found >= 0), found, component)
    return Recognised(dialects, dialect, component, by_scope, names, batch.column("status"))


@lru_cache(maxsize=64)
def _asked(dialects: tuple[Dialect, ...]) -> frozenset[str]:
    """The attributes that tell a dialect or a component."""
    return frozenset(key for one in dialects for key in (*one.marking_keys, *one.kinds))


@lru_cache(maxsize=8192)
def component_of(name: str, dialect: Dialect) -> str | None:
    """What a dialect says of a span's name; None when nothing."""
    exact = dialect.span_names.get(name)
    if exact is not None:
        return exact
    prefixes = (key for key in dialect.span_names if key.endswith("*") and name.startswith(key[:-1]))
    longest = max(prefixes, key=len, default=None)
    return None if longest is None else dialect.span_names[longest]


def _of_scope(scope: str, dialects: Sequence[Dialect]) -> int:
    return next((number for number, one in enumerate(dialects) if matches(scope, one.scopes)), -1)


def _by_kind(keyed: Keyed, key: str, kinds: Mapping[str, str], owners: int) -> Int32s:
    components = np.full(owners, -1, np.int32)
    rows, values = keyed.texts(key)
    once, place = distinct(values)
    words = keyed.table.text.take(pa.array(once)).to_pylist()
    numbers = np.array([_number(kinds.get(word)) for word in words], np.int32)
    components[rows] = numbers[place]
    return components


def _number(component: str | None) -> int:
    return -1 if component is None else semconv.COMPONENTS.index(component)
