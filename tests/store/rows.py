"""Span rows made straight from the schema, for tests of the store."""

import hashlib

import pyarrow as pa

from otel_voicebot.spans.schema import SPANS

START = 1_795_219_367_000_000_000  # 2026-11-21 00:02:47 UTC


def span_id(number: int) -> bytes:
    """The id of the span with this number."""
    return hashlib.blake2b(number.to_bytes(8), digest_size=8).digest()


def trace_id(number: int) -> bytes:
    """The trace of the span with this number: ten spans share one."""
    return hashlib.blake2b((number // 10).to_bytes(8), digest_size=16).digest()


def span_rows(count: int, first: int = 0) -> pa.RecordBatch:
    """``count`` spans, numbered from ``first``, with every kind of column filled somewhere."""
    numbers = range(first, first + count)
    values: dict[str, list[object]] = {
        "trace_id": [trace_id(n) for n in numbers],
        "span_id": [span_id(n) for n in numbers],
        "parent_span_id": [None if n % 10 == 0 else span_id(n - n % 10) for n in numbers],
        "name": [f"voicebot.{'turn' if n % 10 == 0 else 'stt'}" for n in numbers],
        "start_unix_nano": [START + n * 1_000_000 + 1 for n in numbers],
        "end_unix_nano": [START + n * 1_000_000 + 501 for n in numbers],
        "start_time": [START // 1000 + n * 1000 for n in numbers],
        "duration_ns": [500] * count,
        "status": ["ok"] * count,
        "component": ["turn" if n % 10 == 0 else "stt" for n in numbers],
        "session_id": [f"call-{n // 100}" for n in numbers],
        "turn_index": [n // 10 % 10 + 1 for n in numbers],
        "confidence": [n % 7 / 7 if n % 3 else None for n in numbers],
        "interrupted": [n % 2 == 0 for n in numbers],
        "attributes": [[("own.key", "1"), ("withheld", None)] for _ in numbers],
        "attributes_typed": [[("own.number", "1")] for _ in numbers],
        "resource_attributes": ['{"service.name": "bank"}'] * count,
        "events": [[{"unix_nano": START + n, "name": "voicebot.user.speech.end", "attributes": "{}"}] for n in numbers],
        "links": [
            [{"trace_id": trace_id(n), "span_id": span_id(n), "trace_state": None, "attributes": "{}"}] if n % 5 else []
            for n in numbers
        ],
        "quality": [["no_parent"] if n % 4 == 0 else [] for n in numbers],
        "schema_version": [1] * count,
    }
    columns = [pa.array(values.get(f.name, [None] * count), f.type) for f in SPANS]
    return pa.RecordBatch.from_arrays(columns, schema=SPANS)
