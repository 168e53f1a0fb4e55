"""The trace of a call or turn: found by its id, drawn as a waterfall."""

import json

import pytest

from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.reports import details, trace, waterfall
from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.scope import Scope
from tests.reports.tables import NOON, nano, span, spans

SCOPE = Scope("data", NOON)
IDS = [("call-1", "a" * 32), ("call-12", "b" * 32), ("f00d" * 8, "f00d" * 8), ("weird/7", "c" * 32)]
CALL = spans(
    span("01", "session", 0, 30, turn_index=None),
    span("02", "turn", 5, 12, parent_span_id="01", turn_index=2, user_speech_start_unix_nano=nano(5),
         user_speech_end_unix_nano=nano(7), bot_speech_start_unix_nano=nano(9), bot_speech_end_unix_nano=nano(12),
         events=[{"unix_nano": nano(8), "name": "voicebot.event.api_call", "attributes": '{"a": 1}'}]),
    span("03", "endpointing", 7, 7.5, parent_span_id="02", turn_index=2, outcome="committed"),
    span("07", "llm", 7.5, 8.5, parent_span_id="02", turn_index=2, model="rules", time_to_first_chunk_s=0.5),
    span("08", "tool", 8.0, 8.2, parent_span_id="07", turn_index=None, operation="lookup", status="error",
         error_type="Timeout"),
    span("09", "tts", 8.5, 9.5, parent_span_id="02", turn_index=2, model="slt", bot_text="hello"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("call-1", ("call-1", None)),
        ("call-1/3", ("call-1", 3)),
        ("b" * 32, ("call-12", None)),
        ("bbbb", ("call-12", None)),
        ("f00d", ("f00d" * 8, None)),
        ("f00d/2", ("f00d" * 8, 2)),
        ("weird/7", ("weird/7", None)),
        ("weird/7/1", ("weird/7", 1)),
    ],
)
def test_found(wanted: str, found: tuple[str, int | None]) -> None:
    """A session is found by its id, a trace's id, SESSION/TURN or a unique beginning; a whole id wins."""
    assert trace.find(IDS, wanted) == found


def test_unknown_id_names_the_nearest() -> None:
    """An unknown id is answered with ids that look like it."""
    with pytest.raises(NoDataError, match=r"no session or trace is called 'cal1-12'; there is, for instance, call-12"):
        trace.find(IDS, "cal1-12")


def test_ambiguous_beginning() -> None:
    """A beginning of several ids is refused, naming two."""
    with pytest.raises(UsageError, match="begins 2 session ids, such as call-1 and call-12"):
        trace.find(IDS, "call")


def test_turn_keeps_what_stands_below() -> None:
    """A turn has its spans and their descendants that say no turn; not the session's span."""
    found = trace.compute(CALL, SCOPE, "call-1", 2)
    assert [(bar.row["span_id"], bar.depth) for bar in found.bars] == [
        ("02", 0),
        ("03", 1),
        ("07", 1),
        ("08", 2),
        ("09", 1),
    ]


def test_unknown_turn() -> None:
    """A turn that the session doesn't have is answered with those that it has."""
    with pytest.raises(NoDataError, match="session call-1 has no turn 7: its turns are 2 to 2"):
        trace.compute(CALL, SCOPE, "call-1", 7)


def test_turn_as_waterfall() -> None:
    """Bars stand on one time axis that counts from the caller's end of speech; errors are named; width is kept."""
    lines = waterfall.as_text(waterfall.draw(trace.compute(CALL, SCOPE, "call-1", 2), 80, waterfall.ASCII))
    assert lines == (
        "turn 2 of session call-1\n"
        "bank  2026-03-01T12:00:05.000Z\n"
        "the caller waited 2.00 s for the bot\n"
        "\n"
        "seconds                       0             1            2\n"
        "                              v caller stops             v bot speaks\n"
        "caller speaks             <####                          :                2.00 s\n"
        "bot speaks                    :                          ###########>     3.00 s\n"
        "turn 2                    <#########################################>     7.00 s\n"
        " endpointing                  ########                   :                500 ms\n"
        " llm rules                    :      .......#######      :                1.00 s\n"
        "  tool lookup                 :             ### ! Timeout:                200 ms\n"
        " tts slt                      :                   ###############         1.00 s\n"
        ". until the first token or audio; 1 failed"
    )


def test_error_is_named_beside_a_long_bar() -> None:
    """An error stays readable without colour when its bar fills the picture."""
    long = spans(span("01", "llm", 0, 9, status="error", error_type="Timeout"))
    assert "# ! Timeout #" in waterfall.as_text(
        waterfall.draw(trace.compute(long, SCOPE, "call-1"), 80, waterfall.ASCII)
    )


@pytest.mark.parametrize("width", [20, 60, 77, 100, 160])
@pytest.mark.parametrize("turn", [None, 2])
def test_width_is_kept(width: int, turn: int | None) -> None:
    """No line is wider than asked for, with 60 as the least."""
    lines = waterfall.as_text(waterfall.draw(trace.compute(CALL, SCOPE, "call-1", turn), width, waterfall.UNICODE))
    assert max(len(line) for line in lines.splitlines()) <= max(width, 60)


def test_broken_spans_are_drawn() -> None:
    """Spans that are each other's parents, end before they start, or lack times are still shown."""
    odd = spans(
        span("01", "stt", 3, 1, parent_span_id="02"),
        span("02", "llm", 1, 2, parent_span_id="01"),
        span("03", "tts", 1, 2) | {"end_unix_nano": None},
    )
    found = trace.compute(odd, SCOPE, "call-1")
    assert {bar.row["span_id"] for bar in found.bars} == {"01", "02", "03"}
    assert "?" in waterfall.as_text(waterfall.draw(found, 80, waterfall.ASCII))


def test_a_first_chunk_beyond_all_time_is_no_mark() -> None:
    """A number that a sender made up draws nothing and stops nothing."""
    made = trace.compute(spans(span("01", "llm", 0, 1, time_to_first_chunk_s=1.7e308)), SCOPE, "call-1")
    assert made.bars[0].first_chunk is None


def test_a_terminal_obeys_no_sender() -> None:
    """Control characters in names and values are shown as question marks, in the picture and in the tables."""
    odd = spans(span("01", "other", 0, 1) | {"name": "a\x1b[2J\nb", "provider": "\x9b2J\x07"})
    found = trace.compute(odd, SCOPE, "call-1")
    lines = waterfall.draw(found, 80, waterfall.ASCII)
    texts = [waterfall.as_text(lines), waterfall.as_rich(lines).plain, as_text(details.details(found))]
    assert "a?[2J?b" in texts[0]
    assert not any(set("\x1b\x9b\x07") & set(text) for text in texts)


def test_what_stands_below() -> None:
    """Under the picture stand what spans say, what was said, and the events."""
    found = trace.compute(CALL, SCOPE, "call-1", 2)
    assert "first chunk after 500 ms" in as_text(details.details(found))
    assert as_text(details.said(found)) == "Transcript\n  who  said\n  bot  hello"
    assert "voicebot.event.api_call  a=1" in as_text(details.events(found))


def test_no_transcript_without_capture() -> None:
    """Where nothing that was said is stored, the transcript says why."""
    silent = trace.compute(spans(span("01", "stt", 0, 1)), SCOPE, "call-1")
    assert (
        as_text(details.said(silent)) == "Transcript\n  nothing that was said is stored: "
        "content capture is off, or no span has a text"
    )


def test_document_holds_spans() -> None:
    """The JSON document has every span with its known columns, and the turn's gap."""
    found = json.loads(json.dumps(trace.document(trace.compute(CALL, SCOPE, "call-1", 2))))
    assert [item["span_id"] for item in found["spans"]] == ["02", "03", "07", "08", "09"]
    assert found["turns"] == [
        {
            "turn": 2,
            "user_speech_start_unix_nano": nano(5),
            "user_speech_end_unix_nano": nano(7),
            "bot_speech_start_unix_nano": nano(9),
            "bot_speech_end_unix_nano": nano(12),
            "response_gap_s": 2.0,
        }
    ]
