"""The SQL models: read from their files, put together by their declared inputs."""

from dataclasses import dataclass
from importlib import resources
from typing import Final

__all__ = ["MODELS", "SPAN_COLUMNS", "Model", "chain"]

SPAN_COLUMNS: Final = (
    *("trace_id", "span_id", "parent_span_id", "name", "start_unix_nano", "end_unix_nano", "start_time", "duration_ns"),
    *("status", "error_type", "environment", "dialect", "component", "session_id", "turn_index", "bot", "channel"),
    *("variant", "user_hash", "provider", "model", "operation", "agent", "decision", "adapter"),
    *("time_to_first_chunk_s", "input_tokens", "output_tokens", "cached_input_tokens", "audio_s", "characters"),
    *("user_words", "bot_words", "confidence", "intent", "intent_fallback", "interrupted", "end_reason", "outcome"),
    *("cache_name", "cache_level", "cache_hit", "wer_errors", "wer_words", "mos", "mos_kind", "csat", "nps"),
    *("handoff_target", "handoff_requested_by", "handoff_planned", "handoff_blocked"),
    *("user_speech_end_unix_nano", "bot_speech_start_unix_nano", "user_text", "bot_text", "ingest_time"),
)
"""The columns of spans that the models read; ids are bytes there."""


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
            declared = next(line for line in text.splitlines() if line.startswith("-- inputs:"))
            inputs = tuple(part.strip() for part in declared.removeprefix("-- inputs:").split(","))
            models[name] = Model(name, inputs, text)
    return models


MODELS: Final = _read()


def chain(name: str, given: frozenset[str] = frozenset({"spans"})) -> str:
    """One query that computes a model from the relations ``given``, with every model between as a common table."""
    order: list[str] = []

    def visit(model: str) -> None:
        if model in given or model in order:
            return
        for needed in MODELS[model].inputs:
            visit(needed)
        order.append(model)

    visit(name)
    parts = ",\n".join(f"{model} AS (\n{MODELS[model].text}\n)" for model in order)
    return f"WITH {parts}\nSELECT * FROM {name}"
