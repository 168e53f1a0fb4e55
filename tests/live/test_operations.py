"""What the live state computes of operations and turns equals the models."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from otel_voicebot.live.rows import operations_of
from otel_voicebot.models.prepared import NARROW, Prepared
from tests.models.calls import batch, engine, span

READ = (
    *("session_id", "component", "provider", "model", "duration_s", "failed", "error_type", "wer_words"),
    *("input_tokens", "output_tokens", "cached_input_tokens", "characters", "audio_s"),
)


@pytest.mark.parametrize("between", [0, 1, 4, 8, 9])
def test_a_nested_call_is_noticed_however_many_spans_of_no_component_lie_between(between: int) -> None:
    """One attempt below a chain of chains, the only sign of nesting in the rows; beyond eight both count."""
    chain = [span("other", 2, 5, 1, id=10 + n, parent=9 + n) for n in range(between)]
    spans = [span("llm", 2, 5, 1, id=9), *chain, span("llm", 3, 4, 1, id=30, parent=9 + between)]
    rows = pa.Table.from_batches([batch(spans).select(NARROW.names)])
    models = Prepared()
    models.load(rows)
    assert operations_of(rows, models.nested(), models.lent()).num_rows == (2 if between > 8 else 1)


def test_a_span_id_of_two_traces_is_two_operations() -> None:
    """In one trace a retry is nested in an operation, and lends it; in the other the same ids stand side by side."""
    spans = [
        span("llm", 0, 9, 1, id=1, trace=1),
        span("llm", 0, 8, 1, id=2, trace=1, parent=1, input_tokens=5, status="error", error_type="timeout"),
        span("llm", 0, 9, 1, id=1, trace=2, session_id="other"),
        span("llm", 0, 9, 1, id=2, trace=2, session_id="other"),
    ]
    rows = pa.Table.from_batches([batch(spans).select(NARROW.names)])
    models = Prepared()
    models.load(rows)
    found = operations_of(rows, models.nested(), models.lent()).select(["session_id", "input_tokens", "failed"])
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("call", 5, True),
        ("other", None, False),
        ("other", None, False),
    ]


def test_live_operations_and_turns_equal_the_models(tmp_path: Path) -> None:
    """Nested attempts, failures, broken times, spans that are no operation, and a session known by its trace only."""
    spans = [
        span("session", 0, 60),
        span("turn", 1, 9, 1),
        span("llm", 2, 5, 1, id=7, provider="openai", input_tokens=40),
        span("llm", 2, 3, 1, id=8, parent=7, status="error", error_type="timeout"),
        span("llm", 3, 5, 1, id=9, parent=7, provider="openai", input_tokens=40),
        span("tool", 3, 4, 1, id=10, parent=7, status="error"),
        span("other", 3, 4, 1, id=11, parent=7),
        span("other", 3, 4, 1, id=12, parent=11),
        span("llm", 3, 4, 1, id=13, parent=12, status="error", input_tokens=7),
        span("tts", 4, 5, 1, id=20, provider="own", error_type="ignored"),
        span(
            "tts", 4, 5, 1, id=21, parent=20, provider="a", model="voice", characters=9, status="error", error_type="t"
        ),
        span("llm", 5, 6, 1, id=22, characters=1),
        span("llm", 5, 6, 1, id=23, parent=22, cached_input_tokens=3, status="error", error_type="gone"),
        span("llm", 5, 6, 1, id=24, parent=23, input_tokens=5, output_tokens=6, audio_s=0.25),
        span("stt", 6, 7, 2, duration_ns=None, wer_words=5),
        span("endpointing", 6, 7, 2),
        span("tts", 8, 9, trace=2, session_id=None, status="error", error_type="http_500"),
    ]
    models = Prepared()
    rows = pa.Table.from_batches([batch(spans).select(NARROW.names)])
    models.load(rows)
    found = operations_of(rows, models.nested(), models.lent())
    error = pc.if_else(found["failed"], found["error_type"], None)  # metrics read it of those only
    live = found.set_column(found.schema.get_field_index("error_type"), "error_type", error).select(READ).to_pylist()
    turns = models.run("turns").sort_by("turn_index")
    with engine(tmp_path, *spans) as batch_models:
        expected = batch_models.sql(f"SELECT {', '.join(READ)} FROM operations").to_pylist()
        assert turns.to_pylist() == batch_models.sql("FROM turns ORDER BY turn_index").to_pylist()
    assert sorted(map(repr, live)) == sorted(map(repr, expected))
    assert len(live) == 6
    (lent,) = [row for row in live if row["characters"] == 1]
    assert (lent["input_tokens"], lent["cached_input_tokens"], lent["error_type"]) == (5, 3, "gone")
