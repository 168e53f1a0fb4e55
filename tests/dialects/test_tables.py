"""Each framework's table: which span is what, which attribute fills which column, and what says nothing."""

import json
from collections import Counter
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_voicebot import semconv
from otel_voicebot.dialects import COLUMNS, DIALECTS, Dialect
from otel_voicebot.processors import derive, normalise
from otel_voicebot.processors.parse import ends_with_tool, load_json
from otel_voicebot.spans import SPANS, decode
from tests.dialects.frameworks import captured, payload, rows_of
from tests.processors.batches import Made

PIPECAT, LIVEKIT = "pipecat", "livekit-agents"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_a_table_names_components_and_columns_that_exist(dialect: Dialect) -> None:
    """And no span name or attribute is both content and an identifier."""
    components = [*dialect.span_names.values(), *(c for kinds in dialect.kinds.values() for c in kinds.values())]
    assert set(components) <= set(semconv.COMPONENTS)
    assert set(dialect.columns) <= set(COLUMNS) <= set(SPANS.names)
    assert not dialect.content & dialect.identifiers


@pytest.mark.parametrize(
    ("capture", "components"),
    [
        ("pipecat", {"session": 1, "turn": 9, "stt": 9, "llm": 10, "tts": 9}),
        ("pipecat_1_0_0", {"session": 1, "turn": 9, "stt": 9, "llm": 10, "tts": 9}),
        (
            "livekit",
            {"session": 1, "turn": 10, "stt": 8, "endpointing": 8, "llm": 12, "tts": 10, "tool": 3, "handoff": 1}
            | {"playout": 8, "other": 95},
        ),
        ("openai_otel", {"llm": 6, "other": 5}),
        ("openinference", {"llm": 6, "stt": 1, "tts": 1, "other": 5}),
    ],
)
def test_a_captures_spans_are_components(capture: str, components: dict[str, int]) -> None:
    """As counted by hand with the inventory of each capture; nothing in it is unknown to its table."""
    assert Counter(row["component"] for row in captured(capture)) == components
    assert normalise(decode(payload(capture))).drift == ({}, {})


@pytest.mark.parametrize(
    ("capture", "name", "columns"),
    [
        ("pipecat", "tts", {"provider": "openai", "time_to_first_chunk_s": 0.7380695343017578, "characters": 25}),
        (
            "pipecat",
            "stt",
            {"transcription_delay_s": 0.3635373115539551, "audio_s": 2.7, "time_to_first_chunk_s": None},
        ),
        ("pipecat", "llm", {"time_to_first_chunk_s": 0.4022955894470215, "input_tokens": 43, "after_tool": False}),
        ("pipecat", "turn", {"session_id": "conv-demo-0001", "turn_index": 1, "interrupted": False}),
        ("pipecat", "conversation", {"session_id": "conv-demo-0001", "turn_index": None}),
        ("pipecat_1_0_0", "llm", {"cached_input_tokens": 16, "time_to_first_chunk_s": 0.3254733085632324}),
        ("livekit", "agent_turn", {"exchange_key": "speech_3283aec70465", "agent": "front_agent"}),
        ("livekit", "user_turn", {"confidence": 0.93, "transcription_delay_s": 0.2602806091308594}),
        ("livekit", "eou_wait", {"outcome": "committed", "endpointing_delay_s": 0.5034752}),
        ("livekit", "tts_request", {"time_to_first_chunk_s": 0.31532057699996585, "audio_s": 1.135, "characters": 25}),
        ("livekit", "llm_request", {"time_to_first_chunk_s": 0.36778102200014473, "output_tokens": 8}),
        ("livekit", "llm_node", {"time_to_first_chunk_s": 0.36841299300022, "input_tokens": None}),
        ("livekit", "function_tool", {"operation": "get_weather"}),
        ("livekit", "update_agent", {"handoff_target": "billing_agent"}),
        ("livekit", "session_close", {"end_reason": "user_initiated"}),
        ("openai_otel", "chat gpt-4.1-mini", {"framework_version": "1.3b0", "cached_input_tokens": 16}),
        ("openinference", "ChatCompletion", {"time_to_first_chunk_s": 0.42564081, "model": "gpt-4.1-mini-2025-04-14"}),
        ("openinference", "Transcription", {"model": "whisper-1", "user_text": "hello back", "user_words": 2}),
        ("openinference", "HttpxBinaryResponseContent", {"model": "gpt-4o-mini-tts", "bot_text": "Short text."}),
    ],
)
def test_the_first_span_of_a_name_has_its_columns(capture: str, name: str, columns: dict[str, Any]) -> None:
    """Read off the raw capture."""
    row = next(row for row in captured(capture) if row["name"] == name)
    assert {column: row[column] for column in columns} == columns


def test_reported_gaps_are_the_frameworks_own() -> None:
    """Every `turn.user_bot_latency_seconds` and `lk.e2e_latency` of the captures is a reported gap, nothing else."""
    for capture, key in (("pipecat", "turn.user_bot_latency_seconds"), ("livekit", "lk.e2e_latency")):
        raw = TracesData.FromString(payload(capture))
        stated = {
            span.span_id: attribute.value.double_value
            for resource in raw.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            for attribute in span.attributes
            if attribute.key == key
        }
        found = {row["span_id"]: row["reported_gap_s"] for row in captured(capture)}
        assert {one: gap for one, gap in found.items() if gap is not None} == stated
        assert len(stated) >= 6


def test_time_to_failure_is_no_first_token() -> None:
    """Pipecat states the elapsed time of a failed call; as an attribute it stays, a first token there was none."""
    failed = [row for row in captured("pipecat") if row["name"] == "llm" and row["status"] == "error"]
    assert [row["time_to_first_chunk_s"] for row in failed] == [None]
    assert "metrics.ttfb" in failed[0]["left"]


def test_a_text_in_a_numeric_key_and_unknown_words_say_nothing() -> None:
    """NOT_GIVEN is no number, no model and no provider; it stays what it was."""
    (row,) = rows_of(
        Made(
            "llm",
            {
                semconv.REQUEST_MODEL: "NOT_GIVEN",
                "metrics.ttfb": "NOT_GIVEN",
                semconv.INPUT_TOKENS: "NOT_GIVEN",
                "gen_ai.request.top_k": "NOT_GIVEN",
                semconv.PROVIDER: "unknown",
            },
            scope=PIPECAT,
        )
    )
    assert [row[name] for name in ("model", "provider", "time_to_first_chunk_s", "input_tokens")] == [None] * 4
    assert row["left"][semconv.REQUEST_MODEL] == "NOT_GIVEN"
    assert row["quality"] == []


@pytest.mark.parametrize(
    ("name", "key", "column"),
    [
        ("user_turn", "lk.transcription_delay", "transcription_delay_s"),
        ("user_turn", "lk.end_of_turn_delay", "endpointing_delay_s"),
        ("agent_turn", "lk.e2e_latency", "reported_gap_s"),
    ],
)
def test_0_says_that_a_delay_is_unknown(name: str, key: str, column: str) -> None:
    """LiveKit writes 0 where it doesn't know; above 0 it is a delay."""
    unknown, known = rows_of(Made(name, {key: 0.0}, scope=LIVEKIT), Made(name, {key: 0.25}, scope=LIVEKIT))
    assert (unknown[column], known[column]) == (None, 0.25)
    assert unknown["quality"] == []


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"', '{"ttfb": -1}', '{"ttfb": "soon"}', "null", "[" * 5000])
def test_json_that_is_none_or_says_nothing_fills_nothing(text: str) -> None:
    """Also beside metrics that can be read; their numbers are the columns'."""
    good = '{"ttfb": 0.5, "audio_duration": 2, "characters_count": 7}'
    spans = [Made("tts_request", {"lk.tts_metrics": value}, scope=LIVEKIT) for value in (text, good)]
    bad, read = rows_of(*spans)
    assert [bad[name] for name in ("time_to_first_chunk_s", "audio_s", "characters")] == [None] * 3
    assert [read[name] for name in ("time_to_first_chunk_s", "audio_s", "characters")] == [0.5, 2.0, 7]
    assert bad["left"]["lk.tts_metrics"] == text


def test_metrics_in_json_stand_in_for_attributes_that_are_missing() -> None:
    """Of a version that doesn't write tokens as attributes; where they are written these count."""
    metrics = '{"ttft": 0.4, "prompt_tokens": 5, "completion_tokens": 6, "prompt_cached_tokens": 1}'
    old, new = rows_of(
        Made("llm_request", {"lk.llm_metrics": metrics}, scope=LIVEKIT),
        Made("llm_request", {"lk.llm_metrics": metrics, semconv.INPUT_TOKENS: 9}, scope=LIVEKIT),
    )
    assert (old["time_to_first_chunk_s"], old["input_tokens"], old["cached_input_tokens"]) == (0.4, 5, 1)
    assert (new["input_tokens"], new["output_tokens"]) == (9, 6)


def test_words_of_the_framework_become_ours() -> None:
    """And a boolean that is written as a text is one."""
    resumed, odd = rows_of(
        Made("eou_wait", {"lk.eou.outcome": "user_resumed"}, scope=LIVEKIT),
        Made("eou_wait", {"lk.eou.outcome": "something_new"}, scope=LIVEKIT),
    )
    assert (resumed["outcome"], odd["outcome"]) == ("resumed", None)
    written, not_so = rows_of(*(Made("agent_turn", {"lk.interrupted": word}, scope=LIVEKIT) for word in ("true", "no")))
    assert (written["interrupted"], not_so["interrupted"]) == (True, None)


def test_a_stream_that_its_reader_left_is_interrupted() -> None:
    """OpenTelemetry's OpenAI instrumentation gives it the reason `error` and no status; another reason says nothing."""
    scope, key = "opentelemetry.instrumentation.genai.openai", "gen_ai.response.finish_reasons"
    calls = [Made("chat m", {key: reasons}, scope=scope) for reasons in (["error"], ["stop"], ["error", "stop"], [])]
    failed = Made("chat m", {key: ["error"]}, scope=scope, failed=True)
    others = [
        Made("invoke_agent x", {semconv.OPERATION_NAME: "invoke_agent", key: ["error"]}, scope=scope),
        Made("openai.chat", {key: ["error"]}, scope="traceloop.tracer"),
    ]
    rows = rows_of(*calls, failed, *others)
    assert [row["interrupted"] for row in rows] == [True, *([None] * 6)]


def test_messages_are_read_as_json_and_in_structured_form() -> None:
    """The convention asks for lists of maps wherever a language's SDK can write them, and for JSON elsewhere."""
    asked = [{"role": "user", "parts": [{"type": "text", "content": "two words"}]}]
    result = {"role": "user", "parts": [{"type": "tool_call_response", "content": "found"}, *asked[0]["parts"]]}
    structured, text = rows_of(
        Made("chat m", {semconv.OPERATION_NAME: "chat", semconv.INPUT_MESSAGES: [*asked, result]}, scope="x"),
        Made("chat m", {semconv.OPERATION_NAME: "chat", semconv.INPUT_MESSAGES: json.dumps(asked)}, scope="x"),
    )
    assert (structured["user_text"], structured["user_words"], structured["after_tool"]) == ("two words", 2, True)
    assert (text["user_text"], text["user_words"], text["after_tool"]) == ("two words", 2, False)


@pytest.mark.parametrize(
    "version", [("lk.pii.user_transcript", "lk.pii.response.text"), ("lk.user_transcript", "lk.response.text")]
)
def test_content_is_read_under_the_names_of_both_versions(version: tuple[str, str]) -> None:
    """LiveKit renamed them in 1.7."""
    heard, said = rows_of(
        Made("user_turn", {version[0]: "hello you there"}, scope=LIVEKIT),
        Made("agent_turn", {version[1]: "good day"}, scope=LIVEKIT),
    )
    assert (heard["user_text"], heard["user_words"], said["bot_text"], said["bot_words"]) == (
        *("hello you there", 3),
        *("good day", 2),
    )


def test_names_of_pipecat_before_1_0_are_read() -> None:
    """`gen_ai.system`, and cached tokens under their older name."""
    (row,) = rows_of(Made("llm", {"gen_ai.system": "openai", "gen_ai.usage.cache_read_input_tokens": 5}, scope=PIPECAT))
    assert (row["provider"], row["cached_input_tokens"]) == ("openai", 5)


def test_the_scope_tells_before_attributes_do() -> None:
    """A Pipecat span that carries GenAI attributes, as all do, is Pipecat's; beside it a client's span is GenAI's."""
    attributes = {semconv.OPERATION_NAME: "chat", "openinference.span.kind": "LLM"}
    ours, theirs, marked = rows_of(
        Made("llm", attributes, scope=PIPECAT),
        Made("chat m", {semconv.OPERATION_NAME: "chat"}, scope="someone"),
        Made("llm", attributes, scope="someone"),
    )
    assert [row["dialect"] for row in (ours, theirs, marked)] == ["pipecat", "genai", "openinference"]


def test_the_spans_of_the_traceloop_sdk_are_read() -> None:
    """No capture: made from the names in DIALECTS and in the SDK's source (traceloop.span.kind, gen_ai.prompt.N...)."""
    association = {"traceloop.association.properties.session_id": "call-1"}
    tool, old, new = rows_of(
        Made("vet.tool", {"traceloop.span.kind": "tool", "traceloop.entity.name": "vet"}, scope="traceloop.tracer"),
        Made(
            "openai.chat",
            {
                "gen_ai.system": "OpenAI",
                "llm.request.type": "chat",
                "gen_ai.usage.prompt_tokens": 5,
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "first words",
                **association,
                "gen_ai.prompt.10.role": "user",
                "gen_ai.prompt.10.content": "the last words",
                "gen_ai.prompt.2.role": "assistant",
                "gen_ai.prompt.2.content": "mine",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": "an answer",
            },
            scope="opentelemetry.instrumentation.openai.v1",
        ),
        Made(
            "openai.chat",
            {semconv.OPERATION_NAME: "chat", **association, "traceloop.entity.name": "x"},
            events=[("gen_ai.content.completion.chunk", 1_767_571_200_250_000_000, {})],
            scope="opentelemetry.instrumentation.openai.v1",
        ),
    )
    assert (tool["component"], tool["operation"], tool["dialect"]) == ("tool", "vet", "traceloop")
    assert (old["component"], old["provider"], old["input_tokens"]) == ("llm", "OpenAI", 5)
    assert (old["session_id"], old["user_text"], old["bot_text"]) == ("call-1", "the last words", "an answer")
    assert (new["component"], new["time_to_first_chunk_s"]) == ("llm", 0.25)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('[{"role": "user", "content": "x"}, {"role": "tool", "content": "{}"}]', True),
        ('[{"role": "tool", "content": "{}"}, {"role": "user", "content": "x"}]', False),
        ('[{"role": "user", "content": "say \\"role\\": \\"tool\\""}]', False),
        ('[{"content": [{"type": "tool_result", "content": "x"}], "role": "user"}]', True),
        ('[{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]', True),
        ('[{"role": "user", "content": "the tool_result is"}]', False),
        ('[{"role": "user", "parts": [{"function_response": {"name": "f"}}]}]', True),
        ('[{"role": "user", "content": "x"}, {"type": "function_call_output", "output": "1"}]', True),
        ('{"items": [{"type": "function_call_output"}, {"type": "message", "role": "assistant"}]}', False),
        ('[{"role": "tool", "parts": [{"type": "tool_call_response"}]}]', True),
        ('[{"role": "user", "content": "cut o', None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_last_message_is_a_tools_result_or_not(text: str, answer: bool | None) -> None:
    """In the shapes of OpenAI, Anthropic, Gemini and the conventions; unknown where the text was cut."""
    assert ends_with_tool(text) is answer
    (row,) = rows_of(Made("llm", {"input": text}, scope=PIPECAT))
    assert row["after_tool"] is answer


def test_dialects_beside_each_other_read_the_same_attribute() -> None:
    """In one request, each its own spans: what is derived for one is not missing for the next."""
    attributes = {
        semconv.OPERATION_NAME: "chat",
        semconv.INPUT_MESSAGES: '[{"role": "user", "content": "good day"}]',
    }
    first, second, third = rows_of(
        Made("chat m", {**attributes, "traceloop.entity.name": "x"}, scope="someone"),
        Made("chat m", attributes, scope="someone"),
        Made("chat m", attributes, scope="otel_voicebot"),
    )
    assert [row["dialect"] for row in (first, second, third)] == ["traceloop", "genai", "native"]
    assert [row["user_text"] for row in (first, second, third)] == ["good day", "good day", None]
    assert all(row["after_tool"] is False for row in (first, second, third))


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ud83d\ud83d\ude00"])
def test_half_a_character_hides_nothing_else(half: str) -> None:
    """Where a text in a growing list was cut in the middle of a character, the rest of the list is read."""
    text = rf'[{{"role":"user","content":"ok {half}"}},{{"role":"user","content":"what is my balance"}}]'
    found = load_json(text)
    assert isinstance(found, list)
    assert found[1]["content"] == "what is my balance"
    assert "\N{REPLACEMENT CHARACTER}" in found[0]["content"]
    found[0]["content"].encode()


def test_json_is_parsed_once_for_all_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of LiveKit's metrics several columns are filled; texts grow with the call, and parsing them is what costs."""
    parsed: list[str] = []

    def load(text: str) -> object:
        parsed.append(text)
        return load_json(text)

    monkeypatch.setattr(derive, "load_json", load)
    captured("livekit")
    assert len(parsed) == len(set(parsed)) > 5
