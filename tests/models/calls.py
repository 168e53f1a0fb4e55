"""Spans of calls, written by hand in seconds after noon, stored and read back by the real store and engine."""

import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_NANO = int(NOON.timestamp()) * 1_000_000_000

Row = dict[str, Any]


def nano(seconds: float) -> int:
    """Nanoseconds since 1970 of a time after noon."""
    return NOON_NANO + round(seconds * 1e9)


def span(component: str, start: float, end: float, turn: int | None = None, /, **columns: Any) -> Row:
    """A span of session `call` and trace 1.

    ``id``, ``trace`` and ``parent`` are small numbers, ``user_end`` and ``bot_start`` seconds after noon.
    """
    number = columns.pop("id", None) or _number(component, start, turn)
    trace, parent = columns.pop("trace", 1), columns.pop("parent", None)
    marks = {"user_end": "user_speech_end_unix_nano", "bot_start": "bot_speech_start_unix_nano"}
    for short, column in marks.items():
        if (at := columns.pop(short, None)) is not None:
            columns[column] = nano(at)
    return {
        "trace_id": trace.to_bytes(16),
        "span_id": number.to_bytes(8),
        "parent_span_id": parent.to_bytes(8) if parent else None,
        "name": f"voicebot.{component}",
        "component": component,
        "session_id": "call",
        "turn_index": turn,
        "bot": "bank",
        "status": "unset",
        "start_unix_nano": nano(start),
        "end_unix_nano": nano(end),
        "start_time": nano(start) // 1000,
        "duration_ns": nano(end) - nano(start),
        "dialect": "native",
        "ingest_time": nano(end) // 1000,
        **columns,
    }


def _number(component: str, start: float, turn: int | None) -> int:
    return zlib.crc32(f"{component} {start} {turn}".encode()) + 1


def batch(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    """The spans in form SPANS."""
    listed = [dict(row) for row in rows]
    unknown = {key for row in listed for key in row} - set(SPANS.names)
    assert not unknown, unknown
    return pa.RecordBatch.from_pylist(listed, schema=SPANS)


def engine(data: Path, *spans: Row, selection: Selection | None = None, short_session_s: float = 5.0) -> Engine:
    """The models over these spans, which the real store has written and reads."""
    SpanStore(data).commit([batch(spans)])
    return Engine(snapshot(data), selection, terms=Terms(short_session_s=short_session_s))


def rows(data: Path, model: str, *spans: Row, columns: str = "*", selection: Selection | None = None) -> list[Row]:
    """A model's rows over these spans."""
    with engine(data, *spans, selection=selection) as models:
        return models.sql(f"SELECT {columns} FROM {model}").to_pylist()


def served(session: str, entry: str | None, hit: bool, gap: float | None, outcome: str) -> list[Row]:
    """A call of one exchange in which a cache was looked into; without a gap it was hung up on."""
    named = [("voicebot.cache.entry", entry)] if entry else []
    trace = {"trace": sum(session.encode()), "session_id": session}
    heard = {"user_end": 2.0, "bot_start": None if gap is None else 2.0 + gap}
    return [
        span("session", 0, 30, **trace, outcome=outcome),
        span("turn", 1, 9, 1, **trace, **heard, end_reason=None if gap else "hung_up"),
        span("cache", 2, 2.1, 1, **trace, cache_name="semantic", cache_hit=hit, attributes=named),
        span("nlu", 2.1, 2.2, 1, **trace, intent="loan", confidence=0.9 if hit else 0.5, intent_fallback=not hit,
             adapter="lora-1", attributes=[("voicebot.intent.schema", "v2" if hit else "v3")]),
    ]  # fmt: skip


NESTED = [
    span("llm", 0, 9, 1, id=1, trace=9, session_id="nested", provider="openai", model="gpt-4o-mini", input_tokens=100),
    span("llm", 0, 2, 1, id=2, parent=1, trace=9, session_id="nested", output_tokens=20),
    span("llm", 0, 2, 1, id=3, parent=2, trace=9, session_id="nested", output_tokens=20, cached_input_tokens=5),
    span(
        "llm", 3, 5, 1, id=4, parent=1, trace=9, session_id="nested", output_tokens=3, status="error", error_type="gone"
    ),
]
"""A model call that tells little, and clients' calls in it that tell more; the last of them failed."""

SERVED = [
    *served("a", "faq-7", True, 1.0, "resolved"),
    *served("b", "faq-7", True, 2.0, "unresolved"),
    *served("c", "faq-9", True, None, "abandoned"),
    *served("d", "faq-9", False, 4.0, "resolved"),
    *served("e", None, False, 8.0, "resolved"),
]
