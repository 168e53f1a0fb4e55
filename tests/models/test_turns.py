"""Turns: what the caller waited for, and what the bot did in that time."""

from datetime import timedelta
from pathlib import Path

import pytest

from otel_voicebot.spans.schema import TURNS
from tests.models.calls import NOON, Row, nano, rows, span

VERDICT = "kind, outcome, abandon_reason, response_gap_s, wait_s"
FAILED = {"status": "error", "error_type": "timeout"}


def segment(name: str, start: float, length: float, owner: str, kind: str) -> Row:
    """A segment of turn 1 as its row holds it; a service's provider and model follow from the owner."""
    provider, _, model = owner.partition("/") if kind == "service" else (None, "", None)
    return {
        "segment": name,
        "owner": owner,
        "owner_kind": kind,
        "provider": provider,
        "model": model,
        "start_unix_nano": nano(start),
        "duration_s": length,
        "detail": None,
    }


def verdicts(data: Path, *spans: Row) -> list[tuple[object, ...]]:
    """(kind, outcome, abandon_reason, response_gap_s, wait_s) of each turn in order."""
    found = rows(data, "(SELECT * FROM turns ORDER BY session_id, turn_index)", *spans, columns=VERDICT)
    return [tuple(row.values()) for row in found]


def test_an_answered_exchange_has_the_whole_row(tmp_path: Path) -> None:
    """The caller ends at 2 s and hears the bot at 3.5 s: a gap of 1.5 s, with the parts that made it."""
    found = rows(
        tmp_path,
        "turns",
        span("turn", 0, 6, 1, id=1, user_end=2, bot_start=3.5, channel="phone", interrupted=True),
        span("endpointing", 2, 2.5, 1, outcome="committed"),
        span(
            "stt",
            0,
            2.75,
            1,
            provider="pocketsphinx",
            model="en-us",
            user_words=5,
            audio_s=2.0,
            wer_errors=1,
            wer_words=6,
        ),
        span("nlu", 2.75, 3, 1, intent="loan", confidence=0.9),
        span("llm", 3, 3.5, 1, time_to_first_chunk_s=0.25, provider="a", model="m", input_tokens=10, output_tokens=4),
        span("tool", 3, 3.25, 1, id=8, **FAILED),
        span("llm", 3.5, 4, 1, time_to_first_chunk_s=0.125, provider="b", model="n", input_tokens=5),
        span(
            "tts", 3.25, 3.75, 1, time_to_first_chunk_s=0.2, provider="flite", model="slt", characters=30, bot_words=7
        ),
    )
    expected = {
        **dict.fromkeys(("variant", "environment", "user_text", "bot_text", "abandon_reason", "wait_s")),
        **dict.fromkeys(("transcription_delay_s", "endpointing_delay_s")),
        "session_id": "call",
        "turn_index": 1,
        "trace_id": "0" * 31 + "1",
        "turn_span_id": "0" * 15 + "1",
        "bot": "bank",
        "channel": "phone",
        "dialect": "native",
        "start_time": NOON,
        "end_time": NOON + timedelta(seconds=6),
        "kind": "exchange",
        "outcome": "answered",
        "response_gap_s": 1.5,
        "gap_source": "derived",
        "response_gap_derived_s": 1.5,
        "segments": [
            segment("endpointing", 2, 0.5, "endpointing", "setting"),
            segment("stt_tail", 2.5, 0.25, "pocketsphinx/en-us", "service"),
            segment("nlu", 2.75, 0.25, "bot code", "bot"),
            segment("llm_first_token", 3, 0.25, "a/m", "service"),
            segment("tts_first_audio", 3.25, 0.2, "flite/slt", "service"),
            segment("playout_start", 3.45, 0.05, "transport", "transport"),
        ],
        "longest_segment": "endpointing",
        "longest_owner": "endpointing",
        "interrupted": True,
        "endpointing_s": 0.5,
        "stt_s": 2.75,
        "llm_first_token_s": 0.25,
        "llm_s": 1.0,
        "tts_first_audio_s": 0.2,
        "tts_s": 0.5,
        "stt_provider": "pocketsphinx",
        "stt_model": "en-us",
        "llm_provider": "b",
        "llm_model": "n",
        "tts_provider": "flite",
        "tts_model": "slt",
        "input_tokens": 15,
        "output_tokens": 4,
        "audio_s": 2.0,
        "characters": 30,
        "words": 12,
        "tool_calls": 1,
        "operations": 6,
        "errors": 1,
        "error_type": "timeout",
        "handoff": False,
        "intent": "loan",
        "wer_errors": 1,
        "wer_words": 6,
        "quality": [],
    }
    segments = found[0]["segments"]
    ids = [one.pop("span_id") for one in segments]
    assert {name: value for name, value in found[0].items() if name in TURNS.names} == expected
    assert [one is None for one in ids] == [False, False, False, False, False, True]
    assert len(found) == 1


def test_a_greeting_is_no_exchange_and_has_no_gap(tmp_path: Path) -> None:
    """The bot speaks unasked: nobody waited."""
    assert verdicts(tmp_path, span("turn", 0, 3, 1, bot_start=1), span("tts", 0, 1, 1)) == [
        ("greeting", None, None, None, None)
    ]


@pytest.mark.parametrize(
    ("turn", "parts", "reason"),
    [
        ({"end_reason": "hung_up"}, [], "hung_up"),
        ({"end_reason": "spoke_again"}, [], "spoke_again"),
        ({"interrupted": True}, [], "spoke_again"),
        ({}, [], "session_ended"),
        ({"end_reason": "hung_up"}, [span("llm", 2, 5, 1, **FAILED)], "error"),
        ({"end_reason": "hung_up"}, [span("tool", 2, 5, 1, **FAILED)], "hung_up"),
    ],
)
def test_an_exchange_without_an_answer_is_abandoned_for_a_reason(
    tmp_path: Path, turn: Row, parts: list[Row], reason: str
) -> None:
    """The caller waited in vain from 2 s to the turn's end at 6 s; a failed reply explains it before all else."""
    spans = span("turn", 0, 6, 1, user_end=2, **turn), *parts
    assert verdicts(tmp_path, *spans) == [("exchange", "abandoned", reason, None, 4.0)]


def test_a_caller_who_resumes_before_the_decision_was_not_left_waiting(tmp_path: Path) -> None:
    """When every endpointing was resumed or dropped there was nothing to answer; one commit makes it an exchange."""
    assert verdicts(
        tmp_path,
        span("turn", 0, 3, 1, user_end=1),
        span("endpointing", 1, 2, 1, outcome="resumed"),
        span("endpointing", 2, 3, 1, outcome="dropped"),
        span("turn", 3, 6, 2, user_end=4),
        span("endpointing", 3, 4, 2, outcome="resumed"),
        span("endpointing", 4, 5, 2, outcome="committed"),
    ) == [("other", None, None, None, None), ("exchange", "abandoned", "session_ended", None, 2.0)]


def test_a_turn_whose_span_is_missing_is_judged_by_its_parts(tmp_path: Path) -> None:
    """Without the turn's span there are no speech marks: heard and spoken is answered, but the gap stays unknown."""
    spans = (
        *(span("stt", 0, 1, 1), span("tts", 1, 2, 1)),
        *(span("stt", 3, 4, 2), span("tts", 4, 5, 2, **FAILED)),
        *(span("tts", 6, 7, 3), span("nlu", 8, 9, 4)),
    )
    found = rows(tmp_path, "turns ORDER BY turn_index", *spans, columns=f"{VERDICT}, quality")
    assert [tuple(row.values()) for row in found] == [
        ("exchange", "answered", None, None, None, ["no_turn_span", "no_speech_marks"]),
        ("exchange", "abandoned", "error", None, None, ["no_turn_span", "no_speech_marks"]),
        ("greeting", None, None, None, None, ["no_turn_span"]),
        ("other", None, None, None, None, ["no_turn_span"]),
    ]


def test_nested_and_repeated_spans_count_once(tmp_path: Path) -> None:
    """Attempts inside a retry and a second delivery add nothing to durations, tokens, errors or operations."""
    outer = span("llm", 1, 3, 1, id=1, input_tokens=10)
    found = rows(
        tmp_path,
        "turns",
        outer,
        outer,
        span("llm", 1, 2, 1, id=2, parent=1, input_tokens=10, **FAILED),
        span("llm", 2, 3, 1, id=3, parent=1, input_tokens=10),
        columns="llm_s, input_tokens, operations, errors, error_type",
    )
    assert [tuple(row.values()) for row in found] == [(2.0, 10, 1, 0, None)]


def test_turns_are_told_apart_by_session_and_index_from_one_on(tmp_path: Path) -> None:
    """Two sessions have a turn 1 each; a span without an index, or with one below 1, belongs to no turn."""
    found = rows(
        tmp_path,
        "turns ORDER BY session_id",
        span("stt", 0, 1, 1, session_id="a"),
        span("stt", 0, 1, 1, session_id="b", id=5),
        span("stt", 2, 3),
        span("stt", 3, 4, 0),
        span("stt", 4, 5, -1),
        columns="session_id, turn_index, stt_s",
    )
    assert [tuple(row.values()) for row in found] == [("a", 1, 1.0), ("b", 1, 1.0)]


def test_what_was_said_is_joined_in_order(tmp_path: Path) -> None:
    """With content capture on, a turn's texts are those of its recognitions and replies, in the order they began."""
    found = rows(
        tmp_path,
        "turns",
        span("stt", 2, 3, 1, user_text="a loan"),
        span("stt", 0, 1, 1, user_text="i want"),
        span("tts", 5, 6, 1, bot_text="How much?"),
        span("tts", 4, 5, 1, bot_text="Sure."),
        columns="user_text, bot_text",
    )
    assert found == [{"user_text": "i want a loan", "bot_text": "Sure. How much?"}]
