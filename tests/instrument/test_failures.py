"""What goes wrong in a part of a call, or as it is recorded: the span says so, and the bot never feels it."""

import asyncio
import logging

import pytest
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

import otel_voicebot as vb
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.testing import Recording, recording


def test_an_exception_marks_its_span_failed_and_goes_on(record: Recording) -> None:
    """The component's span says which class of error; turn and session end with a reason; the exception goes on."""
    with pytest.raises(TimeoutError), vb.session(bot="b"), vb.turn(), vb.llm(model="m"):
        raise TimeoutError("slow")
    span = record.sink.one("chat m")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "TimeoutError"
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("exception", {"exception.type": "TimeoutError"})
    ]
    assert record.sink.attributes("voicebot.turn")["voicebot.turn.end_reason"] == "error"
    assert record.sink.attributes("voicebot.session")["voicebot.session.outcome"] == "failed"
    assert record.sink.attributes("voicebot.session")["voicebot.session.end_reason"] == "error"


def test_what_the_bot_said_of_a_call_outlives_an_exception(record: Recording) -> None:
    """An outcome and reason given before an exception are kept."""

    def hold() -> None:
        with vb.session(bot="b") as call, vb.turn() as turn:
            turn.end_reason("hung_up")
            call.outcome("abandoned", end_reason="hung_up")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        hold()
    assert record.sink.attributes("voicebot.session")["voicebot.session.outcome"] == "abandoned"
    assert record.sink.attributes("voicebot.session")["voicebot.session.end_reason"] == "hung_up"
    assert record.sink.attributes("voicebot.turn")["voicebot.turn.end_reason"] == "hung_up"


class RateLimitError(Exception):
    """As LLM clients name it."""


def test_a_rate_limit_is_named_so(record: Recording) -> None:
    """``error.type`` is `rate_limit` for a rate limit, whether seen by class or by status 429, and the given word."""
    refused = Exception("no")
    refused.status_code = 429  # type: ignore[attr-defined]
    for number, error in enumerate((RateLimitError(), refused)):
        with pytest.raises(type(error)), vb.component(f"c{number}"):
            raise error
        assert record.sink.attributes(f"voicebot.c{number}")["error.type"] == "rate_limit"
    with vb.api("crm") as api:
        api.failed("rate_limit")
    assert record.sink.one("voicebot.api").status.status_code is StatusCode.ERROR


def test_cancelling_is_no_failure(record: Recording) -> None:
    """A cancelled task ends its span as cancelled, without an error: the caller barged in."""

    async def reply() -> None:
        async with vb.llm(model="m"):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(reply())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span = record.sink.one("chat m")
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes is not None
    assert span.attributes["voicebot.cancelled"] is True
    assert "error.type" not in span.attributes


def test_values_off_their_scale_are_left_out_with_one_warning(
    record: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong outcome, score or type is never recorded and never raised into the bot."""
    runtime._told.clear()
    with caplog.at_level(logging.WARNING), vb.session(bot="b") as call, vb.stt() as stt:
        call.feedback(csat=6)
        call.feedback(csat=7, nps=0)
        call.outcome("great", intent="loan")
        stt.transcript(None)  # type: ignore[arg-type]
        vb.feedback("s", nps=11)
    session = record.sink.one("voicebot.session")
    assert [dict(event.attributes or {}) for event in session.events] == [{"voicebot.nps": 0}]
    assert session.attributes is not None
    assert "voicebot.session.outcome" not in session.attributes
    assert session.attributes["voicebot.session.intent"] == "loan"
    assert len(caplog.records) == 4


def test_a_failing_hook_tracer_or_processor_never_reaches_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    """What breaks in the telemetry is logged by its class, without its text; the call goes on."""
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

    class Broken(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
            raise RuntimeError("zanzibar")

        def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002
            raise RuntimeError("zanzibar")

    def hook() -> None:
        raise RuntimeError("zanzibar")

    runtime._told.clear()
    runtime.configure(on_session_start=hook)
    try:
        with recording(processors=[Broken()]), vb.session(bot="b") as call, vb.turn() as turn, vb.stt() as stt:
            stt.transcript("hello")
            assert turn.index == 1
            call.outcome("resolved")
    finally:
        runtime.configure()
    assert "RuntimeError" in caplog.text
    assert "zanzibar" not in caplog.text


def test_values_of_a_wrong_type_never_raise_into_the_call(record: Recording) -> None:
    """A wrong start or end time is now, a wrong index costs that turn's span; the block runs, the rest is whole."""
    with vb.session(bot=7, session_id=12) as call:  # type: ignore[arg-type]
        with vb.turn(start="soon"), vb.turn(index="x"):  # type: ignore[arg-type]
            pass
        with vb.stt() as stt:
            stt.first_chunk("now")  # type: ignore[arg-type]
        call.end(at="later")  # type: ignore[arg-type]
    assert call.session_id == "12"
    assert record.sink.attributes("voicebot.stt") == {"session.id": "12", "voicebot.bot": "7"}
    assert record.sink.attributes("voicebot.turn")["voicebot.turn.index"] == 1
    assert record.sink.named("voicebot.session")


def test_an_exception_that_is_hard_to_read_is_still_recorded(record: Recording) -> None:
    """An exception whose properties raise marks the span failed all the same."""

    class OddError(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError

    with pytest.raises(OddError), vb.api("x"):
        raise OddError
    assert record.sink.one("voicebot.api").status.status_code is StatusCode.ERROR
    assert record.sink.attributes("voicebot.api")["error.type"].endswith("OddError")
