"""Metrics that reach the Collector, or even the service, stop nothing; logs take the same safe way as spans."""

import time
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from bench.faults_tally import stored_keys
from bench.sending import Ledger, Sender, requests_of
from bench.serving import Server, wait_until
from otel_voicebot.errors import NoDataError
from otel_voicebot.store import snapshot
from tests.collector.conftest import MakeCollector

pytestmark = pytest.mark.timeout(1500)  # the Collector may have to be built first

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
POINTS = 7
TO_THE_SERVICE = "yaml:service::pipelines::metrics::exporters: [otlp_grpc/voicebot]"


def metrics_request() -> bytes:
    """A gauge with some points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="queue")
    for value in range(POINTS):
        metric.gauge.data_points.add(as_int=value, time_unix_nano=time.time_ns())
    return request.SerializeToString()


def export(address: str, method: str, request: bytes) -> bytes:
    """One call over gRPC; raises grpc.RpcError when it isn't OK."""
    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(method)(request, timeout=30)
        return answer


def spans_arrive(collector_address: str, data: Path, seed: int) -> None:
    """Spans sent now get through to the service's store."""
    requests = list(requests_of(300, seed))
    with Sender(collector_address, Ledger()) as sender:
        sender.start(requests).join(60)
    expected = {key for request in requests for key in request.keys}
    wait_until(lambda: expected <= stored_keys(data).keys(), 60)


@pytest.mark.parametrize("extra", [(), (TO_THE_SERVICE,)], ids=["as shipped", "sent on to the service"])
def test_metrics_stop_no_pipeline(extra: tuple[str, ...], tmp_path: Path, make_collector: MakeCollector) -> None:
    """The sender of metrics gets OK, and spans go through before and after it."""
    with (
        Server(tmp_path / "data") as server,
        make_collector(env={"VOICEBOT_GRPC": server.grpc}, extra=extra) as collector,
    ):
        spans_arrive(collector.grpc, server.data, seed=1)
        answer = ExportMetricsServiceResponse.FromString(export(collector.grpc, METRICS, metrics_request()))
        assert not answer.partial_success.rejected_data_points
        if extra:
            wait_until(lambda: list(collector.said("Partial success")), 30)
        spans_arrive(collector.grpc, server.data, seed=2)
        assert not list(collector.said("Dropping data"))


def test_the_service_says_that_it_takes_no_metrics(tmp_path: Path) -> None:
    """OK with every data point rejected and the reason: no error that a Collector would retry or stop at."""
    with Server(tmp_path / "data") as server:
        answer = ExportMetricsServiceResponse.FromString(export(server.grpc, METRICS, metrics_request()))
    assert answer.partial_success.rejected_data_points == POINTS
    assert "metrics" in answer.partial_success.error_message


def test_logs_go_through_the_collector_into_the_store(tmp_path: Path, make_collector: MakeCollector) -> None:
    """A record with a trace id is in the `logs` table of the service behind the Collector."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.trace_id, record.span_id, record.severity_text = b"t" * 16, b"s" * 8, "INFO"

    def traces(data: Path) -> list[str]:
        try:
            found: list[str] = snapshot(data, "logs").read(["trace_id"])["trace_id"].to_pylist()
        except NoDataError:
            return []
        return found

    with Server(tmp_path / "data") as server, make_collector(env={"VOICEBOT_GRPC": server.grpc}) as collector:
        answer = ExportLogsServiceResponse.FromString(export(collector.grpc, LOGS, request.SerializeToString()))
        assert not answer.partial_success.rejected_log_records
        wait_until(lambda: traces(server.data) == [(b"t" * 16).hex()], 60)
