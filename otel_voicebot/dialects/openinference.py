"""OpenInference (Arize), as its instrumentations write it: lists are flattened, every OpenAI call is of kind LLM."""

from typing import Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.dialects.expected import on

__all__ = ["OPENINFERENCE"]

_KIND: Final = "openinference.span.kind"
_EXPECTED: Final = (
    *on("ChatCompletion", "what kind of call it was", _KIND, always=True),
    *on("ChatCompletion", "which service it was", "llm.system", always=True),
    *on("ChatCompletion", "the model that answered", "llm.model_name", always=True),
    *on("ChatCompletion", "tokens and cost", "llm.token_count.prompt", "llm.token_count.completion"),
    *on("ChatCompletion", "tokens from the cache", "llm.token_count.prompt_details.cache_read"),
)
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
            Field("llm.input_messages.*.message.content", role="user"),
        ),
        "bot_text": (
            Field("input.value", (_SPEECH,), inside="input"),
            Field("llm.output_messages.*.message.content", role="assistant"),
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
    inputs=("llm.input_messages.*.message.role",),
    first_chunks=("First Token Stream Event",),
    expected=_EXPECTED,
)
