"""Spans of one exchange, and their segments in short; that they are a partition of the wait is checked each time."""

import itertools
from pathlib import Path

from otel_voicebot.models import Engine
from tests.models.calls import Row, engine, span

FAILED = {"status": "error", "error_type": "timeout"}
TURN = span("turn", 0, 9, 1, id=1, user_end=1, bot_start=4)
DECIDED = span("endpointing", 1, 1.5, 1, outcome="committed")
LLM = span("llm", 2.5, 3.5, 1, time_to_first_chunk_s=0.4, provider="a", model="m")
"""First token at 2.9 s."""
TTS = span("tts", 3.2, 5, 1, time_to_first_chunk_s=0.5, provider="v", model="w")
"""First audio at 3.7 s, heard at 4 s."""
REST = [
    ("llm_first_token", "a/m", 400),
    ("llm_speakable", "a/m", 300),
    ("tts_first_audio", "v/w", 500),
    ("playout_start", "transport", 300),
]
"""What LLM, TTS and the turn make of the wait from 2.5 s on."""
SHORT = "segment, owner, round((end_nano - start_nano) / 1e6, 3) AS ms"
Short = list[tuple[object, ...]]


def cut(data: Path, *spans: Row, columns: str = SHORT) -> Short:
    """Segment, owner and milliseconds of each segment in order; that they are a partition of the wait is checked."""
    with engine(data, *spans) as models:
        found = models.sql(f"SELECT {columns} FROM segments ORDER BY session_id, turn_index, position").to_pylist()
        partitions(models)
    return [tuple(row.values()) for row in found]


def partitions(models: Engine) -> None:
    """Each wait's segments begin at 1, are of some length, touch each other, and add up to the wait."""
    found = models.sql("SELECT * FROM segments ORDER BY session_id, turn_index, position").to_pylist()
    by_wait: dict[tuple[object, ...], list[Row]] = {}
    for row in found:
        by_wait.setdefault((row["session_id"], row["turn_index"]), []).append(row)
    lengths = models.sql(
        "SELECT session_id, turn_index, coalesce(response_gap_s, wait_s) AS s FROM turns WHERE segments IS NOT NULL"
    )
    assert len(by_wait) == lengths.num_rows
    for wait in lengths.to_pylist():
        parts = by_wait[wait["session_id"], wait["turn_index"]]
        assert [part["position"] for part in parts] == list(range(1, len(parts) + 1))
        assert all(part["start_nano"] < part["end_nano"] for part in parts)
        assert all(one["end_nano"] == two["start_nano"] for one, two in itertools.pairwise(parts))
        assert parts[-1]["end_nano"] - parts[0]["start_nano"] == round(wait["s"] * 1e9)
