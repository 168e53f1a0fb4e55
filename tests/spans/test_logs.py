"""OTLP log requests to a batch."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans import LOGS, decode_logs
from tests.spans import oracle
from tests.spans.requests import LOG_REQUESTS, damaged

INGEST = 1_795_219_367_000_000


def request(*records: LogRecord) -> bytes:
    """A request with these records."""
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])]
    ).SerializeToString()


def texts(payload: bytes) -> list[bool]:
    """Which records have a text for a body."""
    return [
        oracle.is_string(record.body)
        for resource_logs in ExportLogsServiceRequest.FromString(payload).resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


@settings(max_examples=150, deadline=None)
@given(LOG_REQUESTS)
def test_decoding_equals_a_plain_reading_of_the_same_bytes(made: ExportLogsServiceRequest) -> None:
    """Whatever a request of logs holds, decode_logs gives the rows that protobuf's own classes give; none is lost."""
    payload = made.SerializeToString()
    expected = oracle.log_rows(payload)
    batch = decode_logs(payload)
    found = list(oracle.read_logs(batch.rows(INGEST), texts(payload)))
    assert len(found) == len(expected) == len(batch)
    lengths = [None if body is None else len(body) for body in batch.column("body").to_pylist()]
    assert [row["body_characters"] for row in found] == lengths
    for want, got in zip(expected, found, strict=True):
        assert {key: got[key] for key in want} == want
        assert got["time"] == want.get("time", INGEST)


@settings(max_examples=80, deadline=None)
@given(LOG_REQUESTS, st.data())
def test_damaged_bytes_are_unreadable_or_a_valid_batch(made: ExportLogsServiceRequest, data: st.DataObject) -> None:
    """Cutting a request short or changing a byte gives a sound batch or one clear error, nothing else."""
    try:
        batch = decode_logs(damaged(made, data))
    except UnreadableDataError:
        return
    batch.rows(INGEST).validate(full=True)


def test_no_bytes_are_no_records() -> None:
    """An empty request is valid and has no rows."""
    rows = decode_logs(b"").rows(INGEST)
    assert rows.num_rows == 0
    assert rows.schema.equals(LOGS, check_metadata=True)


def test_a_record_of_nothing_is_kept() -> None:
    """A record without trace, time, severity and body is a record; its time is when it came in."""
    (row,) = decode_logs(request(LogRecord())).rows(INGEST).to_pylist()
    assert (row["trace_id"], row["severity_number"], row["body"], row["body_characters"]) == (None, None, None, None)
    assert decode_logs(request(LogRecord())).rows(INGEST).column("time").cast(pa.int64()).to_pylist() == [INGEST]


def test_text_that_is_no_utf8_is_refused() -> None:
    """In bodies too, as protobuf demands."""
    payload = request(LogRecord(body=AnyValue(string_value="word"))).replace(b"word", b"\xff\xff\xff\xff")
    with pytest.raises(UnreadableDataError, match="not an OTLP log request"):
        decode_logs(payload)


@pytest.mark.parametrize("size", [0, 1, 123, 124, 125, 127, 128, 16_381, 16_384, 2_100_000])
def test_bodies_of_every_length_are_read(size: int) -> None:
    """Lengths of one, two, three and four bytes."""
    payload = request(LogRecord(body=AnyValue(string_value="a" * size)), LogRecord(body=AnyValue(int_value=7)))
    batch = decode_logs(payload)
    assert batch.column("body").to_pylist() == ["a" * size, "7"]
    assert batch.column("body_characters").to_pylist() == [size, 1]
