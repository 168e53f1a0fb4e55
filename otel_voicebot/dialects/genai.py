"""OpenTelemetry's GenAI conventions, as client instrumentations of model providers write them."""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.expected import on

__all__ = ["GENAI", "GENAI_NAMES"]

_USAGE: Final = frozenset(
    f"gen_ai.usage.{name}"
    for name in (
        *("cache_creation.input_tokens", "cache_write.input_tokens", "reasoning.output_tokens", "reasoning_tokens"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "input_cached_tokens", "total_tokens"),
        *("audio.input_tokens", "audio.output_tokens", "audio.cache_read.input_tokens", "text.input_tokens"),
        *("text.output_tokens", "image.input_tokens", "image.output_tokens", "prompt_tokens", "completion_tokens"),
    )
)
"""Other counts of tokens that were seen or specified: details of the totals, and older names."""

GENAI_NAMES: Final = _USAGE | {
    f"gen_ai.{name}"
    for name in (
        *("request.stream", "request.temperature", "request.max_tokens", "request.max_completion_tokens"),
        *("request.top_p", "request.top_k", "request.frequency_penalty", "request.presence_penalty", "request.seed"),
        *("request.stop_sequences", "request.choice.count", "request.encoding_formats"),
        *("response.id", "response.model", "response.finish_reasons", "response.time_to_first_chunk", "output.type"),
        *("tool.type", "tool.call.id", "agent.id", "agent.version"),
    )
}
"""What the convention names of requests, answers, tools and agents, beside content."""

_BESIDE: Final = {
    *("server.address", "server.port", "error.message", "openai.api.type", "openai.response.system_fingerprint"),
    *("openai.request.service_tier", "openai.response.service_tier"),
}
_LEFT: Final = Field("gen_ai.response.finish_reasons", ("chat*",), failed=False, words=(('["error"]', True),))
"""A stream that its reader left: no failure, and no reason came. A server that never gives one looks the same."""
_MESSAGES: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
_EXPECTED: Final = (
    *on("chat*", "which service and model it was", semconv.PROVIDER, semconv.REQUEST_MODEL, always=True),
    *on("chat*", "what kind of call it was", semconv.OPERATION_NAME, always=True),
    *on("chat*", "why it failed", semconv.ERROR_TYPE),
    *on("chat*", "the model that answered", semconv.RESPONSE_MODEL),
    *on("chat*", "tokens and cost", semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS),
    *on("chat*", "tokens from the cache", semconv.CACHED_INPUT_TOKENS),
    *on("chat*", "the time to the first token", semconv.TIME_TO_FIRST_CHUNK),
    *on("chat*", "prompts and answers", semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, enable=_MESSAGES),
)

GENAI: Final = Dialect(
    name="genai",
    scopes=("opentelemetry.instrumentation.genai.*", "opentelemetry.util.genai*"),
    marking_keys=(semconv.OPERATION_NAME,),
    kinds={
        semconv.OPERATION_NAME: {
            "chat": "llm",
            "text_completion": "llm",
            "generate_content": "llm",
            "embeddings": "llm",
            "execute_tool": "tool",
            "retrieval": "rag",
            "speech_to_text": "stt",
            "text_to_speech": "tts",
        }
    },
    columns={
        "session_id": ("gen_ai.conversation.id",),
        "provider": (semconv.PROVIDER, "gen_ai.system"),
        "model": (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL),
        "operation": (semconv.TOOL_NAME, semconv.OPERATION_NAME),
        "time_to_first_chunk_s": (semconv.TIME_TO_FIRST_CHUNK,),
        "input_tokens": (semconv.INPUT_TOKENS,),
        "output_tokens": (semconv.OUTPUT_TOKENS,),
        "cached_input_tokens": (semconv.CACHED_INPUT_TOKENS,),
        "agent": (semconv.AGENT, "gen_ai.agent.name"),
        "decision": (semconv.DECISION,),
        "adapter": (semconv.ADAPTER,),
        "interrupted": (_LEFT,),
        "user_text": (Field(semconv.INPUT_MESSAGES, role="user"),),
        "bot_text": (Field(semconv.OUTPUT_MESSAGES, role="assistant"),),
    },
    unknown=("unknown",),
    content=frozenset(
        {
            semconv.INPUT_MESSAGES,
            semconv.OUTPUT_MESSAGES,
            semconv.SYSTEM_INSTRUCTIONS,
            semconv.TOOL_ARGUMENTS,
            semconv.TOOL_RESULT,
            "gen_ai.tool.definitions",
            "gen_ai.tool.description",
            "gen_ai.agent.description",
        }
    ),
    inputs=(semconv.INPUT_MESSAGES,),
    first_chunks=("gen_ai.content.completion.chunk",),
    attributes=GENAI_NAMES | _BESIDE,
    own=("gen_ai.", "openai.", "error.", "server."),
    expected=_EXPECTED,
)
