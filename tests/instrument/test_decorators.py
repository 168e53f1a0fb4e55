"""Decorated functions, coroutines, generators and async generators behave as they did, and each call is a span."""

import asyncio
import functools
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import otel_voicebot as vb
from otel_voicebot.testing import Recording

FIRST = "gen_ai.response.time_to_first_chunk"


def test_a_function_keeps_its_name_signature_and_result(record: Recording) -> None:
    """A decorated function gives what it gave; each call is a span of its own; its result is its first output."""

    @vb.stt(provider="p")
    def recognise(audio: bytes, *, rate: int = 8000) -> str:
        """Listen."""
        record.clock.advance(0.5)
        vb.current_operation(vb.Stt).transcript("hi")
        return f"{len(audio)} {rate}"

    assert recognise(b"ab", rate=1) == "2 1"
    assert recognise(b"abc") == "3 8000"
    assert (recognise.__name__, recognise.__doc__) == ("recognise", "Listen.")
    assert list(inspect.signature(recognise).parameters) == ["audio", "rate"]
    first, second = record.sink.named("voicebot.stt")
    assert first.context.span_id != second.context.span_id
    assert (first.attributes or {})[FIRST] == 0.5
    assert (first.attributes or {})["voicebot.user.words"] == 1


def test_methods_partials_and_lambdas_can_be_decorated(record: Recording) -> None:
    """A method gets its self; a callable that only returns a coroutine is measured to the coroutine's end."""

    class Bot:
        @vb.tts()
        def say(self, text: str) -> "tuple[Bot, str]":
            return self, text

    async def think(prompt: str, answer: str) -> str:
        record.clock.advance(1)
        return prompt + answer

    bot = Bot()
    assert bot.say("x") == (bot, "x")
    assert asyncio.run(vb.llm(model="m")(functools.partial(think, "a"))("b")) == "ab"
    assert record.sink.attributes("chat m")[FIRST] == 1
    assert record.sink.outline() == "voicebot.tts 0s\nchat m 1s"


def test_a_coroutine_gets_its_first_chunk_time(record: Recording) -> None:
    """A coroutine's first chunk is where it says so, else its result; a coroutine function stays one."""

    @vb.llm(model="says")
    async def says() -> str:
        record.clock.advance(0.25)
        await asyncio.sleep(0)
        vb.current_operation(vb.Llm).first_chunk()
        record.clock.advance(0.5)
        return "reply"

    @vb.llm(model="silent")
    async def silent() -> str:
        record.clock.advance(0.5)
        await asyncio.sleep(0)
        return "reply"

    @vb.llm(model="empty")
    async def empty() -> None:
        record.clock.advance(0.5)

    async def main() -> list[str | None]:
        return [await says(), await silent(), await empty()]

    assert inspect.iscoroutinefunction(says)
    assert asyncio.run(main()) == ["reply", "reply", None]
    assert record.sink.attributes("chat says")[FIRST] == 0.25
    assert record.sink.attributes("chat silent")[FIRST] == 0.5
    assert FIRST not in record.sink.attributes("chat empty")
    assert record.sink.outline() == "chat says 0.75s\nchat silent 0.5s\nchat empty 0.5s"


def test_a_generator_gets_its_first_chunk_time_and_span_from_first_next_to_exhaustion(record: Recording) -> None:
    """The wait before the first ``next()`` doesn't count; the consumer's time between items does."""

    @vb.tts()
    def speak(text: str) -> Iterator[str]:
        for word in text.split():
            record.clock.advance(0.25)
            yield word

    stream = speak("one two")
    record.clock.advance(10)
    assert next(stream) == "one"
    record.clock.advance(1)
    assert list(stream) == ["two"]
    assert record.sink.attributes("voicebot.tts")[FIRST] == 0.25
    assert record.sink.outline() == "voicebot.tts 1.5s"


def test_an_async_generator_gets_its_first_chunk_time(record: Recording) -> None:
    """As a generator; also one that a coroutine or function returns after some work."""

    async def tokens() -> AsyncIterator[str]:
        for word in ("one", "two"):
            record.clock.advance(0.25)
            await asyncio.sleep(0)
            yield word

    @vb.llm(model="returned")
    async def connect() -> AsyncIterator[str]:
        record.clock.advance(0.5)
        return tokens()

    async def main() -> None:
        assert [item async for item in vb.llm(model="direct")(tokens)()] == ["one", "two"]
        assert [item async for item in await connect()] == ["one", "two"]
        assert [item async for item in vb.llm(model="plain")(lambda: tokens())()] == ["one", "two"]  # noqa: PLW0108

    asyncio.run(main())
    assert record.sink.attributes("chat direct")[FIRST] == 0.25
    assert record.sink.attributes("chat returned")[FIRST] == 0.75
    assert record.sink.attributes("chat plain")[FIRST] == 0.25
    assert record.sink.outline() == "chat direct 0.5s\nchat returned 1s\nchat plain 0.5s"


def test_sent_values_thrown_exceptions_and_return_values_pass_through(record: Recording) -> None:
    """``send``, ``throw`` and the return value of a generator work as without the decorator."""

    @vb.component("dialogue")
    def dialogue() -> Generator[str, str, str]:
        got = yield "ready"
        try:
            got = yield got.upper()
        except KeyError as error:
            got = yield f"caught {error.args[0]}"
        return f"last {got}"

    def delegate() -> Generator[str, str, str]:
        return (yield from dialogue())

    stream = delegate()
    assert next(stream) == "ready"
    assert stream.send("a") == "A"
    assert stream.throw(KeyError("k")) == "caught k"
    with pytest.raises(StopIteration) as done:
        stream.send("z")
    assert done.value.value == "last z"
    assert record.sink.one("voicebot.dialogue").status.status_code is StatusCode.UNSET


def test_async_sends_throws_and_closes_pass_through(record: Recording) -> None:
    """``asend``, ``athrow`` and ``aclose`` of an async generator work as without the decorator."""
    cleaned = []

    @vb.component("dialogue")
    async def dialogue() -> Any:
        try:
            got = yield "ready"
            try:
                got = yield got.upper()
            except KeyError as error:
                got = yield f"caught {error.args[0]}"
            yield got
        finally:
            await asyncio.sleep(0)
            cleaned.append(trace.get_current_span())

    async def main() -> None:
        stream = dialogue()
        assert await stream.asend(None) == "ready"
        assert await stream.asend("a") == "A"
        assert await stream.athrow(KeyError("k")) == "caught k"
        assert await stream.asend("z") == "z"
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())
    span = record.sink.one("voicebot.dialogue")
    assert [seen.get_span_context() for seen in cleaned] == [span.get_span_context()]
    assert (span.attributes or {})["voicebot.cancelled"] is True


@pytest.mark.parametrize("leave", ["close", "collect", "throw", "fail"])
def test_an_abandoned_generator_ends_its_span_and_says_what_happened(record: Recording, leave: str) -> None:
    """Closing and dropping a stream cancel it; an exception that leaves it is its failure. Its own clean-up runs."""
    cleaned = []

    @vb.tts()
    def speak() -> Iterator[str]:
        try:
            yield "one"
            raise ValueError("broken")
        finally:
            cleaned.append(trace.get_current_span().get_span_context())

    stream: Any = speak()
    next(stream)
    if leave == "close":
        stream.close()
    elif leave == "collect":
        del stream
        gc.collect()
    elif leave == "throw":
        with pytest.raises(KeyError):
            stream.throw(KeyError("x"))
    else:
        with pytest.raises(ValueError, match="broken"):
            next(stream)
    span = record.sink.one("voicebot.tts")
    assert cleaned == [span.context]
    cancelled = leave in ("close", "collect")
    assert (span.attributes or {}).get("voicebot.cancelled", False) is cancelled
    assert (span.status.status_code is StatusCode.ERROR) is not cancelled
    assert (span.attributes or {}).get("error.type") == {"throw": "KeyError", "fail": "ValueError"}.get(leave)


def test_an_abandoned_or_cancelled_async_generator_ends_its_span(record: Recording) -> None:
    """A consumer that breaks out, and a task cancelled in the middle of an item, both end the span as cancelled."""

    @vb.llm(model="m")
    async def tokens() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)
        yield 2

    async def consume() -> None:
        async for _ in tokens():
            pass

    async def main() -> None:
        async for _ in tokens():
            break
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gc.collect()
    broken, cancelled = record.sink.named("chat m")
    for span in (broken, cancelled):
        assert (span.attributes or {})["voicebot.cancelled"] is True
        assert span.status.status_code is StatusCode.UNSET


def test_a_generator_that_is_never_started_is_no_span(record: Recording) -> None:
    """No work was done, so nothing is reported."""

    @vb.tts()
    def speak() -> Iterator[str]:
        yield "one"

    speak().close()
    del speak
    gc.collect()
    assert record.sink.spans == ()


def test_the_context_of_a_generator_never_leaks_into_its_consumer(record: Recording) -> None:
    """Between items the consumer's own span is current; inside, the generator's, also what it opened across a yield."""

    @vb.tts()
    def speak() -> Iterator[trace.Span]:
        yield trace.get_current_span()
        with vb.tool("lookup"):
            yield trace.get_current_span()
            yield trace.get_current_span()
        yield trace.get_current_span()

    with vb.session(bot="b"), vb.turn() as turn:
        names = []
        for inside in speak():
            names.append(inside.name)  # type: ignore[attr-defined]
            assert trace.get_current_span() is turn.span
            assert vb.current_operation(vb.Tts).span is trace.INVALID_SPAN
    assert names == ["voicebot.tts", "execute_tool lookup", "execute_tool lookup", "voicebot.tts"]
    tts, tool = record.sink.one("voicebot.tts"), record.sink.one("execute_tool lookup")
    assert tool.parent == tts.context


def test_the_context_of_an_async_generator_never_leaks_into_its_consumer(record: Recording) -> None:
    """Also with several streams interleaved in one task, and others running beside it."""

    @vb.llm(model="m")
    async def tokens(name: str) -> AsyncIterator[tuple[str, trace.Span]]:
        for _ in range(3):
            await asyncio.sleep(0)
            with vb.tool(name):
                await asyncio.sleep(0)
                yield name, trace.get_current_span()

    async def consume(session_id: str) -> None:
        with vb.session(bot="b", session_id=session_id), vb.turn() as turn:
            left, right = tokens("left"), tokens("right")
            for _ in range(3):
                for stream, name in ((left, "left"), (right, "right")):
                    _, inside = await anext(stream)
                    assert inside.name == f"execute_tool {name}"  # type: ignore[attr-defined]
                    assert trace.get_current_span() is turn.span
            await left.aclose()  # type: ignore[attr-defined]
            await right.aclose()  # type: ignore[attr-defined]
            assert trace.get_current_span() is turn.span

    async def main() -> None:
        await asyncio.gather(consume("one"), consume("two"))

    asyncio.run(main())
    for session_id in ("one", "two"):
        spans = record.sink.of_session(session_id)
        assert len({span.context.trace_id for span in spans}) == 1
        assert len(spans) == 10


def test_a_stream_belongs_to_the_turn_that_asked_for_it(record: Recording) -> None:
    """A generator consumed by an executor's thread or a task without the context keeps the session of its call."""

    @vb.tts()
    def speak() -> Iterator[int]:
        with vb.tool("inner"):
            yield 1

    with vb.session(bot="b", session_id="s"), vb.turn(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(list, speak()).result() == [1]
    spans = [record.sink.one("voicebot.tts"), record.sink.one("execute_tool inner")]
    assert [(span.attributes or {})["voicebot.turn.index"] for span in spans] == [1, 1]
    assert [(span.attributes or {})["session.id"] for span in spans] == ["s", "s"]


def test_one_decorated_function_serves_many_threads_at_once(record: Recording) -> None:
    """Calls share nothing: each thread's call has its own span and first chunk."""
    barrier = threading.Barrier(4)

    @vb.llm(model="m")
    def reply(number: int) -> int:
        vb.current_operation(vb.Llm).tokens(input=number)
        barrier.wait()
        return number

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(reply, range(4))) == [0, 1, 2, 3]
    spans = record.sink.named("chat m")
    assert sorted((span.attributes or {})["gen_ai.usage.input_tokens"] for span in spans) == [0, 1, 2, 3]  # type: ignore[type-var]
    assert len({span.context.trace_id for span in spans}) == 4


def test_sessions_and_turns_decorate_too(record: Recording) -> None:
    """Each call of a decorated handler is a session of its own, with its own turns."""

    @vb.session(bot="b")
    def handle() -> tuple[str, list[int]]:
        call = vb.current_session()
        assert call is not None
        return call.session_id, [exchange(), exchange()]

    @vb.turn()
    def exchange() -> int:
        turn = vb.current_turn()
        assert turn is not None
        return turn.index

    (one, first), (two, second) = handle(), handle()
    assert one != two
    assert first == second == [1, 2]
    assert len(record.sink.of_session(one)) == 3
