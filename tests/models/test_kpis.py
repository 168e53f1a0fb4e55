"""KPIs: one number each, with what it is a share of and what was left out."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otel_voicebot.models import Selection
from otel_voicebot.reports import report
from otel_voicebot.reports.scope import Scope
from tests.models.calls import NOON, Row, engine, span

Answer = tuple[float | None, float | None, float | None, float | None]

HUMAN = {"handoff_target": "human", "handoff_requested_by": "bot"}
FAILED = {"status": "error", "error_type": "timeout"}


def call(name: str, start: float, end: float, *parts: Row, **columns: object) -> list[Row]:
    """A session of that length with these parts, in a trace of its own."""
    whole = [span("session", start, end, **columns), *parts]
    return [{**row, "session_id": name, "trace_id": name.encode().rjust(16)} for row in whole]


def exchange(turn: int, asked: float, gap: float | None, **columns: object) -> Row:
    """An exchange; without a gap it was abandoned 3 s later."""
    answered = asked + gap if gap is not None else None
    return span("turn", asked - 1, asked + (gap or 0) + 3, turn, user_end=asked, bot_start=answered, **columns)


A_DAY = [
    # resolved, with a greeting; the first reply is interrupted; one retry inside an operation
    *call(
        "resolved", 0, 60,
        span("turn", 0, 3, 1, bot_start=1),
        exchange(2, 6, 1.0, interrupted=True),
        span("stt", 5, 6.5, 2, wer_errors=1, wer_words=4),
        span("nlu", 6.5, 6.6, 2, confidence=0.9),
        span("cache", 6.6, 6.7, 2, cache_hit=True),
        span("llm", 6.7, 8, 2, id=70, input_tokens=100, output_tokens=10),
        span("llm", 6.7, 7, 2, id=71, parent=70, input_tokens=100, **FAILED),
        exchange(3, 20, 3.0),
        span("stt", 19, 20.5, 3, wer_errors=0, wer_words=6),
        span("nlu", 20.5, 20.6, 3, confidence=0.5, intent_fallback=True),
        span("cache", 20.6, 20.7, 3, cache_hit=False),
        span("llm", 20.7, 22, 3, input_tokens=50),
        outcome="resolved", csat=5, nps=9,
    ),
    # abandoned after 30 s: the reply failed; no reference text
    *call(
        "abandoned", 100, 130,
        exchange(1, 110, None, end_reason="hung_up"),
        span("stt", 109, 111, 1),
        span("llm", 111, 113, 1, **FAILED),
        outcome="abandoned", nps=0,
    ),
    # abandoned within 5 s: short
    *call("short", 200, 204, outcome="abandoned"),
    # escalated, unplanned
    *call("escalated", 300, 340, exchange(1, 310, 2.0), span("handoff", 330, 331, **HUMAN),
          outcome="escalated", csat=3),
    # handed over as planned: not eligible
    *call("planned", 400, 420, exchange(1, 410, 1.5), span("handoff", 415, 416, handoff_planned=True, **HUMAN),
          outcome="resolved"),
    # failed, without any exchange
    *call("failed", 500, 510, span("tool", 501, 502, **FAILED), outcome="failed"),
    # its survey comes the next day, in another trace
    *call("late", 600, 620, exchange(1, 610, 1.0), outcome="resolved"),
    span("other", 90_000, 90_000, name="voicebot.feedback", session_id="late", trace=99, csat=4, nps=7),
]  # fmt: skip


def kpis(data: Path, *spans: Row, selection: Selection | None = None) -> dict[str, Answer]:
    """(value, numerator, denominator, excluded) by name."""
    with engine(data, *spans, selection=selection) as models:
        found = models.table("kpis").to_pylist()
    return {row["name"]: tuple(row[key] for key in ("value", "numerator", "denominator", "excluded")) for row in found}


def test_every_kpi_of_a_day_follows_from_its_definition(tmp_path: Path) -> None:
    """Each number below can be counted by hand from ``A_DAY``."""
    assert kpis(tmp_path, *A_DAY) == {
        "sessions": (7, 7, None, 0),
        "turns": (6, 6, None, 0),
        # gaps 1, 1, 1.5, 2, 3
        "response_gap_p50_s": (1.5, 1.5, 5, 1),
        "response_gap_p95_s": (pytest.approx(2.8), pytest.approx(2.8), 5, 1),
        "response_gap_p99_s": (pytest.approx(2.96), pytest.approx(2.96), 5, 1),
        # the same, and one given up at 3 s, just when the last was answered: of two that waited one goes on
        "wait_km_p50_s": (1.5, 1.5, 6, 0),
        "wait_km_p95_s": (None, None, 6, 0),
        "wait_km_p99_s": (None, None, 6, 0),
        "abandoned_wait_rate": (pytest.approx(1 / 6), 1, 6, 0),
        # replies: the greeting and five answers
        "interruption_rate": (pytest.approx(1 / 6), 1, 6, 0),
        # stt 3, nlu 2, cache 2, llm 3, tool 1; failed: a model call and the tool
        "error_rate": (pytest.approx(2 / 11), 2, 11, 0),
        "wer": (0.1, 1, 10, 1),
        # 60 + 40 + 20 + 20 s
        "aht_s": (35.0, 140.0, 4, 3),
        # eligible: all but the short and the planned one
        "containment": (0.4, 2, 5, 2),
        "escalation_rate": (0.2, 1, 5, 2),
        "abandonment_rate": (pytest.approx(1 / 6), 1, 6, 1),
        "csat_share": (pytest.approx(2 / 3), 2, 3, 4),
        "csat_mean": (4.0, 12, 3, 4),
        # one promoter, one detractor, one between
        "nps": (0.0, 0, 3, 4),
        "cache_hit_rate": (0.5, 1, 2, 0),
        "input_tokens": (150, 150, None, 1),
        "output_tokens": (10, 10, None, 1),
        "low_confidence_rate": (0.5, 1, 2, 0),
        "fallback_rate": (0.5, 1, 2, 0),
    }


def test_repeated_delivery_changes_no_kpi(tmp_path: Path) -> None:
    """Every span delivered twice gives the numbers of every span delivered once."""
    once, twice = kpis(tmp_path / "once", *A_DAY), kpis(tmp_path / "twice", *A_DAY, *reversed(A_DAY))
    assert twice == once


def at(seconds: float) -> datetime:
    """That long after noon."""
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("selection", "sessions", "turns", "operations"),
    [
        (Selection(), 7, 6, 11),
        (Selection(since=at(100)), 6, 4, 3),
        (Selection(since=at(100.001)), 5, 3, 1),
        (Selection(until=at(100)), 1, 2, 8),
        (Selection(until=at(5)), 1, 2, 8),
        (Selection(since=at(90), until=at(201)), 2, 1, 2),
        (Selection(bot="bank"), 7, 6, 11),
        (Selection(bot="other"), 0, 0, 0),
        (Selection(channel="phone"), 0, 0, 0),
    ],
)
def test_a_window_selects_whole_sessions_by_their_start(
    tmp_path: Path, selection: Selection, sessions: int, turns: int, operations: int
) -> None:
    """``since`` is included, ``until`` is not; turns and operations come with their session, also after the window."""
    found = kpis(tmp_path, *A_DAY, selection=selection)
    assert [found[name][0] for name in ("sessions", "turns")] == [sessions, turns]
    assert found["error_rate"][2] == operations


def test_a_brief_report_has_the_same_kpis_as_a_full_one(tmp_path: Path) -> None:
    """What ``brief`` leaves out is needed by no KPI."""
    from otel_voicebot.models import Engine
    from otel_voicebot.store.reader import snapshot

    with engine(tmp_path, *A_DAY) as full, Engine(snapshot(tmp_path), brief=True) as brief:
        for name in ("kpis", "wait_ends", "components", "outcomes", "errors"):
            assert brief.table(name).to_pylist() == full.table(name).to_pylist()


def test_what_a_call_holds_is_not_changed_by_the_oddities_of_another(tmp_path: Path) -> None:
    """Spans read alike whether or not some other span is nested, repeated or without a session."""
    plain = [row for row in A_DAY if row["parent_span_id"] is None] + [span("stt", 50, 51, 0, session_id="resolved")]
    odd = [
        span("llm", 0, 1, 1, id=1, trace=50, session_id="odd"),
        span("llm", 0, 1, 1, id=2, trace=50, parent=1, session_id=None),
        span("stt", 0, 1, 0, id=3, trace=51, session_id=None),
        span("stt", 0, 1, 0, id=3, trace=51, session_id=None),
    ]
    with engine(tmp_path / "plain", *plain) as models, engine(tmp_path / "odd", *plain, *odd) as mixed:
        for name in ("steps", "operations", "turns", "sessions"):
            query = f"SELECT * FROM {name} WHERE trace_id NOT IN (?, ?) ORDER BY ALL"
            ids = [number.to_bytes(16) for number in (50, 51)]
            others = ids if name == "steps" else [one.hex() for one in ids]
            found = mixed.sql(query, others)
            assert found.num_rows
            assert found.equals(models.sql(query, others))
        assert mixed.sql("SELECT count(*) FROM steps").to_pylist() == [{"count_star()": len(plain) + 3}]


NOTHING = {
    "turns": (0, None),
    "sessions": (1, None),
    "response_gap_p50_s": (None, "no answered turn"),
    "response_gap_p95_s": (None, "no answered turn"),
    "response_gap_p99_s": (None, "no answered turn"),
    **dict.fromkeys(("wait_km_p50_s", "wait_km_p95_s", "wait_km_p99_s"), (None, "no exchange with a known wait")),
    "abandoned_wait_rate": (None, "no exchange"),
    "interruption_rate": (None, "no bot speech"),
    "error_rate": (None, "no operation"),
    "wer": (None, "no reference texts"),
    "aht_s": (None, "no session with an answered turn"),
    "containment": (None, "no eligible session"),
    "escalation_rate": (None, "no eligible session"),
    "csat_share": (None, "no survey answers"),
    "csat_mean": (None, "no survey answers"),
    "nps": (None, "no survey answers"),
    "cache_hit_rate": (None, "no cache lookups"),
    "input_tokens": (None, "no model call says its tokens"),
    "output_tokens": (None, "no model call says its tokens"),
    "low_confidence_rate": (None, "no intent was classified"),
    "fallback_rate": (None, "no intent was classified"),
    **dict.fromkeys(
        ("fcr_1d", "fcr_7d", "fcr_30d", "strict_containment_24h"),
        (None, "no call of a known caller and intent (without a hash key no caller is known)"),
    ),
    "session_success_rate": (None, "no session with a known outcome"),
    "completion_rate": (None, "no workflow was started (event workflow_started)"),
    "mos": (None, "no opinion scores"),
    **dict.fromkeys(
        ("cost_usd", "cost_per_session_usd", "cost_per_resolved_usd", "cost_per_talk_minute_usd", "priced_share"),
        (None, "nothing that is paid for was used"),
    ),
    # of one session: nobody took it over, nobody answered
    "automation_rate": (1, None),
    "cost_savings_usd": (5, None),
    "csat_response_rate": (0, None),
    "nps_response_rate": (0, None),
}


def test_what_was_not_measured_is_null_and_says_why(tmp_path: Path) -> None:
    """A short call with nothing in it: counts are 0, every other KPI is unknown, never 0."""
    with engine(tmp_path, *call("short", 0, 1, outcome="abandoned")) as models:
        found = report.compute(models, Scope(data="", as_of=NOON))
    answers = {kpi.name: (kpi.value, kpi.note) for kpi in found.kpis}
    assert answers == {**NOTHING, "abandonment_rate": (None, "no eligible session")}
