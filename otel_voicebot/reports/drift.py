"""Which of the fields that a framework is expected to write are there, missing or renamed, and which are new."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Final, Literal

import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, NATIVE, STAMPS, Dialect, Field, matches
from otel_voicebot.dialects.expected import Expected
from otel_voicebot.processors.drift import is_known
from otel_voicebot.processors.recognise import component_of
from otel_voicebot.reports.alike import ALIKE, HOLDS_IT, VERY_ALIKE, nearest, unnumbered
from otel_voicebot.reports.source import Opened
from otel_voicebot.spans.schema import SPANS

__all__ = ["FieldState", "Named", "Seen", "expected_of", "fields_of", "seen", "version"]

State = Literal["mapped", "unfit", "missing", "older", "sometimes", "renamed", "new"]

_CONTENT: Final = {"user_text": semconv.USER_TEXT, "bot_text": semconv.BOT_TEXT}
"""Columns of texts, and the attribute whose name alone stays where they are withheld."""
_TEXTS: Final = "map_keys(attributes)"
_NUMBERS: Final = "list_filter(map_keys(attributes_typed), lambda key: NOT list_contains(map_keys(attributes), key))"
"""What is no text; withheld texts have their number of characters there, and their name among the texts."""
_FOREIGN: Final = tuple(one for one in DIALECTS if one is not NATIVE)
"""Whose names a framework may take up; ours is what its user says."""
_MOST_NEW: Final = 300
"""Unknown names of which it is asked whose new ones they may be: somebody may make up thousands."""
_MANY: Final = 0.3
"""Share of the spans that an unknown attribute is on which may stand where another one should."""


@dataclass(frozen=True, slots=True)
class Named:
    """The spans of one name: how many, how many fill each column, how many have each attribute in the map.

    ``texts`` are the attributes that are texts, withheld ones too. ``well``: spans that didn't fail.
    """

    spans: int
    columns: Mapping[str, int]
    keys: Mapping[str, int] = field(default_factory=dict)
    texts: Collection[str] = ()
    well: int | None = None


Seen = Mapping[str, Mapping[str, Named]]
"""By dialect and span name."""


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field of one span.

    Attributes:
        framework: name of the dialect.
        span: name of the span, or its pattern.
        key: the attribute; empty: the span itself.
        state: mapped; unfit (there, but its value is none that its column takes); missing; older (missing, and the
            framework is known to write it from a later version on only); sometimes (missing, which it may be);
            renamed (missing, and ``like`` resembles it); new (written, and unknown to the dialect).
        found: spans that have it.
        of: spans that could.
        tells: what isn't known without it.
        enable: what to switch on.
        like: the attribute, or span, that may be its new name.
        instead: unknown attributes on many of the spans from which it is missing, each of which may be it.
        always: it is written whatever the settings.
        proves: it is surely there, and says that the framework is at least as new as ``since``.
        since: first version that writes it.
        content: it carries what people said.
    """

    framework: str
    span: str
    key: str
    state: State
    found: int = 0
    of: int = 0
    tells: str = ""
    enable: str = ""
    like: str = ""
    instead: tuple[str, ...] = ()
    always: bool = False
    since: str = ""
    content: bool = False
    proves: bool = False


def seen(opened: Opened, where: str, dialects: Iterable[Dialect]) -> Seen:
    """Count names, columns and attributes.

    Args:
        opened: the data.
        where: SQL condition over the stored spans, to be added; empty for all.
        dialects: whose columns are counted.
    """
    columns = sorted({column for one in dialects for wish in expected_of(one) for column in _columns(one, wish)})
    wanted = ["dialect", "name", "status", *columns, "attributes", "attributes_typed", "trace_id"]
    spans = f"(SELECT * FROM ({opened.snapshot.sql(wanted, raw_ids=True)}) WHERE dialect IS NOT NULL{where})"  # noqa: S608 - names are ours
    counts = ", ".join(f"{_count(column)} AS {column}" for column in columns)
    found = opened.engine.sql(f"SELECT dialect, name, count(*) AS spans, {_WELL}, {counts} FROM {spans} GROUP BY ALL")  # noqa: S608
    keys: dict[tuple[str, str], dict[str, int]] = {}
    texts: dict[tuple[str, str], set[str]] = {}
    each = " UNION ALL ".join(
        f"SELECT dialect, name, unnest({keys}) AS key, {is_text} AS is_text FROM {spans}"  # noqa: S608
        for keys, is_text in ((_TEXTS, "true"), (_NUMBERS, "false"))
    )
    listed = f"SELECT dialect, name, key, count(*) AS found, bool_or(is_text) AS is_text FROM ({each}) GROUP BY ALL"  # noqa: S608
    for row in opened.engine.sql(listed).to_pylist():
        place = row["dialect"], row["name"]
        key, here = unnumbered(row["key"]), keys.setdefault(place, {})
        here[key] = max(here.get(key, 0), row["found"])
        if row["is_text"]:
            texts.setdefault(place, set()).add(key)
    result: dict[str, dict[str, Named]] = {}
    for row in found.to_pylist():
        dialect, name, spans_here, well = (row.pop(key) for key in ("dialect", "name", "spans", "well"))
        place = dialect, name
        told = keys.get(place, {}), texts.get(place, set())
        result.setdefault(dialect, {})[name] = Named(spans_here, row, *told, well)
    return result


_WELL: Final = "count(CASE WHEN status IS DISTINCT FROM 'error' THEN 1 END) AS well"


def _count(column: str) -> str:
    if column in _CONTENT:
        key = _CONTENT[column]
        return f"count(CASE WHEN {column} IS NOT NULL OR list_contains(map_keys(attributes), '{key}') THEN 1 END)"
    return f"count({column})"


def _columns(dialect: Dialect, wish: Expected) -> list[str]:
    """The columns that the expected attribute fills on its span."""
    if wish.column or not wish.key:
        return [wish.column] if wish.column else []
    own = [column for column, one in dialect.fields() if one.key == wish.key and _counts_on(one.spans, wish.span)]
    return own + [column for column, keys in STAMPS.items() if wish.key in keys and column not in own]


def _counts_on(spans: tuple[str, ...], span: str) -> bool:
    return not spans or span in spans or any(matches(one, (span,)) for one in spans)


def fields_of(dialect: Dialect, names: Mapping[str, Named], *, under_way: bool = False) -> list[FieldState]:
    """What is to be said of each field of a framework, given what was seen of it: the expected ones, then new ones.

    Args:
        dialect: the framework.
        names: what was seen of it.
        under_way: its calls may not be over: what is missing may still come.
    """
    new = _new(dialect, names)
    within = [set(named.keys) for name, named in names.items() if not matches(name, dialect.free)]
    stamps = set.intersection(*within) if len(within) > 1 else set()
    over = not under_way or any(component_of(name, dialect) == "session" for name in names)
    wishes = [_Wish(dialect, one, names, new, stamps, over=over) for one in expected_of(dialect)]
    states = [one.state() for one in wishes]
    proven = max((version(one.since) for one in states if one.proves), default=())
    states = [_of_later(one) if version(one.since) > proven else one for one in states]
    likes = [wish.like(one) for wish, one in zip(wishes, states, strict=True)]
    unread = _unread(dialect, names, new)
    claims = [(like, True, score, one.key) for (score, like), one in zip(likes, states, strict=True) if like]
    claims += [(one.like, False, score, one.key) for score, one in unread]
    best = {like: key for like, _, _, key in sorted(claims)}  # the last stays: what is expected, then the likest
    states = [
        replace(one, state="renamed", like=like) if like and best[like] == one.key else one
        for (_, like), one in zip(likes, states, strict=True)
    ]
    gone = {(one.span, one.key) for one in states if one.state in ("renamed", "older")}
    states = [
        wish.cleared(one) if one.state in ("missing", "older") and wish.has_rival(gone - {(one.span, one.key)}) else one
        for wish, one in zip(wishes, states, strict=True)
    ]
    elsewhere = [one for _, one in unread if best[one.like] == one.key]
    taken = {one.like for one in (*states, *elsewhere) if one.state == "renamed"}
    states = [wish.replaced(one, taken) for wish, one in zip(wishes, states, strict=True)]
    return [*states, *elsewhere, *new]


def _of_later(state: FieldState) -> FieldState:
    """What only a later version writes isn't there: something else filled its column, and nothing is its new name."""
    return state if state.state == "unfit" else replace(state, state="older", found=0)


def _unread(dialect: Dialect, names: Mapping[str, Named], new: Sequence[FieldState]) -> list[tuple[float, FieldState]]:
    """Attributes that are known and not expected, and that are nowhere, where a new one holds their name; how much."""
    known = {one.key for _, one in dialect.fields()} | dialect.content | dialect.identifiers
    known |= dialect.attributes or frozenset()
    there = {key for named in names.values() for key in named.keys}
    there |= {one.key for one in expected_of(dialect) if any(matches(name, (one.span,)) for name in names)}
    absent = {key for key in known - there if not key.endswith("*")}
    names_of_new = dict.fromkeys(one.key for one in new if one.key)
    alike = {name: nearest(name, absent, HOLDS_IT) for name in islice(names_of_new, _MOST_NEW)}
    near = [(one, *alike[one.key]) for one in new if one.key in alike]
    return [(score, replace(one, key=key, state="renamed", found=0, like=one.key)) for one, score, key in near if key]


def expected_of(dialect: Dialect) -> Sequence[Expected]:
    """What a dialect expects; of one that doesn't say it, any attribute that it reads may be there."""
    if dialect.expected:
        return dialect.expected
    fields = [(column, one, span) for column, one in dialect.fields() for span in one.spans or ("*",)]
    return [Expected(span, one.key, f"column {column}") for column, one, span in fields if "*" not in one.key]


class _Wish:
    """One expected field, and what was seen of its span."""

    def __init__(
        self,
        dialect: Dialect,
        wish: Expected,
        names: Mapping[str, Named],
        new: Sequence[FieldState],
        stamps: Collection[str],
        *,
        over: bool,
    ) -> None:
        self._dialect = dialect
        self._wish = wish
        self._there = [named for name, named in names.items() if matches(name, (wish.span,))]
        self._stamps = stamps
        """What is on spans of every name but the call's own: somebody's own processor writes it."""
        self._is_over = over
        """What is missing will not come: a call's own span has, which comes last."""
        self._new_spans = [one.span for one in new if not one.key]
        self._fillers = {
            column: [one for name, one in dialect.fields() if name == column and _counts_on(one.spans, wish.span)]
            for column in _columns(dialect, wish)
        }
        plain = {one.key for fillers in self._fillers.values() for one in fillers if one.is_plain}
        self._is_plain = wish.key in plain or not any(self._fillers.values())
        always = {one.key for one in dialect.expected if one.always and one.span == wish.span}
        self._rivals = (plain & always) - {wish.key} if wish.key in plain & always else set()
        """Attributes that are always there, too, and would have filled the column in its place."""

    def state(self) -> FieldState:
        """Whether it is there."""
        wish = self._wish
        of = sum(named.spans for named in self._there)
        well = sum(named.spans if named.well is None else named.well for named in self._there)
        found = sum(map(self._found, self._there)) if wish.key else of
        state: State = "mapped"
        if not found and wish.key:
            # a call that failed lacks what an answer would have told
            state = "missing" if (wish.always or wish.enable) and well else "sometimes"
        elif not found:
            state = "missing" if self._new_spans or (wish.always and self._is_over) else "sometimes"
        elif self._is_unfit():
            state = "unfit"
        return FieldState(
            framework=self._dialect.name,
            span=wish.span,
            key=wish.key,
            state=state,
            found=found,
            of=of,
            tells=wish.tells,
            enable=wish.enable,
            always=wish.always,
            since=wish.since,
            content=wish.key in self._dialect.content,
            proves=bool(state == "mapped" and wish.since and self._is_certain()),
        )

    def like(self, state: FieldState) -> tuple[float, str]:
        """How alike the unknown name is that may be its new one, and that name; empty when there is none."""
        if not self._wish.key:
            return (0.0, "") if state.found else nearest(self._wish.span, self._new_spans, ALIKE)
        if state.found and not self._dialect.expected:
            return 0.0, ""  # any span may have it
        unlisted = Counter[str]()
        for named in self._there:
            unlisted.update({key: n for key, n in named.keys.items() if not _is_listed(self._dialect, key)})
        if state.state == "missing":
            return nearest(self._wish.key, unlisted, ALIKE)
        closed, depth = self._dialect.attributes is not None, self._wish.key.count(".")
        strange = {key for key in unlisted if not (closed and is_known(self._dialect, key))}
        if state.found and self._is_sure():
            # two versions side by side: some spans have the one, some the other
            rest = {key for key in strange if unlisted[key] <= state.of - state.found}
            return nearest(self._wish.key, rest, VERY_ALIKE)
        near = strange | {key for key in unlisted if key.count(".") == depth}
        return nearest(self._wish.key, near, HOLDS_IT if self._dialect.own else VERY_ALIKE)

    def replaced(self, state: FieldState, taken: Collection[str]) -> FieldState:
        """Missing, where it should be there and unknown attributes are that are nobody else's new name."""
        wish, dialect = self._wish, self._dialect
        # a client library's spans: other libraries write them, too, and each leaves out and adds what it likes
        told = wish.key and dialect.attributes is not None and not dialect.own and not matches(wish.span, dialect.free)
        lacks = not state.found and state.state not in ("renamed", "older")
        if told and lacks and (wish.always or wish.usual or wish.enable):
            instead = tuple(sorted(self._instead().difference(taken)))
            like = nearest(wish.key, instead, ALIKE)[1]
            if like:
                return replace(state, state="renamed", like=like)
            return replace(state, state="missing", instead=instead) if instead else state
        return state

    def _instead(self) -> set[str]:
        """Attributes on many of its spans that its column would take: unknown, or what others call the same."""
        types = {SPANS.field(column).type for column, own in self._fillers.items() if any(map(self._is_own, own))}
        text = pa.string() in types
        found = Counter[str]()
        for named in self._there:
            found.update({key: n for key, n in named.keys.items() if not types or text == (key in named.texts)})
        of = sum(named.spans for named in self._there)
        others = {one.key for dialect in _FOREIGN for name, one in dialect.fields() if name in self._fillers}
        others -= {one.key for _, one in self._dialect.fields()}
        rest = found.keys() - self._stamps
        return {key for key in rest if found[key] >= _MANY * of and (key in others or not is_known(self._dialect, key))}

    def _is_own(self, field: Field) -> bool:
        return field.key == self._wish.key and field.is_plain

    def has_rival(self, renamed: Collection[tuple[str, str]]) -> bool:
        """It seemed missing, as one of two that fill a column was; the other one it was."""
        return any((self._wish.span, key) in renamed for key in self._rivals)

    def cleared(self, state: FieldState) -> FieldState:
        """It fills the column."""
        return replace(state, state="mapped", found=sum(map(self._filled, self._there)))

    def _filled(self, named: Named) -> int:
        columns = [self._wish.column] if self._wish.column else self._fillers
        return max((named.columns[column] for column in columns), default=0)

    def _found(self, named: Named) -> int:
        """Spans that have the attribute, in its column or still in the map.

        Of several that fill a column the first does, and the next stays in the map. Where none did, one is missing.
        """
        kept = named.keys.get(self._wish.key, 0)
        if not self._is_plain:
            return kept
        filled = self._filled(named)
        if filled and not kept and self._rivals and not any(key in named.keys for key in self._rivals):
            return 0
        return min(kept + filled, named.spans)

    def _is_sure(self) -> bool:
        """What fills its column is the attribute itself."""
        told = {self._wish.key, *self._rivals}
        return self._is_alone() or any(told & named.keys.keys() for named in self._there)

    def _is_certain(self) -> bool:
        """It is there itself: nothing else would have filled its column."""
        return self._is_alone() or any(self._wish.key in named.keys for named in self._there)

    def _is_alone(self) -> bool:
        return all(len({one.key for one in fillers}) <= 1 for fillers in self._fillers.values())

    def _is_unfit(self) -> bool:
        """It is there, in none of the columns that it is for, and another type or other words than they take."""
        if not self._dialect.expected:
            return False  # a user's file: words that it doesn't name say nothing
        own = [
            (column, one) for column, fillers in self._fillers.items() for one in fillers if one.key == self._wish.key
        ]
        if not own or any(one.inside or one.role or one.text for _, one in own):
            return False
        kept = [named for named in self._there if self._wish.key in named.keys]
        if not kept or any(map(self._filled, kept)):
            return False
        texts = any(self._wish.key in named.texts for named in kept)
        return any(bool(one.words) or texts != (SPANS.field(column).type == pa.string()) for column, one in own)


def _new(dialect: Dialect, names: Mapping[str, Named]) -> list[FieldState]:
    """Span names and attributes that the dialect doesn't know; of one that writes what it likes there are none."""
    if dialect.attributes is None:
        return []
    new = []
    for name, named in names.items():
        if component_of(name, dialect) is None and not dialect.kinds:
            new.append(FieldState(dialect.name, name, "", "new", named.spans, named.spans))
        if not matches(name, dialect.free):
            new += [
                FieldState(dialect.name, name, key, "new", found, named.spans)
                for key, found in named.keys.items()
                if not is_known(dialect, key)
            ]
    return sorted(new, key=lambda one: (-one.found, one.span, one.key))


@lru_cache(maxsize=8192)
def _is_listed(dialect: Dialect, key: str) -> bool:
    """Whether a dialect has this very attribute in its table, not only a pattern that it fits."""
    listed = {one.key for _, one in dialect.fields()} | {one.key for one in dialect.expected}
    listed |= {*dialect.kinds, *dialect.inputs, *dialect.marking_keys, *semconv.ATTRIBUTES}
    return key in listed or key in dialect.content | dialect.identifiers | (dialect.attributes or frozenset())


def version(text: str) -> tuple[int, ...]:
    """A version, to be compared: ``1.10.0`` is later than ``1.9``."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())
