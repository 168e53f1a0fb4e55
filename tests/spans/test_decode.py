"""OTLP bytes to a batch."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans import SPANS, decode
from tests.spans import oracle
from tests.spans.requests import REQUESTS, damaged

CAPTURES = sorted((Path(__file__).parent.parent / "data" / "captures").glob("*.pb"))
INGEST = 1_795_219_367_000_000


def request(*spans: Span) -> bytes:
    """A request with these spans; what makes a span valid is filled in where it is missing."""
    for number, span in enumerate(spans, 1):
        span.trace_id = span.trace_id or b"\1" * 16
        span.span_id = span.span_id or number.to_bytes(8, "big")
        span.start_time_unix_nano = span.start_time_unix_nano or 1000
        span.end_time_unix_nano = span.end_time_unix_nano or 2000
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    ).SerializeToString()


def same(payload: bytes) -> None:
    """Demand the oracle's rows and refusals."""
    expected, rejected = oracle.rows(payload)
    batch = decode(payload)
    found = list(oracle.read(batch.rows(INGEST)))
    assert len(found) == len(expected) == len(batch)
    for want, got in zip(expected, found, strict=True):
        assert {key: got[key] for key in want} == want
    assert batch.rejected == rejected


@settings(max_examples=80, deadline=None)
@given(REQUESTS)
def test_decoding_equals_a_plain_reading_of_the_same_bytes(made: ExportTraceServiceRequest) -> None:
    """Whatever a request holds, decode gives the rows that a reader with protobuf's own classes gives."""
    same(made.SerializeToString())


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_decoding_equals_a_plain_reading_of_what_frameworks_send(path: Path) -> None:
    """Captured requests of real frameworks become the rows that the plain reading gives."""
    payload = path.read_bytes()
    assert oracle.rows(payload)[0]
    same(payload)


def test_captures_are_there() -> None:
    """The test above is not vacuous."""
    assert len(CAPTURES) == 6


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.data())
def test_damaged_bytes_are_unreadable_or_a_valid_batch(made: ExportTraceServiceRequest, data: st.DataObject) -> None:
    """Cutting a request short or changing a byte gives a sound batch or one clear error, nothing else."""
    try:
        batch = decode(damaged(made, data))
    except UnreadableDataError:
        return
    batch.rows(INGEST).validate(full=True)


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_truncated_request_is_named_unreadable(cut: int) -> None:
    """The error says what was expected and how much there was."""
    payload = CAPTURES[0].read_bytes()[:-cut]
    with pytest.raises(UnreadableDataError, match=rf"not an OTLP trace request \({len(payload)} bytes\)"):
        decode(payload)


def test_text_that_is_no_utf8_is_refused() -> None:
    """As protobuf demands: in names, keys and values, flat or nested."""
    for place in ("name", "key", "value", "nested"):
        span = Span(
            name="name",
            attributes=[
                KeyValue(key="key", value=AnyValue(string_value="value")),
                KeyValue(key="x", value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="nested")]))),
            ],
        )
        payload = request(span).replace(place.encode(), b"\xff" * len(place))
        with pytest.raises(UnreadableDataError):
            decode(payload)


UNUSUAL = {
    "value before key": "12021801 0a016b",
    "two values, which merge": "0a016b 12021801 12021802",
    "a varint longer than needed": "0a016b 1203188100",
    "an int of eleven bytes": "0a016b 120d 18 ffffffffffffffffffff01",
    "int, then bool": "0a016b 1204 1801 1000",
    "empty text, then int": "0a016b 1204 0a00 1801",
    "the key's length in two bytes": "0a8100 6b 12021801",
    "true as 2": "0a016b 12021002",
    "an unknown field first": "0a016b 1204 7801 1801",
    "a double cut short": "0a016b 1205 2100000000",
    "a text longer than its message": "0a016b 1203 0a0561",
    "no value": "0a016b",
    "nothing": "",
}


@pytest.mark.parametrize("message", [bytes.fromhex(text) for text in UNUSUAL.values()], ids=list(UNUSUAL))
def test_unusual_encodings_of_an_attribute_are_read_as_protobuf_reads_them(message: bytes) -> None:
    """Encoders may order, repeat and pad fields; what is no valid message makes the request unreadable."""
    whole = request(Span(attributes=[KeyValue(key="#" * 100)]))
    marker = KeyValue(key="#" * 100).SerializeToString()
    room = len(marker) - len(message) - 2
    filler = b"\x7a" + bytes([room]) + b"p" * room  # an unknown field, so that lengths stay right
    for variant in (message + filler, filler + message):
        payload = whole.replace(marker, variant)
        try:
            oracle.rows(payload)
        except DecodeError:
            with pytest.raises(UnreadableDataError):
                decode(payload)
        else:
            same(payload)


def test_no_bytes_are_no_spans() -> None:
    """An empty request is valid and has no rows."""
    rows = decode(b"").rows(INGEST)
    assert rows.num_rows == 0
    assert rows.schema.equals(SPANS, check_metadata=True)


def test_spans_without_identity_or_start_are_left_out_with_their_children() -> None:
    """One bad span costs itself only, and its attributes and events don't move to a neighbour."""
    bad = Span(span_id=b"\1" * 7, name="bad", attributes=[KeyValue(key="k", value=AnyValue(string_value="bad"))])
    bad.events.add(name="bad", time_unix_nano=5)
    good = Span(name="good", attributes=[KeyValue(key="k", value=AnyValue(string_value="good"))])
    good.events.add(name="good", time_unix_nano=5)
    batch = decode(request(bad, good))
    (row,) = batch.rows(INGEST).to_pylist()
    assert (row["name"], row["attributes"], row["events"][0]["name"]) == ("good", [("k", "good")], "good")
    assert batch.rejected == {"invalid_span_id": 1}


def test_of_a_repeated_key_the_last_value_stays() -> None:
    """Illegal but seen; a map with a key twice can't be read by engines."""
    span = Span(
        attributes=[
            KeyValue(key="k", value=AnyValue(int_value=1)),
            KeyValue(key="k", value=AnyValue(string_value="last")),
        ]
    )
    (row,) = decode(request(span)).rows(INGEST).to_pylist()
    assert (row["attributes"], row["attributes_typed"]) == ([("k", "last")], [])


def test_many_different_keys_are_kept_apart() -> None:
    """More keys than 16 bits hold."""
    count = 40_000
    span = Span(attributes=[KeyValue(key=f"k{n}", value=AnyValue(int_value=n)) for n in range(count)])
    rows = decode(request(span)).rows(INGEST)
    assert dict(rows.column("attributes_typed")[0].as_py()) == {f"k{n}": str(n) for n in range(count)}


def test_rows_have_the_published_schema() -> None:
    """Names, order, types and metadata; what no stage filled is null."""
    rows = decode(CAPTURES[0].read_bytes()).rows(INGEST)
    assert rows.schema.equals(SPANS, check_metadata=True)
    assert rows.column("component").null_count == rows.num_rows
    assert set(np.asarray(rows.column("ingest_time").cast(pa.int64()))) == {INGEST}
