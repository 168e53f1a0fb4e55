"""Our own names (``semconv``), whoever writes them."""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect
from otel_voicebot.dialects.expected import Expected, on
from otel_voicebot.dialects.genai import GENAI

__all__ = ["NATIVE"]

_NAMED_AFTER_MODEL_OR_TOOL = (semconv.SPAN_LLM, semconv.SPAN_TOOL)

_MARKS: Final = "turn.user_speech_end() and turn.bot_speech_start() in the bot's code"
_EXPECTED: Final = (
    Expected(semconv.SPAN_TURN, tells="turns"),
    Expected(semconv.SPAN_SESSION, tells="the end and the outcome of a call"),
    *on(semconv.SPAN_SESSION, "which call it is", semconv.SESSION_ID, always=True),
    *on(semconv.SPAN_TURN, "which call it is", semconv.SESSION_ID, always=True),
    *on(semconv.SPAN_TURN, "the order of turns", semconv.TURN_INDEX, always=True),
    Expected(
        semconv.SPAN_TURN,
        semconv.USER_SPEECH_END,
        "the response gap",
        enable=_MARKS,
        column="user_speech_end_unix_nano",
    ),
    Expected(
        semconv.SPAN_TURN,
        semconv.BOT_SPEECH_START,
        "the response gap",
        enable=_MARKS,
        column="bot_speech_start_unix_nano",
    ),
    *on(semconv.SPAN_SESSION, "how calls end", semconv.SESSION_OUTCOME),
    *on("chat *", "which service and model it was", semconv.PROVIDER, semconv.REQUEST_MODEL),
    *on("chat *", "tokens and cost", semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS),
    *on("chat *", "the time to the first token", semconv.TIME_TO_FIRST_CHUNK),
    *on(semconv.SPAN_STT, "which service and model it was", semconv.PROVIDER, semconv.REQUEST_MODEL),
    *on(semconv.SPAN_TTS, "which service and model it was", semconv.PROVIDER, semconv.REQUEST_MODEL),
    *on(semconv.SPAN_TTS, "the bot's first audio", semconv.TIME_TO_FIRST_CHUNK),
)

NATIVE: Final = Dialect(
    name="native",
    scopes=(semconv.SCOPE_NAME,),
    span_names={
        **{span.name: span.component for span in semconv.SPANS.values()},
        **{f"{name} *": semconv.SPANS[name].component for name in _NAMED_AFTER_MODEL_OR_TOOL},
    },
    marking_names=("voicebot.*",),
    kinds=GENAI.kinds,
    columns={
        **{column: keys for column, keys in GENAI.columns.items() if column != "session_id"},
        "operation": (semconv.TOOL_NAME, semconv.API_NAME, semconv.OPERATION_NAME, semconv.CACHE_NAME),
        "audio_s": (semconv.AUDIO_DURATION,),
        "characters": (semconv.TTS_CHARACTERS,),
        "user_words": (semconv.USER_WORDS,),
        "bot_words": (semconv.BOT_WORDS,),
        "confidence": (semconv.STT_CONFIDENCE, semconv.INTENT_CONFIDENCE),
        "intent": (semconv.INTENT_NAME, semconv.SESSION_INTENT),
        "intent_fallback": (semconv.INTENT_FALLBACK,),
        "interrupted": (semconv.TURN_INTERRUPTED,),
        "end_reason": (semconv.TURN_END_REASON, semconv.SESSION_END_REASON),
        "outcome": (semconv.SESSION_OUTCOME, semconv.ENDPOINTING_OUTCOME),
        "cache_name": (semconv.CACHE_NAME,),
        "cache_level": (semconv.CACHE_LEVEL,),
        "cache_hit": (semconv.CACHE_HIT,),
        "wer_errors": (semconv.WER_ERRORS,),
        "wer_words": (semconv.WER_WORDS,),
        "mos": (semconv.MOS,),
        "mos_kind": (semconv.MOS_KIND,),
        "handoff_target": (semconv.HANDOFF_TARGET,),
        "handoff_requested_by": (semconv.HANDOFF_REQUESTED_BY,),
        "handoff_planned": (semconv.HANDOFF_PLANNED,),
        "handoff_blocked": (semconv.HANDOFF_BLOCKED,),
        "user_text": (semconv.USER_TEXT,),
        "bot_text": (semconv.BOT_TEXT,),
    },
    content=frozenset(attribute.name for attribute in semconv.ATTRIBUTES.values() if attribute.content),
    inputs=GENAI.inputs,
    expected=_EXPECTED,
)
