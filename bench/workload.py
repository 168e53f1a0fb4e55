"""What the bot does in every variant of the bot benchmark: the same calls, spans and attributes."""

import time
from collections.abc import Callable
from typing import Final

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

import otel_voicebot as vb
from otel_voicebot import semconv as s

__all__ = ["SPANS_A_CALL", "TURNS_A_CALL", "component", "operation", "run"]

TURNS_A_CALL: Final = 8
SPANS_A_CALL: Final = TURNS_A_CALL * 9 + 1
"""Of each turn its own span and eight operations, and the session."""

_OPERATIONS: Final = (
    s.SPAN_ENDPOINTING,
    s.SPAN_STT,
    s.SPAN_NLU,
    s.SPAN_CACHE,
    f"{s.SPAN_TOOL} lookup",
    s.SPAN_API,
    f"{s.SPAN_LLM} gpt-4o-mini",
    s.SPAN_TTS,
)
# six attributes on every one, as in the published figures that this is compared with
_ATTRIBUTES: Final[dict[str, AttributeValue]] = {
    s.PROVIDER: "openai",
    s.REQUEST_MODEL: "gpt-4o-mini",
    s.TIME_TO_FIRST_CHUNK: 0.3,
    s.INPUT_TOKENS: 700,
    s.OUTPUT_TOKENS: 28,
    s.INTENT_NAME: "loan",
}


def run(turns: int, after_turn: Callable[[], None]) -> None:
    """Hold calls of eight turns, `turns` in all, a multiple of eight; no clock runs by itself: `after_turn` paces."""
    # a scope of the bot's own: our API's spans are born with the session's stamp, these have to be stamped
    tracer = trace.get_tracer("bench.bot")
    for _ in range(turns // TURNS_A_CALL):
        with vb.session(bot="bank", channel="phone") as call:
            for _ in range(TURNS_A_CALL):
                _turn(tracer)
                after_turn()
            call.outcome("resolved", end_reason="completed")


def operation(tracer: trace.Tracer, name: str = s.SPAN_STT) -> None:
    """One span, started and ended."""
    tracer.start_span(name, attributes=_ATTRIBUTES).end()


def component() -> None:
    """The same span by our API."""
    with vb.component("stt", _ATTRIBUTES):
        pass


def _turn(tracer: trace.Tracer) -> None:
    now = time.time()
    with vb.turn() as turn:
        turn.user_speech(start=now - 3, end=now - 1)
        for name in _OPERATIONS:
            operation(tracer, name)
        turn.bot_speech_start(now)
        turn.bot_speech_end(now + 2)
