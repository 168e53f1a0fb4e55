"""Files that a user writes by hand (prices, targets): YAML or JSON, checked field by field."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from otel_voicebot.errors import UsageError

__all__ = ["read_checked"]

Form = TypeVar("Form", bound=BaseModel)


def read_checked(path: Path, form: type[Form], what: str, needs: str) -> Form:
    """The file in its form.

    Args:
        path: the file.
        form: its fields.
        what: what it is called in errors (``price file``).
        needs: the fields that it may have, in words.

    Raises:
        UsageError: it can't be read, or a field is missing, unknown or wrong; the message names field and value.
    """
    try:
        told = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{what} {path}: can't be read: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}"
        raise UsageError(msg) from None
    except ValueError as error:
        msg = f"{what} {path}: neither YAML nor JSON: {' '.join(str(error).split())[:200]}"
        raise UsageError(msg) from None
    if not isinstance(told, dict):
        msg = f"{what} {path}: holds no fields; it needs {needs}"
        raise UsageError(msg)
    try:
        return form.model_validate(told)
    except ValidationError as error:
        raise UsageError(f"{what} {path}: {_first(error)}") from None


def _parsed(text: str) -> object:
    """What a file says. YAML takes nearly all JSON, but reads its ``3e-05`` as a text.

    Raises:
        ValueError: it is neither.
    """
    try:
        return json.loads(text)
    except ValueError:
        import yaml  # noqa: PLC0415 - 20 ms of every start, for a setting that few have

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: field, value, reason."""
    first = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    given = first["input"]
    shown = "" if isinstance(given, (dict, list, tuple)) else f" {given!r}:"
    return f"{place}:{shown} {first['msg'].removeprefix('Value error, ')}"
