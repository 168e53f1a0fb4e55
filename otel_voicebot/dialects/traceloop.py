"""OpenLLMetry and the Traceloop SDK: today's names, which are nearly the GenAI conventions', and the older ones.

There is no capture of it: it is tested on spans built from what its documentation says.
"""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.genai import GENAI

__all__ = ["TRACELOOP"]

_SESSION: Final = "traceloop.association.properties."

TRACELOOP: Final = Dialect(
    name="traceloop",
    scopes=("traceloop.*",),
    marking_keys=("traceloop.span.kind", "traceloop.entity.name", "llm.request.type", "llm.usage.total_tokens"),
    kinds={
        "traceloop.span.kind": dict.fromkeys(("workflow", "task", "agent"), "other") | {"tool": "tool"},
        "llm.request.type": {"chat": "llm", "completion": "llm", "embedding": "llm", "rerank": "rag"},
        **GENAI.kinds,
    },
    columns={
        **{column: keys for column, keys in GENAI.columns.items() if column != "interrupted"},
        "session_id": (f"{_SESSION}session_id", f"{_SESSION}conversation_id", "gen_ai.conversation.id"),
        "operation": (semconv.TOOL_NAME, "traceloop.entity.name", semconv.OPERATION_NAME, "llm.request.type"),
        "input_tokens": (semconv.INPUT_TOKENS, Field("gen_ai.usage.prompt_tokens")),
        "output_tokens": (semconv.OUTPUT_TOKENS, Field("gen_ai.usage.completion_tokens")),
        "cached_input_tokens": (semconv.CACHED_INPUT_TOKENS, Field("gen_ai.usage.cache_read_input_tokens")),
        "user_text": (
            Field(semconv.INPUT_MESSAGES, role="user"),
            Field("gen_ai.prompt.*.content", role="user"),
        ),
        "bot_text": (
            Field(semconv.OUTPUT_MESSAGES, role="assistant"),
            Field("gen_ai.completion.*.content", role="assistant"),
        ),
    },
    unknown=("unknown",),
    content=GENAI.content
    | {
        *("traceloop.entity.input", "traceloop.entity.output", "traceloop.prompt.*", "gen_ai.prompt.*"),
        *("gen_ai.completion.*", "llm.request.functions.*", "llm.prompts.*", "llm.completions.*", "gen_ai.user"),
        *("llm.user", "vector_db.*", "db.query.*", "db.search.*", "mcp.request.argument", "mcp.response.value"),
    },
    identifiers=frozenset(
        {
            *("traceloop.span.kind", "traceloop.entity.name", "traceloop.entity.path", "traceloop.workflow.name"),
            *("llm.request.type", f"{_SESSION}session_id", f"{_SESSION}conversation_id"),
        }
    ),
    inputs=(semconv.INPUT_MESSAGES, "gen_ai.prompt.*.role"),
    first_chunks=GENAI.first_chunks,
)
