"""Log records to rows: which texts stay."""

from typing import Any

import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_voicebot import semconv
from otel_voicebot.processors import Policy, prepare_logs
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import LOGS, decode_logs
from tests.processors.batches import _pairs, _value

SAID = "my card number is four one one one"


def prepared(policy: Policy, metrics: SelfMetrics | None = None, **record: Any) -> dict[str, Any]:
    """The row of one record with these fields; ``resource`` and ``scope`` are those of its request."""
    resource, scope = record.pop("resource", {}), record.pop("scope", "app.dialogue")
    made = LogRecord(
        body=_value(record.pop("body", None)),
        attributes=_pairs(record.pop("attributes", {})),
        time_unix_nano=1,
        **record,
    )
    payload = LogsData(
        resource_logs=[
            ResourceLogs(
                resource=Resource(attributes=_pairs(resource)),
                scope_logs=[ScopeLogs(scope=InstrumentationScope(name=scope), log_records=[made])],
            )
        ]
    ).SerializeToString()
    rows = prepare_logs(decode_logs(payload), policy, metrics or SelfMetrics(), "test", 1_795_219_367_000_000)
    rows.validate(full=True)
    assert rows.schema.equals(LOGS, check_metadata=True)
    (row,) = rows.to_pylist()
    return {**row, "attributes": dict(row["attributes"]), "attributes_typed": dict(row["attributes_typed"])}


def test_nothing_said_is_stored_wherever_it_stands() -> None:
    """With content capture off no field of a row holds what was said; its lengths stay."""
    everywhere = {
        "body": SAID,
        "event_name": SAID,
        "severity_text": SAID,
        "scope": SAID,
        "attributes": {"exception.message": SAID, "session.id": SAID, "list": [SAID], SAID: 1},
        "resource": {"service.name": SAID, "other": SAID},
    }
    metrics = SelfMetrics()
    row = prepared(Policy(), metrics, **everywhere)
    assert "card number" not in repr(row)
    assert (row["body"], row["body_characters"]) == (None, len(SAID))
    assert row["event_name"] == f"(withheld, {len(SAID)} characters)"
    assert row["attributes"]["exception.message"] is None
    assert row["attributes_typed"]["exception.message"] == f'{{"withheld_characters":{len(SAID)}}}'
    assert metrics.get(semconv.SELF_WITHHELD) >= 6
    kept = prepared(Policy(capture_content=True), **everywhere)
    assert (kept["body"], kept["event_name"], kept["attributes"]["exception.message"]) == (SAID, SAID, SAID)


def test_identifiers_stay() -> None:
    """Session, service, logger, severity and what `keep_attributes` names are stored without content capture."""
    row = prepared(
        Policy(keep=("order.*",)),
        body="started",
        severity_text="WARN",
        severity_number=13,
        event_name="session.started",
        attributes={"session.id": "call-1", "order.note": "two words and more", "retries": 3},
        resource={"service.name": "bank-bot", "deployment.environment.name": "production"},
    )
    names = ("session_id", "service_name", "environment", "scope_name", "severity_text", "event_name")
    assert [row[name] for name in names] == [
        "call-1",
        "bank-bot",
        "production",
        "app.dialogue",
        "WARN",
        "session.started",
    ]
    assert row["attributes"] == {"order.note": "two words and more"}
    assert row["attributes_typed"] == {"retries": "3"}
    assert row["body"] is None


def test_a_structured_body_is_content_too() -> None:
    """A map or a list as a body is JSON text where content may be stored, and withheld elsewhere."""
    body = {"heard": SAID, "confidence": 0.5}
    row = prepared(Policy(), body=body)
    assert (row["body"], row["body_characters"]) == (None, len(f'{{"heard":"{SAID}","confidence":0.5}}'))
    assert prepared(Policy(capture_content=True), body=body)["body"] == f'{{"heard":"{SAID}","confidence":0.5}}'


def test_received_records_are_counted_by_door() -> None:
    """One counter a door."""
    metrics = SelfMetrics()
    prepared(Policy(), metrics, body="x")
    assert metrics.get(semconv.SELF_LOGS_RECEIVED, "test") == 1


def test_a_request_without_records_gives_no_rows() -> None:
    """And the published schema all the same."""
    rows = prepare_logs(decode_logs(b""), Policy(), SelfMetrics(), "test", 0)
    assert rows.num_rows == 0
    assert isinstance(rows, pa.RecordBatch)
