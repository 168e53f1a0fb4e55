"""What stands inside a text: members of JSON objects, messages, numbers and booleans written as words."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_voicebot.dialects import Field

__all__ = ["ends_with_tool", "reader", "words_in"]

_TOOL_ROLES: Final = ("tool", "function")
_RESULTS: Final = (
    *("tool_result", "function_call_output", "tool_call_response", "function_response", "functionResponse"),
)
"""Types of a message or of its parts that are a tool's result, with the providers that give it no role of its own."""
_LAST_ROLE: Final = re.compile(r'"role"\s*:\s*"([^"\\]*)"')
_BOOLS: Final = {"true": True, "false": False}
_LISTS: Final = ("items", "messages", "input", "contents")
"""Members that hold the messages where the JSON is an object."""


def reader(field: Field) -> Callable[[str], object]:
    """What reads a text for a field: gives a number, a boolean, a text, or None when it is not there."""
    if field.role:
        return lambda text: _said(text, field.role)
    if field.inside:
        return lambda text: _member(text, field.inside)
    if field.words:
        return dict(field.words).get
    return _value


def words_in(text: str) -> int:
    """How many words a text has."""
    return len(text.split())


def ends_with_tool(text: str) -> bool | None:
    """Whether the last of a JSON list of messages is a tool's result; None when that can't be read.

    A list grows with every turn: mostly its end tells, and parsing all of it would cost more than all else.
    """
    end = text.rstrip()
    if not end.endswith(("]", "}")):
        return None
    at = end.rfind('"role"')
    found = _LAST_ROLE.match(end, at) if at >= 0 else None
    if found is not None and found[1] in _TOOL_ROLES:
        return True
    # written before the other members, the last role begins the last message; no type behind it says otherwise
    if found is not None and end.startswith('[{"role"') and not any(one in end[at:] for one in _RESULTS):
        return False
    return _parsed_end(end)


def _parsed_end(text: str) -> bool | None:
    messages = _messages(text)
    if not messages:
        return None
    last = messages[-1]
    if not isinstance(last, Mapping):
        return None
    parts = [last, *_parts(last)]
    return last.get("role") in _TOOL_ROLES or any(
        one.get("type") in _RESULTS or "function_response" in one or "functionResponse" in one for one in parts
    )


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = message.get("parts", message.get("content"))
    return [one for one in parts if isinstance(one, Mapping)] if isinstance(parts, list) else []


def _messages(text: str) -> list[Any]:
    found = _loaded(text)
    if isinstance(found, Mapping):
        found = next((found[name] for name in _LISTS if isinstance(found.get(name), list)), None)
    return found if isinstance(found, list) else []


def _said(text: str, role: str) -> str | None:
    for message in reversed(_messages(text)):
        if isinstance(message, Mapping) and message.get("role") == role:
            content = message.get("content", message.get("parts"))
            if isinstance(content, str):
                return content
            texts = [one.get("content", one.get("text")) for one in _parts(message)]
            # a message that only calls a tool says nothing
            return " ".join(one for one in texts if isinstance(one, str)) or None
    return None


def _member(text: str, path: str) -> object:
    found = _loaded(text)
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found if isinstance(found, str | bool | int | float) else None


def _value(text: str) -> object:
    word = text.strip().lower()
    if word in _BOOLS:
        return _BOOLS[word]
    try:
        return float(word)
    except ValueError:
        return None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
