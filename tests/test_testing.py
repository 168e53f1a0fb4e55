"""``otel_voicebot.testing``: the same code gives the same spans, and fakes follow their script."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import otel_voicebot as vb
from otel_voicebot import testing
from otel_voicebot.testing import (
    DeterministicClock,
    DeterministicIds,
    FakeLLM,
    FakeSTT,
    FakeTTS,
    MemorySink,
    recording,
)

FIRST = "gen_ai.response.time_to_first_chunk"


def hold(clock: DeterministicClock) -> bytes:
    """One call through the three fakes."""
    stt = FakeSTT(["i want a loan"], first_chunk_s=0.2, chunk_s=0.05, clock=clock)
    llm = FakeLLM(["How much do you need?"], first_chunk_s=0.3, chunk_s=0.02, clock=clock)
    tts = FakeTTS(word_s=0.5, first_chunk_s=0.1, chunk_s=0.01, clock=clock)
    with vb.session(bot="bank", session_id="s") as call, vb.turn():
        text = stt.recognise(bytes(32_000))
        reply = "".join(llm.stream(text))
        audio = b"".join(tts.stream(reply))
        call.outcome("resolved")
    return audio


def test_a_call_through_the_fakes_is_the_same_every_time() -> None:
    """Ids, times and attributes of two runs are equal, and no real time passes."""
    runs = []
    began = time.monotonic()
    for _ in range(2):
        with recording() as made:
            assert len(hold(made.clock)) == 5 * 16_000
            runs.append([span.to_json() for span in made.sink.spans])
            outline = made.sink.outline()
    assert time.monotonic() - began < 1
    assert runs[0] == runs[1]
    assert (
        outline
        == """\
voicebot.session 0.87s
  voicebot.turn 0.87s
    voicebot.stt 0.35s
    chat scripted 0.38s
    voicebot.tts 0.14s"""
    )


def test_the_fakes_spans_say_what_they_did_and_that_they_are_synthetic() -> None:
    """Provider `fake`, the synthetic mark, words, tokens, audio, and the first chunk of what was streamed."""
    with recording() as made:
        hold(made.clock)
        stamp = {"session.id": "s", "voicebot.bot": "bank", "voicebot.turn.index": 1, "voicebot.synthetic": True}
        fake = {"gen_ai.provider.name": "fake", "gen_ai.request.model": "scripted"}
        assert made.sink.attributes("voicebot.stt") == {
            **stamp,
            **fake,
            "voicebot.user.words": 4,
            "voicebot.stt.confidence": 0.9,
            "voicebot.audio.duration": 1.0,
            FIRST: 0.35,
        }
        assert made.sink.attributes("chat scripted") == {
            **stamp,
            **fake,
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 4,
            "gen_ai.usage.output_tokens": 5,
            FIRST: 0.3,
        }
        assert made.sink.attributes("voicebot.tts") == {
            **stamp,
            **fake,
            "voicebot.tts.characters": 21,
            "voicebot.bot.words": 5,
            "voicebot.audio.duration": 2.5,
            FIRST: 0.1,
        }


def test_every_fake_works_whole_and_streaming_sync_and_async() -> None:
    """The four forms of each fake give the same output; scripts start again when they are used up."""

    async def collect(stream: AsyncIterator[str] | AsyncIterator[bytes]) -> list[str | bytes]:
        return [piece async for piece in stream]

    with recording():
        stt, llm, tts = FakeSTT(["a b", ""]), FakeLLM(["x y"]), FakeTTS(word_s=1 / 16_000)
        assert (stt.recognise(b""), stt.recognise(b"")) == ("a b", "")
        assert list(stt.stream(b"")) == ["a", "a b"]
        assert asyncio.run(stt.recognise_async(b"")) == ""
        assert asyncio.run(collect(stt.stream_async(b""))) == ["a", "a b"]
        assert llm.complete("?") == asyncio.run(llm.complete_async("?")) == "x y"
        assert list(llm.stream("?")) == asyncio.run(collect(llm.stream_async("?"))) == ["x", " y"]
        assert tts.synthesise("a b") == asyncio.run(tts.synthesise_async("a b")) == bytes(4)
        assert list(tts.stream("a b")) == asyncio.run(collect(tts.stream_async("a b"))) == [bytes(2), bytes(2)]


def test_a_fake_fails_in_the_calls_that_its_script_names() -> None:
    """Failures are raised in those calls only, after the time to the first chunk, and mark the span."""
    with recording() as made:
        llm = FakeLLM(
            ["x"], first_chunk_s=2, failures={2: TimeoutError("slow"), 3: ConnectionError()}, clock=made.clock
        )
        assert llm.complete("?") == "x"
        with pytest.raises(TimeoutError):
            llm.complete("?")
        with pytest.raises(ConnectionError):
            list(llm.stream("?"))
        assert llm.complete("?") == "x"
        kinds = [(span.attributes or {}).get("error.type") for span in made.sink.named("chat scripted")]
        assert kinds == [None, "TimeoutError", "ConnectionError", None]
        failed = made.sink.named("chat scripted")[1]
        assert failed.status.status_code is StatusCode.ERROR
        assert (failed.end_time or 0) - (failed.start_time or 0) == 2_000_000_000


def test_without_a_clock_the_fakes_take_real_time() -> None:
    """A fake without a deterministic clock sleeps as its script says, sync and async."""
    with recording():
        llm = FakeLLM(["a b"], first_chunk_s=0.02, chunk_s=0.02)
        began = time.monotonic()
        llm.complete("?")
        asyncio.run(llm.complete_async("?"))
        assert time.monotonic() - began >= 0.08


def test_recording_leaves_the_process_as_it_was() -> None:
    """Afterwards neither the global provider nor our own tracer is the test's; recordings nest."""
    with recording() as outer:
        with recording() as inner, vb.stt():
            pass
        with vb.tts():
            pass
    with vb.llm() as llm:
        assert not llm.span.is_recording()
    assert [span.name for span in inner.sink.spans] == ["voicebot.stt"]
    assert [span.name for span in outer.sink.spans] == ["voicebot.tts"]
    assert trace.get_tracer_provider() is not outer.provider


def test_the_sink_tells_what_it_has() -> None:
    """``one`` names what ended when it finds none or several; ``clear`` forgets."""
    with recording() as made:
        for _ in range(2):
            with vb.session(bot="b", session_id="s"), vb.stt():
                pass
        assert len(made.sink.of_session("s")) == 4
        with pytest.raises(
            LookupError, match=r"2 spans are named 'voicebot.stt'; the spans that ended are: voicebot.stt,"
        ):
            made.sink.one("voicebot.stt")
        made.sink.clear()
        with pytest.raises(LookupError, match="none"):
            made.sink.one("voicebot.stt")
    assert MemorySink().outline() == ""


def test_ids_and_clock_don_t_lose_counts_between_threads() -> None:
    """Ids from several threads are all different and without gaps; advances add up."""
    ids, clock = DeterministicIds(), DeterministicClock(0)
    seen: list[int] = []

    def work() -> None:
        for _ in range(500):
            seen.append(ids.generate_span_id())
            clock.advance(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 2001))
    assert (clock(), clock.seconds) == (2_000_000_000, 2.0)


def test_the_public_names_exist() -> None:
    """What ``__all__`` lists can be imported."""
    assert all(hasattr(testing, name) for name in testing.__all__)
