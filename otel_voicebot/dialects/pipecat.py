"""Pipecat 1.x and the last 0.0.10x, as its tracing writes it. Times are seconds; there is no scope version."""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.expected import Expected, on
from otel_voicebot.dialects.genai import GENAI_NAMES

__all__ = ["PIPECAT"]

_METRICS: Final = "PipelineParams(enable_metrics=True)"
_USAGE: Final = "PipelineParams(enable_metrics=True, enable_usage_metrics=True)"
_SERVICE: Final = "which service and model it was"
_EXPECTED: Final = (
    Expected("turn", tells="turns", always=True, enable="enable_turn_tracking=True (the default) in PipelineWorker"),
    Expected("conversation", tells="the end of a call"),
    Expected("stt", tells="what the caller said"),
    Expected("llm", tells="the model's part of the wait"),
    Expected("tts", tells="the bot's first audio"),
    *on("conversation", "which call it is", "conversation.id", always=True),
    *on("conversation", "", "conversation.type", usual=True),
    *on("turn", "which call it is", "conversation.id", always=True),
    *on("turn", "the order of turns", "turn.number", always=True),
    *on("turn", "interruptions", "turn.was_interrupted", always=True),
    *on("turn", "when the turn really ended", "turn.duration_seconds", always=True),
    *on("turn", "", "turn.type", usual=True),
    # not where the service decides who speaks, and not in a greeting
    *on("turn", "the framework's own response gap", "turn.user_bot_latency_seconds", usual=True),
    *on("stt", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL, always=True),
    *on("stt", "what the caller said", "transcript", always=True),
    *on("stt", "", semconv.OPERATION_NAME, "vad_enabled", "is_final", usual=True),
    *on("stt", "when the caller stopped speaking", "metrics.ttfb", enable=_METRICS),
    *on("stt", "how long the caller spoke", "metrics.audio_seconds", enable=_USAGE, since="1.7.0"),
    *on("llm", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL, always=True),
    *on("llm", "tool rounds", "input", always=True),
    *on("llm", "what the bot wrote", "output", usual=True),
    *on("llm", "", semconv.OPERATION_NAME, "gen_ai.output.type", "stream", usual=True),
    *on("llm", "the model's time to the first token", "metrics.ttfb", enable=_METRICS),
    *on("llm", "tokens and cost", semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, enable=_USAGE),
    *on("llm", "tokens from the cache", semconv.CACHED_INPUT_TOKENS),
    *on("tts", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL, always=True),
    *on("tts", "what the bot said", "text", always=True),
    *on("tts", "", semconv.OPERATION_NAME, "gen_ai.output.type", "voice_id", usual=True),
    *on("tts", "the bot's first audio", "metrics.ttfb", enable=_METRICS),
    *on("tts", "characters and cost", "metrics.character_count", enable=_USAGE),
    *on("tts", "interruptions", "tts.interrupted"),
)

PIPECAT: Final = Dialect(
    name="pipecat",
    scopes=("pipecat", "pipecat.*"),
    span_names={
        "conversation": "session",
        "turn": "turn",
        "stt": "stt",
        "llm": "llm",
        "tts": "tts",
        # realtime services: they wrap the handling of an event, so their length is none of the service's
        "llm_setup": "other",
        "llm_request": "other",
        "llm_response": "llm",
        "llm_tool_call": "tool",
        "llm_tool_result": "other",
    },
    columns={
        "session_id": ("conversation.id", "langfuse.session.id"),
        "turn_index": ("turn.number",),
        "provider": (semconv.PROVIDER, Field("gen_ai.system", until="1.0.0")),
        "model": (semconv.REQUEST_MODEL,),
        "operation": (semconv.TOOL_NAME, "tool.function_name", semconv.OPERATION_NAME),
        # of a failed call it is the time until it failed
        "time_to_first_chunk_s": (Field("metrics.ttfb", spans=("llm", "tts", "llm_response"), failed=False),),
        "transcription_delay_s": (Field("metrics.ttfb", spans=("stt",)),),
        "reported_gap_s": (Field("turn.user_bot_latency_seconds", since="0.0.100"),),
        "input_tokens": (semconv.INPUT_TOKENS,),
        "output_tokens": (semconv.OUTPUT_TOKENS,),
        "cached_input_tokens": (
            semconv.CACHED_INPUT_TOKENS,
            Field("gen_ai.usage.cache_read_input_tokens", until="1.0.0"),
        ),
        "audio_s": (Field("metrics.audio_seconds", since="1.7.0"),),
        "characters": ("metrics.character_count",),
        "interrupted": ("turn.was_interrupted", "tts.interrupted"),
        "user_text": (Field("transcript", spans=("stt", "llm_response", "llm_request")),),
        "bot_text": (Field("text", spans=("tts",)), Field("output", spans=("llm", "llm_response"))),
    },
    unknown=("NOT_GIVEN", "unknown"),
    content=frozenset(
        {
            *("transcript", "text", "input", "output", "tools", "system", "system_instruction", "user_id"),
            *("text_output", "instructions"),
            *(semconv.SYSTEM_INSTRUCTIONS, semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES),
            *("tools.definitions", "tools.available", "tool.arguments", "tool.result", "response.output_items"),
            *("param.user_turn_completion_config", "session.instructions", "context_messages", "messages"),
        }
    ),
    identifiers=frozenset(
        {
            *("conversation.type", "turn.type", "voice_id", "language", "service.operation", "output_modality"),
            *("settings.model", "settings.voice", "settings.language", "param.model", "tool.call_id"),
            *("tool.result_status", "tool.function_name", "response.id", "response.status", "langfuse.session.id"),
            "conversation.id",
        }
    ),
    inputs=("input",),
    attributes=frozenset(
        {
            *("conversation.type", "turn.type", "turn.duration_seconds", "turn.ended_by_conversation_end"),
            *("vad_enabled", "is_final", "stt.incomplete", "stream", "tool_count", "tool_choice", "tools.count"),
            *("tools.names", "tool.calls_count", "tool.all_function_names", "turn_complete", "function_calls.count"),
            *("function_calls.first_name", "function_calls.all_names", "transcript.is_input", "audio.data_size_bytes"),
            *("modalities", "session.turn_detection.enabled"),
            *("settings.*", "param.*", "extra.*", "session.*"),  # each service has its own
            *GENAI_NAMES,
        }
    ),
    free=("conversation",),
    expected=_EXPECTED,
)
