"""LiveKit Agents, 1.2 to 1.8. Times are seconds; there is no scope version.

1.7 renamed what holds content to ``lk.pii.*``; 1.8 has ``eou_wait`` and ``update_agent``; delays of an agent's turn
are there from about 1.5 on. In 1.2 the span of a StreamAdapter or a FallbackAdapter has no numbers, but the name of the
requests in it: characters, audio and tokens are theirs.
"""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.expected import Expected, on
from otel_voicebot.dialects.genai import GENAI, GENAI_NAMES

__all__ = ["LIVEKIT"]

_RENAMED: Final = (
    *("user_transcript", "chat_ctx", "user_input", "instructions", "response.text", "response.function_calls"),
    *("function_tool.arguments", "function_tool.output", "input_text"),
)
"""``lk.X`` before 1.7, ``lk.pii.X`` since."""


def _both(name: str, *spans: str) -> tuple[Field, Field]:
    return Field(f"lk.pii.{name}", spans, since="1.7.0"), Field(f"lk.{name}", spans, until="1.7.0")


def _metric(key: str, member: str, span: str, *, positive: bool = False) -> Field:
    return Field(key, (span,), failed=False, positive=positive, inside=member)


_PII: Final = "telemetry.set_tracer_provider(..., allow_pii=True), and no LIVEKIT_TELEMETRY_ALLOW_PII=0"
_MESSAGES: Final = f"{_PII}, and no OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=false"
_SERVICE: Final = "which service and model it was"
_FAILED: Final = "why it failed"
_AGENT: Final = "gen_ai.agent.name"
_EXPECTED: Final = (
    Expected("agent_turn", tells="turns", always=True),
    Expected("user_turn", tells="what the caller said, and when"),
    Expected("agent_session", tells="the end of a call"),
    Expected("eou_wait", tells="the caller's end of speech", since="1.8.0"),
    Expected("llm_request", tells="tokens and model"),
    Expected("llm_node", tells="the model's time to the first token"),
    Expected("tts_node", tells="the bot's first audio"),
    Expected("agent_speaking", tells="when the bot is heard"),
    *on("agent_session", "", "gen_ai.workflow.name", usual=True, since="1.8.0"),
    *on("agent_turn", "which spans are one reply", "lk.speech_id", always=True),
    *on("agent_turn", "interruptions", "lk.interrupted", always=True),
    *on("agent_turn", "the framework's own response gap", "lk.e2e_latency", usual=True, since="1.5.0"),
    *on("agent_turn", "when the turn was decided", "lk.end_of_turn_delay"),
    *on("agent_turn", "when the transcript was there", "lk.transcription_delay"),
    *on("agent_turn", "who spoke", _AGENT, usual=True, since="1.8.0"),
    *on("agent_turn", "", semconv.OPERATION_NAME, "lk.generation_count", usual=True, since="1.8.0"),
    *on("agent_turn", "", "lk.generation_id", usual=True),
    *on("agent_turn", "", "lk.speech.queue_wait", usual=True, since="1.8.0"),
    *on("agent_turn", _FAILED, semconv.ERROR_TYPE),
    *on("agent_turn", "what the bot said", "lk.pii.response.text", enable=_PII, since="1.7.0"),
    *on("agent_turn", "what the caller said", "lk.pii.user_input", enable=_PII, since="1.7.0"),
    *on("user_turn", "what the caller said", "lk.pii.user_transcript", enable=_PII, since="1.7.0"),
    *on("user_turn", "how sure the recogniser was", "lk.transcript_confidence", usual=True),
    *on("user_turn", "", "lk.stt.events", usual=True, since="1.8.0"),
    *on("user_turn", "when the transcript was there", "lk.transcription_delay", always=True),
    *on("user_turn", "when the turn was decided", "lk.end_of_turn_delay", always=True),
    *on("user_turn", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL),
    *on("eou_wait", "how the caller's pause ended", "lk.eou.outcome", always=True, since="1.8.0"),
    *on("eou_wait", "when the turn was decided", "lk.eou.wait_duration", always=True, since="1.8.0"),
    *on("eou_wait", "how long a pause was waited for", "lk.eou.endpointing_delay", usual=True),
    *on("eou_wait", "", "lk.eou.source", "lk.eou.rearm_count", "lk.eou.not_committed_count", usual=True),
    *on("eou_detection", "", "lk.eou.probability", "lk.eou.unlikely_threshold", "lk.eou.language", usual=True),
    *on("eou_detection", "", "lk.eou.endpointing_delay", usual=True),
    *on("eou_detection", "", "lk.eou.source", "lk.eou.from_cache", usual=True),
    *on("llm_node", "the model's time to the first token", "lk.response.ttft", always=True, since="1.5.0"),
    *on("llm_node", "", "lk.function_tools", usual=True),
    *on("llm_node", "", "lk.provider_tools", "lk.tool_sets", usual=True),
    *on("llm_request", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL, always=True),
    *on("llm_request", "the model that answered", semconv.RESPONSE_MODEL, always=True, since="1.8.0"),
    *on("llm_request", "the time to the first token", semconv.TIME_TO_FIRST_CHUNK, always=True, since="1.8.0"),
    *on("llm_request", "tokens and cost", semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, always=True),
    *on("llm_request", "tokens from the cache", semconv.CACHED_INPUT_TOKENS),
    *on("llm_request", "", semconv.OPERATION_NAME, usual=True),
    *on("llm_request", "", "gen_ai.request.stream", "gen_ai.output.type", usual=True, since="1.8.0"),
    *on("llm_request", "", "gen_ai.response.id", "gen_ai.response.finish_reasons", usual=True, since="1.8.0"),
    *on("llm_request", _FAILED, semconv.ERROR_TYPE),
    *on("llm_request_run", "", "lk.retry_count", usual=True),
    *on("llm_request_run", _FAILED, semconv.ERROR_TYPE),
    *on("llm_request", "tokens and times, a second time", "lk.llm_metrics", always=True),
    *on(
        "llm_request",
        "prompts and answers",
        semconv.INPUT_MESSAGES,
        semconv.OUTPUT_MESSAGES,
        enable=_MESSAGES,
        since="1.8.0",
    ),
    *on("tts_node", "the bot's first audio", "lk.response.ttfb", always=True, since="1.5.0"),
    *on("tts_request", _SERVICE, semconv.PROVIDER, semconv.REQUEST_MODEL, always=True, since="1.8.0"),
    *on("tts_request", "characters, audio and cost", "lk.tts_metrics", always=True),
    *on("tts_request", "whether text was streamed in", "lk.tts.streaming", usual=True),
    *on("tts_request", "", "lk.tts.label", usual=True),
    *on("tts_request", _FAILED, semconv.ERROR_TYPE),
    *on("tts_request_run", "", "lk.retry_count", usual=True),
    *on("tts_request_run", _FAILED, semconv.ERROR_TYPE),
    *on("tts_request", "what the bot said", "lk.pii.input_text", enable=_PII, since="1.7.0"),
    *on("function_tool", "which tool ran", "lk.function_tool.name", always=True),
    *on("function_tool", "which tool ran", semconv.TOOL_NAME, always=True, since="1.8.0"),
    *on("function_tool", "", "lk.function_tool.id", "lk.function_tool.is_error", usual=True),
    *on("function_tool", "", semconv.OPERATION_NAME, "gen_ai.tool.type", usual=True, since="1.8.0"),
    *on("function_tool", "", "gen_ai.tool.call.id", usual=True, since="1.8.0"),
    *on("function_tool", _FAILED, semconv.ERROR_TYPE),
    *on("update_agent", "who took over", "lk.agent_label", always=True),
    *on("update_agent", "", "lk.previous_agent_label", usual=True),
    *on("session_close", "why a call ended", "lk.close_reason", always=True),
    *on("session_close", "", "lk.close.drain", usual=True),
)
_DETAILS: Final = {
    f"lk.{group}.{name}"
    for group, names in {
        "eou": "probability unlikely_threshold detection_delay from_cache rearm_count not_committed_count resume_count",
        "interruption": "probability total_duration prediction_duration detection_delay",
        "blocking": "duration threshold severity task stack gc_time cpu_time import suppressed count total_duration "
        "max_duration",
        "job": "accept_latency assignment_latency launch_latency entrypoint_latency dispatch_latency",
        "input": "delta base_span_id dropped_from_base",
        "amd": "category reason speech_duration delay",
        "fallback": "label index recovery",
        "keyterms": "count added removed",
        "room": "auto_subscribe e2ee remote_participant_count",
        "rpc": "request_id caller_identity destination_identity payload_size response_size response_timeout "
        "error_code handler_registered",
    }.items()
    for name in names.split()
} | {
    *("lk.room_io.participant_filter", "lk.track_sid", "lk.track_source", "lk.first_frame_delay", "rpc.method"),
    *("lk.pre_connect_audio.duration", "lk.connection_state", "lk.disconnect_reason", "lk.shutdown.reason"),
    *("lk.shutdown.user_initiated", "lk.callback.name", "lk.cloud_agent_id", "lk.deployment_id"),
    *("lk.decision_count", "lk.decision_error_count"),
}
"""Details that no column has."""
_LLM: Final = "lk.llm_metrics"
_TTS: Final = "lk.tts_metrics"

LIVEKIT: Final = Dialect(
    name="livekit",
    scopes=("livekit-agents", "livekit-agents.*", "livekit.agents*"),
    span_names={
        "agent_session": "session",
        "agent_turn": "turn",
        "user_turn": "stt",
        "eou_wait": "endpointing",
        "llm_request": "llm",
        "tts_request": "tts",
        "function_tool": "tool",
        "update_agent": "handoff",
        "agent_speaking": "playout",
        "realtime_inference": "llm",
        **dict.fromkeys(
            (
                # attempts: those of an adapter hold the requests that have the numbers, until 1.7
                *("llm_request_run", "tts_request_run"),
                *("job_entrypoint", "session_start", "session_close", "start_agent_activity", "drain_agent_activity"),
                *("setup_toolsets", "on_enter", "on_exit", "user_speaking", "eou_detection", "on_user_turn_completed"),
                *("llm_node", "tts_node", "tts_stream_adapter", "realtime_metrics", "amd", "event_loop_blocked"),
                *("keyterm_detection", "judge_evaluation", "room_connect", "wait_for_participant", "job_shutdown"),
                *("llm_fallback_adapter", "tts_fallback_adapter", "rpc*", "perform_rpc*", "handle_rpc*"),
            ),
            "other",
        ),
    },
    columns={
        "session_id": ("gen_ai.conversation.id", "lk.room_sid", "lk.job_id", "langfuse.session.id"),
        "exchange_key": ("lk.speech_id",),
        "bot": ("lk.agent_name",),
        "provider": (semconv.PROVIDER, "gen_ai.system"),
        "model": (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL),
        "operation": (semconv.TOOL_NAME, "lk.function_tool.name", semconv.OPERATION_NAME),
        "agent": (_AGENT, "lk.agent_label"),
        "handoff_target": (Field("lk.agent_label", ("update_agent",)),),
        "time_to_first_chunk_s": (
            Field(semconv.TIME_TO_FIRST_CHUNK, failed=False, positive=True, since="1.8.0"),
            Field("lk.response.ttft", failed=False, positive=True, since="1.5.0"),
            Field("lk.response.ttfb", failed=False, positive=True, since="1.5.0"),
            _metric(_LLM, "ttft", "llm_request", positive=True),
            _metric(_TTS, "ttfb", "tts_request", positive=True),
        ),
        "input_tokens": (semconv.INPUT_TOKENS, _metric(_LLM, "prompt_tokens", "llm_request")),
        "output_tokens": (semconv.OUTPUT_TOKENS, _metric(_LLM, "completion_tokens", "llm_request")),
        "cached_input_tokens": (
            semconv.CACHED_INPUT_TOKENS,
            "gen_ai.usage.input_cached_tokens",
            _metric(_LLM, "prompt_cached_tokens", "llm_request"),
        ),
        "audio_s": (_metric(_TTS, "audio_duration", "tts_request"),),
        "characters": (_metric(_TTS, "characters_count", "tts_request"),),
        "confidence": (Field("lk.transcript_confidence", positive=True),),
        "interrupted": ("lk.interrupted", Field("lk.interrupted", text=True)),
        "outcome": (
            Field(
                "lk.eou.outcome",
                words=(("committed", "committed"), ("user_resumed", "resumed"), ("dropped", "dropped")),
                since="1.8.0",
            ),
        ),
        "end_reason": ("lk.close_reason",),
        "reported_gap_s": (Field("lk.e2e_latency", positive=True, since="1.5.0"),),
        "transcription_delay_s": (Field("lk.transcription_delay", positive=True),),
        "endpointing_delay_s": (
            Field("lk.eou.wait_duration", positive=True, since="1.8.0"),
            Field("lk.end_of_turn_delay", positive=True),
        ),
        "endpointing_setting_s": (Field("lk.eou.endpointing_delay", ("eou_wait",), positive=True, since="1.8.0"),),
        "text_streamed": (Field("lk.tts.streaming", ("tts_request",)),),
        "user_text": (*_both("user_transcript", "user_turn"), *_both("user_input", "agent_turn")),
        "bot_text": (
            *_both("response.text", "agent_turn"),
            *_both("input_text", "tts_request"),
        ),
    },
    unknown=("NOT_GIVEN", "unknown"),
    content=GENAI.content
    | {f"{prefix}{name}" for prefix in ("lk.", "lk.pii.") for name in _RENAMED}
    | {"lk.pii.*", "lk.participant_identity", "lk.room_name", "lk.sip.*", "content", "exception.message"},
    identifiers=frozenset(
        {
            *(
                "lk.agent_label",
                "lk.previous_agent_label",
                "lk.speech_id",
                "lk.generation_id",
                "lk.parent_generation_id",
            ),
            *("lk.interruption.source", "lk.eou.source", "lk.eou.outcome", "lk.eou.language", "lk.close_reason"),
            *("lk.tts.label", "lk.function_tool.id", "lk.function_tool.name", "lk.room_sid", "lk.job_id"),
            *("lk.agent_name", "lk.dispatch_id", "lk.job.worker_id", "lk.job.agent_id", "lk.participant_id"),
            *("lk.participant_kind", "lk.old_state", "lk.new_state", "lk.is_interruption", "lk.provider_request_ids"),
            *("lk.function_tools", "lk.tool_sets", "lk.provider_tools", "gen_ai.workflow.name", "lk.close.drain"),
        }
    ),
    inputs=(semconv.INPUT_MESSAGES,),
    attributes=frozenset(
        {
            *("lk.generation_count", "lk.speech.queue_wait", "lk.on_user_turn_completed_delay", "lk.playout.position"),
            *("lk.retry_count", "lk.stt.events", "lk.realtime_model_metrics", "lk.function_tool.is_error"),
            *("lk.pii.room_name", "lk.pii.participant_identity", "lk.participant_identity", "lk.room_name"),
            *("exception.type", "exception.message", "exception.stacktrace", "server.address", "server.port"),
            *("lk.sip.*", "langfuse.trace.*", "langfuse.user.id"),  # whatever the trunk and the users write
            *("langfuse.observation.completion_start_time", "langfuse.observation.prompt.*"),
            *_DETAILS,
            *GENAI_NAMES,
        }
    ),
    free=("agent_session", "job_entrypoint"),
    expected=_EXPECTED,
)
