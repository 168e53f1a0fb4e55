"""The SQL models: read from their files, put together by their declared inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.models.quality import broken

__all__ = [
    "EMPTY",
    "END",
    "FLAT",
    "MODELS",
    "NAMED",
    "NAMED_ENDS",
    "OPERATES",
    "PLACING",
    "SPAN_COLUMNS",
    "STAGE",
    "WORK",
    "Model",
    "chain",
]

SPAN_COLUMNS: Final = (
    *("trace_id", "span_id", "parent_span_id", "name", "start_unix_nano", "end_unix_nano", "start_time", "duration_ns"),
    *("status", "error_type", "environment", "dialect", "component", "session_id", "turn_index", "bot", "channel"),
    *("variant", "user_hash", "provider", "model", "operation", "agent", "decision", "adapter"),
    *("time_to_first_chunk_s", "input_tokens", "output_tokens", "cached_input_tokens", "audio_s", "characters"),
    *("user_words", "bot_words", "confidence", "intent", "intent_fallback", "interrupted", "end_reason", "outcome"),
    *("exchange_key", "reported_gap_s", "transcription_delay_s", "endpointing_delay_s", "endpointing_setting_s"),
    *("after_tool", "background", "cancelled", "text_streamed", "service_name", "service_instance"),
    *("cache_name", "cache_level", "cache_hit", "wer_errors", "wer_words", "mos", "mos_kind", "csat", "nps"),
    *("handoff_target", "handoff_requested_by", "handoff_planned", "handoff_blocked"),
    *("user_speech_end_unix_nano", "bot_speech_start_unix_nano", "user_text", "bot_text", "quality", "ingest_time"),
)
"""The columns of spans that the models read; ids are bytes there."""


FLAT: Final = ("native", "genai", "openinference", "traceloop")
"""Dialects whose spans carry their turn, or belong to none. Others are frameworks': their turns are put together."""

_FLAT: Final = ", ".join(f"'{name}'" for name in FLAT)


NAMED: Final = ("llm_node", "on_user_turn_completed", "tts_node", "user_speaking")
"""Spans of component ``other`` that the models compute a turn from, by name."""
NAMED_ENDS: Final = ("session_close",)
"""The same that tell the end of a call."""

STAGE: Final = "component NOT IN ('session', 'other')"
WORK: Final = f"""({STAGE} OR (component = 'other' AND name IN ({", ".join(f"'{name}'" for name in NAMED)})))"""
"""Whether a span may change a row of turns, in SQL over spans; without ``NAMED`` it is ``STAGE``."""
END: Final = f"""(component IN ('session', 'other') AND dialect NOT IN ({_FLAT})
    AND (component = 'session' OR name IN ({", ".join(f"'{name}'" for name in NAMED_ENDS)})))"""
"""Whether it is the end of a framework's call: a wait that was given up in its last turn may last until then."""

_OPERATIONS: Final = ", ".join(f"'{name}'" for name in semconv.OPERATIONS)
OPERATES: Final = f"list_position([{_OPERATIONS}], component) IS NOT NULL"
"""Whether a span is an operation, in DuckDB's words: it asks a function of a column once for each value in a file, and
IN for each row, by a join."""

_FILLED: Final = {
    "{operations}": _OPERATIONS,
    "{operates}": OPERATES,
    "{event_prefix}": semconv.EVENT_PREFIX,
    "{workflow}": semconv.WORKFLOW,
    "{compliance_prompt}": semconv.COMPLIANCE_PROMPT,
    "{entity}": semconv.ENTITY,
    "{callback}": semconv.CALLBACK,
    "{cache_entry}": semconv.CACHE_ENTRY,
    "{intent_schema}": semconv.INTENT_SCHEMA,
    "{phone}": semconv.PHONE,
    "{broken}": broken(),
    "{flat}": _FLAT,
    **{f"{{{dialect}_setting}}": setting for dialect, setting in semconv.ENDPOINTING_SETTINGS.items()},
}
"""What stands for a name in the texts: their literals have their home elsewhere."""


@dataclass(frozen=True, slots=True)
class Model:
    """One SQL model."""

    name: str
    inputs: tuple[str, ...]
    text: str


def _read() -> dict[str, Model]:
    models = {}
    for file in resources.files("otel_voicebot.models").iterdir():
        if file.name.endswith(".sql"):
            name = file.name.removesuffix(".sql")
            text = file.read_text(encoding="utf-8")
            for place, words in _FILLED.items():
                text = text.replace(place, words)
            declared = next(line for line in text.splitlines() if line.startswith("-- inputs:"))
            inputs = tuple(part.strip() for part in declared.removeprefix("-- inputs:").split(","))
            models[name] = Model(name, inputs, text)
    return models


MODELS: Final = _read()

PLACING: Final = ("framed", "placed", "exchanges")
"""Models that put a framework's spans together into turns, in their order; where it has none they are empty."""

SEGMENTS: Final = ("judged", "waits", "stages", "milestones", "walked", "segments", "longest", "cuts")
"""Models that cut the wait of each exchange, in their order."""

_SHARED: Final = frozenset({"judged", "waits", "stages", "milestones"})
"""Models that several others read: computed once."""

EMPTY: Final = {
    "open_calls": "session_id VARCHAR",
    "lent": """trace_id BLOB, span_id BLOB, provider VARCHAR, model VARCHAR, input_tokens BIGINT, output_tokens BIGINT,
        cached_input_tokens BIGINT, audio_s DOUBLE, characters BIGINT, failed BOOLEAN, error_type VARCHAR""",
    "placed": """session_id VARCHAR, trace_id BLOB, span_id BLOB, turn_index INTEGER, frame VARCHAR, part BIGINT,
        begin_nano BIGINT, present BOOLEAN""",
    "exchanges": """session_id VARCHAR, turn_index INTEGER, dialect VARCHAR, begin_nano BIGINT, finish_nano BIGINT,
        t0 BIGINT, t1 BIGINT, reported_gap_s DOUBLE, derived_gap_s DOUBLE, present BOOLEAN, frame_span_id BLOB,
        transcription_delay_s DOUBLE, endpointing_delay_s DOUBLE, decided_nano BIGINT, transcribed_nano BIGINT,
        node_token_s DOUBLE, node_audio_s DOUBLE, heard_nano BIGINT, late_end BOOLEAN, interrupted BOOLEAN,
        cut_off BOOLEAN, end_reason VARCHAR,
        closed BOOLEAN""",
}
"""Columns of these, and of what they are told of calls under way, for tables that stay empty: to bind the models for no
row takes longer than most reports."""

NO_CUTS: Final = {
    "cuts": """session_id VARCHAR, turn_index INTEGER, segments STRUCT(segment VARCHAR, owner VARCHAR,
        owner_kind VARCHAR, provider VARCHAR, model VARCHAR, span_id VARCHAR, start_unix_nano BIGINT, duration_s DOUBLE,
        detail VARCHAR)[]""",
    "longest": "session_id VARCHAR, turn_index INTEGER, longest_segment VARCHAR, longest_owner VARCHAR",
}
"""Columns of these, for tables that stay empty where nobody asks for segments."""


def chain(name: str, given: frozenset[str] = frozenset({"spans"}), instead: Mapping[str, str] | None = None) -> str:
    """One query that computes a model from the relations ``given``, with every model between as a common table.

    Args:
        name: the model.
        given: relations that are there.
        instead: model to the one that is computed under its name.
    """
    order: list[str] = []
    used = {model: MODELS[(instead or {}).get(model, model)] for model in MODELS}

    def visit(model: str) -> None:
        if model in given or model in order:
            return
        for needed in used[model].inputs:
            visit(needed)
        order.append(model)

    visit(name)
    # what is read once is best not kept apart: it would be written down in between
    parts = ",\n".join(
        f"{model} AS {'' if model in _SHARED else 'NOT '}MATERIALIZED (\n{used[model].text}\n)" for model in order
    )
    return f"WITH {parts}\nSELECT * FROM {name}"
