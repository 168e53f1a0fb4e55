"""Bounds of what a span may carry."""

import json

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs

from otel_voicebot import semconv
from otel_voicebot.processors import Policy, prepare, prepare_logs
from otel_voicebot.processors.limits import Bounds
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode_logs
from tests.processors.batches import Made, batch, filled

SMALL = Policy(capture_content=True, bounds=Bounds(attributes=3, length=5, name=20))


def _prepared(*spans: Made, policy: Policy = SMALL) -> tuple[list[dict], SelfMetrics]:
    metrics = SelfMetrics()
    rows = prepare(batch(*spans), policy, metrics, "grpc", 0)
    rows.validate(full=True)
    return filled(rows, "name", "attributes", "attributes_typed", "events", "resource_attributes", "links"), metrics


def test_first_attributes_stay() -> None:
    """Of a span with too many attributes the first stay, its neighbours keep theirs, and the others are counted."""
    many = {f"k{place}": place for place in range(7)}
    rows, metrics = _prepared(Made(attributes={"a": "x"}), Made(attributes=many), Made(attributes={"b": "y"}))
    assert rows[0]["attributes"] == {"a": "x"}
    assert rows[1]["attributes_typed"] == {"k0": "0", "k1": "1", "k2": "2"}
    assert rows[2]["attributes"] == {"b": "y"}
    assert metrics.get(semconv.SELF_LIMITED, "count") == 4
    assert metrics.get(semconv.SELF_LIMITED, "length") == 0


@pytest.mark.parametrize(
    ("given", "kept"), [("12345", "12345"), ("123456", "12345"), ("äöüßéx", "äöüßé"), ("ü" * 5, "ü" * 5)]
)
def test_texts_are_cut_at_characters(given: str, kept: str) -> None:
    """A text keeps its first characters, whatever their bytes; one within the bound is left alone and not counted."""
    rows, metrics = _prepared(Made(attributes={"text": given, "number": 123456789}))
    assert rows[0]["attributes"] == {"text": kept}
    assert rows[0]["attributes_typed"] == {"number": "123456789"}
    assert metrics.get(semconv.SELF_LIMITED, "length") == (given != kept)


def test_long_lists_leave_their_length() -> None:
    """An array that is too long as JSON is replaced by its length, as half of it would not be JSON."""
    rows, metrics = _prepared(Made(attributes={"list": ["aaaa", "bbbb"], "short": [1]}))
    assert rows[0]["attributes_typed"] == {"list": '{"withheld_characters":15}', "short": "[1]"}
    assert metrics.get(semconv.SELF_LIMITED, "length") == 1


def test_children_and_resources_are_bounded_too() -> None:
    """Events, links and resources have the same bounds, each on its own."""
    many = {f"k{place}": "123456" for place in range(4)}
    rows, metrics = _prepared(Made(events=[("e", 1, many), ("f", 2, many)], links=[many], resource=many))
    kept = {f"k{place}": "12345" for place in range(3)}
    assert [json.loads(event["attributes"]) for event in rows[0]["events"]] == [kept, kept]
    assert json.loads(rows[0]["links"][0]["attributes"]) == kept
    assert json.loads(rows[0]["resource_attributes"]) == kept
    assert metrics.get(semconv.SELF_LIMITED, "count") == 4
    assert metrics.get(semconv.SELF_LIMITED, "length") == 12


def test_log_records_are_bounded_too() -> None:
    """A log record keeps its first attributes and the first characters of a text."""
    pairs = [KeyValue(key=f"k{place}", value=AnyValue(string_value="123456")) for place in range(5)]
    logs = LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(attributes=pairs)])])])
    metrics = SelfMetrics()
    rows = prepare_logs(decode_logs(logs.SerializeToString()), SMALL, metrics, "grpc", 0)
    assert rows["attributes"].to_pylist() == [[("k0", "12345"), ("k1", "12345"), ("k2", "12345")]]
    assert metrics.get(semconv.SELF_LIMITED, "count") == 2
    assert metrics.get(semconv.SELF_LIMITED, "length") == 3


def test_defaults_leave_real_spans_alone() -> None:
    """Ten thousand characters and five hundred attributes are within the default bounds."""
    many = {f"k{place}": "x" for place in range(500)}
    rows, metrics = _prepared(Made(attributes={**many, "long": "y" * 10_000}), policy=Policy(capture_content=True))
    assert len(rows[0]["attributes"]) == 501
    assert len(rows[0]["attributes"]["long"]) == 10_000
    assert not [name for name, _ in metrics.read() if name == semconv.SELF_LIMITED.name]


def _messages(*more: dict, characters: int = 70_000) -> str:
    first = [{"role": "system", "content": "x" * characters}, {"role": "user", "content": "what is my balance"}]
    return json.dumps([*first, *more])


def test_a_dialect_reads_the_whole_text() -> None:
    """Pipecat's input grows with the call: whether a tool's result is its end is read before it is cut."""
    tool, user = {"role": "tool", "content": "42"}, {"role": "user", "content": "and now"}
    wordy = {"role": "user", "content": [{"type": "tool_result", "content": "42"}]}
    spans = [Made("llm", {"input": _messages(one)}, scope="pipecat") for one in (tool, user, wordy)]
    metrics = SelfMetrics()
    rows = prepare(batch(*spans), Policy(capture_content=True), metrics, "grpc", 0)
    assert rows["after_tool"].to_pylist() == [True, False, True]
    assert [len(dict(kept)["input"]) for kept in rows["attributes"].to_pylist()] == [65_536] * 3
    assert metrics.get(semconv.SELF_LIMITED, "length") == 3


def test_what_the_caller_said_is_found_in_a_long_list_of_messages() -> None:
    """The last of a hundred thousand characters of messages is the caller's, and is not lost with the cut."""
    given = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": _messages()}
    rows = prepare(batch(Made("chat x", given, scope="any")), Policy(capture_content=True), SelfMetrics(), "grpc", 0)
    assert rows["user_text"].to_pylist() == ["what is my balance"]
    assert rows["user_words"].to_pylist() == [4]


def test_content_columns_are_cut() -> None:
    """What was said, and an error's message, are bounded as attributes are; their words are counted before."""
    spans = [
        Made("stt", {"transcript": "one two three"}, scope="pipecat", message="failed", failed=True),
        Made("tts", {"text": "four five"}, scope="pipecat"),
        Made("tts", {"text": "six"}, scope="pipecat", message="fine"),
    ]
    metrics = SelfMetrics()
    rows = prepare(batch(*spans), SMALL, metrics, "grpc", 0)
    said = filled(rows, "user_text", "bot_text", "user_words", "bot_words", "status_message")
    assert said == [
        {"user_text": "one t", "user_words": 3, "status_message": "faile"},
        {"bot_text": "four ", "bot_words": 2},
        {"bot_text": "six", "bot_words": 1, "status_message": "fine"},
    ]
    assert metrics.get(semconv.SELF_LIMITED, "length") == 3


def test_names_are_cut() -> None:
    """A span's name and its scope's, its events' names: none is longer than the bound when content is stored."""
    made = Made("n" * 21, scope="s" * 22, events=[("e" * 23, 1, {}), ("f" * 20, 2, {})])
    metrics = SelfMetrics()
    row = prepare(batch(made), SMALL, metrics, "grpc", 0).to_pylist()[0]
    names = [row["name"], row["scope_name"], *(one["name"] for one in row["events"])]
    assert names == ["n" * 20, "s" * 20, "e" * 20, "f" * 20]
    assert metrics.get(semconv.SELF_LIMITED, "length") == 3


def test_withheld_texts_are_not_cut() -> None:
    """Without content capture nothing is left to cut: the text's whole length stays, and no value is limited."""
    policy = Policy(bounds=Bounds(attributes=3, length=30))
    rows, metrics = _prepared(Made("llm", {"input": "x" * 100}, scope="pipecat", message="y" * 40), policy=policy)
    assert rows[0]["attributes_typed"] == {"input": '{"withheld_characters":100}'}
    assert metrics.get(semconv.SELF_LIMITED, "length") == 0


def test_a_huge_text_is_not_parsed() -> None:
    """Beyond 4 MiB JSON is not parsed, as its objects would take a gigabyte: what only that could tell is unknown."""
    tool = {"role": "tool", "content": "42"}
    told_by_parsing = {"role": "user", "content": [{"type": "tool_result", "content": "42"}]}
    huge = 5 << 20
    spans = [
        Made("llm", {"input": _messages(one, characters=huge)}, scope="pipecat") for one in (tool, told_by_parsing)
    ]
    given = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": _messages(characters=huge)}
    rows = prepare(batch(*spans, Made("chat", given)), Policy(capture_content=True), SelfMetrics(), "grpc", 0)
    assert rows["after_tool"].to_pylist()[:2] == [True, None]
    assert rows["user_text"].to_pylist() == [None, None, None]


def test_words_of_a_huge_text_are_not_counted() -> None:
    """A transcript of more than a million characters is no speech: how many words it has is unknown."""
    texts = ["word " * 1000, "word " * 300_000]
    spans = [Made("stt", {"transcript": text}, scope="pipecat") for text in texts]
    rows = prepare(batch(*spans), Policy(capture_content=True), SelfMetrics(), "grpc", 0)
    assert rows["user_words"].to_pylist() == [1000, None]
