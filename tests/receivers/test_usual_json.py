"""The quick reading of OTLP/JSON: what protobuf's own JSON reader gives, or nothing."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.receivers.jsonids import ids_to_base64
from otel_voicebot.receivers.usualjson import usual
from tests.spans.requests import LOG_REQUESTS, REQUESTS

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
IDS = {"traceId", "spanId", "parentSpanId"}


def plainly(document: dict[str, Any], kind: type[Message]) -> Message | None:
    """What protobuf's reader makes of it; None where it refuses."""
    document = copy.deepcopy(document)
    try:
        ids_to_base64(document)
        return json_format.ParseDict(document, kind(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError):
        return None


def otlp(message: Message, **options: bool) -> dict[str, Any]:
    """A message as OTLP/JSON: ids in hex."""
    document: dict[str, Any] = json_format.MessageToDict(message, **options)  # type: ignore[arg-type]
    for holder in objects(document):
        for key in IDS & holder.keys():
            raw = json_format.base64.b64decode(holder[key])  # type: ignore[attr-defined]
            holder[key] = raw.hex()
    return document


def objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, list):
        return [found for item in value for found in objects(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for item in value.values() for found in objects(item))]


def same(document: dict[str, Any], kind: type[Message]) -> Message | None:
    """Demand that the quick reading is the plain one, or none; gives it."""
    before = copy.deepcopy(document)
    quick = usual(document, kind)
    assert repr(document) == repr(before)
    if quick is not None:
        plain = plainly(document, kind)
        assert plain is not None
        assert quick.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)
    return quick


@settings(max_examples=100, deadline=None)
@given(st.one_of(REQUESTS, LOG_REQUESTS), st.booleans())
def test_whatever_a_request_holds_it_is_read_as_protobuf_reads_it(made: Any, numbers: bool) -> None:
    """Spans and logs, with enums as names or numbers."""
    document = json.loads(json.dumps(otlp(made, use_integers_for_enums=numbers)))
    same(document, type(made))


@settings(max_examples=200, deadline=None)
@given(st.one_of(REQUESTS, LOG_REQUESTS), st.data())
def test_whatever_is_changed_it_is_read_as_protobuf_reads_it_or_not_at_all(made: Any, data: st.DataObject) -> None:
    """Any value replaced by anything else, any key by another: never another reading, never an exception."""
    document = json.loads(json.dumps(otlp(made)))
    for _ in range(data.draw(st.integers(1, 3))):
        holder = data.draw(st.sampled_from(objects(document)))
        if not holder:
            continue
        key = data.draw(st.sampled_from(sorted(holder)))
        if data.draw(st.booleans()):
            holder[key] = data.draw(st.sampled_from(ODD))
        else:
            holder[data.draw(st.sampled_from(KEYS))] = holder.pop(key)
    same(document, type(made))


ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        7,
        2**31,
        2**63,
        2**64,
        1.0,
        1.5,
        1e300,
        float("nan"),
        float("inf"),
        "",
        " ",
        "1",
        "-1",
    ),
    *("+1", "1_0", "1e3", " 1", "\u0661", "NaN", "Infinity", "true", "\ud800", "00" * 8, "0g" * 8, "AAAAAAAAAAA="),
    *(
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "00" * 16,
        "  " * 16,
        [],
        [None],
        [1],
        {},
        {"stringValue": 1},
        [{}],
        "STATUS_CODE_OK",
    ),
]
KEYS = [
    "name",
    "traceId",
    "trace_id",
    "startTimeUnixNano",
    "stringValue",
    "bytesValue",
    "unknown",
    "attributes",
    "kind",
]


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.json")), ids=lambda path: path.name)
def test_real_captures_are_usual(path: Path) -> None:
    """What frameworks and the Collector write takes the quick way."""
    assert same(json.loads(path.read_text()), ExportTraceServiceRequest) is not None


def test_usual_logs_are_usual() -> None:
    """A record as the Collector writes it."""
    record = {
        "timeUnixNano": "1700000000000000001",
        "observedTimeUnixNano": "1700000000000000002",
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "-3"}]}}}]}},
        "attributes": [{"key": "d", "value": {"doubleValue": 1}}, {"key": "b", "value": {"boolValue": True}}],
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "",
    }
    document = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {"name": "x"}, "logRecords": [record]}]}]}
    assert same(document, ExportLogsServiceRequest) is not None


@pytest.mark.parametrize("document", [None, [], "x", 1, {"unknown": 1}, {"resourceSpans": {}}, {"resourceSpans": [1]}])
def test_what_is_no_request_is_not_read(document: Any) -> None:
    """The general reader has the last word."""
    assert usual(document, ExportTraceServiceRequest) is None
