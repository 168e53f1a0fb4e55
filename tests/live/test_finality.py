"""When a turn and a session are final, and what becomes of spans that come later: the clock is the test's."""

from bench import wire
from otel_voicebot import semconv as s
from tests.live.doors import Fed

CALL: dict[str, wire.Value] = {s.SESSION_ID: "call", s.BOT: "bank"}


def span(number: int, name: str, turn: int | None = None, *, trace: int = 1, **more: wire.Value) -> wire.Span:
    """A span of the call that lasts from ``number`` to ``number + 1`` s; ``unnamed`` leaves the session's id out."""
    stamps: dict[str, wire.Value] = {} if more.pop("unnamed", False) else CALL
    if turn is not None:
        stamps = {**stamps, s.TURN_INDEX: turn}
    at = 1_770_000_000_000_000_000 + number * 1_000_000_000
    events = [(at, s.USER_SPEECH_END, {}), (at + 500_000_000, s.BOT_SPEECH_START, {})] if name == s.SPAN_TURN else []
    attributes = {**stamps, **{key.replace("__", "."): value for key, value in more.items()}}
    head = (trace.to_bytes(16), (number + 1).to_bytes(8), b"", name, 1, at, at + 1_000_000_000)
    return wire.Span(*head, attributes, events)


def counted(fed: Fed) -> tuple[float, float, float]:
    """Turns, operations and sessions that the metrics hold."""
    return fed.total(s.TURNS), fed.observations(s.OPERATION_DURATION), fed.total(s.SESSIONS)


def test_a_turn_is_final_two_seconds_after_its_closing_span() -> None:
    """Parts that come within the two seconds are in; before them nothing is counted."""
    fed = Fed()
    fed.add([span(1, s.SPAN_STT, 1)])
    assert counted(fed.after(60)) == (0, 0, 0)
    fed.add([span(0, s.SPAN_TURN, 1)])
    assert counted(fed.after(1.9)) == (0, 0, 0)
    fed.add([span(2, s.SPAN_TTS, 1)])
    assert counted(fed.after(0.2)) == (1, 2, 0)
    assert fed.restated == 0


def test_a_turn_without_a_span_is_final_two_seconds_after_the_next_begins() -> None:
    """A span of turn 2 ends turn 1; turn 2 itself stays open."""
    fed = Fed()
    fed.add([span(0, s.SPAN_STT, 1), span(1, s.SPAN_TTS, 1)])
    assert counted(fed.after(60)) == (0, 0, 0)
    fed.add([span(5, s.SPAN_STT, 2)])
    assert counted(fed.after(1.9)) == (0, 0, 0)
    assert counted(fed.after(0.2)) == (1, 2, 0)


def test_operations_outside_turns_are_counted_after_five_seconds() -> None:
    """So long they wait for an operation of their own kind that they may lie in."""
    fed = Fed()
    fed.add([span(0, s.SPAN_RAG)])
    assert counted(fed.after(4.9)) == (0, 0, 0)
    assert counted(fed.after(0.2)) == (0, 1, 0)


def test_a_session_is_final_five_seconds_after_its_own_span() -> None:
    """Until then a late survey is part of it; it counts as active until its own span comes."""
    fed = Fed()
    fed.live.started("call", "bank")
    assert fed.live.active() == {"bank": 1}
    fed.add([span(0, s.SPAN_TURN, 1), span(9, s.SPAN_SESSION)])
    assert fed.live.active() == {"bank": 0}
    assert counted(fed.after(4.9)) == (1, 0, 0)
    fed.add([span(20, s.SPAN_FEEDBACK, voicebot__csat=4)])
    assert counted(fed.after(0.2)) == (1, 0, 1)
    assert fed.total(s.CSAT_SCORES, "4") == 1
    assert fed.live.active() == {"bank": 0}


def test_a_silent_session_is_final_after_the_idle_timeout() -> None:
    """Its own span never came: it is closed as it is, and incomplete."""
    fed = Fed({"idle_timeout_s": 600})
    fed.add([span(0, s.SPAN_TURN, 1)])
    assert counted(fed.after(599)) == (1, 0, 0)
    assert counted(fed.after(2)) == (1, 0, 1)
    assert fed.rows("sessions")[("call",)]["complete"] is False


def test_draining_takes_as_final_what_has_ended_and_nothing_else() -> None:
    """A call that goes on stays open."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1), span(2, s.SPAN_STT, 2), span(3, s.SPAN_SESSION)])
    fed.add([wire.Span(b"t" * 16, b"s" * 8, b"", s.SPAN_TURN, 1, 1, 2, {s.SESSION_ID: "other", s.TURN_INDEX: 1})])
    fed.live.tick(drain=True)
    assert counted(fed) == (2, 1, 1)
    assert fed.live.active() == {"bank": 0, "": 1}


def test_a_span_of_a_final_turn_restates_its_row_and_no_counter() -> None:
    """The row is written again with the next revision; the metrics keep what they had and say ``restated``."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1), span(1, s.SPAN_STT, 1)])
    before = counted(fed.after(2))
    fed.add([span(2, s.SPAN_TTS, 1)])
    assert counted(fed.after(2)) == before == (1, 1, 0)
    assert [(row["revision"], row["operations"]) for row in fed.given["turns"]] == [(1, 1), (2, 2)]
    assert fed.total(s.RESTATED, "turn") == 1


def test_a_late_span_that_changes_segments_restates_the_turn() -> None:
    """What nobody had shown turns out to be the model's: the next revision says so."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1)])
    fed.after(2)
    fed.add([span(0, "chat m", 1, gen_ai__request__model="m")])
    fed.after(2)
    shown = [[(part["segment"], part["owner"]) for part in row["segments"]] for row in fed.given["turns"]]
    assert shown == [[("unattributed", None)], [("llm_first_token", "m")]]
    assert fed.total(s.RESTATED, "turn") == 1


def test_a_span_of_a_closed_session_is_late() -> None:
    """It is counted as late and its session as restated; nothing is opened again."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1), span(1, s.SPAN_SESSION)])
    before = counted(fed.after(5))
    fed.add([span(2, s.SPAN_STT, 1), span(3, s.SPAN_FEEDBACK, voicebot__csat=1)])
    assert counted(fed.after(700)) == before == (1, 0, 1)
    assert (fed.late, fed.total(s.RESTATED, "session")) == (2, 1)
    assert fed.live.active() == {"bank": 0}


def test_a_late_fact_of_a_call_that_nobody_remembers_opens_none() -> None:
    """A survey of days ago: its answer is counted and its session restated; no call is under way, then or later."""
    fed = Fed()
    fed.add([span(0, s.SPAN_FEEDBACK, voicebot__csat=4, voicebot__nps=9)])
    assert fed.live.active() == {}
    assert counted(fed.after(1000)) == (0, 0, 0)
    assert (fed.total(s.CSAT_SCORES), fed.total(s.NPS_SCORES), fed.total(s.RESTATED, "session")) == (1, 1, 1)
    assert fed.rows("sessions") == {}


def test_a_fact_that_comes_with_its_call_or_in_it_is_the_calls() -> None:
    """Before the call's end, or in one batch with it, an answer is counted with the call, once."""
    for batches in ([[span(0, s.SPAN_STT, 1)], [span(1, s.SPAN_FEEDBACK, voicebot__csat=4), span(2, s.SPAN_SESSION)]],
                    [[span(1, s.SPAN_FEEDBACK, voicebot__csat=4), span(2, s.SPAN_SESSION)]]):  # fmt: skip
        fed = Fed()
        for batch in batches:
            fed.add(batch)
        fed.after(10)
        assert (fed.total(s.CSAT_SCORES), fed.total(s.SESSIONS), fed.restated) == (1, 1, 0)
        assert fed.rows("sessions")["call",]["csat"] == 4


def test_a_call_that_is_named_late_is_counted_once_under_its_name() -> None:
    """Only its own span, which comes last, carries the id: turn 1 was counted before, and is written again."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1, unnamed=True), span(1, s.SPAN_STT, 1, unnamed=True)])
    assert counted(fed.after(2)) == (1, 1, 0)
    fed.add([span(4, s.SPAN_STT, 2, unnamed=True)])
    fed.after(60)
    fed.add([span(9, s.SPAN_SESSION)])
    assert counted(fed.after(5)) == (2, 2, 1)
    assert fed.restated == 0
    rows = fed.rows("turns")
    assert [rows[name, 1]["operations"] for name in ("0" * 31 + "1", "call")] == [1, 1]
    assert fed.rows("sessions")[("call",)]["session_source"] == "explicit"


def test_the_name_of_a_closed_call_comes_too_late() -> None:
    """A call that was let go under its trace's id is not counted again when a span names it."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1, unnamed=True), span(1, s.SPAN_SESSION, unnamed=True)])
    before = counted(fed.after(6))
    fed.add([span(9, s.SPAN_RAG)])
    assert counted(fed.after(700)) == before == (1, 0, 1)
    assert (fed.late, fed.restated) == (1, 1)


def test_beyond_the_bounds_the_longest_idle_call_is_given_up() -> None:
    """It is counted as evicted and marked incomplete, and what it was so far is kept."""
    fed = Fed({"max_sessions": 2})
    for name in ("a", "b", "c"):
        ids = (name.encode() * 16, name.encode() * 8)
        own = {s.SESSION_ID: name, s.TURN_INDEX: 1}
        fed.add(
            [
                wire.Span(*ids, b"", s.SPAN_TURN, 1, 1, 2, own),
                wire.Span(ids[0], b"x" * 8, b"", s.SPAN_SESSION, 1, 1, 2, own),
            ]
        )
    assert fed.metrics.get(s.SELF_EVICTED) == 1
    assert {key: row["complete"] for key, row in fed.rows("sessions").items()} == {("a",): False}
    fed.live.started("d", "bank")
    assert fed.metrics.get(s.SELF_EVICTED) == 2


def test_the_number_of_spans_in_memory_is_bounded() -> None:
    """When open calls hold too many spans the longest idle ones are given up until they fit."""
    fed = Fed({"max_spans": 3})
    for number in range(5):
        name = f"call-{number}"
        ids = ((number + 1).to_bytes(16), (number + 1).to_bytes(8), b"")
        fed.add([wire.Span(*ids, s.SPAN_STT, 1, 1, 2, {s.SESSION_ID: name, s.TURN_INDEX: 1})])
    assert fed.metrics.get(s.SELF_EVICTED) == 2
    assert fed.live._rows.held == 3


def test_a_restated_handoff_of_a_call_without_an_id_is_counted_once() -> None:
    """A call that only its trace names is restated as any other."""
    fed = Fed()
    fed.add([span(0, s.SPAN_TURN, 1, unnamed=True), span(1, s.SPAN_HANDOFF, 1, unnamed=True)])
    fed.after(2)
    fed.add([span(2, s.SPAN_TTS, 1, unnamed=True)])
    fed.after(2)
    assert fed.total(s.RESTATED, "turn") == 1
    assert fed.total(s.HANDOFFS) == 1


def test_handoffs_are_counted_once_by_outcome() -> None:
    """In a turn or outside, restated or not."""
    fed = Fed()
    human = {"voicebot__handoff__target": "human"}
    fed.add([span(0, s.SPAN_TURN, 1), span(1, s.SPAN_HANDOFF, 1, **human)])
    fed.after(2)
    fed.add([span(2, s.SPAN_HANDOFF, voicebot__handoff__target="loan-bot", voicebot__handoff__blocked=True)])
    fed.add([span(3, s.SPAN_STT, 1), span(9, s.SPAN_SESSION)])
    fed.after(700)
    assert fed.total(s.HANDOFFS, "human", "completed") == 1
    assert fed.total(s.HANDOFFS, "bot", "blocked") == 1
    assert fed.total(s.HANDOFFS) == 2
