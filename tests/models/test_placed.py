"""Turns of frameworks, put together from their spans: what it costs."""

import re
from pathlib import Path

import pytest

from otel_voicebot.models.catalog import MODELS, PLACING
from tests.models.calls import Row, engine, span

TURNS = 200


def call(dialect: str) -> list[Row]:
    """A call of many turns, in each of which another agent takes over."""
    made = [span("session", 0, 10 * TURNS, id=1, dialect=dialect)]
    for number in range(TURNS):
        at, first = 10 * number, 10 + 10 * number
        head = {"id": first + 1, "parent": 1, "dialect": dialect}
        if dialect == "livekit":
            made.append(span("stt", at, at + 1, id=first, parent=1, dialect=dialect, name="user_turn"))
        made.append(span("turn", at + 1, at + 9, **head, name="agent_turn"))
        made += [span(kind, at + 2, at + 3, parent=first + 1, dialect=dialect) for kind in ("llm", "tool", "tts")]
        made.append(span("handoff", at + 4, at + 5, parent=1, dialect=dialect))
    return made


@pytest.mark.parametrize("dialect", ["pipecat", "livekit"])
def test_no_step_of_a_long_call_has_more_rows_than_the_call_has_spans(tmp_path: Path, dialect: str) -> None:
    """Spans meet their own turn, not all turns of their call: one of 4000 turns with handoffs cost 9 s, now 0.5 s."""
    spans = call(dialect)
    with engine(tmp_path, *spans) as models:
        assert models.table("turns").num_rows == TURNS
        assert models.sql("SELECT count(*) AS n FROM turns WHERE handoff").to_pylist() == [{"n": TURNS}]
        for name in (*PLACING, "turns"):
            (plan,) = models.sql(f"EXPLAIN ANALYZE {MODELS[name].text}")["explain_value"].to_pylist()
            rows = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) rows", plan)]
            assert len(rows) > 5
            assert max(rows) <= len(spans), name
