"""What stands inside a text: members of JSON objects, messages, numbers and booleans written as words."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from otel_voicebot.dialects import Field

__all__ = ["ends_with_tool", "json_reader", "load_json", "read", "words_in"]

_TOOL_ROLES: Final = ("tool", "function")
_RESULTS: Final = (
    *("tool_result", "function_call_output", "tool_call_response", "function_response", "functionResponse"),
)
"""Types of a message or of its parts that are a tool's result, with the providers that give it no role of its own; each
has ``tool_`` or ``function`` in it."""
_CLOSE: Final = ("]", "}")
_LAST_ROLE: Final = re.compile(r'"role"\s*:\s*"([^"\\]*)"')
_LEADS, _TRAILS = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = re.compile(rf"{_LEADS}(?!{_TRAILS})|(?<!{_LEADS}){_TRAILS}")
"""Half of a character beyond 16 bits, as where a text was cut: one such would hide all else that stands in the JSON."""
_BOOLS: Final = {"true": True, "false": False}
_LISTS: Final = ("items", "messages", "input", "contents")
"""Members that hold the messages where the JSON is an object."""
_LONGEST_JSON: Final = 4 << 20
"""Characters: its objects may take twenty times the bytes, so that 60 MB would take a gigabyte and seconds."""
_LONGEST_SPEECH: Final = 1 << 20
"""Characters: of more, which nobody says in a turn, each word would become an object."""


def read(field: Field, value: object) -> object:
    """What a value says for a field: a number, a boolean, a word of ours; None when it says nothing."""
    if field.words:
        return dict(field.words).get(value) if isinstance(value, str) else None
    return _value(value) if isinstance(value, str) else value


def json_reader(field: Field) -> Callable[[object], object]:
    """What says the same of the JSON that a text holds."""
    if field.role:
        return partial(_said, role=field.role)
    *path, last = field.inside.split(".")
    return partial(_member, path=path, last=last)


def load_json(text: str) -> object:
    """What a JSON text holds; None of another text, and of one that is too long to be parsed."""
    if len(text) > _LONGEST_JSON:
        return None
    try:
        return from_json(text)  # half the time of the standard library's
    except ValueError:
        pass
    whole = _HALF.sub(r"\\ufffd", text)
    try:
        return from_json(whole) if whole != text else None
    except ValueError:
        return None


def words_in(text: str) -> int | None:
    """How many words a text has; None of one that is too long to be what somebody said."""
    return len(text.split()) if len(text) <= _LONGEST_SPEECH else None


def ends_with_tool(text: str) -> bool | None:
    """Whether the last of a JSON list of messages is a tool's result; None when that can't be read.

    A list grows with every turn: mostly its end tells, and parsing all of it would cost more than all else.
    """
    if text[-1:] not in _CLOSE and text.rstrip()[-1:] not in _CLOSE:
        return None
    at = text.rfind('"role"')
    end = text[at:] if at >= 0 else ""
    found = _LAST_ROLE.match(end)
    if found is not None and found[1] in _TOOL_ROLES:
        return True
    # written before the other members, the last role begins the last message; no type behind it says otherwise
    if found is not None and text.startswith('[{"role"') and "tool_" not in end and "function" not in end:
        return False
    return _parsed_end(text)


def _parsed_end(text: str) -> bool | None:
    messages = _messages(load_json(text))
    if not messages:
        return None
    last = messages[-1]
    if not isinstance(last, dict):
        return None
    parts = [last, *_parts(last)]
    return last.get("role") in _TOOL_ROLES or any(
        one.get("type") in _RESULTS or "function_response" in one or "functionResponse" in one for one in parts
    )


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = message.get("parts", message.get("content"))
    return [one for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []


def _messages(found: object) -> list[Any]:
    if isinstance(found, dict):
        found = next((found[name] for name in _LISTS if isinstance(found.get(name), list)), None)
    return found if isinstance(found, list) else []


def _said(found: object, role: str) -> str | None:
    for message in reversed(_messages(found)):
        if isinstance(message, dict) and message.get("role") == role:
            content = message.get("content", message.get("parts"))
            if isinstance(content, str):
                return content
            parts = (one for one in _parts(message) if one.get("type") not in _RESULTS)
            texts = [one.get("content", one.get("text")) for one in parts]
            # a message that only calls a tool says nothing
            return " ".join(one for one in texts if isinstance(one, str)) or None
    return None


def _member(found: object, path: Sequence[str], last: str) -> object:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    value = found.get(last) if isinstance(found, dict) else None
    return value if isinstance(value, (str, int, float)) else None


def _value(text: str) -> object:
    word = text.strip().lower()
    if word in _BOOLS:
        return _BOOLS[word]
    try:
        return float(word)
    except ValueError:
        return None
