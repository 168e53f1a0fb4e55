"""Two calls at once, over threads, tasks, executors and other libraries' instrumentation: every span finds its call."""

import asyncio
import contextvars
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from opentelemetry import context, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.urllib import URLLibInstrumentor

import otel_voicebot as vb
from otel_voicebot.embedded.session_processor import SessionProcessor
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.testing import Recording, recording

CALLS = {"call-1": ("bank", "phone", "A"), "call-2": ("shop", "web", "B")}
TURNS = 3


@pytest.fixture
def record() -> Iterator[Recording]:
    """Spans in memory, stamped by the processor."""
    with recording(processors=[SessionProcessor(SelfMetrics())]) as made:
        yield made


@pytest.fixture
def instrumented(record: Recording) -> Iterator[Recording]:
    """With urllib and threading instrumented by OpenTelemetry's own libraries."""
    libraries = [URLLibInstrumentor(), ThreadingInstrumentor()]
    for library in libraries:
        library.instrument(tracer_provider=record.provider)
    try:
        yield record
    finally:
        for library in libraries:
            library.uninstrument()


class Answer(http.server.BaseHTTPRequestHandler):
    """A back end that says which headers it got."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        """Answer."""
        self.seen.append(dict(self.headers.items()))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def backend() -> Iterator[str]:
    """A real HTTP server on the loopback interface."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def fetch(url: str) -> None:
    """Ask the back end, with the standard library's client."""
    with urllib.request.urlopen(url) as answer:
        answer.read()


def every_span_has_its_call(record: Recording, expected: int) -> None:
    """Each span carries the id, turn and names of the call in whose trace it is; ``expected`` spans a call."""
    owner = {}
    for span in record.sink.named("voicebot.session"):
        owner[span.context.trace_id] = (span.attributes or {})["session.id"]
    counts = dict.fromkeys(CALLS, 0)
    for span in record.sink.spans:
        says: Any = span.attributes
        session = says["session.id"]
        assert session == owner[span.context.trace_id], span.name
        assert (says["voicebot.bot"], says["voicebot.channel"], says["voicebot.variant"]) == CALLS[session], span.name
        counts[session] += 1
        if span.name.startswith("work "):
            assert span.name == f"work {session} {says['voicebot.turn.index']}"
        elif span.name != "voicebot.session":
            assert says["voicebot.turn.index"] in range(1, TURNS + 1), span.name
    assert counts == dict.fromkeys(CALLS, expected)


def test_threads_executors_and_other_libraries(instrumented: Recording, backend: str) -> None:
    """Calls in threads of their own, whose turns use a thread, an executor and an HTTP client, don't mix."""
    tracer = instrumented.provider.get_tracer("other")
    together = threading.Barrier(len(CALLS))
    Answer.seen.clear()

    def work(session_id: str, index: int) -> None:
        with tracer.start_as_current_span(f"work {session_id} {index}"), vb.api("crm"):
            fetch(backend)

    def hold(session_id: str, pool: ThreadPoolExecutor) -> None:
        bot, channel, variant = CALLS[session_id]
        with vb.session(bot=bot, channel=channel, variant=variant, session_id=session_id):
            for index in range(1, TURNS + 1):
                together.wait()
                with vb.turn():
                    thread = threading.Thread(target=work, args=(session_id, index))
                    thread.start()
                    future = pool.submit(work, session_id, index)
                    work(session_id, index)
                    thread.join()
                    future.result()

    with ThreadPoolExecutor(2) as pool:
        callers = [threading.Thread(target=hold, args=(session_id, pool)) for session_id in CALLS]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    every_span_has_its_call(instrumented, 1 + TURNS * (1 + 3 * 3))
    assert {span.name for span in instrumented.sink.spans} > {"GET", "voicebot.api"}
    headers = str(Answer.seen).lower()
    assert "traceparent" in headers
    assert "call-1" not in headers
    assert "baggage" not in headers


def test_tasks_and_executors_of_one_event_loop(record: Recording) -> None:
    """Calls as tasks of one loop, whose turns use tasks, threads and an executor given the parent only, don't mix."""
    tracer = record.provider.get_tracer("other")

    def work(session_id: str, index: int) -> None:
        with tracer.start_as_current_span(f"work {session_id} {index}"):
            pass

    def work_under(parent: trace.Span, session_id: str, index: int) -> None:
        assert vb.current_session() is None
        with tracer.start_as_current_span(
            f"work {session_id} {index}", context=trace.set_span_in_context(parent, context.Context())
        ):
            pass

    async def later(session_id: str, index: int) -> None:
        await asyncio.sleep(0.001)
        work(session_id, index)

    async def hold(session_id: str, together: asyncio.Barrier) -> None:
        bot, channel, variant = CALLS[session_id]
        loop = asyncio.get_running_loop()
        async with vb.session(bot=bot, channel=channel, variant=variant, session_id=session_id):
            for index in range(1, TURNS + 1):
                await together.wait()
                async with vb.turn() as turn:
                    task = asyncio.create_task(later(session_id, index))
                    await asyncio.to_thread(work, session_id, index)
                    await loop.run_in_executor(None, contextvars.copy_context().run, work, session_id, index)
                    await loop.run_in_executor(None, work_under, turn.span, session_id, index)
                    await task

    async def main() -> None:
        together = asyncio.Barrier(len(CALLS))
        await asyncio.gather(*(hold(session_id, together) for session_id in CALLS))

    asyncio.run(main())
    every_span_has_its_call(record, 1 + TURNS * (1 + 4))


def test_a_task_made_before_the_turn_works_for_the_turn_that_is_open(record: Recording) -> None:
    """A listener that lives as long as the call is booked on whichever turn is open; between turns on none."""
    tracer = record.provider.get_tracer("other")
    indexes = []

    async def listen(heard: "asyncio.Queue[str | None]") -> None:
        while (name := await heard.get()) is not None:
            with tracer.start_as_current_span(name) as span:
                indexes.append(dict(span.attributes).get("voicebot.turn.index"))  # type: ignore[attr-defined]
            heard.task_done()

    async def main() -> None:
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        with vb.session(bot="b") as call:
            listener = asyncio.create_task(listen(heard))
            for _ in range(2):
                with call.turn():
                    heard.put_nowait("during")
                    await heard.join()
                heard.put_nowait("between")
                await heard.join()
            heard.put_nowait(None)
            await listener

    asyncio.run(main())
    assert indexes == [1, None, 2, None]
