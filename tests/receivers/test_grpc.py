"""The OTLP/gRPC door, from the outside."""

import contextlib
import gzip
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_voicebot.errors import CannotStartError
from otel_voicebot.receivers.answers import Accepted, Answer, Refused
from otel_voicebot.receivers.grpc import GrpcReceiver
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.semconv import SELF_FAILURES, SELF_REFUSED
from tests.receivers.service import (
    CAPTURES,
    HEALTH_CHECK,
    LOGS_EXPORT,
    METRICS_EXPORT,
    TRACE_EXPORT,
    Doors,
    Scripted,
    StoreIntake,
    known,
)

CAPTURE = (CAPTURES / "pipecat.otlp.pb").read_bytes()


def span(name: str, trace_id: bytes = b"t" * 16, **fields: Any) -> Span:
    """One span, whose id is made from its name."""
    return Span(trace_id=trace_id, span_id=name.encode().ljust(8)[:8], name=name, start_time_unix_nano=1, **fields)


def request(*spans: Span) -> bytes:
    """A request with these spans."""
    holder = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[holder]).SerializeToString()


@contextmanager
def channel(doors: Doors, **options: Any) -> Iterator[grpc.Channel]:
    """A client's channel to the door."""
    with grpc.insecure_channel(f"127.0.0.1:{doors.grpc_port}", **options) as opened:
        yield opened


def export(doors: Doors, body: bytes, method: str = TRACE_EXPORT, **options: Any) -> bytes:
    """The answer to a request."""
    unlimited = [("grpc.max_send_message_length", -1)]
    with channel(doors, options=unlimited, **options) as opened:
        answer: bytes = opened.unary_unary(method)(body, timeout=30)
        return answer


def refusal(doors: Doors, body: bytes, method: str = TRACE_EXPORT) -> tuple[grpc.StatusCode, Status]:
    """The status, and the one in its details."""
    with pytest.raises(grpc.RpcError) as caught:
        export(doors, body, method)
    details = dict(caught.value.trailing_metadata()).get("grpc-status-details-bin", b"")
    return caught.value.code(), Status.FromString(details)


def retry_delay(status: Status) -> float:
    """Seconds that RetryInfo names."""
    (detail,) = status.details
    info = RetryInfo()
    assert detail.Unpack(info)
    return info.retry_delay.ToMilliseconds() / 1000


def test_a_real_capture_is_on_disk_when_it_is_answered(doors: Doors, intake: StoreIntake) -> None:
    """What was answered with OK is in the store, span by span, and the answer to a faultless request is empty."""
    assert export(doors, CAPTURE) == b""
    stored = list(intake.store.data.rglob("hot/spans/**/*.parquet"))
    assert len(stored) == 1
    assert sum(rows.num_rows for rows in intake.rows) == 38


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read(doors: Doors, intake: StoreIntake, compression: grpc.Compression) -> None:
    """GRPC's own compressions are undone."""
    assert export(doors, CAPTURE, compression=compression) == b""
    assert intake.offered == [("traces", CAPTURE)]


def test_the_official_exporter_is_served(doors: Doors, intake: StoreIntake) -> None:
    """OpenTelemetry's own gRPC exporter is told of success."""
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{doors.grpc_port}", insecure=True)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("hello"):
        pass
    provider.shutdown()
    assert intake.span_names() == ["hello"]


def test_bad_spans_are_rejected_one_by_one(doors: Doors, intake: StoreIntake) -> None:
    """A span without a valid id is told by partial success, its neighbour is kept."""
    answer = ExportTraceServiceResponse.FromString(export(doors, request(span("good"), span("bad", trace_id=b"short"))))
    assert answer.partial_success.rejected_spans == 1
    assert "invalid_trace_id" in answer.partial_success.error_message
    assert intake.span_names() == ["good"]


def test_damaged_spans_are_rejected_one_by_one(doors: Doors, intake: StoreIntake) -> None:
    """A name that is not UTF-8, which makes the whole message invalid, costs its own span only."""
    body = request(*(span(f"span-{place}") for place in range(9)), span("spoilt")).replace(
        b"\x2a\x06spoilt", b"\x2a\x06sp\xff\xfelt"
    )
    answer = ExportTraceServiceResponse.FromString(export(doors, body))
    assert answer.partial_success.rejected_spans == 1
    assert intake.span_names() == [f"span-{place}" for place in range(9)]


def test_logs_are_taken(doors: Doors, intake: StoreIntake) -> None:
    """LogsService is served."""
    logs = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(body=AnyValue(string_value="x"))])])]
    )
    export(doors, logs.SerializeToString(), LOGS_EXPORT)
    assert intake.offered == [("logs", logs.SerializeToString())]


def test_metrics_are_a_success_in_which_all_is_rejected(doors: Doors, intake: StoreIntake) -> None:
    """Metrics stop no pipeline: OK, with the number of points and what to do; unreadable ones too."""
    points = Metric(name="m", gauge=Gauge(data_points=[NumberDataPoint(as_int=1), NumberDataPoint(as_int=2)]))
    metrics = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=[points, points])])]
    )
    answer = ExportMetricsServiceResponse.FromString(export(doors, metrics.SerializeToString(), METRICS_EXPORT))
    assert answer.partial_success.rejected_data_points == 4
    assert "not accepted" in answer.partial_success.error_message
    assert b"not accepted" in export(doors, b"\xff\xff\xff", METRICS_EXPORT)
    assert intake.offered == []


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", gzip.compress(CAPTURE)[:-9], zlib.compress(CAPTURE)[:100], b"\x0a\x05a"]
)
def test_what_can_never_be_read_is_refused_for_good(doors: Doors, body: bytes) -> None:
    """INVALID_ARGUMENT without a delay, for bytes that are no request and for damaged compression."""
    code, status = refusal(doors, body)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert not status.details


def test_a_bomb_is_refused_for_good(intake: StoreIntake) -> None:
    """A message that becomes more than the bound is refused, however small it comes."""
    with Doors(intake, limits=Limits(decompressed_bytes=1 << 20)) as doors:
        for body in (gzip.compress(bytes(100 << 20)), zlib.compress(bytes(100 << 20))):
            assert refusal(doors, body)[0] is grpc.StatusCode.INVALID_ARGUMENT
        zstd = pa.compress(bytes(100 << 20), "zstd", asbytes=True)
        assert refusal(doors, zstd)[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert doors.metrics.get(SELF_REFUSED, "too_large") == 3
    assert intake.offered == []


def test_messages_beyond_grpcs_usual_4_mib_are_taken(intake: StoreIntake) -> None:
    """An ordinary Collector batch of 8 MiB passes; one beyond the bound does not, and is not to be tried again."""
    large = request(span("large", trace_state="x" * (8 << 20)))
    with Doors(intake, limits=Limits(body_bytes=9 << 20)) as doors:
        assert export(doors, large) == b""
        with pytest.raises(grpc.RpcError) as caught:
            export(doors, large + large)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" not in dict(caught.value.trailing_metadata())


def test_refusals_for_now_carry_a_delay() -> None:
    """What may succeed later is UNAVAILABLE with RetryInfo: the intake's own refusal, and its not being ready."""
    intake = Scripted(lambda: known(Refused("the disk is full", 2.5)))
    with Doors(intake) as doors:
        code, status = refusal(doors, CAPTURE)
        assert (code, retry_delay(status)) == (grpc.StatusCode.UNAVAILABLE, 2.5)
        assert status.message == "the disk is full"
        intake.reason = "draining"
        code, status = refusal(doors, CAPTURE, LOGS_EXPORT)
        assert (code, status.message, retry_delay(status)) == (grpc.StatusCode.UNAVAILABLE, "draining", 1.0)
        assert len(intake.offered) == 1


def test_a_defect_of_ours_is_tried_again() -> None:
    """An exception of any kind is answered with UNAVAILABLE and counted, never with UNKNOWN."""

    def fail() -> Future[Answer]:
        raise SystemExit("a defect")

    with Doors(Scripted(fail)) as doors:
        code, status = refusal(doors, CAPTURE)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert retry_delay(status) > 0
        assert doors.metrics.get(SELF_FAILURES, "grpc receiver") == 1


def test_too_many_at_once_are_told_to_come_again() -> None:
    """Beyond the bound of requests at once a sender gets UNAVAILABLE with a delay at once; health still answers."""
    held: list[Future[Answer]] = []
    offered = threading.Semaphore(0)

    def hold() -> Future[Answer]:
        future: Future[Answer] = Future()
        held.append(future)
        offered.release()
        return future

    with Doors(Scripted(hold), limits=Limits(concurrent=2)) as doors, channel(doors) as opened:
        calls = [opened.unary_unary(TRACE_EXPORT).future(CAPTURE, timeout=30) for _ in range(2)]
        for _ in calls:
            assert offered.acquire(timeout=30)
        code, status = refusal(doors, CAPTURE)
        assert (code, retry_delay(status)) == (grpc.StatusCode.UNAVAILABLE, 1.0)
        assert opened.unary_unary(HEALTH_CHECK)(b"", timeout=30) == b"\x08\x01"
        for future in held:
            future.set_result(Accepted())
        assert [call.result() for call in calls] == [b"", b""]
        assert doors.metrics.get(SELF_REFUSED, "busy") == 1


def test_a_disk_that_takes_too_long_is_tried_again() -> None:
    """A request that waits longer than the bound gets UNAVAILABLE, not silence."""
    with Doors(Scripted(Future), limits=Limits(answer_s=0.2)) as doors:
        code, status = refusal(doors, CAPTURE)
        assert (code, retry_delay(status)) == (grpc.StatusCode.UNAVAILABLE, 1.0)


def test_a_message_that_never_arrives_is_given_up(intake: StoreIntake) -> None:
    """A sender that opens a call and sends nothing is cut off, which a Collector tries again, and its place is free."""
    go_on = threading.Event()

    def nothing() -> Iterator[bytes]:
        go_on.wait(60)
        yield from ()

    with Doors(intake, limits=Limits(receive_s=0.3, concurrent=1)) as doors, channel(doors) as opened:
        with pytest.raises(grpc.RpcError) as caught:
            opened.stream_unary(TRACE_EXPORT)(nothing(), timeout=60)
        go_on.set()
        assert caught.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        for _ in range(300):
            with contextlib.suppress(grpc.RpcError):
                assert opened.unary_unary(TRACE_EXPORT)(CAPTURE, timeout=30) == b""
                break
            threading.Event().wait(0.05)
    assert len(intake.offered) == 1


def test_health_follows_readiness() -> None:
    """Check says SERVING while the intake is ready, NOT_SERVING while not; an unknown service is NOT_FOUND."""
    intake = Scripted(lambda: known(Accepted()))
    with Doors(intake) as doors:
        traces = b"\x0a\x33opentelemetry.proto.collector.trace.v1.TraceService"
        assert export(doors, b"", HEALTH_CHECK) == export(doors, traces, HEALTH_CHECK) == b"\x08\x01"
        intake.reason = "draining"
        assert export(doors, b"", HEALTH_CHECK) == b"\x08\x02"
        assert refusal(doors, b"\x0a\x01x", HEALTH_CHECK)[0] is grpc.StatusCode.NOT_FOUND


def test_a_taken_port_is_a_clear_refusal(doors: Doors, intake: StoreIntake) -> None:
    """Two services can't share a port by mistake; the error names the setting."""
    second = GrpcReceiver(intake, f"127.0.0.1:{doors.grpc_port}", Security(), Limits())
    with pytest.raises(CannotStartError, match="OTEL_VOICEBOT_GRPC_ADDR"):
        second.start()
    second.stop(1)


def test_stopping_answers_what_was_taken() -> None:
    """A request that waits for the disk when the door closes gets its answer; stopping twice is nothing."""
    future: Future[Answer] = Future()
    offered = threading.Event()

    def hold() -> Future[Answer]:
        offered.set()
        return future

    receiver = GrpcReceiver(Scripted(hold), "127.0.0.1:0", Security(), Limits())
    port = receiver.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        call = opened.unary_unary(TRACE_EXPORT).future(CAPTURE, timeout=30)
        assert offered.wait(30)
        stopper = threading.Thread(target=receiver.stop, args=(20,))
        stopper.start()
        future.set_result(Accepted())
        assert call.result() == b""
        stopper.join(30)
        receiver.stop(1)
