"""The four tables: column names, Arrow types and meanings.

``SPANS`` has one row per span, ``TURNS`` one per exchange or greeting, ``SESSIONS`` one per call, ``LOGS`` one per log
record. A name is never used
for something else; a reader ignores columns that it doesn't know and reads missing ones as null. What is unknown is
null, never 0. Columns that end in ``_s`` are seconds, in ``_ns`` nanoseconds, in ``_unix_nano`` nanoseconds since 1970.

In ``hot/`` files ids are bytes (``SPANS``, ``LOGS``); readers and ``history/`` have them as lowercase hex
(``SPANS_READ``, ``LOGS_READ``). ``PUBLISHED`` has what is computed when it is read, too.
"""

from typing import Final

import pyarrow as pa

__all__ = [
    "LOGS",
    "LOGS_READ",
    "PUBLISHED",
    "SCHEMA_VERSION",
    "SESSIONS",
    "SPANS",
    "SPANS_READ",
    "TABLES",
    "TABLES_READ",
    "TURNS",
]

SCHEMA_VERSION: Final = 3
"""Raised when a column is added; columns that an older file doesn't have are read as null."""

_STRING = pa.string()
_INT = pa.int64()
_FLOAT = pa.float64()
_BOOL = pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")
_MAP = pa.map_(pa.string(), pa.string())
_TRACE_ID = pa.binary(16)
_SPAN_ID = pa.binary(8)

_EVENTS = pa.list_(
    pa.struct([("unix_nano", _INT), ("name", _STRING), ("attributes", _STRING)]),
)
_SEGMENTS = pa.list_(
    pa.struct(
        [
            *(("segment", _STRING), ("owner", _STRING), ("owner_kind", _STRING), ("provider", _STRING)),
            *(("model", _STRING), ("span_id", _STRING), ("start_unix_nano", _INT), ("duration_s", _FLOAT)),
            ("detail", _STRING),
        ]
    )
)
_LINKS = pa.list_(
    pa.struct([("trace_id", _TRACE_ID), ("span_id", _SPAN_ID), ("trace_state", _STRING), ("attributes", _STRING)]),
)


def _schema(fields: list[tuple[str, pa.DataType, str]], table: str) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, metadata={"meaning": meaning}) for name, kind, meaning in fields],
        metadata={"otel_voicebot.table": table, "otel_voicebot.schema_version": str(SCHEMA_VERSION)},
    )


SPANS: Final = _schema(
    [
        # what every span has
        ("trace_id", _TRACE_ID, "Trace, 16 bytes."),
        ("span_id", _SPAN_ID, "Span, 8 bytes; (trace_id, span_id) is the key."),
        ("parent_span_id", _SPAN_ID, "Parent; null for a root."),
        ("trace_state", _STRING, "W3C trace state."),
        ("name", _STRING, "Span name."),
        ("kind", _STRING, "internal, server, client, producer, consumer, unspecified."),
        ("start_unix_nano", _INT, "Start."),
        ("end_unix_nano", _INT, "End."),
        ("start_time", _TIME, "Start, in microseconds, for engines that know no nanoseconds."),
        ("duration_ns", _INT, "End - start; null when it is negative or the end is unknown."),
        ("status", _STRING, "unset, ok, error."),
        ("status_message", _STRING, "Status text; content, null unless content capture is on."),
        (
            "error_type",
            _STRING,
            "`error.type`, else the exception event's type, else `_OTHER` when the status is error.",
        ),
        ("service_name", _STRING, "`service.name` of the resource."),
        ("service_instance", _STRING, "`service.instance.id` of the resource."),
        ("environment", _STRING, "`deployment.environment.name` of the resource."),
        ("scope_name", _STRING, "Instrumentation scope."),
        ("scope_version", _STRING, "Its version."),
        # what the dialect derived
        ("dialect", _STRING, "Which table of names the span was read with; null when none recognised it."),
        (
            "component",
            _STRING,
            "session, turn, endpointing, stt, llm, tts, nlu, rag, tool, cache, handoff, api, playout, other.",
        ),
        ("session_id", _STRING, "Explicit session id; null when the span carries none."),
        ("turn_index", pa.int32(), "Turn in the session, from 1."),
        ("bot", _STRING, "Bot."),
        ("channel", _STRING, "Channel."),
        ("variant", _STRING, "Variant of an experiment."),
        ("user_hash", _STRING, "Keyed hash of the caller."),
        ("provider", _STRING, "Provider of the service."),
        ("model", _STRING, "Model: the one that answered, else the one asked for."),
        ("operation", _STRING, "What was done, in the framework's word: chat, a tool's, an API's or a cache's name."),
        ("time_to_first_chunk_s", _FLOAT, "Start to first transcript, token or audio."),
        ("input_tokens", _INT, "Prompt tokens."),
        ("output_tokens", _INT, "Answer tokens."),
        ("cached_input_tokens", _INT, "Prompt tokens from the provider's cache."),
        ("audio_s", _FLOAT, "Length of the audio heard or made."),
        ("characters", _INT, "Characters spoken."),
        ("user_words", _INT, "Words of the caller's transcript."),
        ("bot_words", _INT, "Words of the bot's reply."),
        ("confidence", _FLOAT, "Confidence of recogniser or classifier, 0 to 1."),
        ("intent", _STRING, "Intent."),
        ("intent_fallback", _BOOL, "No intent was good enough."),
        ("interrupted", _BOOL, "The caller spoke over the reply and stopped it."),
        ("end_reason", _STRING, "Why a turn or session ended."),
        ("outcome", _STRING, "Outcome of a session, or of an endpointing."),
        ("cache_name", _STRING, "Cache."),
        ("cache_level", _STRING, "L1, L2, L3."),
        ("cache_hit", _BOOL, "Answered from the cache."),
        ("wer_errors", _INT, "Wrong words against a reference."),
        ("wer_words", _INT, "Words of the reference."),
        ("mos", _FLOAT, "Opinion score, 1 to 5."),
        ("mos_kind", _STRING, "How the score was made."),
        ("csat", _INT, "Customer satisfaction, 1 to 5."),
        ("nps", _INT, "Likelihood to recommend, 0 to 10."),
        ("handoff_target", _STRING, "human, or a bot's name."),
        ("handoff_requested_by", _STRING, "caller, bot."),
        ("handoff_planned", _BOOL, "The transfer is part of the workflow."),
        ("handoff_blocked", _BOOL, "Refused: circular."),
        ("agent", _STRING, "Agent that did the work."),
        ("decision", _STRING, "Type of decision."),
        ("adapter", _STRING, "Model adapter."),
        ("synthetic", _BOOL, "Made by a fake component."),
        (
            "framework_version",
            _STRING,
            "Version of the framework that wrote the span, where it tells it.",
        ),
        ("exchange_key", _STRING, "Id that the framework gives the spans of one reply."),
        ("reported_gap_s", _FLOAT, "The framework's own response gap: caller's end of speech to first bot audio."),
        ("transcription_delay_s", _FLOAT, "The caller's end of speech to the final transcript."),
        ("endpointing_delay_s", _FLOAT, "The caller's end of speech to the decision that the turn is over."),
        (
            "endpointing_setting_s",
            _FLOAT,
            "The silence after the caller's end of speech that the bot's settings ask for.",
        ),
        ("after_tool", _BOOL, "Of a model call: the last message of its input is a tool's result."),
        ("background", _BOOL, "Nobody waited for it: background work, or speculation that was thrown away."),
        ("cancelled", _BOOL, "Stopped before it was done; no failure."),
        (
            "text_streamed",
            _BOOL,
            "Of TTS: text came while it ran; its first chunk counts from the text, not the start.",
        ),
        ("user_speech_start_unix_nano", _INT, "First time the caller begins to speak in the turn."),
        (
            "user_speech_end_unix_nano",
            _INT,
            "t0: true end of the caller's speech that the bot answered, or should have.",
        ),
        ("bot_speech_start_unix_nano", _INT, "t1: first bot audio after t0; of a greeting, the first bot audio."),
        ("bot_speech_end_unix_nano", _INT, "Last bot audio of the turn."),
        ("tracked_events", pa.int32(), "Events `voicebot.event.*` on the span; null where there are none."),
        ("user_text", _STRING, "What the caller said; content."),
        ("bot_text", _STRING, "What the bot said; content."),
        # the rest
        ("attributes", _MAP, "String attributes that have no column of their own; null value: withheld."),
        ("attributes_typed", _MAP, "Other attributes that have no column, as JSON text, so that 1 and '1' stay apart."),
        ("resource_attributes", _STRING, "Resource attributes, a JSON object."),
        ("events", _EVENTS, "Span events; their attributes are a JSON object."),
        ("links", _LINKS, "Span links; their attributes are a JSON object."),
        ("quality", pa.list_(_STRING), "Names of the quality rules that the span breaks."),
        ("ingest_time", _TIME, "When the span came in."),
        ("schema_version", pa.int16(), "Version of this schema."),
    ],
    "spans",
)


def _readable(kind: pa.DataType) -> pa.DataType:
    if kind in (_TRACE_ID, _SPAN_ID):
        return _STRING
    if kind == _LINKS:
        return pa.list_(pa.struct([(field.name, _readable(field.type)) for field in kind.value_type]))
    return kind


def _read(stored: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(_readable(field.type)) for field in stored], metadata=stored.metadata)


SPANS_READ: Final = _read(SPANS)

_ROW: Final = [
    ("revision", pa.int32(), "Higher wins: a later fact wrote the row again."),
    ("computed_at", _TIME, "When this revision was computed."),
    ("writer", _STRING, "The process that computed it."),
]

TURNS: Final = _schema(
    [
        ("session_id", _STRING, "Session."),
        ("turn_index", pa.int32(), "Turn in the session, from 1."),
        ("trace_id", _STRING, "Trace of the turn, hex."),
        ("turn_span_id", _STRING, "The turn's span, hex; null when only its parts were seen."),
        ("bot", _STRING, "Bot."),
        ("channel", _STRING, "Channel."),
        ("variant", _STRING, "Variant."),
        ("environment", _STRING, "Environment."),
        ("dialect", _STRING, "How its spans were read."),
        ("start_time", _TIME, "Start of the turn."),
        ("end_time", _TIME, "End of the turn."),
        ("user_text", _STRING, "What the caller said; content."),
        ("bot_text", _STRING, "What the bot said; content."),
        (
            "kind",
            _STRING,
            "exchange (the caller spoke and the bot was to answer), greeting (the bot spoke unasked), other.",
        ),
        ("outcome", _STRING, "Of an exchange: answered, abandoned."),
        ("abandon_reason", _STRING, "error, spoke_again, hung_up, session_ended."),
        ("response_gap_s", _FLOAT, "The caller's true end of speech to the first bot audio; null without bot audio."),
        ("gap_source", _STRING, "reported (by the framework), derived (from events and spans)."),
        (
            "response_gap_derived_s",
            _FLOAT,
            "The response gap from events and spans alone; beside a reported one it is there to compare.",
        ),
        ("wait_s", _FLOAT, "Of an abandoned exchange: how long the caller waited until it ended (right-censored)."),
        (
            "segments",
            _SEGMENTS,
            "What the wait was spent on, in order, without gap or overlap; null where its start is unknown.",
        ),
        ("longest_segment", _STRING, "The segment of one owner on which most of the wait was spent, several together."),
        ("longest_owner", _STRING, "Its owner; null where nobody is known."),
        ("interrupted", _BOOL, "The caller spoke over the reply and stopped it; null when it is unknown."),
        ("transcription_delay_s", _FLOAT, "The caller's end of speech to the final transcript."),
        ("endpointing_delay_s", _FLOAT, "The caller's end of speech to the decision, or the first work, on the reply."),
        ("endpointing_s", _FLOAT, "Sum of endpointing."),
        ("stt_s", _FLOAT, "Sum of the STT operations."),
        ("llm_first_token_s", _FLOAT, "First token of the turn's first model call that gave one."),
        ("llm_s", _FLOAT, "Sum of the model calls."),
        ("tts_first_audio_s", _FLOAT, "First audio of the turn's first TTS operation that gave one."),
        ("tts_s", _FLOAT, "Sum of the TTS operations."),
        ("stt_provider", _STRING, "Provider of the turn's last STT operation."),
        ("stt_model", _STRING, "Its model."),
        ("llm_provider", _STRING, "Provider of the turn's last model call."),
        ("llm_model", _STRING, "Its model."),
        ("tts_provider", _STRING, "Provider of the turn's last TTS operation."),
        ("tts_model", _STRING, "Its model."),
        ("input_tokens", _INT, "Prompt tokens."),
        ("output_tokens", _INT, "Answer tokens."),
        ("audio_s", _FLOAT, "The caller's speech."),
        ("characters", _INT, "Characters spoken by the bot."),
        ("words", _INT, "Words of caller and bot."),
        ("tool_calls", _INT, "Tool operations."),
        ("operations", _INT, "Operations."),
        ("errors", _INT, "Operations that failed."),
        ("error_type", _STRING, "Of the first that failed."),
        ("handoff", _BOOL, "The turn holds a handoff; null when it is unknown."),
        ("intent", _STRING, "Last intent of the turn."),
        ("wer_errors", _INT, "Wrong words against references."),
        ("wer_words", _INT, "Words of the references."),
        ("quality", pa.list_(_STRING), "Quality rules that the turn breaks."),
        *_ROW,
    ],
    "turns",
)

SESSIONS: Final = _schema(
    [
        ("session_id", _STRING, "Session."),
        ("session_source", _STRING, "explicit (some span carries it) or trace (it is the trace id)."),
        ("trace_id", _STRING, "Its first trace, hex."),
        ("bot", _STRING, "Bot."),
        ("channel", _STRING, "Channel."),
        ("variant", _STRING, "Variant."),
        ("environment", _STRING, "Environment."),
        ("user_hash", _STRING, "Keyed hash of the caller."),
        ("start_time", _TIME, "Start."),
        ("end_time", _TIME, "End."),
        ("duration_s", _FLOAT, "Length of the call."),
        ("turns", _INT, "Exchanges."),
        ("answered", _INT, "Exchanges that the bot answered."),
        ("outcome", _STRING, "resolved, unresolved, escalated, abandoned, failed, unknown."),
        ("end_reason", _STRING, "Why it ended."),
        ("escalated_by", _STRING, "caller or bot, where an unplanned handoff to a human was made."),
        ("planned_handoff", _BOOL, "It holds a planned transfer."),
        ("intent", _STRING, "What the caller wanted: the session's own, else the first turn's that has one."),
        ("csat", _INT, "Last CSAT answer, 1 to 5."),
        ("nps", _INT, "Last NPS answer, 0 to 10."),
        ("wer_errors", _INT, "Wrong words against references."),
        ("wer_words", _INT, "Words of the references."),
        ("mos", _FLOAT, "Mean opinion score."),
        ("mos_kind", _STRING, "Its kind; null with `mos` when kinds are mixed."),
        ("words", _INT, "Words of caller and bot."),
        ("operations", _INT, "Operations."),
        ("errors", _INT, "Operations that failed."),
        ("complete", _BOOL, "The session's own span was seen and nothing was evicted."),
        ("quality", pa.list_(_STRING), "Quality rules that the session breaks."),
        *_ROW,
    ],
    "sessions",
)

LOGS: Final = _schema(
    [
        ("trace_id", _TRACE_ID, "Trace, 16 bytes; null when the record belongs to none."),
        ("span_id", _SPAN_ID, "Span, 8 bytes; null when the record belongs to none."),
        ("session_id", _STRING, "Explicit session id; null when the record carries none: its trace's session then."),
        ("time", _TIME, "When it happened, else when it was observed, else when it came in; in microseconds."),
        ("time_unix_nano", _INT, "When it happened; null when the source doesn't say."),
        ("observed_unix_nano", _INT, "When it was observed; null when nobody says."),
        ("severity_number", pa.int32(), "1 to 24: trace 1, debug 5, info 9, warn 13, error 17, fatal 21."),
        ("severity_text", _STRING, "Severity in the source's word."),
        ("event_name", _STRING, "Name of the event, where the record is one."),
        ("body", _STRING, "The message; what is no text as JSON. Content, null unless content capture is on."),
        ("body_characters", _INT, "Its length, whether it is stored or not."),
        ("service_name", _STRING, "`service.name` of the resource."),
        ("service_instance", _STRING, "`service.instance.id` of the resource."),
        ("environment", _STRING, "`deployment.environment.name` of the resource."),
        ("scope_name", _STRING, "Instrumentation scope: the logger."),
        ("scope_version", _STRING, "Its version."),
        ("attributes", _MAP, "String attributes that have no column of their own; null value: withheld."),
        ("attributes_typed", _MAP, "Other attributes that have no column, as JSON text, so that 1 and '1' stay apart."),
        ("resource_attributes", _STRING, "Resource attributes, a JSON object."),
        ("ingest_time", _TIME, "When the record came in."),
        ("schema_version", pa.int16(), "Version of this schema."),
    ],
    "logs",
)
LOGS_READ: Final = _read(LOGS)

TABLES: Final = {"spans": SPANS, "turns": TURNS, "sessions": SESSIONS, "logs": LOGS}
"""As ``hot/`` files hold them."""
TABLES_READ: Final = {**TABLES, "spans": SPANS_READ, "logs": LOGS_READ}
"""As readers and ``history/`` have them."""


def _with(schema: pa.Schema, before: str, fields: list[tuple[str, pa.DataType, str]]) -> pa.Schema:
    """The schema with these columns, too, in front of another."""
    place = schema.get_field_index(before)
    for offset, (name, kind, meaning) in enumerate(fields):
        schema = schema.insert(place + offset, pa.field(name, kind, metadata={"meaning": meaning}))
    return schema


_NOT_STORED: Final = "; computed when it is asked for, with the prices of then: no file holds it."
_COST: Final = ("cost_usd", _FLOAT, f"Sum of what has a price, USD; null where nothing has{_NOT_STORED}")
_PRICED_SHARE: Final = ("priced_share", _FLOAT, f"Things with a price, of those that are paid for{_NOT_STORED}")

PUBLISHED: Final = {
    **TABLES_READ,
    "turns": _with(TURNS, "quality", [_COST]),
    "sessions": _with(SESSIONS, "complete", [_COST, _PRICED_SHARE]),
}
"""As ``export`` gives them. What depends on prices is in no file: rows follow from spans alone, and prices change."""
