"""Names of spans, events, scopes and attributes: one that is no identifier is replaced by its length."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.processors.identifiers import are_safe
from otel_voicebot.spans.attributes import Mask

__all__ = ["shown", "shown_columns", "shown_keys", "shown_texts"]

_COLUMNS: Final = ("name", "scope_name", "scope_version", "trace_state")
_TRACE_STATE: Final = r"^(?:[!-+\--<>-~]+=[!-+\--<>-~]+(?:, ?|$))+$"
"""Members ``key=value`` without white space, of ASCII."""
_LONGEST_TRACE_STATE: Final = 512


def shown_columns(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Those of a span's names that had to be changed."""
    found = shown({name: columns[name] for name in _COLUMNS if name in columns}, *_COLUMNS)
    return {name: column for name, column in found.items() if column is not columns[name]}


def shown(columns: Mapping[str, pa.Array], *names: str) -> Mapping[str, pa.Array]:
    """The columns; what is no identifier in those named has become ``(withheld, 23 characters)``."""
    found = dict(columns)
    for name in names:
        column = columns.get(name)
        if column is None or column.null_count == len(column):
            continue
        distinct = column.dictionary_encode()
        values = shown_texts(distinct.dictionary, _are_states if name == "trace_state" else are_safe)
        if values is not distinct.dictionary:
            found[name] = values.take(distinct.indices)
    return found


def shown_texts(texts: pa.StringArray, are_good: Callable[[pa.StringArray], Mask] = are_safe) -> pa.StringArray:
    """The texts, in place of those that aren't good how long they were; the same object when all are."""
    good = are_good(texts) | np.asarray(pc.fill_null(pc.equal(texts, ""), True))  # noqa: FBT003
    if good.all():
        return texts
    replaced = pc.binary_join_element_wise(
        "(withheld, ", pc.cast(pc.utf8_length(texts), pa.string()), " characters)", ""
    )
    return pc.if_else(pa.array(good), texts, replaced)


def shown_keys(keys: Sequence[str], unknown: Callable[[str], bool]) -> Sequence[str]:
    """The keys; an unknown one that is no identifier is replaced, and numbered where several become the same."""
    if all(_is_good(key) or not unknown(key) for key in keys):
        return keys
    names = {key: key for key in keys if _is_good(key) or not unknown(key)}
    taken = set(names)
    for key in sorted(set(keys) - taken):  # in an order that doesn't depend on the batch's
        name, number = f"(withheld, {len(key)} characters)", 2
        while name in taken:
            name, number = f"(withheld, {len(key)} characters, {number})", number + 1
        names[key] = name
        taken.add(name)
    return [names[key] for key in keys]


@lru_cache(maxsize=8192)
def _is_good(key: str) -> bool:
    return not key or bool(are_safe(pa.array([key]))[0])


def _are_states(texts: pa.StringArray) -> Mask:
    members = pc.match_substring_regex(texts, _TRACE_STATE)
    good: Mask = np.asarray(
        pc.fill_null(pc.and_(members, pc.less_equal(pc.utf8_length(texts), _LONGEST_TRACE_STATE)), False)  # noqa: FBT003
    )
    return good
