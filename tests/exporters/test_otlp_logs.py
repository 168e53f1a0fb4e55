"""Stored logs are sent on to another OTLP endpoint; real servers stand at the other end."""

import gzip
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_voicebot.errors import UsageError
from otel_voicebot.exporters.otlp_logs import Forwarding, LogForwarder
from otel_voicebot.processors.sending import without_content
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_LOGS_DROPPED, SELF_LOGS_FORWARDED

QUICK = Forwarding(first_pause_s=0.02, longest_pause_s=0.2, timeout_s=5)


def request(number: int, records: int = 1) -> bytes:
    """A request whose records say its number."""
    made = [LogRecord(body=AnyValue(int_value=number))] * records
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=made)])]
    ).SerializeToString()


class Endpoint:
    """What came in at a server, and what it answers: first the answers given, then OK."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.tries: list[bytes] = []
        self.encodings: set[str] = set()
        self.taken: list[bytes] = []

    def answer(self, payload: bytes) -> Any:
        """None is OK."""
        self.tries.append(payload)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            self.taken.append(payload)
        return answer


@contextmanager
def http_endpoint(*answers: tuple[int, dict[str, str]] | None, port: int = 0) -> Iterator[tuple[str, Endpoint]]:
    """An OTLP/HTTP server; answers are a status and headers."""
    endpoint = Endpoint(*answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/v1/logs"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            endpoint.encodings.add(self.headers["Content-Encoding"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = endpoint.answer(gzip.decompress(body)) or (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", endpoint
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def grpc_endpoint(*answers: Any) -> Iterator[tuple[str, Endpoint]]:
    """An OTLP/gRPC server; answers are a code, or a code and the seconds of a RetryInfo."""
    endpoint = Endpoint(*answers)

    def export(payload: bytes, context: grpc.ServicerContext) -> bytes:
        endpoint.encodings |= {str(value) for key, value in context.invocation_metadata() if "encoding" in key}
        answer = endpoint.answer(payload)
        if isinstance(answer, ExportLogsServiceResponse):
            return answer.SerializeToString()
        if answer is not None:
            code, seconds = answer if isinstance(answer, tuple) else (answer, None)
            if seconds is not None:
                detail = AnyMessage()
                detail.Pack(RetryInfo(retry_delay=Duration(nanos=int(seconds * 1e9))))
                status = Status(code=code.value[0], details=[detail])
                context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(code, "no")
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    handler = grpc.unary_unary_rpc_method_handler(export)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}", endpoint
    finally:
        server.stop(0)


ENDPOINTS = [pytest.param(http_endpoint, id="http"), pytest.param(grpc_endpoint, id="grpc")]


def forwarded(url: str, *payloads: bytes, timeout_s: float = 20, options: Forwarding = QUICK) -> dict[str, float]:
    """Send these (of one record each) and close; what was counted, by label (empty: sent on)."""
    metrics = SelfMetrics()
    forwarder = LogForwarder(url, metrics, options)
    forwarder.start()
    for payload in payloads:
        forwarder.offer(payload, 1)
    forwarder.close(timeout_s)
    names = {SELF_LOGS_FORWARDED.name, SELF_LOGS_DROPPED.name}
    return {label: count for (name, label), count in metrics.read().items() if name in names}


@pytest.mark.parametrize("start", ENDPOINTS)
def test_the_bytes_that_came_in_arrive_in_order(start: Any) -> None:
    """What is offered arrives as it was, each once, before close returns."""
    sent = [request(number) for number in range(50)]
    with start() as (url, endpoint):
        assert forwarded(url, *sent) == {"": 50}
    assert endpoint.taken == sent
    assert endpoint.encodings <= {"gzip", "identity, deflate, gzip"}


@pytest.mark.parametrize(
    ("start", "answers"),
    [
        (http_endpoint, [(503, {}), (429, {"Retry-After": "0"}), (502, {}), (504, {"Retry-After": "soon"})]),
        (grpc_endpoint, [grpc.StatusCode.UNAVAILABLE, (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.01)]),
    ],
    ids=["http", "grpc"],
)
def test_what_may_be_taken_later_is_tried_again(start: Any, answers: list[Any]) -> None:
    """A request that meets overload is sent again until it is taken; nothing is dropped and the order stays."""
    with start(*answers) as (url, endpoint):
        assert forwarded(url, request(1), request(2)) == {"": 2}
    assert endpoint.taken == [request(1), request(2)]
    assert len(endpoint.tries) == len(answers) + 2


@pytest.mark.parametrize(
    ("start", "answers"),
    [
        (http_endpoint, [(400, {}), (413, {}), (500, {})]),
        (
            grpc_endpoint,
            [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED],
        ),
    ],
    ids=["http", "grpc"],
)
def test_what_is_refused_is_counted_and_the_next_is_sent(start: Any, answers: list[Any]) -> None:
    """One try each; the reason is `refused`."""
    with start(*answers) as (url, endpoint):
        assert forwarded(url, *[request(number) for number in range(4)]) == {"": 1, "refused": 3}
    assert (len(endpoint.tries), endpoint.taken) == (4, [request(3)])


def test_records_left_out_by_the_endpoint_are_counted() -> None:
    """A partial success is taken, less the records that it names."""
    partial = ExportLogsServiceResponse(partial_success=ExportLogsPartialSuccess(rejected_log_records=2))
    metrics = SelfMetrics()
    with grpc_endpoint(partial) as (url, _):
        forwarder = LogForwarder(url, metrics, QUICK)
        forwarder.start()
        forwarder.offer(request(1, 5), 5)
        forwarder.close(10)
    assert (metrics.get(SELF_LOGS_FORWARDED), metrics.get(SELF_LOGS_DROPPED, "refused")) == (3, 2)


def test_an_endpoint_that_comes_up_later_gets_everything() -> None:
    """While nobody listens requests wait; when somebody does they arrive."""
    with http_endpoint() as (url, _):
        port = int(url.rpartition(":")[2])
    metrics = SelfMetrics()
    forwarder = LogForwarder(url, metrics, QUICK)
    forwarder.start()
    forwarder.offer(request(1), 1)
    time.sleep(0.2)
    with http_endpoint(port=port) as (_, endpoint):
        forwarder.close(20)
    assert endpoint.taken == [request(1)]
    assert metrics.get(SELF_LOGS_FORWARDED) == 1


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_close_keeps_its_deadline_and_counts_what_is_left(scheme: str) -> None:
    """With nobody at the other end close returns in time; what waits is counted as dropped, each record once."""
    with http_endpoint() as (url, _):
        gone = url.replace("http", scheme)
    started = time.monotonic()
    assert forwarded(gone, *[request(number) for number in range(7)], timeout_s=0.5) == {"shutdown": 7}
    assert time.monotonic() - started < 60


def test_a_full_queue_drops_what_comes_and_offer_does_not_wait() -> None:
    """Beyond the queue's bytes requests are dropped and counted; those that waited first are kept."""
    sent = [request(number) for number in range(10)]
    metrics = SelfMetrics()
    with http_endpoint() as (url, endpoint):
        forwarder = LogForwarder(url, metrics, Forwarding(queue_bytes=3 * len(sent[0])))
        for payload in sent:
            forwarder.offer(payload, 1)  # not started: nothing could leave the queue, and a wait would be for ever
        forwarder.start()
        forwarder.close(20)
    assert endpoint.taken == sent[:3]
    assert (metrics.get(SELF_LOGS_FORWARDED), metrics.get(SELF_LOGS_DROPPED, "queue_full")) == (3, 7)
    forwarder.offer(sent[0], 1)
    forwarder.close(1)
    assert metrics.get(SELF_LOGS_DROPPED, "shutdown") == 1


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://host", "http://", "http://host:port", "http://[::1"])
def test_an_endpoint_that_is_no_url_is_a_usage_error(url: str) -> None:
    """Said at start, with the value."""
    with pytest.raises(UsageError, match="logs_endpoint"):
        LogForwarder(url, SelfMetrics())


def test_what_may_not_be_stored_is_not_sent_on_either() -> None:
    """Without content capture bodies, texts under unknown keys and lists are left out; names and numbers go on."""

    def text(value: str) -> AnyValue:
        return AnyValue(string_value=value)

    said = "please transfer my money"
    record = LogRecord(
        body=text(said),
        event_name=said,
        severity_text="INFO",
        attributes=[
            KeyValue(key="session.id", value=text("call-1")),
            KeyValue(key="note", value=text(said)),
            KeyValue(key="words", value=AnyValue(array_value=ArrayValue(values=[text(said)]))),
            KeyValue(key="count", value=AnyValue(int_value=3)),
        ],
    )
    resource = Resource(attributes=[KeyValue(key="service.name", value=text("bank"))])
    logs = ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=[record])])
    payload = ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()
    with http_endpoint() as (url, endpoint):
        forwarder = LogForwarder(url, SelfMetrics(), QUICK, partial(without_content, keep=()))
        forwarder.start()
        forwarder.offer(payload, 1)
        forwarder.close(20)
    assert b"transfer" not in endpoint.taken[0]
    (sent,) = ExportLogsServiceRequest.FromString(endpoint.taken[0]).resource_logs
    assert sent.resource == resource
    (got,) = sent.scope_logs[0].log_records
    assert not got.HasField("body")
    assert (got.severity_text, got.event_name) == ("INFO", "")
    assert {pair.key: pair.value.WhichOneof("value") for pair in got.attributes} == {
        "session.id": "string_value",
        "note": None,
        "words": None,
        "count": "int_value",
    }
