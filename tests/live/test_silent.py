"""Calls that were counted because they fell silent: their own span comes after that, or they go on, or nothing does."""

from pathlib import Path

import pytest

from bench import wire
from otel_voicebot import semconv as s
from otel_voicebot.models import Engine
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.dialects.captured import rows_of, spans_of
from tests.live.doors import Fed, rebuilt
from tests.live.doors import rows_of as native
from tests.live.test_bounds import call
from tests.live.test_finality import counted, span

HOUR_S = 3600


def silent(*spans: wire.Span) -> Fed:
    """A call of these spans that has been counted for silence, and nothing else."""
    fed = Fed()
    fed.add(spans)
    assert fed.after(601).total(s.SESSIONS) == 1
    assert fed.rows("sessions")["call",]["complete"] is False
    return fed


@pytest.mark.parametrize("later", [1, HOUR_S - 10])
def test_its_own_span_makes_the_call_whole(later: float, tmp_path: Path) -> None:
    """The next revision of its row is the rebuild's; no counter moves, and metrics say that a row was restated."""
    spans = [
        span(0, s.SPAN_TURN, 1),
        span(1, s.SPAN_RAG),
        span(9, s.SPAN_SESSION, voicebot__session__outcome="resolved"),
    ]
    fed = silent(*spans[:2])
    before = counted(fed)
    fed.after(later).add(spans[2:])
    assert counted(fed.after(5)) == before == (1, 1, 1)
    assert (fed.late, fed.restated, fed.total(s.RESTATED, "session")) == (1, 1, 1)
    assert [(row["revision"], row["complete"], row["outcome"]) for row in fed.given["sessions"]] == [
        (1, False, "unknown"),
        (2, True, "resolved"),
    ]
    assert {table: fed.rows(table) for table in fed.given} == rebuilt(tmp_path, spans)
    assert [row["revision"] for row in fed.given["turns"]] == [1]
    assert fed.live._rows.held == fed.live._finished.held == 0


def test_after_an_hour_its_own_span_is_only_late() -> None:
    """Nothing is kept any more: the row stays as it is, which metrics say; a report computes it from the spans."""
    fed = silent(span(0, s.SPAN_TURN, 1))
    assert fed.live._rows.held == 1
    assert fed.after(HOUR_S).live._rows.held == 0
    fed.add([span(9, s.SPAN_SESSION)])
    assert counted(fed.after(700)) == (1, 0, 1)
    assert [row["revision"] for row in fed.given["sessions"]] == [1]
    assert (fed.late, fed.total(s.RESTATED, "session")) == (1, 1)


def test_a_call_under_way_comes_first() -> None:
    """Where there is no room for both, the silent one is let go, and none is given up."""
    fed = Fed({"max_spans": 2})
    fed.add([span(0, s.SPAN_TURN, 1)])
    fed.after(601)
    own: dict[str, wire.Value] = {s.SESSION_ID: "other", s.TURN_INDEX: 1}
    fed.add([wire.Span(b"o" * 16, bytes([number]) * 8, b"", s.SPAN_STT, 1, 1, 2, own) for number in (1, 2)])
    assert (fed.live._rows.held, fed.metrics.get(s.SELF_EVICTED)) == (2, 0)
    fed.add([span(9, s.SPAN_SESSION)])
    assert (fed.late, fed.restated) == (1, 1)


def test_a_tenth_of_the_sessions_are_kept_after_silence() -> None:
    """Those that fell silent last."""
    fed = Fed({"max_sessions": 20})
    for name in ("a", "b", "c"):
        fed.add(call(name, 7)[:-1])
        fed.after(601)
    for name in ("a", "b", "c"):
        fed.add(call(name, 7)[-1:])
    fed.after(5)
    assert [(row["session_id"], row["revision"]) for row in fed.given["sessions"][3:]] == [("b", 2), ("c", 2)]
    assert (fed.late, fed.total(s.RESTATED, "session"), fed.total(s.SESSIONS)) == (3, 3, 3)


def test_calls_under_way_that_are_too_many_take_no_silent_one_with_them() -> None:
    """To let go of silent calls makes none fewer of those: the longest idle of them is given up, and that is all."""
    fed = Fed({"max_sessions": 20})
    for name in ("a", "b"):
        fed.add(call(name, 7)[:-1])
        fed.after(601)
    for number in range(21):
        fed.add(call(f"open {number}", 7)[:-1])
    assert fed.metrics.get(s.SELF_EVICTED) == 1
    for name in ("a", "b"):
        fed.add(call(name, 7)[-1:])
    fed.after(5)
    revisions = [(row["session_id"], row["revision"]) for row in fed.given["sessions"]]
    assert revisions[-2:] == [("a", 2), ("b", 2)]


@pytest.mark.parametrize("first", ["root", "span"])
def test_a_span_that_tells_its_turn_is_part_of_a_silent_framework_call(first: str, tmp_path: Path) -> None:
    """A native span with a turn comes to LiveKit's call, alone or after its end: it is counted as in a rebuild."""
    captured = spans_of("livekit")
    root = rows_of([one for one in captured if one[1].name == "agent_session"])
    rest = [one for one in captured if one[1].name != "agent_session"]
    beside = next(one for _, one in rest if one.name == "llm_request")
    at, place = beside.start_time_unix_nano, (beside.trace_id, b"native".ljust(8), beside.parent_span_id)
    own = native([wire.Span(*place, s.SPAN_RAG, 1, at, at + 10**8, {s.TURN_INDEX: 2}, [])])
    fed = Fed()
    fed.live.add(rows_of(rest))
    fed.after(601)
    fed.live.add(root if first == "root" else own)
    fed.after(1).live.add(own if first == "root" else root)
    fed.after(10)
    SpanStore(tmp_path).commit([rows_of(captured), own])
    with Engine(snapshot(tmp_path)) as engine:
        (expected,) = engine.table("sessions").to_pylist()
        operations = engine.sql("SELECT count(*) AS n FROM operations").to_pylist()[0]["n"]
    assert expected["operations"] == operations
    assert fed.given["sessions"][-1]["operations"] == operations
    assert fed.observations(s.OPERATION_DURATION) == operations
    assert fed.live._rows.held == 0


def test_only_its_own_spans_are_kept() -> None:
    """What came in with them, of calls that are over, is let go."""
    fed = Fed()
    fed.add([*call("whole", 7), span(0, s.SPAN_TURN, 1), span(1, s.SPAN_STT, 1)])
    fed.after(601)
    assert (fed.total(s.SESSIONS), fed.live._rows.held, fed.live._finished.held) == (2, 2, 1)


def test_a_call_that_goes_on_after_silence_is_one_call(tmp_path: Path) -> None:
    """Its next turn is counted, and its row written again at its end; turn 1 stays as it was."""
    spans = [span(0, s.SPAN_TURN, 1), span(900, s.SPAN_STT, 2), span(901, s.SPAN_TURN, 2), span(902, s.SPAN_SESSION)]
    fed = silent(spans[0])
    assert fed.live.active() == {"bank": 0}
    fed.add(spans[1:3])
    assert counted(fed.after(3)) == (2, 1, 1)
    assert fed.live.active() == {"bank": 1}
    fed.add(spans[3:])
    assert counted(fed.after(5)) == (2, 1, 1)
    assert (fed.late, fed.restated) == (3, 1)
    assert [(row["turn_index"], row["revision"]) for row in fed.given["turns"]] == [(1, 1), (2, 1)]
    assert {table: fed.rows(table) for table in fed.given} == rebuilt(tmp_path, spans)


def test_a_survey_restates_a_silent_call(tmp_path: Path) -> None:
    """Its answer is counted once, when it comes; the row has it soon, and still has it when the call's end comes."""
    spans = [span(0, s.SPAN_TURN, 1), span(700, s.SPAN_FEEDBACK, voicebot__csat=4), span(9, s.SPAN_SESSION)]
    fed = silent(spans[0])
    fed.add(spans[1:2])
    assert fed.total(s.CSAT_SCORES, "4") == 1
    fed.after(5)
    fed.after(60).add(spans[2:])
    fed.after(5)
    shown = [(row["revision"], row["csat"], row["complete"]) for row in fed.given["sessions"]]
    assert shown == [(1, None, False), (2, 4, False), (3, 4, True)]
    assert (fed.total(s.CSAT_SCORES), fed.total(s.SESSIONS), fed.total(s.RESTATED, "session")) == (1, 1, 2)
    assert fed.rows("sessions") == rebuilt(tmp_path, spans)["sessions"]


def test_a_silent_call_that_gets_its_name_is_written_under_it(tmp_path: Path) -> None:
    """It was counted under its trace's id, and isn't again; a rebuild knows it by its name only."""
    spans = [span(0, s.SPAN_TURN, 1, unnamed=True), span(9, s.SPAN_SESSION)]
    fed = Fed()
    fed.add(spans[:1])
    before = counted(fed.after(601))
    fed.add(spans[1:])
    assert counted(fed.after(5)) == before == (1, 0, 1)
    assert (fed.late, fed.total(s.RESTATED, "session")) == (1, 1)
    for table, rows in rebuilt(tmp_path, spans).items():
        assert {key: row for key, row in fed.rows(table).items() if key[0] == "call"} == rows


def test_a_trace_that_is_over_does_not_close_the_silent_call_it_belongs_to() -> None:
    """A second trace was counted under its own id; with a span that names the call, the call goes on."""
    fed = Fed()
    fed.add([span(1, s.SPAN_STT, trace=2, unnamed=True), span(2, s.SPAN_SESSION, trace=2, unnamed=True)])
    fed.after(5).add([span(0, s.SPAN_TURN, 1)])
    fed.after(601).add([span(3, s.SPAN_TURN, 2, trace=2)])
    fed.after(2).add([span(9, s.SPAN_SESSION)])
    fed.after(5)
    assert fed.rows("sessions")["call",]["turns"] == 2
    assert [key[1] for key in fed.rows("turns") if key[0] == "call"] == [1, 2]


def test_what_came_in_many_pieces_is_whole_again(tmp_path: Path) -> None:
    """Of two turns that came in the same batches one gets a late span: both are those of a rebuild."""
    parts = [span(0, s.SPAN_STT, 1), span(10, s.SPAN_STT, 2)], [span(11, s.SPAN_TURN, 2), span(1, s.SPAN_TURN, 1)]
    late = [span(12, s.SPAN_TTS, 2), span(20, s.SPAN_SESSION)]
    fed = Fed()
    for part in (*parts, late):
        fed.add(part)
        fed.after(1 if part is parts[0] else 700)
    assert {table: fed.rows(table) for table in fed.given} == rebuilt(tmp_path, [*parts[0], *parts[1], *late])
    assert counted(fed) == (2, 2, 1)
    assert (fed.total(s.RESTATED, "turn"), fed.total(s.RESTATED, "session"), fed.late) == (1, 1, 2)


def test_an_operation_that_was_counted_twice_is_said_once() -> None:
    """An attempt outside turns whose whole came after the grace: a rebuild has one; said once."""
    fed = Fed()
    fed.add([span(1, s.SPAN_RAG)._replace(parent_id=(1).to_bytes(8))])
    fed.after(6).add([span(0, s.SPAN_RAG)])
    assert counted(fed.after(601)) == (0, 2, 1)
    assert fed.total(s.RESTATED, "operation") == 1
    fed.add([span(9, s.SPAN_SESSION)])
    fed.after(5)
    assert (fed.total(s.RESTATED, "operation"), fed.total(s.RESTATED, "session")) == (1, 1)
    assert fed.rows("sessions")["call",]["operations"] == 1


def test_a_turn_is_computed_soon_though_silence_came_before_its_time() -> None:
    """With an idle timeout that is shorter than the grace of a turn, a late span is in its row soon."""
    fed = Fed({"idle_timeout_s": 1})
    fed.add([span(0, s.SPAN_TURN, 1)])
    fed.after(1).after(2)
    assert fed.total(s.SESSIONS) == 1
    fed.add([span(1, s.SPAN_STT, 1)])
    for number in range(2, 6):
        fed.after(0.9).add([span(number, s.SPAN_API)])
    assert [(row["revision"], row["operations"]) for row in fed.given["turns"]] == [(1, 0), (2, 1)]
