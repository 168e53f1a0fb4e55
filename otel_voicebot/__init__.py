"""Observability for voicebots: OpenTelemetry spans become turns, latencies and call KPIs.

The names below load on first use, so that ``import otel_voicebot`` costs nothing::

    import otel_voicebot as vb

    vb.configure()
    with vb.session(bot="bank", channel="phone") as call, vb.turn() as turn:
        ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_voicebot import frames
    from otel_voicebot.app.configuring import configure
    from otel_voicebot.instrument import (
        Cache,
        Endpointing,
        Handoff,
        Llm,
        Nlu,
        Operation,
        Session,
        SpanBlock,
        Stt,
        Tool,
        Tts,
        Turn,
        api,
        cache,
        component,
        current_operation,
        current_session,
        current_turn,
        endpointing,
        event,
        feedback,
        handoff,
        llm,
        nlu,
        playout,
        rag,
        session,
        stt,
        tool,
        tts,
        turn,
    )

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
    "configure",
    "current_operation",
    "current_session",
    "current_turn",
    "endpointing",
    "event",
    "feedback",
    "frames",
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "frames":
        return import_module("otel_voicebot.frames")
    home = import_module("otel_voicebot.app.configuring" if name == "configure" else "otel_voicebot.instrument")
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
