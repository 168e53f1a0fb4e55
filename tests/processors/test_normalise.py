"""Names become a component, attributes become columns."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from otel_voicebot import semconv
from otel_voicebot.processors import normalise
from otel_voicebot.spans import SpanBatch, collect, decode
from tests.spans.requests import REQUESTS

INGEST = 1_795_219_367_000_000
IDS = count(1)


def span(
    name: str = semconv.SPAN_TURN,
    attributes: Mapping[str, Any] | None = None,
    *,
    scope: str | None = semconv.SCOPE_NAME,
    events: Sequence[Event] = (),
    **changes: Any,
) -> ReadableSpan:
    """An ended span."""
    return ReadableSpan(
        name,
        SpanContext(1, next(IDS), is_remote=False),
        attributes=attributes,
        events=events,
        instrumentation_scope=scope and InstrumentationScope(scope),
        start_time=1000,
        end_time=2000,
        **changes,
    )


def normalised(*spans: ReadableSpan) -> list[dict[str, Any]]:
    """Rows of these spans."""
    table = normalise(collect(spans)).rows(INGEST)
    table.validate(full=True)
    rows = table.to_pylist()
    for row in rows:
        row["attributes"], row["attributes_typed"] = dict(row["attributes"]), dict(row["attributes_typed"])
    return rows


@pytest.mark.parametrize("known", semconv.SPANS.values(), ids=lambda known: known.name)
def test_our_own_names_are_recognised(known: semconv.Span) -> None:
    """Each name of the conventions gives its component."""
    (row,) = normalised(span(known.name))
    assert (row["dialect"], row["component"]) == ("native", known.component)


@pytest.mark.parametrize(
    ("name", "scope", "attributes", "dialect", "component"),
    [
        ("chat gpt-4", semconv.SCOPE_NAME, {}, "native", "llm"),
        ("execute_tool lookup", semconv.SCOPE_NAME, {}, "native", "tool"),
        ("voicebot.turn", "by hand", {}, "native", "turn"),
        ("voicebot.something", "by hand", {}, "native", "other"),
        ("own name", semconv.SCOPE_NAME, {"gen_ai.operation.name": "chat"}, "native", "llm"),
        ("chat gpt-4", "openai", {"gen_ai.operation.name": "chat"}, "genai", "llm"),
        ("x", "openai", {"gen_ai.operation.name": "execute_tool"}, "genai", "tool"),
        ("x", "openai", {"gen_ai.operation.name": "invoke_agent"}, "genai", "other"),
        ("x", None, {"gen_ai.operation.name": "embeddings"}, "genai", "llm"),
        ("chat gpt-4", "openai", {}, None, "other"),
        ("GET", "urllib", {}, None, "other"),
    ],
)
def test_scope_then_name_then_operation_tell_the_component(
    name: str, scope: str | None, attributes: dict[str, str], dialect: str | None, component: str
) -> None:
    """Also beside spans of every other dialect in one batch."""
    others = [span(), span("GET", scope="urllib"), span("y", {"gen_ai.operation.name": "chat"}, scope="z")]
    for batch in ([span(name, attributes, scope=scope)], [*others, span(name, attributes, scope=scope)]):
        row = normalised(*batch)[-1]
        assert (row["dialect"], row["component"]) == (dialect, component)


def test_spans_that_nobody_recognises_are_counted_by_scope() -> None:
    """So that an operator sees which library's spans tell nothing."""
    batch = normalise(
        collect([span("GET", scope="urllib"), span("GET", scope="urllib"), span("x", scope=None), span()])
    )
    assert batch.unmapped == {"urllib": 2, "": 1}


EVERY_COLUMN = {
    "endpointing_setting_s": (semconv.ENDPOINTING_DELAY, 0.8),
    "background": (semconv.BACKGROUND, True),
    "cancelled": (semconv.CANCELLED, True),
    "session_id": (semconv.SESSION_ID, "s"),
    "turn_index": (semconv.TURN_INDEX, 3),
    "bot": (semconv.BOT, "First National Bank"),
    "channel": (semconv.CHANNEL, "phone"),
    "variant": (semconv.VARIANT, "B"),
    "user_hash": (semconv.USER_HASH, "abc"),
    "synthetic": (semconv.SYNTHETIC, True),
    "error_type": (semconv.ERROR_TYPE, "rate_limit"),
    "csat": (semconv.CSAT, 4),
    "nps": (semconv.NPS, 0),
    "provider": (semconv.PROVIDER, "local"),
    "model": (semconv.REQUEST_MODEL, "Whisper Large v3 Turbo"),
    "time_to_first_chunk_s": (semconv.TIME_TO_FIRST_CHUNK, 0.25),
    "input_tokens": (semconv.INPUT_TOKENS, 12),
    "output_tokens": (semconv.OUTPUT_TOKENS, 20),
    "cached_input_tokens": (semconv.CACHED_INPUT_TOKENS, 2),
    "audio_s": (semconv.AUDIO_DURATION, 1.5),
    "characters": (semconv.TTS_CHARACTERS, 40),
    "user_words": (semconv.USER_WORDS, 5),
    "bot_words": (semconv.BOT_WORDS, 6),
    "intent_fallback": (semconv.INTENT_FALLBACK, False),
    "interrupted": (semconv.TURN_INTERRUPTED, True),
    "cache_name": (semconv.CACHE_NAME, "semantic"),
    "cache_level": (semconv.CACHE_LEVEL, "L1"),
    "cache_hit": (semconv.CACHE_HIT, False),
    "wer_errors": (semconv.WER_ERRORS, 1),
    "wer_words": (semconv.WER_WORDS, 7),
    "mos": (semconv.MOS, 4.1),
    "mos_kind": (semconv.MOS_KIND, "dnsmos"),
    "handoff_target": (semconv.HANDOFF_TARGET, "human"),
    "handoff_requested_by": (semconv.HANDOFF_REQUESTED_BY, "caller"),
    "handoff_planned": (semconv.HANDOFF_PLANNED, False),
    "handoff_blocked": (semconv.HANDOFF_BLOCKED, True),
    "agent": (semconv.AGENT, "loans"),
    "decision": (semconv.DECISION, "approve"),
    "adapter": (semconv.ADAPTER, "lora-1"),
    "user_text": (semconv.USER_TEXT, "i want a loan"),
    "bot_text": (semconv.BOT_TEXT, "of course you do"),
    "operation": (semconv.TOOL_NAME, "lookup"),
    "confidence": (semconv.STT_CONFIDENCE, 0.9),
    "intent": (semconv.INTENT_NAME, "loan"),
    "end_reason": (semconv.TURN_END_REASON, "completed"),
    "outcome": (semconv.SESSION_OUTCOME, "resolved"),
}


def test_every_attribute_with_a_column_goes_there_and_nowhere_else() -> None:
    """All at once on one span, and each alone among spans that carry nothing."""
    (row,) = normalised(span(attributes=dict(EVERY_COLUMN.values())))
    assert {column: row[column] for column in EVERY_COLUMN} == {c: value for c, (_, value) in EVERY_COLUMN.items()}
    assert (row["attributes"], row["attributes_typed"]) == ({}, {})
    alone = normalised(*(one for pair in EVERY_COLUMN.values() for one in (span(), span(attributes=dict([pair])))))
    for (column, (_, value)), empty, row in zip(EVERY_COLUMN.items(), alone[::2], alone[1::2], strict=True):
        assert (row[column], empty[column]) == (value, None)
        assert (row["attributes"], row["attributes_typed"]) == ({}, {})


@pytest.mark.parametrize(
    ("column", "key", "value", "stored"),
    [
        ("audio_s", semconv.AUDIO_DURATION, 2, 2.0),
        ("input_tokens", semconv.INPUT_TOKENS, 12.0, 12),
        ("turn_index", semconv.TURN_INDEX, 2.0, 2),
        ("output_tokens", semconv.OUTPUT_TOKENS, 10**12 - 1, 10**12 - 1),
    ],
)
def test_whole_doubles_and_integers_stand_for_each_other(column: str, key: str, value: object, stored: object) -> None:
    """SDKs of other languages write 12 as 12.0."""
    (row,) = normalised(span(attributes={key: value}))
    assert (row[column], type(row[column]), row["attributes_typed"]) == (stored, type(stored), {})


@pytest.mark.parametrize(
    ("column", "key", "value", "kept"),
    [
        ("turn_index", semconv.TURN_INDEX, "3", "3"),
        ("turn_index", semconv.TURN_INDEX, 2**31, "2147483648"),
        ("turn_index", semconv.TURN_INDEX, 1.5, "1.5"),
        ("turn_index", semconv.TURN_INDEX, True, "true"),
        ("input_tokens", semconv.INPUT_TOKENS, 1e300, "1e+300"),
        ("mos", semconv.MOS, float("nan"), '{"double":"NaN"}'),
        ("mos", semconv.MOS, "good", "good"),
        ("cache_hit", semconv.CACHE_HIT, 1, "1"),
        ("session_id", semconv.SESSION_ID, 7, "7"),
        ("session_id", semconv.SESSION_ID, "", ""),
        ("session_id", semconv.SESSION_ID, ["a"], '["a"]'),
        ("error_type", semconv.ERROR_TYPE, "could not find account 12345", "could not find account 12345"),
        ("intent", semconv.INTENT_NAME, "i\u00a0want\u3000money", "i\u00a0want\u3000money"),
        ("bot", semconv.BOT, "b" * 201, "b" * 201),
    ],
)
def test_what_does_not_fit_its_column_stays_an_attribute(column: str, key: str, value: object, kept: str) -> None:
    """No key is ever lost, and a column holds nothing that it isn't for."""
    (row,) = normalised(span(attributes={key: value}))
    assert row[column] is None
    assert {**row["attributes"], **row["attributes_typed"]} == {key: kept}


@pytest.mark.parametrize(
    ("column", "attributes", "stored", "left"),
    [
        ("model", {semconv.REQUEST_MODEL: "a", semconv.RESPONSE_MODEL: "b"}, "b", {semconv.REQUEST_MODEL: "a"}),
        ("model", {semconv.REQUEST_MODEL: "a", semconv.RESPONSE_MODEL: ""}, "a", {semconv.RESPONSE_MODEL: ""}),
        (
            "operation",
            {semconv.API_NAME: "bank", semconv.OPERATION_NAME: "chat"},
            "bank",
            {semconv.OPERATION_NAME: "chat"},
        ),
        ("operation", {semconv.OPERATION_NAME: "chat"}, "chat", {}),
        ("operation", {semconv.CACHE_NAME: "semantic"}, "semantic", {}),
        ("cache_name", {semconv.CACHE_NAME: "semantic"}, "semantic", {}),
        ("confidence", {semconv.INTENT_CONFIDENCE: 0.5}, 0.5, {}),
        ("intent", {semconv.SESSION_INTENT: "loan"}, "loan", {}),
        ("intent", {semconv.SESSION_INTENT: "loan", semconv.INTENT_NAME: "x"}, "x", {semconv.SESSION_INTENT: "loan"}),
        ("end_reason", {semconv.SESSION_END_REASON: "hung_up"}, "hung_up", {}),
        ("outcome", {semconv.ENDPOINTING_OUTCOME: "committed"}, "committed", {}),
    ],
)
def test_of_several_attributes_the_first_that_fits_fills_a_column(
    column: str, attributes: dict[str, Any], stored: object, left: dict[str, str]
) -> None:
    """The others stay where they were."""
    (row,) = normalised(span(attributes=attributes))
    assert (row[column], row["attributes"]) == (stored, left)


def test_stamps_are_read_on_spans_of_any_library() -> None:
    """A span that no dialect knows still belongs to its call; what else it carries stays."""
    (row,) = normalised(span("GET", {semconv.SESSION_ID: "s", semconv.BOT: "bank", semconv.MOS: 4.0}, scope="urllib"))
    assert (row["session_id"], row["bot"], row["mos"], row["dialect"]) == ("s", "bank", None, None)
    assert row["attributes_typed"] == {semconv.MOS: "4.0"}


def test_the_resource_names_service_and_environment() -> None:
    """The old name of the environment counts where the new one is missing; the resource stays as it came."""
    new = Resource({"service.name": "bank", "service.instance.id": "1", "deployment.environment.name": "production"})
    old = Resource({"service.name": "bank 2", "deployment.environment": "staging"})
    first, second = normalised(span(resource=new), span(resource=old))
    assert (first["service_name"], first["service_instance"], first["environment"]) == ("bank", "1", "production")
    assert (second["service_name"], second["service_instance"], second["environment"]) == ("bank 2", None, "staging")
    assert '"deployment.environment":"staging"' in second["resource_attributes"]


@pytest.mark.parametrize(
    ("status", "attributes", "exceptions", "error_type"),
    [
        (StatusCode.ERROR, {"error.type": "timeout"}, ["ValueError"], "timeout"),
        (StatusCode.ERROR, {}, ["ValueError", "KeyError"], "KeyError"),
        (StatusCode.ERROR, {}, ["a long sentence here"], "_OTHER"),
        (StatusCode.ERROR, {}, [], "_OTHER"),
        (StatusCode.UNSET, {}, ["ValueError"], None),
        (StatusCode.OK, {}, [], None),
        (StatusCode.UNSET, {"error.type": "timeout"}, [], "timeout"),
    ],
)
def test_error_type_is_stated_or_the_last_exceptions_or_other(
    status: StatusCode, attributes: dict[str, str], exceptions: list[str], error_type: str | None
) -> None:
    """And null where nothing failed."""
    events = [Event(semconv.EXCEPTION, {semconv.EXCEPTION_TYPE: name}, at) for at, name in enumerate(exceptions, 1)]
    _, row = normalised(span(), span(attributes=attributes, events=events, status=Status(status)))
    assert row["error_type"] == error_type


def test_survey_answers_on_events_count_where_the_span_has_none() -> None:
    """The last answer wins, on any span."""
    events = [Event(semconv.FEEDBACK, {semconv.CSAT: score, semconv.NPS: 9}, at) for at, score in ((1, 2), (2, 5))]
    first, second = normalised(
        span("GET", scope="urllib", events=events), span(semconv.SPAN_FEEDBACK, {semconv.CSAT: 1}, events=events)
    )
    assert (first["csat"], first["nps"], second["csat"], second["nps"]) == (5, 9, 1, 9)


US, UE, BS, BE = semconv.USER_SPEECH_START, semconv.USER_SPEECH_END, semconv.BOT_SPEECH_START, semconv.BOT_SPEECH_END


@pytest.mark.parametrize(
    ("heard", "start", "t0", "t1", "end"),
    [
        ([(US, 1), (UE, 2), (BS, 3), (BE, 4)], 1, 2, 3, 4),
        ([(BS, 3), (UE, 2), (BE, 4), (US, 1)], 1, 2, 3, 4),  # in any order
        ([(US, 1), (UE, 2), (US, 3), (UE, 4), (BS, 5), (BE, 6)], 1, 4, 5, 6),  # spoke again before the answer
        ([(US, 1), (UE, 2), (BS, 3), (US, 4), (BE, 5), (UE, 6), (BS, 7), (BE, 8)], 1, 2, 3, 8),  # the first answer
        ([(UE, 1), (UE, 2), (BS, 3)], None, 2, 3, None),
        ([(BS, 1), (BE, 2), (US, 3), (UE, 4)], 3, 4, None, 2),  # a greeting, then no answer
        ([(BS, 1), (BE, 2), (US, 3), (UE, 4), (BS, 5)], 3, 4, 5, 2),
        ([(US, 1), (UE, 2), (US, 3), (BS, 4)], 1, 2, None, None),  # audio while the caller speaks is no answer
        ([(BS, 1), (BE, 2), (BS, 3), (BE, 4)], None, None, 1, 4),
        ([(US, 1)], 1, None, None, None),
        ([(US, 1), (BS, 2)], 1, None, 2, None),
        ([], None, None, None, None),
        ([("voicebot.event.error", 1)], None, None, None, None),
    ],
)
def test_speech_events_of_a_turn_give_t0_and_t1(
    heard: list[tuple[str, int]], start: int | None, t0: int | None, t1: int | None, end: int | None
) -> None:
    """t0: the end of speech that was answered, else the last. t1: that answer, or the first audio if nobody spoke."""
    events = [Event(name, {}, at) for name, at in heard]
    neighbour = span(events=[Event(UE, {}, 50), Event(BS, {}, 60)])
    for place, batch in enumerate(([span(events=events)], [neighbour, span(events=events), neighbour])):
        row = normalised(*batch)[place]
        found = [row[f"{who}_speech_{what}_unix_nano"] for who in ("user", "bot") for what in ("start", "end")]
        assert found == [start, t0, t1, end]


def test_speech_events_elsewhere_than_on_a_turn_are_no_times() -> None:
    """They stay events."""
    (row,) = normalised(span(semconv.SPAN_STT, events=[Event(UE, {}, 5)]))
    assert row["user_speech_end_unix_nano"] is None
    assert row["events"][0]["unix_nano"] == 5


@settings(max_examples=60, deadline=None)
@given(REQUESTS)
def test_no_key_is_ever_lost(made: ExportTraceServiceRequest) -> None:
    """Whatever comes in: each attribute is in the map or filled a column, and each span's columns are its own."""
    raw: SpanBatch = decode(made.SerializeToString())
    before, after = raw.rows(INGEST).to_pylist(), normalise(raw).rows(INGEST)
    after.validate(full=True)
    for old, new in zip(before, after.to_pylist(), strict=True):
        for column in ("attributes", "attributes_typed"):
            gone = dict(old[column]).items() - dict(new[column]).items()
            values = [value for name, value in new.items() if name not in old or old[name] is None]
            for key, value in gone:
                assert key in semconv.ATTRIBUTES
                assert column == "attributes_typed" or value in values
        assert {name: new[name] for name in ("name", "start_unix_nano", "events", "links", "resource_attributes")} == {
            name: old[name] for name in ("name", "start_unix_nano", "events", "links", "resource_attributes")
        }
