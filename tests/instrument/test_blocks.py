"""Sessions, turns, components and events as blocks."""

from typing import Any

import pytest
from opentelemetry import context, trace

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.testing import Recording, recording


def events(span: Any) -> list[str]:
    """Names of a span's events."""
    return [event.name for event in span.events]


def test_a_call_is_one_tree_with_every_component_in_its_turn(record: Recording) -> None:
    """A whole call gives one trace: session, turns, and the parts in the turn they were entered in."""
    tick = record.clock.advance
    with vb.session(bot="bank", channel="phone", variant="B", session_id="call-1") as call:
        with vb.turn() as turn:
            turn.user_speech(start=record.clock.seconds, end=record.clock.seconds + 1.5)
            tick(1.5)
            with vb.endpointing(start=record.clock.seconds) as endpointing:
                tick(0.25)
                endpointing.outcome("committed")
            with vb.stt(provider="pocketsphinx", model="en-us") as stt:
                tick(0.5)
                stt.first_chunk()
                stt.transcript("i want a loan", confidence=0.9, audio_s=1.5)
                stt.wer(errors=1, words=5)
            with vb.nlu() as nlu:
                nlu.intent("loan", confidence=0.8, fallback=False)
            with vb.cache("semantic", level="L1") as cache:
                cache.hit(True, entry="e1")
            with vb.rag(), vb.api("core-banking"), vb.tool("lookup"):
                tick(0.125)
            with vb.llm(provider="local", model="rules") as llm:
                tick(0.25)
                llm.first_chunk()
                tick(0.25)
                llm.first_chunk()
                llm.tokens(input=12, output=20, cached=0)
            with vb.tts(provider="flite", model="slt") as tts:
                tts.text("How much?")
                tts.audio(seconds=2.0)
                tts.mos(4.1, kind="dnsmos")
            turn.bot_speech_start()
            with vb.playout():
                tick(2)
            turn.bot_speech_end()
            turn.interrupted()
            turn.end_reason("completed")
        with vb.turn(), vb.handoff("human", requested_by="caller") as handoff:
            handoff.blocked()
        call.outcome("resolved", intent="loan", end_reason="completed")
        call.feedback(csat=5, nps=9)
    assert (
        record.sink.outline()
        == """\
voicebot.session 4.875s
  voicebot.turn 4.875s
    voicebot.endpointing 0.25s
    voicebot.stt 0.5s
    voicebot.nlu 0s
    voicebot.cache 0s
    voicebot.rag 0.125s
      voicebot.api 0.125s
        execute_tool lookup 0.125s
    chat rules 0.5s
    voicebot.tts 0s
    voicebot.playout 2s
  voicebot.turn 0s
    voicebot.handoff 0s"""
    )
    of_session = {"session.id": "call-1", "voicebot.bot": "bank", "voicebot.channel": "phone", "voicebot.variant": "B"}
    of_turn = {**of_session, "voicebot.turn.index": 1}
    says = record.sink.attributes
    assert says("voicebot.session") == {
        **of_session,
        "voicebot.session.outcome": "resolved",
        "voicebot.session.intent": "loan",
        "voicebot.session.end_reason": "completed",
    }
    assert says("voicebot.stt") == {
        **of_turn,
        "gen_ai.provider.name": "pocketsphinx",
        "gen_ai.request.model": "en-us",
        "gen_ai.response.time_to_first_chunk": 0.5,
        "voicebot.user.words": 4,
        "voicebot.stt.confidence": 0.9,
        "voicebot.audio.duration": 1.5,
        "voicebot.wer.errors": 1,
        "voicebot.wer.words": 5,
    }
    assert says("chat rules") == {
        **of_turn,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "rules",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 0,
    }
    assert says("voicebot.tts") == {
        **of_turn,
        "gen_ai.provider.name": "flite",
        "gen_ai.request.model": "slt",
        "voicebot.tts.characters": 9,
        "voicebot.bot.words": 2,
        "voicebot.audio.duration": 2.0,
        "voicebot.mos": 4.1,
        "voicebot.mos.kind": "dnsmos",
    }
    assert says("voicebot.endpointing") == {**of_turn, "voicebot.endpointing.outcome": "committed"}
    assert says("execute_tool lookup") == {
        **of_turn,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "lookup",
    }
    assert says("voicebot.handoff") == {
        **of_turn,
        "voicebot.turn.index": 2,
        "voicebot.handoff.target": "human",
        "voicebot.handoff.requested_by": "caller",
        "voicebot.handoff.planned": False,
        "voicebot.handoff.blocked": True,
    }
    first = record.sink.named("voicebot.turn")[0]
    assert first.attributes is not None
    assert first.attributes["voicebot.turn.interrupted"] is True
    assert first.attributes["voicebot.turn.end_reason"] == "completed"


def test_speech_events_carry_their_own_time(record: Recording) -> None:
    """A speech event is at the unix second given, exact to the microsecond, else now."""
    with vb.session(bot="b"), vb.turn() as turn:
        turn.user_speech_start(1_700_000_000.000001)
        turn.user_speech_end(at=1_700_000_001.65)
        record.clock.advance(2)
        turn.bot_speech_start()
        turn.user_speech(start=None, end=1_700_000_003.0)
    span = record.sink.one("voicebot.turn")
    assert [(event.name, event.timestamp - 1_700_000_000_000_000_000) for event in span.events] == [
        ("voicebot.user.speech.start", 1_000),
        ("voicebot.user.speech.end", 1_650_000_000),
        ("voicebot.bot.speech.start", 2_000_000_000),
        ("voicebot.user.speech.end", 3_000_000_000),
    ]


def test_texts_stand_on_spans_only_when_content_capture_is_on() -> None:
    """With capture off, no text is on any span or event, also not an exception's; with it on, all of them are."""

    def call() -> None:
        with vb.session(bot="b"), vb.turn():
            with vb.stt() as stt:
                stt.transcript("zanzibar one")
                stt.wer(errors=0, words=2, reference="zanzibar two")
            with vb.llm() as llm:
                llm.messages(input="zanzibar three", output="zanzibar four", system="zanzibar five")
            with vb.tts() as tts:
                tts.text("zanzibar six")
            with vb.tool("t") as tool:
                tool.call(arguments="zanzibar seven", result="zanzibar eight")
            with pytest.raises(ValueError, match="zanzibar"), vb.api("x", {semconv.USER_TEXT: "zanzibar nine"}):
                raise ValueError("zanzibar ten")
            vb.event("user_message", {semconv.USER_TEXT: "zanzibar eleven"})

    with recording() as off:
        call()
    with recording(capture_content=True) as on:
        call()
    assert "zanzibar" not in "".join(span.to_json() for span in off.sink.spans)
    shown = "".join(span.to_json() for span in on.sink.spans)
    for number in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"):
        assert f"zanzibar {number}" in shown
    assert off.sink.attributes("voicebot.stt")[semconv.USER_WORDS] == 2
    assert off.sink.attributes("voicebot.tts")[semconv.TTS_CHARACTERS] == 12


def test_work_that_nobody_waits_for_is_marked(record: Recording) -> None:
    """In the background from the start, or thrown away when that is known; else nothing is said."""
    with vb.session(bot="bank"), vb.turn():
        for begin in (vb.stt, vb.llm, vb.tts, vb.nlu, vb.rag):
            with begin(background=True):
                pass
        with vb.tool("t", background=True), vb.api("a", background=True), vb.cache("c", background=True):
            pass
        with vb.component("summary", background=True), vb.llm() as call:
            call.discard()
    parts = [
        span.attributes for span in record.sink.spans if span.name not in (semconv.SPAN_SESSION, semconv.SPAN_TURN)
    ]
    assert [part.get(semconv.BACKGROUND) for part in parts] == [True] * 8 + [None, True]
    assert [part.get(semconv.DISCARDED) for part in parts] == [None] * 8 + [True, None]


def test_events_go_to_the_current_span_under_the_tracked_names(record: Recording) -> None:
    """``vb.event`` marks whatever span is current; semconv's own event names stay as they are."""
    with vb.session(bot="b"), vb.turn(), vb.nlu() as nlu:
        vb.event("entity_extracted", {"voicebot.entity": "amount"}, at=1_700_000_000.5)
        with record.provider.get_tracer("other").start_as_current_span("theirs"):
            vb.event("workflow_started")
        nlu.event("voicebot.feedback")
    assert events(record.sink.one("voicebot.nlu")) == ["voicebot.event.entity_extracted", "voicebot.feedback"]
    assert record.sink.one("voicebot.nlu").events[0].timestamp == 1_700_000_000_500_000_000
    assert events(record.sink.one("theirs")) == ["voicebot.event.workflow_started"]


def test_late_feedback_is_a_root_span_of_its_session_only(record: Recording) -> None:
    """A survey that comes during another call is booked on the session it names, in a trace of its own."""
    with vb.session(bot="b", session_id="other"):
        vb.feedback("yesterday", csat=4, nps=10, outcome="unresolved")
    span = record.sink.one("voicebot.feedback")
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "session.id": "yesterday",
        "voicebot.csat": 4,
        "voicebot.nps": 10,
        "voicebot.session.outcome": "unresolved",
    }


def test_a_callback_is_told_by_an_event(record: Recording) -> None:
    """A caller who came back by another way is a tracked event of the session that is over."""
    vb.feedback("yesterday", callback=True)
    assert events(record.sink.one("voicebot.feedback")) == ["voicebot.event.callback"]


def test_a_caller_is_recorded_only_as_a_keyed_hash(record: Recording) -> None:
    """Without a key there is no trace of the caller; with one, the same caller gives the same HMAC-SHA256."""
    with vb.session(bot="b", caller="+41791234567"):
        pass
    runtime.configure(hash_key=b"secret")
    try:
        with vb.session(bot="b", caller="+41791234567"):
            pass
    finally:
        runtime.configure()
    without, with_key = record.sink.named("voicebot.session")
    assert "user.hash" not in (without.attributes or {})
    expected = "ec9bc10ed02bf1aa7f3f8644b25acd35e0fc3f4683a6f4b7d86d9fe3f5f70e8f"
    assert (with_key.attributes or {})["user.hash"] == expected
    assert "41791234567" not in without.to_json() + with_key.to_json()


def test_a_session_is_a_root_that_links_to_what_is_around_it(record: Recording) -> None:
    """Inside a web server's span, or another session, a call still has its own trace, linked to the outer span."""
    with record.provider.get_tracer("web").start_as_current_span("websocket") as outer:
        with vb.session(bot="b"):
            pass
        assert trace.get_current_span() is outer
    span = record.sink.one("voicebot.session")
    assert span.parent is None
    assert [link.context for link in span.links] == [outer.get_span_context()]


def test_callbacks_can_start_and_end_a_call_apart(record: Recording) -> None:
    """``start()`` and ``end()`` work without a block around, keep the parent, and leave nothing attached."""
    call = vb.session(bot="b", session_id="s").start()
    assert vb.current_session() is None
    turn = call.turn().start()
    with turn.active():
        assert (vb.current_session(), vb.current_turn()) == (call, turn)
        stt = vb.stt().start()
    record.clock.advance(1)
    stt.end()
    turn.end(at=record.clock.seconds - 0.5)
    turn.end()
    second = call.turn().start()
    assert second.index == 2
    second.end()
    call.end(error=ValueError("gone"))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert record.sink.outline() == (
        "voicebot.session 1s\n  voicebot.turn 0.5s\n    voicebot.stt 1s\n  voicebot.turn 0s"
    )
    assert {(span.attributes or {}).get("session.id") for span in record.sink.spans} == {"s"}


def test_turns_are_counted_per_session_and_never_nest(record: Recording) -> None:
    """Indexes start at 1 in each session; a turn opened inside another is its sibling; replays may set the index."""
    with vb.session(bot="b") as call:
        with vb.turn() as first, vb.turn() as second:
            assert vb.current_turn() is second
        with call.turn(index=7) as seventh, vb.session(bot="b"), vb.turn() as other:
            pass
        with vb.turn() as eighth:
            pass
    assert [turn.index for turn in (first, second, seventh, other, eighth)] == [1, 2, 7, 1, 8]
    roots = {span.context.span_id for span in record.sink.named("voicebot.session")}
    assert all(span.parent is not None and span.parent.span_id in roots for span in record.sink.named("voicebot.turn"))


def test_current_operation_finds_the_innermost_of_its_kind(record: Recording) -> None:
    """Code deep inside can speak about the operation around it; outside of one nothing is recorded."""
    with vb.llm(model="m"), vb.tool("t"):
        vb.current_operation(vb.Llm).tokens(input=3)
        vb.current_operation(vb.Stt).transcript("nothing")
    assert record.sink.attributes("chat m")["gen_ai.usage.input_tokens"] == 3
    assert vb.current_session() is None
    assert vb.current_turn() is None


def test_work_under_another_calls_span_is_booked_on_that_call(record: Recording) -> None:
    """Also without the processor a component goes by its parent where that belongs to another call than the context."""
    with vb.session(bot="b", session_id="theirs") as theirs, vb.turn() as turn:
        pass
    with vb.session(bot="b", session_id="mine"), vb.turn():
        with trace.use_span(turn.span), vb.stt():
            pass
        with trace.use_span(theirs.span), vb.tts():
            pass
        with trace.use_span(trace.INVALID_SPAN), vb.nlu():
            pass
    assert record.sink.attributes("voicebot.stt")["session.id"] == "theirs"
    assert record.sink.attributes("voicebot.tts")["session.id"] == "theirs"
    assert "voicebot.turn.index" not in record.sink.attributes("voicebot.tts")
    assert record.sink.attributes("voicebot.nlu")["session.id"] == "mine"


def test_parts_outside_of_a_session_carry_no_session(record: Recording) -> None:
    """A component or turn without a session is a span like any other."""
    with vb.turn() as turn, vb.stt():
        assert turn.index == 0
    assert "session.id" not in record.sink.attributes("voicebot.stt")
    assert "voicebot.turn.index" not in record.sink.attributes("voicebot.turn")


def test_the_session_never_travels_in_baggage(record: Recording) -> None:
    """HTTP clients send baggage to providers: the session is not in it, while the user's own baggage is kept."""
    from opentelemetry import baggage

    token = context.attach(baggage.set_baggage("mine", "1"))
    try:
        with vb.session(bot="b", session_id="s"), vb.turn(), vb.stt():
            assert baggage.get_all() == {"mine": "1"}
    finally:
        context.detach(token)
