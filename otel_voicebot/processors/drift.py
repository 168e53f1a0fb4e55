"""What a known framework writes that its table doesn't have: how a new version of it shows."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.dialects import STAMPS, Dialect
from otel_voicebot.processors.lookup import Keyed
from otel_voicebot.processors.names import shown_texts
from otel_voicebot.processors.recognise import Recognised, component_of
from otel_voicebot.spans.attributes import Mask

__all__ = ["drift", "is_known"]

_ANYWHERE: Final = frozenset(semconv.ATTRIBUTES) | {key for keys in STAMPS.values() for key in keys}
"""Ours, which anybody may stamp on a framework's spans."""
_OF_OTHERS: Final = (
    *("app.", "baggage.", "code.", "deployment.", "enduser.", "host.", "k8s.", "process.", "redaction.", "sampling."),
    *("service.", "telemetry.", "tenant.", "thread.", "user."),
)
"""What SDKs, Collectors and bots add to every library's spans, by OpenTelemetry's conventions: no framework's own."""


def drift(keyed: Keyed, seen: Recognised) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The unknown names of spans, and of attributes, as ``framework/name``, and how often each came.

    As a metric's label a name is always shown as if texts were withheld.
    """
    spans: dict[str, int] = {}
    attributes: dict[str, int] = {}
    for number, dialect in enumerate(seen.dialects):
        if dialect.attributes is None:
            continue
        if seen.present[number]:
            mine = (seen.dialect == number) & seen.by_scope
            if not dialect.kinds:  # else an attribute tells the component, and a span is called what its users like
                _count(spans, dialect, _names(seen, dialect, mine))
            _count(attributes, dialect, _keys(keyed, seen, number, mine))
    return spans, attributes


def _names(seen: Recognised, dialect: Dialect, mine: Mask) -> dict[str, int]:
    counts = np.bincount(seen.names.index[mine], minlength=len(seen.names.texts)).tolist()
    found = zip(seen.names.texts, counts, strict=False)  # behind the texts: spans without a name
    return {name: count for name, count in found if count and component_of(name, dialect) is None}


def _keys(keyed: Keyed, seen: Recognised, number: int, mine: Mask) -> dict[str, int]:
    dialect = seen.dialects[number]
    rows = mine & ~seen.named(dialect.free) if dialect.free else mine
    found = {key: keyed.find(key, number) for key in keyed.table.keys if not is_known(dialect, key)}
    counts = {key: int(np.count_nonzero(rows[place[0]])) for key, place in found.items() if place is not None}
    return {key: count for key, count in counts.items() if count}


@lru_cache(maxsize=8192)
def is_known(dialect: Dialect, key: str) -> bool:
    """Whether a framework is known to write an attribute."""
    exact, globs = _table(dialect)
    if key in exact or key in _ANYWHERE or key.startswith(_OF_OTHERS):
        return True
    if dialect.own and not key.startswith(dialect.own):
        return True
    return any(fnmatchcase(key, one) for one in globs)


@lru_cache(maxsize=64)
def _table(dialect: Dialect) -> tuple[frozenset[str], tuple[str, ...]]:
    known = {field.key for _, field in dialect.fields()} | {*dialect.kinds, *dialect.inputs, *dialect.marking_keys}
    known |= dialect.content | dialect.identifiers | (dialect.attributes or frozenset())
    exact = frozenset(key for key in known if "*" not in key)
    # a pattern that marks content for safety's sake doesn't make known what the table names one by one
    globs = {glob for glob in dialect.content if "*" in glob}
    safety = {glob for glob in globs if any(fnmatchcase(key, glob) for key in known - globs)}
    return exact, tuple(sorted(known - exact - safety))


def _count(counts: dict[str, int], dialect: Dialect, found: Mapping[str, int]) -> None:
    if not found:
        return
    names = shown_texts(pa.array(list(found), pa.string())).to_pylist()
    for name, count in zip(names, found.values(), strict=True):
        label = f"{dialect.name}/{name}"
        counts[label] = counts.get(label, 0) + count
