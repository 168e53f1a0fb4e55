"""How one value is written: for people with its unit, for machines as plain JSON."""

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

__all__ = ["duration", "instant", "plain", "quantity", "seconds", "shown"]

MISSING = "-"
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS = (0x2028, 0x2029)
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), *_SEPARATORS, *_BIDI), "?")


def shown(text: str) -> str:
    """A sender's text without what a terminal obeys: control, line and direction characters become ``?``."""
    return text.translate(_CONTROLS)


def duration(seconds: float | None) -> str:
    """Seconds in the unit a person would say: ``231 ms``, ``1.24 s``, ``2 min 05 s``; ``-`` when unknown."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    size = abs(seconds)
    if size < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if size < 119.5:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def seconds(value: object) -> str:
    """``duration`` of a cell; ``-`` of what is no number."""
    return duration(value if isinstance(value, (int, float)) and not isinstance(value, bool) else None)


def quantity(value: object, unit: str = "") -> str:
    """A KPI's value with its unit; ``-`` when it is unknown.

    Units are those of the KPI table: ``s``, ``ratio`` (written as a percentage), anything else as a number.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _number(value, unit)
    if isinstance(value, datetime):
        return instant(value)
    return str(value)


def _number(value: float, unit: str) -> str:
    match unit:
        case "s":
            return duration(float(value))
        case "ratio":
            return f"{value * 100:.1f} %"
        case "USD":
            return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.2f}"
    if isinstance(value, int):  # as a float it would lose its last digits beyond 2^53
        return str(value)
    return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"


def instant(moment: datetime | None) -> str:
    """A time in UTC to the millisecond, ISO 8601; ``-`` when unknown."""
    if moment is None:
        return MISSING
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def plain(value: object) -> object:
    """The same value in JSON's types: times as ISO 8601 in UTC, what is not a number as null, bytes as base64.

    Arrow hands maps on as lists of pairs; they become objects.
    """
    match value:
        case float():
            simple: object = value if math.isfinite(value) else None
        case None | bool() | int() | str():
            simple = value
        case datetime():
            simple = value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case bytes():
            simple = base64.b64encode(value).decode()
        case Mapping():
            simple = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            simple = _items(value)
        case _:
            simple = str(value)
    return simple


def _items(values: Sequence[object]) -> object:
    pairs = [item for item in values if isinstance(item, tuple) and len(item) == 2]
    if values and len(pairs) == len(values):
        return {str(key): plain(item) for key, item in pairs}
    return [plain(item) for item in values]
