"""A span's attributes for a viewer: those without a column, and the columns under the names of their attributes."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from otel_voicebot.reports.matching import TAGS

__all__ = ["Row", "Tag", "from_json", "items", "of_span"]

Row = Mapping[str, object]


class Tag(NamedTuple):
    """One attribute."""

    key: str
    type: Literal["string", "bool", "int64", "float64"]
    value: object


def of_span(row: Row) -> Iterator[Tag]:
    """The attributes of a span (a row of the form SPANS_READ): each name once, what is unknown isn't there."""
    seen = set()
    for column, name in TAGS.items():
        value = row.get(column)
        if value is not None:
            seen.add(name)
            yield _tag(name, value)
    for key, text in _pairs(row.get("attributes")):
        if text is not None and key not in seen:  # null: withheld, its length is among the typed
            yield Tag(key, "string", text)
    for key, text in _pairs(row.get("attributes_typed")):
        if key not in seen:
            yield _tag(key, _loaded(text), text)


def from_json(text: object) -> list[Tag]:
    """The attributes of an event, a link or a resource: a JSON object."""
    found = _loaded(text) if text else None
    return [_tag(key, value) for key, value in found.items()] if isinstance(found, dict) else []


def _tag(key: str, value: object, text: str | None = None) -> Tag:
    match value:
        case bool():
            return Tag(key, "bool", value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return Tag(key, "int64", value)
        case float():
            return Tag(key, "float64", value) if value - value == 0 else Tag(key, "string", str(value))
        case str():
            return Tag(key, "string", value)
    return Tag(key, "string", text if text is not None else json.dumps(value, ensure_ascii=False))


def _loaded(text: object) -> object:
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return text


def _pairs(found: object) -> list[tuple[str, str]]:
    return found if isinstance(found, list) else []


def items(found: object) -> list[Any]:
    """A list of a row, empty where it is null."""
    return found if isinstance(found, list) else []
