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

SMALL = Policy(capture_content=True, bounds=Bounds(attributes=3, length=5))


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
