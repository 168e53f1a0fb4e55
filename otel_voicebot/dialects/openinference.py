"""OpenInference (Arize), as its instrumentations write it: lists are flattened, every OpenAI call is of kind LLM."""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.expected import on

__all__ = ["OPENINFERENCE"]

_KIND: Final = "openinference.span.kind"
_CHAT: Final = "ChatCompletion"
_COUNT: Final = "llm.token_count"
_ASKED: Final = "llm.input_messages.*.message"
_SAID: Final = "llm.output_messages.*.message"
_EXPECTED: Final = (
    *on(_CHAT, "what kind of call it was", _KIND, always=True),
    *on(_CHAT, "which service it was", "llm.system", always=True),
    *on(_CHAT, "the model that answered", "llm.model_name", always=True),
    *on(_CHAT, "tokens and cost", f"{_COUNT}.prompt", f"{_COUNT}.completion"),
    *on(_CHAT, "tokens from the cache", f"{_COUNT}.prompt_details.cache_read"),
)
_NAMES: Final = frozenset(
    {
        *(f"{_COUNT}.total", f"{_COUNT}.prompt_details.cache_write"),
        *(f"{_COUNT}.prompt_details.audio", f"{_COUNT}.completion_details.reasoning"),
        *(f"{_COUNT}.completion_details.audio", "llm.cost.*", "llm.tools.*.tool.json_schema", "embedding.model_name"),
        *(
            f"{message}.{name}"
            for message in (_ASKED, _SAID)
            for name in (
                *("role", "content", "contents.*", "name", "tool_call_id", "tool_calls.*.tool_call.id"),
                *("tool_calls.*.tool_call.function.name", "tool_calls.*.tool_call.function.arguments"),
                *("function_call_name", "function_call_arguments_json"),
            )
        ),
    }
)
"""What it names beside what columns and content need."""
_SPEECH: Final = "HttpxBinaryResponseContent"
_TRANSCRIPTS: Final = ("Transcription", "TranscriptionVerbose", "Translation")

OPENINFERENCE: Final = Dialect(
    name="openinference",
    scopes=("openinference.*",),
    marking_keys=(_KIND,),
    # OpenAI's audio calls have the kind LLM; the class of the answer tells them apart
    span_names={_SPEECH: "tts", **dict.fromkeys(_TRANSCRIPTS, "stt")},
    kinds={
        _KIND: {
            "LLM": "llm",
            "EMBEDDING": "llm",
            "RETRIEVER": "rag",
            "RERANKER": "rag",
            "TOOL": "tool",
            **dict.fromkeys(("CHAIN", "AGENT", "GUARDRAIL", "EVALUATOR", "PROMPT", "UNKNOWN"), "other"),
        }
    },
    columns={
        "provider": ("llm.provider", "llm.system", "embedding.provider"),
        "model": (
            *("llm.model_name", "embedding.model_name", "reranker.model_name"),
            Field("llm.invocation_parameters", inside="model"),
        ),
        "operation": ("tool.name",),
        "input_tokens": ("llm.token_count.prompt",),
        "output_tokens": ("llm.token_count.completion",),
        "cached_input_tokens": ("llm.token_count.prompt_details.cache_read",),
        "agent": (semconv.AGENT, "agent.name"),
        "user_text": (
            Field("output.value", _TRANSCRIPTS, inside="text"),
            Field(f"{_ASKED}.content", role="user"),
        ),
        "bot_text": (
            Field("input.value", (_SPEECH,), inside="input"),
            Field(f"{_SAID}.content", role="assistant"),
        ),
    },
    unknown=("unknown",),
    content=frozenset(
        {
            *("input.value", "output.value", "llm.input_messages.*", "llm.output_messages.*", "llm.prompts*"),
            *("llm.choices*", "llm.prompt_template.*", "llm.tools.*", "llm.function_call", "tool.parameters"),
            *("tool.description", "tool.json_schema", "llm.invocation_parameters", "retrieval.documents.*", "metadata"),
            *("reranker.*_documents.*", "reranker.query", "embedding.embeddings.*", "embedding.text", "audio.*"),
            *("input.audio.*", "output.audio.*", "message.*", "image.*", "document.*", "tag.tags", "user.id"),
        }
    ),
    identifiers=frozenset(
        {
            *(_KIND, "input.mime_type", "output.mime_type", "llm.model_name", "llm.system"),
            *("llm.provider", "llm.finish_reason", "tool.name", "tool.id", "agent.name", "graph.node.id"),
            *("graph.node.name", "graph.node.parent_id"),
        }
    ),
    inputs=(f"{_ASKED}.role",),
    first_chunks=("First Token Stream Event",),
    attributes=_NAMES,
    own=("llm.", "openinference.", "input.", "output.", "embedding.", "reranker.", "retrieval.", "tool."),
    expected=_EXPECTED,
)
