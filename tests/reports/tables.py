"""Tables made by hand, in the published schemas: a reader of a test sees its input beside its expectation."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from otel_voicebot.spans.schema import SESSIONS, SPANS_READ, TURNS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_NANO = int(NOON.timestamp()) * 1_000_000_000


def nano(seconds: float) -> int:
    """Nanoseconds since 1970 of a time after noon."""
    return NOON_NANO + round(seconds * 1e9)


def span(span_id: str, component: str, start: float, end: float, **columns: object) -> dict[str, object]:
    """One span of session `call-1`, in seconds after noon."""
    return {
        "trace_id": "a" * 32,
        "span_id": span_id,
        "parent_span_id": None,
        "name": f"voicebot.{component}",
        "component": component,
        "session_id": "call-1",
        "turn_index": 1,
        "bot": "bank",
        "status": "unset",
        "start_unix_nano": nano(start),
        "end_unix_nano": nano(end),
        "start_time": NOON + timedelta(seconds=start),
        "duration_ns": nano(end) - nano(start),
        **columns,
    }


def spans(*rows: Mapping[str, object]) -> pa.Table:
    """In form SPANS_READ."""
    return _table(rows, SPANS_READ)


def turn(session: str, index: int, **columns: object) -> dict[str, object]:
    """One exchange; answered when it has a response gap."""
    gap = columns.get("response_gap_s")
    return {
        "session_id": session,
        "turn_index": index,
        "bot": "bank",
        "kind": "exchange",
        "outcome": "answered" if gap is not None else "abandoned",
        "start_time": NOON + timedelta(seconds=10 * index),
        "errors": 0,
        **columns,
    }


def turns(*rows: Mapping[str, object]) -> pa.Table:
    """In form TURNS."""
    return _table(rows, TURNS)


def session(name: str, **columns: object) -> dict[str, object]:
    """One call."""
    return {"session_id": name, "bot": "bank", "start_time": NOON, "duration_s": 60.0, "turns": 3, **columns}


def sessions(*rows: Mapping[str, object]) -> pa.Table:
    """In form SESSIONS."""
    return _table(rows, SESSIONS)


def _table(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    unknown = {key for row in rows for key in row} - set(schema.names)
    assert not unknown, unknown
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


class Tables:
    """Tables by name, as the engine gives them."""

    def __init__(self, **tables: pa.Table) -> None:
        self._tables = tables

    def table(self, name: str) -> pa.Table:
        """The table that was put in under this name."""
        return self._tables[name]


SEGMENTS = pa.list_(
    pa.struct(
        [
            *((name, pa.string()) for name in ("segment", "owner", "owner_kind", "provider", "model", "span_id")),
            ("start_unix_nano", pa.int64()),
            ("duration_s", pa.float64()),
            ("detail", pa.string()),
        ]
    )
)
"""The column ``segments`` of turns."""


def segment(name: str, seconds: float, owner: str | None = None, kind: str | None = None) -> dict[str, object]:
    """One segment; an owner ``provider/model`` is a service unless ``kind`` says otherwise."""
    provider, slash, model = (owner or "").partition("/")
    return {
        "segment": name,
        "owner": owner,
        "owner_kind": kind or ("service" if slash else "setting" if owner else None),
        "provider": provider if slash else None,
        "model": model or None,
        "duration_s": seconds,
    }


def exchange(session: str, index: int, *segments: Mapping[str, object], **columns: object) -> dict[str, object]:
    """An answered exchange whose gap is made of these segments."""
    start, placed = nano(10 * index), []
    for one in segments:
        placed.append({**one, "start_unix_nano": start})
        start += round(float(str(one["duration_s"])) * 1e9)
    gap = sum(round(float(str(one["duration_s"])) * 1e9) for one in segments) / 1e9
    return turn(session, index, **{"response_gap_s": gap, "segments": placed, **columns})


def cut_turns(*rows: Mapping[str, object]) -> pa.Table:
    """In form TURNS, with segments."""
    rest = [{key: value for key, value in row.items() if key != "segments"} for row in rows]
    table = turns(*rest)
    if "segments" in table.column_names:
        table = table.drop_columns(["segments"])
    return table.append_column("segments", pa.array([row.get("segments") for row in rows], SEGMENTS))
