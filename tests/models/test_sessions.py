"""Sessions: one call each."""

from datetime import timedelta
from pathlib import Path

import pytest

from otel_voicebot.spans.schema import SESSIONS
from tests.models.calls import NOON, Row, rows, span

HUMAN = {"handoff_target": "human", "handoff_requested_by": "caller"}


def test_a_call_has_the_whole_row(tmp_path: Path) -> None:
    """A call with a greeting, two exchanges and a survey at its end is one row that sums up its spans."""
    found = rows(
        tmp_path,
        "sessions",
        span(
            "session",
            0,
            60,
            outcome="resolved",
            end_reason="completed",
            intent="loan",
            user_hash="h",
            channel="web",
            csat=5,
        ),
        span("turn", 0, 3, 1, bot_start=1),
        span("tts", 0, 1, 1, bot_words=4, mos=4.0, mos_kind="dnsmos"),
        span("turn", 5, 10, 2, user_end=6, bot_start=7),
        span("stt", 5, 6.5, 2, user_words=3, wer_errors=1, wer_words=4),
        span("nlu", 6.5, 6.75, 2, intent="balance"),
        span("tts", 6.75, 8, 2, bot_words=6, mos=3.0, mos_kind="dnsmos"),
        span("turn", 12, 20, 3, user_end=14),
        span("llm", 14, 20, 3, status="error", error_type="timeout"),
        span("api", 30, 31),
        span("feedback", 100, 100, name="voicebot.feedback", component="other", nps=9),
    )
    expected = {
        **dict.fromkeys(("variant", "environment", "escalated_by")),
        "session_id": "call",
        "session_source": "explicit",
        "trace_id": "0" * 31 + "1",
        "bot": "bank",
        "channel": "web",
        "user_hash": "h",
        "start_time": NOON,
        "end_time": NOON + timedelta(seconds=60),
        "duration_s": 60.0,
        "turns": 2,
        "answered": 1,
        "outcome": "resolved",
        "end_reason": "completed",
        "planned_handoff": False,
        "intent": "loan",
        "csat": 5,
        "nps": 9,
        "wer_errors": 1,
        "wer_words": 4,
        "mos": 3.5,
        "mos_kind": "dnsmos",
        "words": 13,
        "operations": 6,
        "errors": 1,
        "complete": True,
        "quality": [],
    }
    assert {name: value for name, value in found[0].items() if name in SESSIONS.names} == expected
    assert len(found) == 1


def test_a_call_whose_own_span_is_missing_is_incomplete(tmp_path: Path) -> None:
    """It lasts from the first span's start to the last one's end, surveys aside; how it ended is unknown."""
    found = rows(
        tmp_path,
        "sessions",
        span("turn", 2, 8, 1, user_end=3, bot_start=4),
        span("stt", 2, 4, 1),
        span("nlu", 4, 5, 1, intent="balance"),
        span("api", 9, 12),
        span("feedback", 900, 900, name="voicebot.feedback", component="other", csat=2),
        columns="start_time, duration_s, turns, outcome, end_reason, intent, csat, complete, quality",
    )
    assert found == [
        {
            "start_time": NOON + timedelta(seconds=2),
            "duration_s": 10.0,
            "turns": 1,
            "outcome": "unknown",
            "end_reason": None,
            "intent": "balance",
            "csat": 2,
            "complete": False,
            "quality": ["no_session_span"],
        }
    ]


def test_parts_of_a_turn_that_has_no_span_count_for_the_length(tmp_path: Path) -> None:
    """A turn known by its parts only lasts from its first part to its last, and so does the call."""
    found = rows(tmp_path, "sessions", span("stt", 2, 4, 1), span("tts", 3, 8, 1), columns="duration_s, answered")
    assert found == [{"duration_s": 6.0, "answered": 1}]


@pytest.mark.parametrize(
    ("handoff", "outcome", "escalated_by", "planned"),
    [
        (HUMAN, "escalated", "caller", False),
        ({**HUMAN, "handoff_requested_by": None}, "escalated", "unknown", False),
        ({**HUMAN, "handoff_planned": False}, "escalated", "caller", False),
        ({**HUMAN, "handoff_planned": True}, "unknown", None, True),
        ({**HUMAN, "handoff_blocked": True}, "unknown", None, False),
        ({**HUMAN, "status": "error"}, "unknown", None, False),
        ({**HUMAN, "handoff_target": "loan-bot"}, "unknown", None, False),
    ],
)
@pytest.mark.parametrize("turn", [None, 1])
def test_only_an_unplanned_transfer_to_a_human_that_succeeds_escalates(
    tmp_path: Path, handoff: Row, outcome: str, escalated_by: str | None, planned: bool, turn: int | None
) -> None:
    """Planned, blocked and failed transfers, and those to other bots, are no escalations, in a turn or outside."""
    found = rows(
        tmp_path,
        "sessions",
        span("session", 0, 9),
        span("handoff", 5, 6, turn, **handoff),
        columns="outcome, escalated_by, planned_handoff",
    )
    assert [tuple(row.values()) for row in found] == [(outcome, escalated_by, planned)]


def test_the_last_word_on_the_outcome_counts(tmp_path: Path) -> None:
    """A correction and a survey that come the next day replace what the call itself said."""
    late = {"name": "voicebot.feedback", "component": "other", "trace": 9}
    found = rows(
        tmp_path,
        "sessions",
        span("session", 0, 9, outcome="resolved", csat=5),
        span("endpointing", 90_000, 90_001, 1, outcome="committed"),
        span("feedback", 86_400, 86_400, outcome="unresolved", csat=2, nps=3, **late),
        columns="outcome, csat, nps, duration_s",
    )
    assert found == [{"outcome": "unresolved", "csat": 2, "nps": 3, "duration_s": 9.0}]


def test_opinion_scores_of_different_kinds_are_not_mixed(tmp_path: Path) -> None:
    """A mean over two kinds of MOS would mean nothing: it is null, and so is its kind."""
    kinds = [("a", "dnsmos", "dnsmos"), ("b", "dnsmos", "survey"), ("c", None, None), ("d", None, "survey")]
    spans = [
        span("tts", at, at + 1, 1, session_id=name, trace=ord(name), mos=score, mos_kind=kind)
        for name, *pair in kinds
        for at, (score, kind) in enumerate(zip((4.0, 3.0), pair, strict=True))
    ]
    found = rows(tmp_path, "sessions ORDER BY session_id", *spans, columns="session_id, mos, mos_kind")
    assert [tuple(row.values()) for row in found] == [
        ("a", 3.5, "dnsmos"),
        ("b", None, None),
        ("c", 3.5, None),
        ("d", None, None),
    ]


def test_spans_without_a_session_id_are_found_by_their_trace(tmp_path: Path) -> None:
    """They belong to the session that another span of the trace names; where none does, the trace is the session."""
    found = rows(
        tmp_path,
        "sessions ORDER BY session_id",
        span("turn", 0, 5, 1, trace=1, session_id=None),
        span("session", 0, 9, trace=1, session_id="named"),
        span("turn", 0, 5, 1, trace=2, session_id=None),
        columns="session_id, session_source, complete",
    )
    assert [tuple(row.values()) for row in found] == [
        ("0" * 31 + "2", "trace", False),
        ("named", "explicit", True),
    ]


def test_a_session_of_several_traces_is_one(tmp_path: Path) -> None:
    """Its trace is the first one."""
    found = rows(
        tmp_path,
        "sessions",
        span("turn", 5, 9, 2, trace=1),
        span("turn", 0, 4, 1, trace=2),
        columns="trace_id[32] AS trace, duration_s",
    )
    assert found == [{"trace": "2", "duration_s": 9.0}]
