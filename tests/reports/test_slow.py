"""The slowest turns."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.reports import slow
from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.scope import Scope
from tests.reports.tables import NOON, turn, turns

SCOPE = Scope("data", NOON)
TURNS = turns(
    turn("call-1", 1, response_gap_s=0.8, endpointing_s=0.5, stt_s=0.1, llm_model="rules"),
    turn(
        "call-1",
        2,
        response_gap_s=2.4,
        endpointing_s=0.5,
        llm_first_token_s=1.6,
        tts_first_audio_s=0.2,
        llm_model="big",
    ),
    turn("call-2", 1, wait_s=4.0, abandon_reason="hung_up", error_type="timeout", errors=1),
    turn("call-2", 2, kind="greeting", outcome=None, response_gap_s=None),
    turn("call-3", 1),
)


def test_longest_wait_first() -> None:
    """Turns stand by how long the caller waited; an abandoned one counts with the wait until it was given up."""
    found = slow.compute(TURNS, SCOPE, 10)
    assert [(row["turn"], row["waited_s"], row["largest_part"]) for row in found.turns] == [
        ("call-2/1", 4.0, None),
        ("call-1/2", 2.4, "llm first token"),
        ("call-1/1", 0.8, "endpointing"),
    ]
    assert found.exchanges == 4


def test_rest_of_a_row_comes_later() -> None:
    """Found by few columns and completed session by session, the answer is the same."""
    asked: list[list[str]] = []

    def turns_of(sessions: Sequence[str]) -> pa.Table:
        asked.append(list(sessions))
        return TURNS.filter(pc.is_in(TURNS["session_id"], pa.array(sessions)))

    found = slow.compute(TURNS.select(slow.RANKING), SCOPE, 2, turns_of)
    assert found == slow.compute(TURNS, SCOPE, 2)
    assert asked == [["call-1", "call-2"]]


def test_limit() -> None:
    """No more turns than asked for."""
    assert [row["turn"] for row in slow.compute(TURNS, SCOPE, 1).turns] == ["call-2/1"]


def test_table() -> None:
    """The table marks the largest part and says that an abandoned wait is a lower bound."""
    lines = as_text(slow.grid(slow.compute(TURNS, SCOPE, 10))).splitlines()
    assert [line[:85].rstrip() for line in lines] == [
        "Slowest 3 of 4 turns",
        "  turn         waited  endpointing     stt  llm first token  tts first audio  model",
        "  call-2/1  >= 4.00 s            -       -                -                -  -",
        "  call-1/2     2.40 s       500 ms       -          *1.60 s           200 ms  big",
        "  call-1/1     800 ms      *500 ms  100 ms                -                -  rules",
        "  * the largest measured part; parts overlap, so they need not add up to the wait",
        "  >= the caller gave up before the bot answered: the wait was at least this long",
    ]
    assert [line[85:].split("  ") for line in lines[1:5]] == [
        ["outcome", "", "", "", "", "", "error"],
        ["abandoned hung_up", "timeout"],
        ["answered"],
        ["answered"],
    ]


def test_nothing_to_show() -> None:
    """Without a turn that has a wait the table says so."""
    assert as_text(slow.grid(slow.compute(turns(), SCOPE, 10))) == "Slowest 0 of 0 turns\n  no turn has a wait"


def test_long_ids_are_shortened() -> None:
    """For people an id is as long as it takes to tell sessions apart (`trace` needs no more); JSON has all of it."""
    first, second = "0123456789" + "a" * 22, "0123456789" + "b" * 22
    found = slow.compute(turns(turn(first, 1, response_gap_s=2.0), turn(second, 1, response_gap_s=1.0)), SCOPE, 10)
    assert [row["_turn"] for row in slow.grid(found).rows] == ["0123456789a/1", "0123456789b/1"]
    assert [row["turn"] for row in found.turns] == [f"{first}/1", f"{second}/1"]


def test_speech_recognition_counts_from_the_caller_s_end_of_speech() -> None:
    """Where its span lasts as long as the caller speaks, the delay after it is what the caller waited for."""
    spoken = turns(turn("call-1", 1, response_gap_s=1.2, stt_s=3.1, transcription_delay_s=0.3, llm_first_token_s=0.5))
    (row,) = slow.compute(spoken, SCOPE, 1).turns
    assert row["largest_part"] == "llm first token"
    lines = as_text(slow.grid(slow.compute(spoken, SCOPE, 1))).splitlines()
    (line,) = [line for line in lines if "call-1" in line]
    assert "300 ms" in line
    assert "3.10 s" not in line
