"""What a bot developer writes: sessions, turns, components and events. Needs opentelemetry-api only.

Without an OpenTelemetry SDK everything here is a transparent no-op.
"""

from otel_voicebot.instrument.block import SpanBlock
from otel_voicebot.instrument.components import (
    api,
    cache,
    component,
    endpointing,
    handoff,
    llm,
    nlu,
    playout,
    rag,
    stt,
    tool,
    tts,
)
from otel_voicebot.instrument.events import event
from otel_voicebot.instrument.operation import (
    Cache,
    Endpointing,
    Handoff,
    Llm,
    Nlu,
    Operation,
    Stt,
    Tool,
    Tts,
    current_operation,
)
from otel_voicebot.instrument.sessions import Session, current_session, feedback, session
from otel_voicebot.instrument.turns import Turn, current_turn, turn

__all__ = [
    "Cache",
    "Endpointing",
    "Handoff",
    "Llm",
    "Nlu",
    "Operation",
    "Session",
    "SpanBlock",
    "Stt",
    "Tool",
    "Tts",
    "Turn",
    "api",
    "cache",
    "component",
    "current_operation",
    "current_session",
    "current_turn",
    "endpointing",
    "event",
    "feedback",
    "handoff",
    "llm",
    "nlu",
    "playout",
    "rag",
    "session",
    "stt",
    "tool",
    "tts",
    "turn",
]
