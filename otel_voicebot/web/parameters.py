"""Parameters of requests: a wrong one is a sentence that names it, its value, and what it may be."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from starlette.datastructures import QueryParams

from otel_voicebot.errors import UsageError
from otel_voicebot.reports.matching import Search
from otel_voicebot.reports.traces import canonical

__all__ = ["duration_ns", "instant_ns", "integer", "required", "search", "trace_id", "window_ms"]

_UNITS: Final = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_PART: Final = re.compile(r"([\d.]+)(\D+)")
_LAST_NS: Final = (1 << 63) - 1
_DEFAULT_LOOKBACK_NS: Final = 2 * 24 * _UNITS["h"]
_DEFAULT_LIMIT: Final = 100
_MOST_TRACES: Final = 1500
_MOST_TAGS: Final = 20
_MOST_DIGITS: Final = 25


def trace_id(text: str, name: str = "traceID") -> str:
    """A trace id as the store has it."""
    found = canonical(text)
    if found is None:
        raise UsageError(f"{name} {_shown(text)} is no trace id: it must be 16 or 32 hex digits")
    return found


def required(given: QueryParams, name: str) -> str:
    """A text that must be there."""
    value = given.get(name, "")
    if not value:
        raise UsageError(f"parameter {name} is required")
    return value


def integer(given: QueryParams, name: str, unit: str = "") -> int | None:
    """A whole number; None when it is not given."""
    text = given.get(name, "")
    if not text:
        return None
    if len(text) > _MOST_DIGITS or not re.fullmatch(r"-?[0-9]+", text):
        raise UsageError(f"parameter {name} {_shown(text)} must be a whole number{f' of {unit}' if unit else ''}")
    return int(text)


def duration_ns(text: str, name: str) -> int:
    """A time such as ``1.5s``, ``200ms`` or ``1m30s``, in nanoseconds."""
    parts = _DURATION.findall(text)
    if not parts or "".join(parts) != text or len(text) > 50:
        raise UsageError(f"parameter {name} {_shown(text)} must be a duration such as 1.5s, 200ms or 1m30s")
    pairs = [_PART.fullmatch(part) for part in parts]
    return min(_LAST_NS, int(sum(float(pair[1]) * _UNITS[pair[2]] for pair in pairs if pair)))


def instant_ns(text: str, name: str) -> int:
    """A time in ISO 8601, such as ``2026-11-21T18:00:00Z``, in nanoseconds since 1970."""
    try:
        # a + of an offset is a blank in a query, when it isn't escaped
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace(" ", "+"))
        if moment.tzinfo is None:
            raise ValueError
        return int(moment.timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError):
        raise UsageError(f"parameter {name} {_shown(text)} must be a time such as 2026-11-21T18:00:00Z") from None


def search(given: QueryParams) -> Search:
    """The query of ``/api/traces``: times in microseconds."""
    last = _time(given, "end")
    first = _time(given, "start")
    last = time.time_ns() if last is None else last
    if first is None:
        first = last - (duration_ns(given["lookback"], "lookback") if given.get("lookback") else _DEFAULT_LOOKBACK_NS)
    shortest, longest = (duration_ns(given[name], name) if given.get(name) else None for name in _DURATIONS)
    limit = integer(given, "limit")
    tags = [*_pairs(given.getlist("tag")), *(pair for text in given.getlist("tags") for pair in _object(text, "tags"))]
    return checked(
        Search(
            max(first, -_LAST_NS),
            last,
            _DEFAULT_LIMIT if limit is None else limit,
            required(given, "service"),
            given.get("operation") or None,
            dict(tags),
            shortest,
            longest,
        )
    )


_DURATIONS: Final = ("minDuration", "maxDuration")


def checked(wanted: Search) -> Search:
    """The same with a limit that can be answered; raises UsageError where it contradicts itself."""
    if wanted.limit < 1:
        raise UsageError(f"the limit {wanted.limit} must be at least 1")
    if wanted.first > wanted.last:
        raise UsageError("the time asked for ends before it starts")
    if wanted.shortest_ns is not None and wanted.longest_ns is not None and wanted.longest_ns < wanted.shortest_ns:
        raise UsageError("the longest duration must not be below the shortest")
    if len(wanted.tags) > _MOST_TAGS:
        raise UsageError(f"{len(wanted.tags)} tags are too many: at most {_MOST_TAGS}")
    limit = min(wanted.limit, _MOST_TRACES)
    return Search(
        wanted.first,
        wanted.last,
        limit,
        wanted.service,
        wanted.operation,
        wanted.tags,
        wanted.shortest_ns,
        wanted.longest_ns,
    )


def attributes(text: str, name: str) -> Mapping[str, str]:
    """A JSON object of tags."""
    return dict(_object(text, name))


def window_ms(given: QueryParams, default_ns: int) -> tuple[int, int]:
    """``endTs`` and ``lookback`` (milliseconds): the first and the last nanosecond since 1970."""
    end, lookback = integer(given, "endTs", "milliseconds since 1970"), integer(given, "lookback", "milliseconds")
    last = time.time_ns() if end is None else end * 1_000_000
    length = default_ns if lookback is None else lookback * 1_000_000
    if length < 0:
        raise UsageError(f"parameter lookback {lookback} must not be negative")
    return _bounded(last - length), _bounded(last)


def _time(given: QueryParams, name: str) -> int | None:
    value = integer(given, name, "microseconds since 1970")
    return None if value is None else _bounded(value * 1000)


def _bounded(nanoseconds: int) -> int:
    return max(-_LAST_NS, min(_LAST_NS, nanoseconds))


def _pairs(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        key, colon, value = text.partition(":")
        if not (key and colon):
            raise UsageError(f"parameter tag {_shown(text)} must be key:value")
        yield key, value


def _object(text: str, name: str) -> Iterable[tuple[str, str]]:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError
        for key, value in found.items():
            if isinstance(value, (dict, list)) or value is None:
                raise ValueError
            yield key, value if isinstance(value, str) else json.dumps(value)
    except (ValueError, RecursionError):
        raise UsageError(
            f'parameter {name} {_shown(text)} must be a JSON object of texts, such as {{"error":"true"}}'
        ) from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
