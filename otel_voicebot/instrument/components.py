"""The parts of a bot: one function each, giving a block for ``with``, ``async with`` or use as a decorator.

``background=True`` says that the reply doesn't wait for the work: no part of the caller's wait is put down to it.
"""

from otel_voicebot import semconv
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
)
from otel_voicebot.instrument.runtime import Attributes

__all__ = [
    "api",
    "cache",
    "component",
    "endpointing",
    "handoff",
    "llm",
    "nlu",
    "playout",
    "rag",
    "stt",
    "tool",
    "tts",
]

_NAMES = {span.component: name for name, span in semconv.SPANS.items() if name != semconv.SPAN_FEEDBACK}


def component(
    name: str, attributes: Attributes | None = None, *, start: float | None = None, background: bool = False
) -> Operation:
    """Work of any component: one of ``semconv.COMPONENTS``, else a name of your own (reported as `other`).

    Args:
        name: of the component.
        attributes: for its span, by their names in ``semconv`` or your own.
        start: unix seconds; when the block is entered by default.
        background: the reply doesn't wait for it.
    """
    return Operation(_NAMES.get(name, f"voicebot.{name}"), _in(background, attributes), start=start)


def endpointing(*, start: float | None = None) -> Endpointing:
    """From the caller's true end of speech (``start``, unix seconds; default: on entering) to the turn's decision."""
    return Endpointing(semconv.SPAN_ENDPOINTING, start=start)


def stt(
    *,
    provider: str | None = None,
    model: str | None = None,
    attributes: Attributes | None = None,
    start: float | None = None,
    background: bool = False,
) -> Stt:
    """Speech to text. ``start`` is unix seconds, by default when the block is entered."""
    return Stt(semconv.SPAN_STT, _in(background, _served(provider, model, attributes)), start=start)


def llm(
    *,
    provider: str | None = None,
    model: str | None = None,
    operation: str = "chat",
    attributes: Attributes | None = None,
    background: bool = False,
) -> Llm:
    """A model call, under the GenAI conventions' name ``{operation} {model}``."""
    name = f"{operation} {model}" if model else operation
    named = {semconv.OPERATION_NAME: operation, **_served(provider, model, attributes)}
    return Llm(name, _in(background, named))


def tts(
    *,
    provider: str | None = None,
    model: str | None = None,
    attributes: Attributes | None = None,
    background: bool = False,
) -> Tts:
    """Text to speech; enter it when the text is handed over."""
    return Tts(semconv.SPAN_TTS, _in(background, _served(provider, model, attributes)))


def nlu(
    *,
    provider: str | None = None,
    model: str | None = None,
    attributes: Attributes | None = None,
    background: bool = False,
) -> Nlu:
    """Intent classification and entity extraction."""
    return Nlu(semconv.SPAN_NLU, _in(background, _served(provider, model, attributes)))


def rag(
    *,
    provider: str | None = None,
    model: str | None = None,
    attributes: Attributes | None = None,
    background: bool = False,
) -> Operation:
    """Retrieval."""
    return Operation(semconv.SPAN_RAG, _in(background, _served(provider, model, attributes)))


def tool(name: str, attributes: Attributes | None = None, *, background: bool = False) -> Tool:
    """A tool that the model asked for."""
    named: Attributes = {semconv.OPERATION_NAME: "execute_tool", semconv.TOOL_NAME: name}
    return Tool(f"{semconv.SPAN_TOOL} {name}", _in(background, {**(attributes or {}), **named}))


def api(name: str, attributes: Attributes | None = None, *, background: bool = False) -> Operation:
    """A call to an external service."""
    return Operation(semconv.SPAN_API, _in(background, {**(attributes or {}), semconv.API_NAME: name}))


def cache(
    name: str, *, level: str | None = None, attributes: Attributes | None = None, background: bool = False
) -> Cache:
    """A lookup in a cache: which (semantic, audio, ...) and its level (L1, L2, L3)."""
    named = {**(attributes or {}), semconv.CACHE_NAME: name, semconv.CACHE_LEVEL: level}
    return Cache(semconv.SPAN_CACHE, _in(background, named))


def handoff(
    target: str, *, requested_by: str = "bot", planned: bool = False, attributes: Attributes | None = None
) -> Handoff:
    """A transfer.

    Args:
        target: `human`, or the name of a bot.
        requested_by: caller or bot.
        planned: it is part of the workflow, no escalation.
        attributes: more for the span.
    """
    named: Attributes = {
        semconv.HANDOFF_TARGET: target,
        semconv.HANDOFF_REQUESTED_BY: requested_by,
        semconv.HANDOFF_PLANNED: planned,
    }
    return Handoff(semconv.SPAN_HANDOFF, {**(attributes or {}), **named})


def playout(*, start: float | None = None) -> Operation:
    """Playing the reply to the caller. ``start`` is unix seconds, by default when the block is entered."""
    return Operation(semconv.SPAN_PLAYOUT, start=start)


def _served(provider: str | None, model: str | None, attributes: Attributes | None) -> Attributes:
    return {**(attributes or {}), semconv.PROVIDER: provider, semconv.REQUEST_MODEL: model}


def _in(background: bool, attributes: Attributes | None) -> Attributes | None:  # noqa: FBT001 - it is the keyword
    return {**(attributes or {}), semconv.BACKGROUND: True} if background else attributes
