"""What is slow the first time is done once for nothing, before anybody speaks."""

import tempfile
from pathlib import Path
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import set_span_in_context
from opentelemetry.util.types import AttributeValue

from otel_voicebot import semconv as s
from otel_voicebot.app.pipeline import Pipeline
from otel_voicebot.embedded import kept
from otel_voicebot.live import Engines
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings

__all__ = ["warm_up"]

_SECOND: Final = 1_000_000_000
_SERVED: Final[dict[str, AttributeValue]] = {
    s.PROVIDER: "warm-up",
    s.REQUEST_MODEL: "warm-up-1",
    s.TIME_TO_FIRST_CHUNK: 0.1,
    "metrics.ttfb": 0.1,
}
_Call = tuple[str, tuple[str, ...], str, str]
_CALLS: Final[tuple[_Call, _Call]] = (
    (s.SCOPE_NAME, (s.SPAN_SESSION, s.SPAN_TURN, s.SPAN_STT, "chat warm-up", s.SPAN_TTS), s.SESSION_ID, s.TURN_INDEX),
    ("pipecat", ("conversation", "turn", "stt", "llm", "tts"), "conversation.id", "turn.number"),
)
"""A call of each kind that is computed: scope, names of the spans of call, turn and its stages, and who says which."""


def warm_up(settings: Settings, engines: Engines, *, framed: bool) -> None:
    """Send two short calls through a pipeline of their own, in a directory that is deleted.

    Libraries load parts of themselves and set up tables when they are first used. Each time takes milliseconds in which
    no other thread runs; together they made an event loop's p99 delay twice as long in the first call of a process.

    Args:
        settings: as of the pipeline that comes after.
        engines: compute these calls, and stay open for that pipeline.
        framed: there will be calls of frameworks only, and one of the two is enough.

    Raises:
        OSError: there is nowhere to write.
    """
    with tempfile.TemporaryDirectory(prefix="otel-voicebot-", ignore_cleanup_errors=True) as directory:
        pipeline = Pipeline(settings.model_copy(update={"data": Path(directory)}), SelfMetrics(), engines=engines)
        try:
            pipeline.take(_spans(_CALLS[1:] if framed else _CALLS))
            pipeline.drain()
            pipeline.flush()
        finally:
            pipeline.end()


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.extend(kept(span))


def _spans(calls: tuple[_Call, ...]) -> list[Any]:
    sink = _Kept()
    # an empty resource: to find out what stands in one takes threads
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(sink)
    for scope, (call, turn, *stages), session_id, turn_index in calls:
        tracer = provider.get_tracer(scope)
        attributes: dict[str, AttributeValue] = {session_id: f"warm-up-{scope}", turn_index: 1}
        whole = tracer.start_span(call, Context(), attributes=attributes, start_time=_SECOND)
        one = tracer.start_span(turn, set_span_in_context(whole), attributes=attributes, start_time=_SECOND)
        one.add_event(s.USER_SPEECH_END, timestamp=_SECOND)
        for place, name in enumerate(stages):
            begin = (1 + place) * _SECOND
            span = tracer.start_span(name, set_span_in_context(one), attributes=attributes | _SERVED, start_time=begin)
            span.end(begin + _SECOND // 2)
        one.end(5 * _SECOND)
        whole.end(6 * _SECOND)
    return sink.spans
