"""Which expected fields are there: on captures of real frameworks, and on copies with other names."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_voicebot.app.ingest import ingest
from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.receivers.requests import Request
from otel_voicebot.reports.alike import unnumbered
from otel_voicebot.reports.drift import FieldState, fields_of, seen, version
from otel_voicebot.reports.findings import of_fields
from otel_voicebot.settings import Settings
from otel_voicebot.store import snapshot
from tests.processors.batches import Made, encoded
from tests.reports.captures import CAPTURES, capture, renamed, scopes, spans, without

OF = {
    "pipecat": "pipecat",
    "pipecat_1_0_0": "pipecat",
    "livekit": "livekit",
    "livekit_1_6_4": "livekit",
    "openai_otel": "genai",
    "openinference": "openinference",
}
"""Capture to dialect."""


def dialect_of(name: str) -> Dialect:
    """The dialect of a capture."""
    return next(one for one in DIALECTS if one.name == OF[name])


def fields(data: Path, name: str, request: ExportTraceServiceRequest, **settings: Any) -> list[FieldState]:
    """What is said of the fields of a capture's framework."""
    ingest([Request("traces", request.SerializeToString())], Settings(data=data, **settings))
    with duckdb.connect() as connection:
        engine = SimpleNamespace(sql=lambda text: connection.sql(text).to_arrow_table())
        opened = SimpleNamespace(snapshot=snapshot(data), engine=engine)
        return fields_of(dialect_of(name), seen(opened, "", DIALECTS).get(OF[name], {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [False, True], ids=["content off", "content on"])
@pytest.mark.parametrize("name", OF)
def test_what_a_framework_really_wrote_is_mapped(tmp_path: Path, name: str, content: bool) -> None:
    """Of a capture nothing is missing, renamed or new, whether texts are stored or not."""
    found = fields(tmp_path, name, capture(name), capture_content=content)
    states = {(one.span, one.key): one.state for one in found}
    assert len(found) >= 5
    unlike = {key: state for key, state in states.items() if state not in ("mapped", "sometimes")}
    if name == "livekit_1_6_4":
        assert set(unlike.values()) == {"older"}
    else:
        assert unlike == ({("stt", "metrics.audio_seconds"): "older"} if name == "pipecat_1_0_0" else {})
    assert all(one.found <= one.of for one in found)


def written(name: str) -> list[str]:
    """The expected attributes that a capture has."""
    there = {unnumbered(attribute.key) for span in spans(capture(name)) for attribute in span.attributes}
    return sorted({one.key for one in dialect_of(name).expected} & there)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OF for key in written(name)])
def test_a_renamed_attribute_is_named_with_its_new_name(tmp_path: Path, name: str, key: str) -> None:
    """Each expected attribute of each capture, with a longer name: it is said to be renamed, and to what."""
    new = f"{key}_seconds"
    found = fields(tmp_path, name, renamed(capture(name), key, new))
    assert {(one.key, one.like) for one in found if one.state == "renamed"} == {(key, new)}
    assert [one.key for one in found if one.state == "missing"] == []


FRAMEWORKS = ("pipecat", "livekit")
CLIENTS = ("openai_otel", "openinference")
DOUBLED = {
    *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.time_to_first_chunk"),
    *("lk.transcription_delay", "lk.end_of_turn_delay"),
}
"""Another attribute of the same span, or of another span, says the same, and fills the column."""
OF_SERVICES = ("settings.", "param.", "langfuse.session.id", "customer.tier")
"""Named by a service, or by the bot's developer."""


def all_written(name: str) -> list[str]:
    """All attributes of a capture that the framework itself names."""
    request = capture(name)
    there = {
        unnumbered(one.key)
        for scope in scopes(request)
        if scope.scope.name != "app"
        for span in scope.spans
        for one in span.attributes
    }
    return sorted(key for key in there if not key.startswith(OF_SERVICES))


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name in (*FRAMEWORKS, *CLIENTS) for key in all_written(name) if key not in written(name)],
)
def test_a_renamed_attribute_that_nothing_depends_on_is_named_too(tmp_path: Path, name: str, key: str) -> None:
    """What is known of a framework and is nowhere, beside something new that holds its name."""
    found = fields(tmp_path, name, renamed(capture(name), key, f"{key}_v2"))
    assert {(one.key, one.like) for one in found if one.state == "renamed"} == {(key, f"{key}_v2")}


def told(name: str) -> list[str]:
    """What is missed whatever takes its place."""
    sure = {one.key for one in dialect_of(name).expected if one.always or one.usual or one.enable}
    return [key for key in written(name) if key in sure and (name, key) not in UNTOLD]


UNTOLD = {("livekit", key) for key in DOUBLED} | {
    *(("pipecat", "conversation.type"), ("livekit", "gen_ai.workflow.name"), ("pipecat", "metrics.audio_seconds")),
}
"""Doubled; on the call's own span, on which users put what they like; the one sign of the version that writes it."""


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in FRAMEWORKS for key in told(name)])
def test_an_attribute_with_quite_another_name_is_missing_and_that_is_new(tmp_path: Path, name: str, key: str) -> None:
    """What a framework writes is missed whatever takes its place, and that is trouble which names both."""
    found = fields(tmp_path, name, renamed(capture(name), key, "zz.quux"))
    assert key in {one.key for one in found if one.state in ("missing", "renamed")}
    trouble = [one for one in of_fields(found) if one.level == "trouble"]
    assert any(key in one.names for one in trouble)
    named = {name for one in of_fields(found) for name in one.names}
    assert any("zz.quux" in one for one in named)
    assert not [one for one in of_fields(found) if one.kind == "switched_off"]


def changed(name: str, change: Callable[[Span], None]) -> ExportTraceServiceRequest:
    """A capture in which each span is changed."""
    request = capture(name)
    for span in spans(request):
        change(span)
    return request


def without_metrics(span: Span) -> None:
    """As with ``enable_metrics`` off."""
    kept = [one for one in span.attributes if not one.key.startswith(("metrics.", "gen_ai.usage."))]
    del span.attributes[:]
    span.attributes.extend(kept)


@pytest.mark.parametrize(
    "on",
    [("turn", "stt", "llm", "tts", "conversation"), ("turn", "stt", "llm", "tts"), ("turn",)],
    ids=["all spans", "all but the call's own", "others"],
)
def test_what_is_switched_off_was_not_renamed_to_a_stamp(tmp_path: Path, on: tuple[str, ...]) -> None:
    """What somebody's processor writes on every span, or on spans that lack nothing, is no new name of a metric."""

    def change(span: Span) -> None:
        without_metrics(span)
        if span.name in on:
            span.attributes.add(key="acme.shift").value.double_value = 0.5

    found = of_fields(fields(tmp_path, "pipecat", changed("pipecat", change)))
    assert [one.kind for one in found if one.level == "trouble"] == []
    assert any("enable_metrics=True" in one.advice for one in found if one.kind == "switched_off")


def test_a_text_takes_no_number_s_place(tmp_path: Path) -> None:
    """A new text beside metrics that are off: it can't be their new name."""

    def change(span: Span) -> None:
        without_metrics(span)
        if span.name == "llm":
            span.attributes.add(key="acme.note").value.string_value = "0.5"

    found = of_fields(fields(tmp_path, "pipecat", changed("pipecat", change)))
    assert [one.kind for one in found if one.level == "trouble"] == []


@pytest.mark.parametrize(
    ("name", "span", "key"),
    [
        ("pipecat", "llm", "gen_ai.usage.video.input_tokens"),
        ("pipecat", "tts", "metrics.queue_s"),
        ("livekit", "eou_wait", "lk.eou.mood"),
        ("livekit", "user_turn", "lk.pii.mood"),
        ("livekit", "agent_turn", "gen_ai.agent.mood"),
    ],
)
def test_a_new_member_of_a_known_family_is_new(tmp_path: Path, name: str, span: str, key: str) -> None:
    """It is shown, and it is no trouble: nothing is missing."""

    def change(one: Span) -> None:
        if one.name == span:
            one.attributes.add(key=key).value.int_value = 7

    found = fields(tmp_path, name, changed(name, change))
    assert {(one.span, one.key) for one in found if one.state == "new"} == {(span, key)}
    assert [one for one in of_fields(found) if one.level == "trouble"] == []


@pytest.mark.parametrize(
    ("name", "old", "new"), [("pipecat", "turn", "turn_span"), ("livekit", "user_turn", "caller_turn")]
)
def test_a_renamed_span_is_named(tmp_path: Path, name: str, old: str, new: str) -> None:
    """The span that is missing, and the one that nobody knows."""
    found = fields(tmp_path, name, renamed(capture(name), old, new))
    assert (old, "", "renamed", new) in {(one.span, one.key, one.state, one.like) for one in found}


def test_a_value_of_another_type_is_unreadable(tmp_path: Path) -> None:
    """A number that is a text now is there, and of no use."""
    request = capture("pipecat")
    for span in spans(request):
        for attribute in span.attributes:
            if attribute.key == "turn.user_bot_latency_seconds":
                attribute.value.string_value = "fast"
    found = fields(tmp_path, "pipecat", request)
    assert [one.key for one in found if one.state == "unfit"] == ["turn.user_bot_latency_seconds"]


def test_what_is_switched_off_says_what_to_switch_on(tmp_path: Path) -> None:
    """Pipecat without metrics."""
    found = fields(tmp_path, "pipecat", changed("pipecat", without_metrics))
    missing = {one.key: one.enable for one in found if one.state == "missing"}
    usage = {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "metrics.character_count"}
    assert missing.keys() == usage | {"metrics.ttfb"}
    assert all("enable_usage_metrics=True" in missing[key] for key in usage)


def test_versions_are_compared_by_their_numbers() -> None:
    """1.10 is later than 1.9."""
    assert version("1.10.0") > version("1.9")
    assert version("") == ()


def test_an_expected_span_is_missed_where_unknown_ones_come(tmp_path: Path) -> None:
    """A span with quite another name: the old one is missing, the new one new."""
    found = fields(tmp_path, "pipecat", renamed(capture("pipecat"), "tts", "speaking"))
    assert ("tts", "missing") in {(one.span, one.state) for one in found if not one.key}
    assert ("speaking", "new") in {(one.span, one.state) for one in found if not one.key}


def test_two_versions_side_by_side_show_the_rename(tmp_path: Path) -> None:
    """Where old and new processes run at once, each span has the one name or the other."""
    request = capture("pipecat")
    for number, span in enumerate(one for one in spans(request) if one.name == "turn"):
        for attribute in span.attributes:
            if attribute.key == "turn.number" and number % 2:
                attribute.key = "turn.number_in_call"
    (found,) = [one for one in fields(tmp_path, "pipecat", request) if one.state == "renamed"]
    assert (found.key, found.like, found.found, found.of) == ("turn.number", "turn.number_in_call", 5, 9)


def test_a_new_name_beside_the_old_one_is_no_rename(tmp_path: Path) -> None:
    """A newer version may write both: the new one is only new."""
    request = capture("pipecat")
    for span in spans(request):
        for attribute in [one for one in span.attributes if one.key == "turn.number"]:
            span.attributes.add(key="turn.number_in_call").value.int_value = attribute.value.int_value
    found = {one.key: one.state for one in fields(tmp_path, "pipecat", request)}
    assert (found["turn.number"], found["turn.number_in_call"]) == ("mapped", "new")


def test_a_new_name_is_rather_that_of_what_is_always_there(tmp_path: Path) -> None:
    """``lk.eou.delay`` is more like the seldom ``lk.eou.detection_delay``, and ``lk.eou.endpointing_delay`` is gone."""
    found = fields(tmp_path, "livekit", renamed(capture("livekit"), "lk.eou.endpointing_delay", "lk.eou.delay"))
    told = {(one.span, one.key, one.like) for one in found if one.state == "renamed"}
    assert told == {(span, "lk.eou.endpointing_delay", "lk.eou.delay") for span in ("eou_wait", "eou_detection")}


def test_an_older_version_lacks_only_what_came_later(tmp_path: Path) -> None:
    """Livekit-agents 1.6.4: two attributes fill a column later, where one does now; that one isn't missing."""
    request = ExportTraceServiceRequest.FromString((CAPTURES / "livekit_1_6_4.otlp.pb").read_bytes())
    found = fields(tmp_path, "livekit", request)
    assert {one.state for one in found} == {"mapped", "sometimes", "older"}
    assert {one.key for one in found if one.state == "older"} >= {"gen_ai.response.model", "gen_ai.tool.name"}
    mapped = {(one.span, one.key) for one in found if one.state == "mapped"}
    assert {("llm_request", "gen_ai.request.model"), ("function_tool", "lk.function_tool.name")} <= mapped
    assert max(version(one.since) for one in found if one.proves) < version("1.8.0")
    assert [one.text for one in of_fields(found) if one.level == "trouble"] == []


def unknown_model(span: Span) -> None:
    """As frameworks write it of a service that has none."""
    for attribute in span.attributes:
        if attribute.key == "gen_ai.request.model":
            attribute.value.string_value = "unknown"


def redacted(span: Span) -> None:
    """As the Collector's redaction processor leaves it."""
    kept = [one for one in span.attributes if one.key not in ("transcript", "input", "output", "text")]
    removed = len(span.attributes) - len(kept)
    del span.attributes[:]
    span.attributes.extend(kept)
    if removed:
        span.attributes.add(key="redaction.redacted.count").value.int_value = removed


def unreported(span: Span) -> None:
    """As in a greeting, and where the service decides who speaks."""
    kept = [one for one in span.attributes if one.key != "turn.user_bot_latency_seconds"]
    del span.attributes[:]
    span.attributes.extend(kept)


def failed(span: Span) -> None:
    """An outage of the model: its spans failed, and lack what an answer tells."""
    if span.name == "llm":
        kept = [one for one in span.attributes if one.key.startswith(("gen_ai.request.", "gen_ai.provider", "input"))]
        del span.attributes[:]
        span.attributes.extend(kept)
        span.status.code = Status.STATUS_CODE_ERROR


@pytest.mark.parametrize("change", [unknown_model, redacted, unreported, failed], ids=lambda change: change.__name__)
def test_a_healthy_bot_is_no_trouble(tmp_path: Path, change: Callable[[Span], None]) -> None:
    """Whatever its services, processors and calls are like."""
    found = fields(tmp_path, "pipecat", changed("pipecat", change))
    assert [one.text for one in of_fields(found) if one.level == "trouble"] == []


@pytest.mark.parametrize(
    ("name", "key", "new"),
    [
        ("pipecat", "metrics.ttfb", "gen_ai.response.time_to_first_chunk"),
        ("pipecat", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        ("pipecat", "transcript", "gen_ai.input.messages"),
    ],
)
def test_a_name_that_other_frameworks_use_is_a_new_name_here(tmp_path: Path, name: str, key: str, new: str) -> None:
    """The likeliest change of all: a framework that takes up the conventions."""
    found = of_fields(fields(tmp_path, name, renamed(capture(name), key, new)))
    assert any({key, new} <= set(one.names) for one in found if one.level == "trouble")


@pytest.mark.parametrize(
    ("name", "key", "new"),
    [
        ("livekit", "lk.on_user_turn_completed_delay", "lk.onUserTurnCompletedDelay"),
        ("livekit", "gen_ai.system_instructions", "gen_ai.systemInstructions"),
        ("pipecat", "tool_count", "toolCount"),
        ("openai_otel", "gen_ai.response.time_to_first_chunk", "gen_ai.response.timeToFirstChunk"),
    ],
)
def test_another_way_of_writing_is_a_new_name(tmp_path: Path, name: str, key: str, new: str) -> None:
    """Also of what is written now and then."""
    found = fields(tmp_path, name, renamed(capture(name), key, new))
    assert {(one.key, one.like) for one in found if one.state == "renamed"} == {(key, new)}


@pytest.mark.parametrize("key", ["order.id", "order.total"])
@pytest.mark.parametrize(
    ("name", "span"),
    [
        *(("livekit_1_6_4", span) for span in ("function_tool", "agent_turn", "user_turn", "llm_request")),
        *(("livekit", span) for span in ("function_tool", "agent_turn", "user_turn")),
        *(("pipecat_1_0_0", "stt"), ("pipecat", "stt"), ("openai_otel", "chat gpt-4.1-mini")),
        ("openinference", "ChatCompletion"),
    ],
)
def test_what_users_write_takes_no_name_s_place(tmp_path: Path, name: str, span: str, key: str) -> None:
    """On spans of an older version, too, which lack what a later one writes."""

    def change(one: Span) -> None:
        if one.name == span and key == "order.id":
            one.attributes.add(key=key).value.string_value = "ab-12"
        elif one.name == span:
            one.attributes.add(key=key).value.int_value = 3

    found = fields(tmp_path, name, changed(name, change))
    assert [one.text for one in of_fields(found) if one.level == "trouble"] == []


CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "p", "gen_ai.request.model": "m"}
OTHERS = {
    "no stream was left": ("genai", {**CALL, "gen_ai.response.finish_reasons": ["stop"]}),
    "own names, less told": ("genai", {**CALL, "gen_ai.event.start_time": "2026", "gen_ai.request.budget": 3}),
    "beside an answer's model": ("genai", {**CALL, "gen_ai.response.model": "m", "openai.response.x": "z"}),
    "of the machine": ("genai", {**CALL, "server.region": "eu", "error.code": "x"}),
    "a tool": ("openinference", {"openinference.span.kind": "TOOL", "tool.name": "s", "tool.x": "z"}),
    "a retriever": ("openinference", {"openinference.span.kind": "RETRIEVER", "retrieval.k": 3, "input.value": "x"}),
}
"""Dialect, and a healthy span of a library that isn't the one of the capture."""


@pytest.mark.parametrize(("dialect", "attributes"), OTHERS.values(), ids=OTHERS)
def test_what_other_client_libraries_write_is_no_trouble(
    tmp_path: Path, dialect: str, attributes: dict[str, Any]
) -> None:
    """Each leaves out and adds what it likes, under the names of the same convention."""
    name = next(name for name, of in OF.items() if of == dialect)
    made = encoded(*(Made("chat m", attributes, scope="some.library") for _ in range(6)))
    found = fields(tmp_path, name, ExportTraceServiceRequest.FromString(made.SerializeToString()))
    assert [one.text for one in of_fields(found) if one.level == "trouble"] == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("pipecat", "metrics.ttfb", "0.4"),
        ("livekit", "lk.e2e_latency", "1.1"),
        ("livekit", "lk.response.ttft", "0.4"),
        ("livekit", "lk.eou.outcome", "COMMITTED"),
    ],
)
def test_another_type_or_another_word_is_unreadable(tmp_path: Path, name: str, key: str, value: str) -> None:
    """Also of attributes that count on some spans only, where 0 is unknown, or that are one of a few words."""

    def change(span: Span) -> None:
        for attribute in span.attributes:
            if attribute.key == key:
                attribute.value.string_value = value

    found = fields(tmp_path, name, changed(name, change), capture_content=True)
    assert {one.key for one in found if one.state == "unfit"} == {key}


def test_what_is_under_way_is_not_missing_yet(tmp_path: Path) -> None:
    """Of a call that goes on the first turn may not be over; of one that is over it is missing."""
    request = without(capture("pipecat"), lambda span: span.name in ("turn", "conversation"))
    ingest([Request("traces", request.SerializeToString())], Settings(data=tmp_path))
    with duckdb.connect() as connection:
        engine = SimpleNamespace(sql=lambda text: connection.sql(text).to_arrow_table())
        opened = SimpleNamespace(snapshot=snapshot(tmp_path), engine=engine)
        names = seen(opened, "", DIALECTS)["pipecat"]  # type: ignore[arg-type]
    for under_way, state in ((True, "sometimes"), (False, "missing")):
        found = fields_of(dialect_of("pipecat"), names, under_way=under_way)
        assert [one.state for one in found if (one.span, one.key) == ("turn", "")] == [state]
