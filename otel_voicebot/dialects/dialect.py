"""What a dialect is, and the attributes that are read on every span whatever its dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_voicebot import semconv

__all__ = ["STAMPS", "Dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one framework names things. A span has the first dialect of the registry that recognises it.

    Attributes:
        name: value of the ``dialect`` column.
        scopes: instrumentation scopes that mark it; a trailing ``*`` makes a prefix.
        span_names: span name to component; a trailing ``*`` makes a prefix, and exact names win over prefixes.
        marking_names: span names that mark it, whatever the scope; a trailing ``*`` makes a prefix.
        marking_keys: attributes whose presence marks the dialect, whatever scope and name.
        operations: value of ``gen_ai.operation.name`` to component, where the span's name tells nothing.
        columns: column of the spans table to the attributes that fill it; the first that fits wins, the others stay
            in the map. The column's type says what fits. An attribute may fill several columns.
        content: attributes that carry what people said or wrote.
    """

    name: str
    scopes: tuple[str, ...] = ()
    span_names: Mapping[str, str] = field(default_factory=dict)
    marking_names: tuple[str, ...] = ()
    marking_keys: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    content: frozenset[str] = frozenset()


STAMPS: Final[Mapping[str, tuple[str, ...]]] = {
    "session_id": (semconv.SESSION_ID,),
    "turn_index": (semconv.TURN_INDEX,),
    "bot": (semconv.BOT,),
    "channel": (semconv.CHANNEL,),
    "variant": (semconv.VARIANT,),
    "user_hash": (semconv.USER_HASH,),
    "synthetic": (semconv.SYNTHETIC,),
    "error_type": (semconv.ERROR_TYPE,),
    "csat": (semconv.CSAT,),
    "nps": (semconv.NPS,),
}
"""Column to attributes, as in ``Dialect.columns``, of every span: our processor stamps other libraries' spans too."""
