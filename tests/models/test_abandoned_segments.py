"""Segments of waits that were given up, of settings that are known, and when the engine cuts at all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_voicebot.models import Engine, Selection
from otel_voicebot.store.reader import snapshot
from tests.models.calls import Row, engine, rows, span
from tests.models.cutting import DECIDED, FAILED, LLM, REST, TTS, TURN, cut


def test_the_setting_tells_slow_recognition_from_the_deliberate_wait(tmp_path: Path) -> None:
    """The endpointing span ends at the transcript; with the setting known only the silence that was meant is its."""
    decided = span("endpointing", 1, 2.5, 1, outcome="committed", endpointing_setting_s=0.5)
    stt = span("stt", 0, 2.4, 1, provider="d", model="x")
    assert cut(tmp_path, TURN, decided, stt, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("stt_tail", "d/x", 900),
        ("endpointing", "endpointing", 100),
        *REST,
    ]


ABANDONED = span("turn", 0, 5, 1, id=1, user_end=1, end_reason="hung_up")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([], [("unattributed", None, 3500)]),
        (
            [span("llm", 1.5, 5, 1, provider="a", model="m")],
            [("llm_first_token", "a/m", 3500)],
        ),
        (
            [span("llm", 1.5, 5.5, 1, time_to_first_chunk_s=0.5, provider="a", model="m")],
            [("llm_first_token", "a/m", 500), ("llm_speakable", "a/m", 3000)],
        ),
        (
            [span("llm", 1.5, 2, 1, time_to_first_chunk_s=0.3, provider="a", model="m"), span("tool", 2, 6, 1)],
            [("llm_first_token", "a/m", 300), ("llm_speakable", "a/m", 200), ("tool", "bot code", 3000)],
        ),
        (
            [
                span("llm", 1.5, 2, 1, time_to_first_chunk_s=0.3, provider="a", model="m"),
                span("tts", 2, 6, 1, provider="v", model="w"),
            ],
            [("llm_first_token", "a/m", 300), ("llm_speakable", "a/m", 200), ("tts_first_audio", "v/w", 3000)],
        ),
        (
            [span("llm", 1.5, 2.5, 1, provider="a", model="m", **FAILED)],
            [("llm_first_token", "a/m", 1000), ("unattributed", None, 2500)],
        ),
    ],
    ids=["nothing", "waits for a token", "writes", "in a tool", "in TTS", "failed"],
)
def test_an_abandoned_wait_is_cut_up_to_its_end(
    tmp_path: Path, stages: Sequence[Row], expected: list[tuple[object, ...]]
) -> None:
    """What is unfinished is cut where the caller gave up; what follows the last stage belongs to nobody."""
    assert cut(tmp_path, ABANDONED, DECIDED, *stages) == [("endpointing", "endpointing", 500), *expected]


def test_without_the_callers_end_of_speech_nothing_is_cut(tmp_path: Path) -> None:
    """Who doesn't know when the wait began can't say what it was spent on."""
    turn = span("turn", 0, 9, 1, id=1)
    found = rows(tmp_path, "turns", turn, span("stt", 0, 1, 1), LLM, TTS)[0]
    assert (found["kind"], found["segments"]) == ("exchange", None)


def test_a_greeting_has_no_segments(tmp_path: Path) -> None:
    """Nobody waited."""
    found = rows(tmp_path, "turns", span("turn", 0, 3, 1, bot_start=1), span("tts", 0, 1, 1))[0]
    assert (found["kind"], found["segments"]) == ("greeting", None)


def test_thousands_of_stages_in_one_wait_are_a_partition(tmp_path: Path) -> None:
    """Of a wait's stages the first thousand count; the others change nothing of what is before them."""
    many = [span("api", 1.5 + n * 0.0001, 1.5 + n * 0.0001 + 0.00005, 1, id=1000 + n) for n in range(3000)]
    assert cut(tmp_path, TURN, DECIDED, *many, LLM, TTS)[0] == ("endpointing", "endpointing", 500)


# ---- the engine -----------------------------------------------------------------------------------------------------


def test_an_engine_that_is_not_asked_to_cuts_nothing(tmp_path: Path) -> None:
    """Its turns are the same but for what waits were spent on; one session's turns are whole all the same."""
    other = [{**one, "session_id": "other", "bot": "shop", "trace_id": b"\2" * 16} for one in (TURN, DECIDED, LLM, TTS)]
    cut = ("segments", "longest_segment", "longest_owner")
    with engine(tmp_path, TURN, DECIDED, LLM, TTS, *other, selection=Selection(bot="bank")) as full:
        assert set(full.table("segments")["session_id"].to_pylist()) == {"call"}
        expected = full.table("turns").drop_columns(cut)
    with Engine(snapshot(tmp_path), Selection(bot="bank"), cut=False) as other_engine:
        found = other_engine.table("turns")
        assert found.drop_columns(cut) == expected
        assert [found[name].null_count for name in cut] == [len(found)] * 3
        assert other_engine.turns_of(["call"])["segments"].to_pylist()[0][0]["segment"] == "endpointing"
