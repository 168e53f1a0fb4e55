"""What the live state computes of operations and turns equals the models, of few spans and of many."""

from pathlib import Path

import pyarrow as pa
import pytest

from otel_voicebot.live.rows import operations_of
from otel_voicebot.models import prepared
from otel_voicebot.models.prepared import NARROW, Prepared
from tests.models.calls import batch, engine, span

READ = ("session_id", "component", "provider", "duration_s", "failed", "error_type", "input_tokens", "wer_words")


@pytest.mark.parametrize("many", [1, 10_000])
def test_live_operations_and_turns_equal_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """Nested attempts, failures, broken times, spans that are no operation, and a session known by its trace only."""
    spans = [
        span("session", 0, 60),
        span("turn", 1, 9, 1),
        span("llm", 2, 5, 1, id=7, provider="openai", input_tokens=40),
        span("llm", 2, 3, 1, id=8, parent=7, status="error", error_type="timeout"),
        span("llm", 3, 5, 1, id=9, parent=7, provider="openai", input_tokens=40),
        span("tool", 3, 4, 1, id=10, parent=7, status="error"),
        span("stt", 6, 7, 2, duration_ns=None, wer_words=5),
        span("endpointing", 6, 7, 2),
        span("tts", 8, 9, trace=2, session_id=None, status="error", error_type="http_500"),
    ]
    monkeypatch.setattr(prepared, "_MANY", many)
    models = Prepared()
    rows = pa.Table.from_batches([batch(spans).select(NARROW.names)])
    models.load(rows)
    live = operations_of(rows, models.nested()).select(READ).to_pylist()
    turns = models.run("turns").sort_by("turn_index")
    with engine(tmp_path, *spans) as batch_models:
        expected = batch_models.sql(f"SELECT {', '.join(READ)} FROM operations").to_pylist()
        assert turns.to_pylist() == batch_models.sql("FROM turns ORDER BY turn_index").to_pylist()
    assert sorted(map(repr, live)) == sorted(map(repr, expected))
    assert len(live) == 4
