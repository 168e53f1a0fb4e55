"""Which expected fields are there: on captures of real frameworks, and on copies with other names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.app.ingest import ingest
from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.receivers.requests import Request
from otel_voicebot.reports.drift import FieldState, fields_of, seen, version
from otel_voicebot.settings import Settings
from otel_voicebot.store import snapshot
from tests.reports.captures import capture, renamed, spans

OF = {
    "pipecat": "pipecat",
    "pipecat_1_0_0": "pipecat",
    "livekit": "livekit",
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
    assert unlike == ({("stt", "metrics.audio_seconds"): "older"} if name == "pipecat_1_0_0" else {})
    assert all(one.found <= one.of for one in found)


def written(name: str) -> list[str]:
    """The expected attributes that a capture has."""
    there = {attribute.key for span in spans(capture(name)) for attribute in span.attributes}
    return sorted({one.key for one in dialect_of(name).expected} & there)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OF for key in written(name)])
def test_a_renamed_attribute_is_named_with_its_new_name(tmp_path: Path, name: str, key: str) -> None:
    """Each expected attribute of each capture, with a longer name: it is said to be renamed, and to what."""
    new = f"{key}_seconds"
    found = fields(tmp_path, name, renamed(capture(name), key, new))
    assert {(one.key, one.like) for one in found if one.state == "renamed"} == {(key, new)}
    assert [one.key for one in found if one.state == "missing"] == []


ALWAYS = [(name, key) for name in ("pipecat", "livekit") for key in written(name)]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name, key in ALWAYS
        if any(one.key == key and one.always for one in dialect_of(name).expected)
        and key not in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")  # lk.llm_metrics has them as well
        and key not in ("gen_ai.response.time_to_first_chunk", "lk.transcription_delay", "lk.end_of_turn_delay")
    ],
)
def test_an_attribute_with_quite_another_name_is_missing_and_that_is_new(tmp_path: Path, name: str, key: str) -> None:
    """What a framework always writes is missed whatever takes its place, and what takes its place is named."""
    found = fields(tmp_path, name, renamed(capture(name), key, "zz.quux"))
    assert key in {one.key for one in found if one.state in ("missing", "renamed")}
    assert "zz.quux" in {one.key for one in found if one.state == "new"} | {one.like for one in found}


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
    """Pipecat without usage metrics."""
    request = capture("pipecat")
    gone = ("gen_ai.usage.", "metrics.character_count", "metrics.audio_seconds")
    for span in spans(request):
        kept = [one for one in span.attributes if not one.key.startswith(gone)]
        del span.attributes[:]
        span.attributes.extend(kept)
    missing = [one for one in fields(tmp_path, "pipecat", request) if one.state == "missing"]
    assert {one.key for one in missing} == {
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "metrics.character_count",
    }
    assert all("enable_usage_metrics=True" in one.enable for one in missing)


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


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pipecat", "turn.type"),
        ("pipecat", "vad_enabled"),
        ("livekit", "lk.speech.queue_wait"),
        ("livekit", "lk.previous_agent_label"),
    ],
)
def test_a_renamed_attribute_that_fills_no_column_is_named_too(tmp_path: Path, name: str, key: str) -> None:
    """What is known of a framework and is nowhere, beside something new that resembles it."""
    found = fields(tmp_path, name, renamed(capture(name), key, f"{key}_v2"))
    assert {(one.key, one.like) for one in found if one.state == "renamed"} == {(key, f"{key}_v2")}
