"""Quality rules: what breaks each, and that the value which breaks it is in no average."""

from pathlib import Path
from typing import Any

import pytest

from otel_voicebot import semconv as s
from otel_voicebot.models.catalog import EMPTY, MODELS
from otel_voicebot.models.framed import PreparedCalls
from otel_voicebot.models.quality import RULES, SPAN_RULES
from tests.models.calls import Row, rows, span

TURN: dict[str, Any] = {"id": 1, "user_end": 2, "bot_start": 3.5}
FAILED = {"status": "error", "error_type": "timeout"}


def turn(data: Path, *spans: Row) -> Row:
    """The one turn of these spans."""
    (found,) = rows(data, "turns", *spans)
    return found


def test_a_sound_turn_breaks_no_rule(tmp_path: Path) -> None:
    """Recognition before the turn's span, and as long as the caller talks, is legitimate."""
    spans = span("turn", 0, 99, 1, **TURN), span("stt", -0.2, 90, 1), span("tts", 3, 4, 1)
    assert turn(tmp_path, *spans)["quality"] == []


def test_a_turn_without_a_span_of_its_own(tmp_path: Path) -> None:
    """Its parts are the turn; nothing says when anybody spoke."""
    found = turn(tmp_path, span("stt", 0, 1, 1), span("tts", 3, 4, 1))
    assert (found["quality"], found["response_gap_s"]) == (["no_turn_span", "no_speech_marks"], None)


def test_a_stage_over_a_minute_is_set_aside(tmp_path: Path) -> None:
    """61 s of a model call are in no sum of the turn and no percentile of operations."""
    spans = (
        span("turn", 0, 70, 1, **TURN),
        span("llm", 2, 63, 1, time_to_first_chunk_s=0.5),
        span("llm", 64, 65, 1),
        span("tts", 3, 4, 1),
    )
    found = turn(tmp_path / "a", *spans)
    assert (found["quality"], found["llm_s"]) == (["stage_over_60_s"], 1.0)
    (llm,) = rows(tmp_path / "b", "components", *spans, columns="* REPLACE (round(max_s, 3) AS max_s)")[:1]
    assert (llm["component"], llm["operations"], llm["max_s"]) == ("llm", 2, 1.0)


@pytest.mark.parametrize("rule", ["stop_before_start", "never_ended"])
def test_a_broken_time_is_set_aside(rule: str, tmp_path: Path) -> None:
    """A span that stops before it starts, or never, has no duration; its turn names the rule."""
    broken = {"duration_ns": None, "quality": [rule]}
    found = turn(tmp_path, span("turn", 0, 5, 1, **TURN), span("tts", 3, 4, 1), span("tool", 3, 2, 1, **broken))
    assert (found["quality"], found["operations"]) == ([rule], 2)


def test_a_bot_that_speaks_before_the_caller_ends_has_no_gap(tmp_path: Path) -> None:
    """The gap would be negative: it is set aside, and the exchange is answered."""
    found = turn(tmp_path, span("turn", 0, 6, 1, id=1, user_end=3.5, bot_start=2), span("tts", 2, 4, 1))
    assert (found["quality"], found["response_gap_s"], found["outcome"]) == (["bot_before_caller"], None, "answered")


def test_a_gap_over_a_minute_is_set_aside(tmp_path: Path) -> None:
    """Nobody waits so long on the phone."""
    found = turn(tmp_path, span("turn", 0, 90, 1, id=1, user_end=2, bot_start=63), span("tts", 62, 64, 1))
    assert (found["quality"], found["response_gap_s"]) == (["gap_over_60_s"], None)


@pytest.mark.parametrize(("marks", "rule"), [((3.5, 2), "bot_before_caller"), ((2, 63), "gap_over_60_s")])
def test_a_derived_gap_beside_a_reported_one_is_judged_too(
    marks: tuple[float, float], rule: str, tmp_path: Path
) -> None:
    """The framework's own stays; the derived one is in no column. And the other way round."""
    spans = (
        span("turn", 0, 90, 1, id=1, user_end=marks[0], bot_start=marks[1], reported_gap_s=1.5),
        span("tts", 2, 4, 1),
    )
    found = turn(tmp_path / "a", *spans)
    assert (found["quality"], found["response_gap_s"], found["response_gap_derived_s"]) == ([rule], 1.5, None)
    alone = turn(tmp_path / "b", {**spans[0], "reported_gap_s": None}, spans[1])
    assert (alone["quality"], alone["response_gap_s"], alone["response_gap_derived_s"]) == ([rule], None, None)
    broken = {"user_speech_end_unix_nano": spans[0]["start_unix_nano"], "reported_gap_s": marks[1] - marks[0]}
    other = turn(
        tmp_path / "c",
        {**spans[0], **broken, "bot_speech_start_unix_nano": spans[0]["start_unix_nano"] + 10**9},
        spans[1],
    )
    assert (other["quality"], other["response_gap_s"], other["response_gap_derived_s"]) == ([rule], None, 1.0)


def test_work_that_begins_a_minute_after_the_caller_is_no_delay(tmp_path: Path) -> None:
    """Pipecat: when the reply was decided follows from the first work on it."""
    other = {"session_id": "call", "dialect": "pipecat", "turn_index": None}
    heard = span("stt", 0.5, 2, None, id=2, parent=1, transcription_delay_s=0.5, **other)
    first = {"time_to_first_chunk_s": 0.1}
    for place, (start, delay, rules) in enumerate([(61.25, 59.75, []), (63, None, ["stage_over_60_s"])]):
        spans = (
            span("turn", 0, 90, None, id=1, **other),
            span("llm", start, start + 1, None, parent=1, **first, **other),
        )
        found = turn(tmp_path / str(place), *spans, heard)
        assert (found["endpointing_delay_s"], found["quality"]) == (delay, rules)


def test_bot_audio_without_synthesis(tmp_path: Path) -> None:
    """The bot was heard and no synthesis seen; the gap stays."""
    found = turn(tmp_path, span("turn", 0, 6, 1, **TURN))
    assert (found["quality"], found["response_gap_s"]) == (["bot_audio_without_tts"], 1.5)


def test_no_first_token(tmp_path: Path) -> None:
    """A model call answered without saying when it began to; one that failed has nothing to say."""
    common = span("turn", 0, 6, 1, **TURN), span("tts", 3, 4, 1)
    assert turn(tmp_path / "a", *common, span("llm", 2, 3, 1))["quality"] == ["no_first_token"]
    assert turn(tmp_path / "b", *common, span("llm", 2, 3, 1, **FAILED))["quality"] == []


def test_clocks_that_differ(tmp_path: Path) -> None:
    """A model call 0.2 s before its turn is another service's clock; recognition may be as early."""
    first = {"time_to_first_chunk_s": 0.1}
    common = span("turn", 1, 6, 1, **TURN), span("tts", 3, 4, 1), span("stt", 0.5, 2, 1)
    assert turn(tmp_path / "a", *common, span("llm", 0.8, 1.5, 1, **first))["quality"] == ["clock_skew"]
    assert turn(tmp_path / "b", *common, span("llm", 0.95, 1.5, 1, **first))["quality"] == []


def test_a_hang_up_is_no_interruption(tmp_path: Path) -> None:
    """The caller hung up while the bot spoke: whether the reply was interrupted is unknown, and in no rate."""
    marked = {"interrupted": True, "end_reason": "hung_up"}
    spans = span("turn", 0, 6, 1, **TURN, **marked), span("tts", 3, 4, 1)
    found = turn(tmp_path / "a", *spans)
    assert (found["quality"], found["interrupted"]) == (["interrupted_at_end"], None)
    (rate,) = [row for row in rows(tmp_path / "b", "kpis", *spans) if row["name"] == "interruption_rate"]
    assert (rate["denominator"], rate["excluded"]) == (0, 1)


def test_a_first_token_of_a_failed_call_is_named(tmp_path: Path) -> None:
    """The span's own rules stand in its turn, too, each once."""
    broken = {**FAILED, "quality": ["llm_ttfb_of_error"]}
    common = span("turn", 0, 6, 1, **TURN), span("tts", 3, 4, 1)
    found = turn(tmp_path, *common, span("llm", 2, 3, 1, id=7, **broken), span("llm", 2, 3, 1, id=8, **broken))
    assert found["quality"] == ["llm_ttfb_of_error"]


def test_bounds_of_a_wait_are_named(tmp_path: Path) -> None:
    """A wait from the transcript on is a lower bound; one to the end of the next words an upper bound."""
    other = {"session_id": "call", "dialect": "pipecat", "turn_index": None}

    def heard(at: float, delay: float | None, parent: int, start: float | None = None) -> Row:
        more = {"parent": parent, "transcription_delay_s": delay, **other}
        return span("stt", at - 1.5 if start is None else start, at, None, **more)

    late = (
        span("turn", 0, 9, None, id=1, **other),
        heard(2, None, 1),
        span("llm", 2.5, 3, None, parent=1, **FAILED, **other),
        heard(8, 0.5, 1, 7.9),
    )
    first = rows(tmp_path, "(FROM turns WHERE turn_index = 1)", *late)[0]
    assert first["quality"] == ["no_speech_marks", "lower_bound", "upper_bound"]
    assert first["wait_s"] == pytest.approx(5.5)


def test_each_rule_has_a_meaning_and_a_metric() -> None:
    """One table declares them; the metric has a rule and a bot, and no more, as labels."""
    names = [rule.name for rule in RULES]
    assert len({*names, *SPAN_RULES}) == len(names) + len(SPAN_RULES)
    assert all(meaning.endswith(".") for meaning in (*(rule.meaning for rule in RULES), *SPAN_RULES.values()))
    assert s.BROKEN_RULES.labels == ("bot", "rule")


def test_the_empty_tables_have_the_models_columns() -> None:
    """What stands in for the placing where nothing is placed has its columns and types."""
    models = PreparedCalls()
    for name in ("lent", "placed", "exchanges"):
        computed = models._connection.sql(f"DESCRIBE ({MODELS[name].text})").fetchall()
        declared = models._connection.sql(f"DESCRIBE {name}").fetchall()
        assert [row[:2] for row in declared] == [row[:2] for row in computed]
    assert set(EMPTY) == {"open_calls", "lent", "placed", "exchanges"}
    models.close()
