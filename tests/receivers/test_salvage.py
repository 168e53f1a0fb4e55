"""What is kept of a damaged request, and how a crowded one is told without reading it."""

import pytest
from hypothesis import given, settings
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.receivers.salvage import crowded, salvage
from otel_voicebot.spans import decode, decode_logs
from tests.spans.requests import REQUESTS


def readable(payload: bytes) -> bool:
    """Whether all of it can be read."""
    try:
        decode(payload)
    except UnreadableDataError:
        return False
    return True


def request(names: list[bytes]) -> bytes:
    """A request whose spans have these names, valid UTF-8 or not."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add(schema_url="r").scope_spans.add(schema_url="s")
    made.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "bank"
    group.scope.name = "scope"
    for place, name in enumerate(names):
        group.spans.add(
            trace_id=b"t" * 16,
            span_id=bytes([1] * 7 + [place]),
            name="n" * len(name) if name else "",
            start_time_unix_nano=1,
        )
    payload = made.SerializeToString()
    for name in names:
        payload = payload.replace(
            b"\x2a" + bytes([len(name)]) + b"n" * len(name), b"\x2a" + bytes([len(name)]) + name, 1
        )
    return payload


@pytest.mark.parametrize("bad", [{0}, {4}, {9}, {0, 9}, {3, 4, 5}, set(range(10)) - {6}])
def test_the_spans_at_fault_are_left_out(bad: set[int]) -> None:
    """Exactly the damaged spans go, wherever they are; resource and scope stay with the others."""
    names = [bytes(20) + b"\xff" if place in bad else b"good-%d" % place for place in range(10)]
    payload = request(names)
    assert not readable(payload)
    found = salvage(payload, readable)
    assert found is not None
    kept, left_out = found
    assert left_out == len(bad)
    rows = decode(kept).rows(0)
    assert rows["name"].to_pylist() == [f"good-{place}" for place in range(10) if place not in bad]
    assert rows["scope_name"].unique().to_pylist() == ["scope"]
    assert rows["resource_attributes"].unique().to_pylist() == ['{"service.name":"bank"}']


def test_nothing_readable_is_nothing() -> None:
    """Bytes that are no request, and one whose spans are all damaged, give None."""
    assert salvage(b"\xff\xff", readable) is None
    assert salvage(request([b"\xff"]), readable) is None


def test_log_records_are_saved_too() -> None:
    """The same for logs: a body that is no UTF-8 costs its own record."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add().scope_logs.add()
    for text in ("one", "spoilt", "two"):
        group.log_records.append(LogRecord(body=AnyValue(string_value=text), time_unix_nano=1))
    payload = made.SerializeToString().replace(b"spoilt", b"sp\xff\xfelt")

    def logs_readable(some: bytes) -> bool:
        try:
            return decode_logs(some) is not None
        except UnreadableDataError:
            return False

    found = salvage(payload, logs_readable)
    assert found is not None
    assert found[1] == 1
    assert len(decode_logs(found[0])) == 2


def test_the_work_is_bounded() -> None:
    """However many are damaged, a request costs some hundred readings; the rest is left out."""
    tries = []

    def never(some: bytes) -> bool:
        tries.append(some)
        return False

    assert salvage(request([b"x"] * 200) * 20, never) is None
    assert len(tries) <= 512


@given(made=REQUESTS)
@settings(deadline=None, max_examples=40)
def test_crowds_are_counted_as_protobuf_counts(made: ExportTraceServiceRequest) -> None:
    """Resources, scopes and spans together: one more than allowed is a crowd, as many as allowed are none."""
    held = sum(
        1 + sum(1 + len(scope_spans.spans) for scope_spans in resource_spans.scope_spans)
        for resource_spans in made.resource_spans
    )
    # a resource, and a scope, are fields too, which are walked over
    fields = sum(
        resource_spans.HasField("resource") + bool(resource_spans.schema_url) for resource_spans in made.resource_spans
    )
    fields += sum(
        scope_spans.HasField("scope") + bool(scope_spans.schema_url)
        for resource_spans in made.resource_spans
        for scope_spans in resource_spans.scope_spans
    )
    payload = made.SerializeToString()
    assert not crowded(payload, held + fields)
    if held:
        assert crowded(payload, held - 1)


@pytest.mark.parametrize(
    "before", [b"", b"\x23\x24", b"\x20\x01", b"\x21" + bytes(8), b"\x25" + bytes(4), b"\xa0\x06\x01"]
)
def test_no_odd_field_hides_a_crowd(before: bytes) -> None:
    """What protobuf reads over is walked over."""
    inner = before + b"\x12\x00" * 100
    group = before + b"\x12" + bytes([0x80 | len(inner) & 0x7F, len(inner) >> 7]) + inner
    payload = before + b"\x0a" + bytes([0x80 | len(group) & 0x7F, len(group) >> 7]) + group
    assert decode(payload).rejected == {"invalid_trace_id": 100}
    assert crowded(payload, 99)
    assert not crowded(payload, 110)
