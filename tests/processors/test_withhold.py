"""The content policy, with content capture off."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceState

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS
from otel_voicebot.processors import normalise, withhold
from otel_voicebot.processors.withhold import SAFE
from otel_voicebot.spans import SpanBatch, collect
from tests.spans.requests import SDK_VALUES

INGEST = 1_795_219_367_000_000
IDS = count(1)
SECRET = "xylophonic"
CONTENT = sorted(
    {name for name, one in semconv.ATTRIBUTES.items() if one.content}.union(*(one.content for one in DIALECTS))
)


def span(attributes: dict[str, Any] | None = None, **changes: Any) -> ReadableSpan:
    """An ended turn."""
    given: dict[str, Any] = {
        "resource": Resource({}),
        "instrumentation_scope": InstrumentationScope(semconv.SCOPE_NAME),
    }
    context = SpanContext(1, next(IDS), is_remote=False)
    return ReadableSpan(
        semconv.SPAN_TURN, context, attributes=attributes, start_time=1000, end_time=2000, **{**given, **changes}
    )


def rows(batch: SpanBatch) -> list[dict[str, Any]]:
    """Rows with their maps as dicts."""
    table = batch.rows(INGEST)
    table.validate(full=True)
    found = table.to_pylist()
    for row in found:
        row["attributes"], row["attributes_typed"] = dict(row["attributes"]), dict(row["attributes_typed"])
    return found


def withheld(*spans: ReadableSpan, keep: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], int]:
    """Rows after all processors, and how many texts were taken out."""
    batch = withhold(normalise(collect(spans)), keep)
    return rows(batch), batch.withheld


SECRETS = [
    SECRET,
    f"my password is {SECRET}",
    [SECRET, "x"],
    {"deep": [{"er": SECRET}]},
    SECRET.encode(),
]


@pytest.mark.parametrize("value", SECRETS, ids=str)
@pytest.mark.parametrize(
    "key", ["own.key", SECRET[:3], "gen_ai.prompt", "llm.input_messages.0.message.content", *CONTENT]
)
def test_a_text_under_an_unknown_or_content_key_survives_nowhere(key: str, value: Any) -> None:
    """On spans, events, links and resources, flat or nested; the key and the length stay."""
    attributes = {key: value, "number": 5, "flag": True, "ratio": 0.5}
    (row,), taken = withheld(
        span(
            attributes,
            events=[Event("happened", attributes, 5)],
            links=[Link(SpanContext(2, 2, is_remote=False), attributes)],
            resource=Resource(attributes),
            status=Status(StatusCode.ERROR, f"it was {SECRET}"),
        )
    )
    stored = repr(row)
    assert SECRET not in stored
    assert "eHlsb3Bob25pY" not in stored, "nor as base64"
    assert row["attributes"][key] is None
    assert json.loads(row["attributes_typed"][key])["withheld_characters"] >= len(SECRET)
    for text in (row["events"][0]["attributes"], row["links"][0]["attributes"], row["resource_attributes"]):
        found = json.loads(text)
        assert found.pop(key) == json.loads(row["attributes_typed"][key])
        assert found == {"number": 5, "flag": True, "ratio": 0.5}
    assert {key: row["attributes_typed"][key] for key in ("number", "flag", "ratio")} == {
        "number": "5",
        "flag": "true",
        "ratio": "0.5",
    }
    assert taken == 5


def test_the_text_of_an_exception_is_withheld_and_its_type_stays() -> None:
    """As the SDK records it."""
    event = Event(
        semconv.EXCEPTION,
        {
            semconv.EXCEPTION_TYPE: "ValueError",
            semconv.EXCEPTION_MESSAGE: SECRET,
            semconv.EXCEPTION_STACKTRACE: f'File "bot.py"\n{SECRET}',
        },
        5,
    )
    (row,), _ = withheld(span(events=[event], status=Status(StatusCode.ERROR, SECRET)))
    assert SECRET not in repr(row)
    assert (row["error_type"], row["status_message"]) == ("ValueError", None)
    assert json.loads(row["events"][0]["attributes"])["exception.type"] == "ValueError"


@pytest.mark.parametrize("key", sorted(set(semconv.ATTRIBUTES) - set(CONTENT)))
def test_identifiers_stay_and_sentences_under_their_keys_do_not(key: str) -> None:
    """Of our own names, wherever they stand."""
    (good,), _ = withheld(span({key: "loan"}, events=[Event("e", {key: "loan"}, 5)]))
    assert "loan" in good.values() or good["attributes"] == {key: "loan"}
    assert json.loads(good["events"][0]["attributes"]) == {key: "loan"}
    long = "word " * 50 + SECRET
    (bad,), taken = withheld(span({key: long}, events=[Event("e", {key: long}, 5)]))
    assert SECRET not in repr(bad)
    assert bad["attributes"] == {key: None}
    assert taken == 2


@pytest.mark.parametrize("text", ["give me money", "a\tb\nc", "one\u3000two\u3000three", "x" * 201])
@pytest.mark.parametrize("key", [semconv.ERROR_TYPE, semconv.INTENT_NAME, semconv.CACHE_ENTRY, "code.function.name"])
def test_what_looks_like_speech_is_no_identifier(key: str, text: str) -> None:
    """Three words, by any white space, or more than 200 characters."""
    (row,), taken = withheld(span({key: text}))
    assert (row["attributes"][key], taken) == (None, 1)
    assert text not in row.values()


def test_a_configured_name_may_have_four_words_in_title_case() -> None:
    """Bot, channel, variant, provider, model and agent are named by the developer, not at run time."""
    names = {semconv.BOT: "First National Bank bot", semconv.REQUEST_MODEL: "Whisper Large v3 Turbo"}
    (row,), taken = withheld(span(names))
    assert (row["bot"], row["model"], taken) == (*names.values(), 0)


@pytest.mark.parametrize(
    "text", ["my secret is ill", "MY SECRET IS ILL", "Ich will Geld", "A B C D Ee", "Long " + "N" * 60, "我想贷款"]
)
@pytest.mark.parametrize("key", [semconv.BOT, semconv.AGENT, semconv.PROVIDER, semconv.REQUEST_MODEL])
def test_what_looks_like_speech_is_no_configured_name(key: str, text: str) -> None:
    """Nor are long names and those of scripts without spaces, unless the user names the attribute."""
    if text.startswith("Long"):
        text = f"{text} Is"
    (row,), taken = withheld(span({key: text}))
    assert (text in repr(row), taken) == (False, 1)
    assert f'{{"withheld_characters":{len(text)}}}' in row["attributes_typed"].values()
    (kept,), taken = withheld(span({key: text}), keep=("voicebot.*", "gen_ai.*"))
    assert (text in repr(kept), taken) == (True, 0)


@pytest.mark.parametrize("text", ["私は病気です", "ฉันป่วย", "대출받고싶어요", "my,secret,is,ill"])
@pytest.mark.parametrize(
    "key", [semconv.INTENT_NAME, semconv.ERROR_TYPE, semconv.SESSION_ID, "http.route", "code.function.name"]
)
def test_sentences_without_spaces_are_no_identifiers(key: str, text: str) -> None:
    """Three letters of a script that has no spaces may be one; commas part words."""
    (row,), taken = withheld(span({key: text}))
    assert (text in repr(row), taken) == (False, 1)


@pytest.mark.parametrize(
    "text", ["gpt-4o-mini-2025-04-14", "ask_for_a_new_loan", "Überweisung", "kredit/höhe", "日本", "a::b<c>", "Кредит"]
)
def test_identifiers_of_many_parts_stay(text: str) -> None:
    """Models, intents and classes are joined words, of any script with spaces."""
    (row,), taken = withheld(span({semconv.INTENT_NAME: text, "gen_ai.response.id": text}))
    assert (row["intent"], row["attributes"], taken) == (text, {"gen_ai.response.id": text}, 0)


@pytest.mark.parametrize(
    "value",
    [
        ["my", "secret", "is", "ill"],
        {"my": "x"},
        [["my", "secret", "is"]],
        ["my\nsecret\nis"],
        b"my secret",
        ["我想贷款"],
    ],
    ids=str,
)
def test_lists_of_three_words_and_maps_are_withheld_under_safe_keys(value: Any) -> None:
    """Also bytes and what is escaped; a short list stays."""
    (row,), taken = withheld(span({"gen_ai.response.finish_reasons": value, "k8s.pod.name": ["stop", "length"]}))
    assert row["attributes_typed"]["gen_ai.response.finish_reasons"].startswith('{"withheld_characters"')
    assert (row["attributes_typed"]["k8s.pod.name"], taken) == ('["stop","length"]', 1)


@pytest.mark.parametrize("text", ["my secret is ill", "x" * 201, "私は病気です"])
def test_names_that_are_no_identifiers_are_replaced_and_the_rows_stay(text: str) -> None:
    """Of spans, scopes, events, attributes and trace states."""
    state = TraceState([("a", text)]) if text.startswith("my") else TraceState()
    link = Link(SpanContext(2, 2, is_remote=False, trace_state=state), {text: 1})
    other = span(events=[Event("fine", {"a": 1}, 5)])
    named = span(
        {text: 5, text[:-1] + "?": 6, "plain": 7},
        events=[Event(text, {text: 1}, 5)],
        links=[link],
        resource=Resource({text: 1}),
    )
    named._name = text
    named._instrumentation_scope = InstrumentationScope(text, text)
    (first, row), _ = withheld(other, named)
    name = f"(withheld, {len(text)} characters)"
    assert text not in repr(row)
    assert (row["name"], row["scope_name"], row["scope_version"], row["events"][0]["name"]) == (name,) * 4
    assert sorted(row["attributes_typed"].values()) == ["5", "6", "7"]
    assert name in row["attributes_typed"]
    assert (first["name"], first["events"][0]["name"]) == (semconv.SPAN_TURN, "fine")


def test_a_trace_state_of_members_stays() -> None:
    """As the specification writes them; one with white space does not."""
    found = []
    for members in ([("ot", "th:8;rv:abc"), ("vendor", "1"), ("third", "x")], [("a", "my secret is ill")]):
        one = span()
        one._context = SpanContext(1, 2, is_remote=False, trace_state=TraceState(members))
        (row,), _ = withheld(one)
        found.append(row["trace_state"])
    assert found == ["ot=th:8;rv:abc,vendor=1,third=x", "(withheld, 18 characters)"]


def test_content_columns_are_emptied_and_leave_their_length() -> None:
    """What was said is counted in characters, under its own key; of several spans only those that carry it."""
    found, taken = withheld(span(), span({semconv.USER_TEXT: "i want a loan", "z": 1}), span({semconv.BOT_TEXT: "yes"}))
    assert [row["user_text"] for row in found] == [row["bot_text"] for row in found] == [None, None, None]
    assert [row["attributes_typed"] for row in found] == [
        {},
        {semconv.USER_TEXT: '{"withheld_characters":13}', "z": "1"},
        {semconv.BOT_TEXT: '{"withheld_characters":3}'},
    ]
    assert taken == 2


def test_what_the_user_names_is_kept_except_content() -> None:
    """Names and globs of ``keep_attributes``; storing content is what content capture is for."""
    attributes = {"shop.basket": "three red apples", "shop.id": "7", "other": "x", semconv.INPUT_MESSAGES: SECRET}
    (row,), taken = withheld(span(attributes), keep=("shop.*", "gen_ai.*"))
    assert row["attributes"] == {
        "shop.basket": "three red apples",
        "shop.id": "7",
        "other": None,
        semconv.INPUT_MESSAGES: None,
    }
    assert taken == 2


def test_the_resource_of_an_ordinary_process_stays_readable() -> None:
    """What names deployment, host, SDK and service is stored; arguments of the command line are not."""
    resource = {
        "service.name": "First National Bank bot",
        "telemetry.sdk.name": "opentelemetry",
        "host.name": "node-1",
        "k8s.pod.name": "bot-7d9",
        "os.name": "Ubuntu",
    }
    secret = {"process.command_args": ["--token", SECRET], "process.command_line": f"bot --token {SECRET}"}
    (row,), taken = withheld(span(resource=Resource({**resource, **secret})))
    found = json.loads(row["resource_attributes"])
    assert {key: found[key] for key in resource} == resource
    assert SECRET not in repr(row)
    assert taken == 2


def test_every_safe_key_has_its_reason() -> None:
    """And none of them is content."""
    assert all(SAFE.values())
    assert not set(SAFE) & set(CONTENT)


def test_an_empty_text_is_nothing_to_withhold() -> None:
    """It stays as it is, and isn't counted."""
    (row,), taken = withheld(span({"own": "", semconv.SESSION_ID: ""}))
    assert (row["attributes"], taken) == ({"own": "", semconv.SESSION_ID: ""}, 0)


def test_the_batch_before_is_not_changed() -> None:
    """A stage returns a new batch; the old one still has its texts."""
    before = normalise(collect([span({"own": SECRET, semconv.USER_TEXT: "hello"})]))
    withhold(before)
    (row,) = rows(before)
    assert (row["attributes"], row["user_text"]) == ({"own": SECRET}, "hello")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=2), SDK_VALUES, max_size=6), max_size=4))
def test_of_unknown_keys_no_text_is_left(generated: list[dict[str, Any]]) -> None:
    """Numbers and booleans stay, nothing else, whatever the values are."""
    found, _ = withheld(*(span(attributes) for attributes in generated))
    for row, attributes in zip(found, generated, strict=True):
        assert not any(row["attributes"].values())
        for key, text in row["attributes_typed"].items():
            value = json.loads(text)
            if isinstance(value, dict):
                assert value.keys() <= {"withheld_characters", "double"}
            else:
                assert value is None or value == attributes[key]
