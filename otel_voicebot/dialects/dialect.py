"""What a dialect is, and the attributes that are read on every span whatever its dialect."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.expected import Expected

__all__ = ["STAMPS", "Columns", "Dialect", "Field", "matches"]


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute that fills a column only here and there, or whose value is written otherwise than the column's.

    Attributes:
        key: the attribute. With ``role`` one ``*`` may stand for a number: the lists that some flatten.
        spans: names of the spans on which it counts; all when empty.
        failed: it counts also on a span whose status is error.
        positive: only above 0 it is a value; 0 or less says that it is unknown.
        scale: what its value is multiplied with to have the column's unit.
        text: numbers and booleans may be written as a text, too, such as ``"true"``.
        inside: the attribute is a map, or a text that holds a JSON object, this member of which is the value.
        role: the attribute is a list of messages, or a text that holds a JSON one; the text of the last with this role.
        words: the framework's words and ours, in a column of booleans true and false; other words say nothing. A list
            is written as JSON.
        since: first version of the framework that writes it.
        until: first version that doesn't any more.
    """

    key: str
    spans: tuple[str, ...] = ()
    failed: bool = True
    positive: bool = False
    scale: float = 1.0
    text: bool = False
    inside: str = ""
    role: str = ""
    words: tuple[tuple[str, str | bool], ...] = ()
    since: str = ""
    until: str = ""

    @property
    def is_plain(self) -> bool:
        """The attribute's value is the column's as it stands."""
        return not (self.inside or self.role or self.words or self.text) and self.scale == 1.0

    @property
    def name(self) -> str:
        """What the value is called while it is worked out: the attribute's name where it is plain."""
        if self.is_plain:
            return self.key
        return f"{self.key}\0{self.inside}\0{self.role}\0{self.scale}\0{self.text}\0{self.words}"


Columns = Mapping[str, tuple[str | Field, ...]]
"""Column of the spans table to what fills it; the first that fits wins, the others stay in the map."""


@dataclass(frozen=True, eq=False, slots=True)
class Dialect:
    """How one framework names things. A span has the first dialect that knows its scope, else that it is marked for.

    Attributes:
        name: value of the ``dialect`` column.
        scopes: instrumentation scopes that mark it; a trailing ``*`` makes a prefix.
        span_names: span name to component; a trailing ``*`` makes a prefix, and exact names win over prefixes.
        marking_names: span names that mark it, whatever the scope; a trailing ``*`` makes a prefix.
        marking_keys: attributes whose presence marks the dialect, whatever scope and name.
        kinds: attribute to its values to component, where the span's name tells nothing.
        columns: column to the attributes that fill it. The column's type says what fits. An attribute may fill
            several columns.
        unknown: texts that say that a value is not known.
        content: attributes that carry what people said or wrote; names or globs.
        identifiers: attributes without a column whose texts name something; names or globs.
        inputs: attributes with a model's input, of which it is told whether a tool's result is the last message:
            JSON lists of messages, or the roles of a flattened list (``*`` for the number).
        first_chunks: names of events, the first of which is the first chunk of the answer.
        speech: names of events on a turn, to those of ours: when the caller and the bot began and ended to speak.
        attributes: the other attributes that it is known to write; names or globs. None: it writes what it likes, and
            nothing is counted as unknown.
        own: beginnings of the attributes that it names; others on its spans are their users', and never unknown. Empty:
            it names all.
        free: spans on which users put attributes of their own.
        expected: what it writes where all is well: ``doctor`` says what of it is missing.
    """

    name: str
    scopes: tuple[str, ...] = ()
    span_names: Mapping[str, str] = field(default_factory=dict)
    marking_names: tuple[str, ...] = ()
    marking_keys: tuple[str, ...] = ()
    kinds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    columns: Columns = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    content: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    inputs: tuple[str, ...] = ()
    first_chunks: tuple[str, ...] = ()
    speech: Mapping[str, str] = field(default_factory=dict)
    attributes: frozenset[str] | None = None
    own: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    expected: tuple[Expected, ...] = ()

    def fields(self) -> Iterator[tuple[str, Field]]:
        """Each column with what fills it."""
        for column, keys in self.columns.items():
            for key in keys:
                yield column, Field(key) if isinstance(key, str) else key


@lru_cache(maxsize=8192)
def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name is one of these, of which some end in ``*``."""
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


STAMPS: Final[Mapping[str, tuple[str, ...]]] = {
    "session_id": (semconv.SESSION_ID,),
    "turn_index": (semconv.TURN_INDEX,),
    "bot": (semconv.BOT,),
    "channel": (semconv.CHANNEL,),
    "variant": (semconv.VARIANT,),
    "user_hash": (semconv.USER_HASH,),
    "synthetic": (semconv.SYNTHETIC,),
    "error_type": (semconv.ERROR_TYPE,),
    "endpointing_setting_s": (semconv.ENDPOINTING_DELAY,),
    "cancelled": (semconv.CANCELLED,),
    "background": (semconv.BACKGROUND, semconv.DISCARDED),
    "csat": (semconv.CSAT,),
    "nps": (semconv.NPS,),
}
"""Column to attributes, as in ``Dialect.columns``, of every span: our processor stamps other libraries' spans too."""
