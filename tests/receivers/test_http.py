"""The OTLP/HTTP door, from the outside."""

import gzip
import json
import threading
import zlib
from concurrent.futures import Future
from typing import Any

import pyarrow as pa
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_voicebot.errors import CannotStartError
from otel_voicebot.receivers.answers import Accepted, Answer, Refused
from otel_voicebot.receivers.http import HttpReceiver
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.semconv import SELF_FAILURES
from tests.receivers.asking import AS_JSON, CAPTURE, JSON, PROTOBUF, SPAN, ask, spans
from tests.receivers.service import CAPTURES, Doors, Scripted, StoreIntake, known


def test_a_real_capture_is_on_disk_when_it_is_answered(doors: Doors, intake: StoreIntake) -> None:
    """200 with an empty protobuf response; every span is in the store."""
    status, body, headers = ask(doors)
    assert (status, body, headers["content-type"]) == (200, b"", "application/x-protobuf")
    assert sum(rows.num_rows for rows in intake.rows) == 38
    assert len(list(intake.store.data.rglob("hot/spans/**/*.parquet"))) == 1


@pytest.mark.parametrize("name", ["pipecat", "livekit", "openinference"])
def test_json_and_protobuf_give_the_same_spans(doors: Doors, intake: StoreIntake, name: str) -> None:
    """A capture as OTLP/JSON becomes the rows that it becomes as protobuf; the answer is JSON."""
    status, body, headers = ask(doors, (CAPTURES / f"{name}.otlp.json").read_bytes(), JSON)
    assert (status, body, headers["content-type"]) == (200, b"{}", "application/json")
    ask(doors, (CAPTURES / f"{name}.otlp.pb").read_bytes())
    as_json, as_protobuf = (rows.drop_columns(["ingest_time"]) for rows in intake.rows)
    assert as_json.equals(as_protobuf)


def test_json_ids_may_be_base64(doors: Doors, intake: StoreIntake) -> None:
    """Ids in protobuf's own JSON encoding are read too."""
    odd = {**SPAN, "traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ="}
    assert ask(doors, spans(SPAN, odd), JSON)[0] == 200
    (rows,) = intake.rows
    assert rows["trace_id"].to_pylist() == [bytes.fromhex(SPAN["traceId"])] * 2
    assert rows["span_id"].to_pylist() == [bytes.fromhex(SPAN["spanId"])] * 2


@pytest.mark.parametrize(
    "odd",
    [
        {"traceId": "zz"},
        {"traceId": 7},
        {"spanId": "g" * 16},
        {"startTimeUnixNano": "yesterday"},
        {"startTimeUnixNano": -1},
        {"startTimeUnixNano": 0},
        {"name": 5},
        {"name": "\ud800"},
        {"\ud800": 1},
        {"attributes": 5},
        {"attributes": [{"key": "k", "value": {"stringValue": 1}}]},
        {"links": [5]},
    ],
)
def test_odd_json_spans_are_rejected_one_by_one(doors: Doors, intake: StoreIntake, odd: dict[str, Any]) -> None:
    """A span with a value that can't be read costs itself only, before and after good ones."""
    second = {**SPAN, "spanId": "eee19b7ec3c1b175", "name": "second"}
    status, body, _ = ask(doors, spans(SPAN, {**SPAN, **odd}, second), JSON)
    assert status == 200
    success = json.loads(body)["partialSuccess"]
    assert success["rejectedSpans"] == "1"
    assert success["errorMessage"]
    assert intake.span_names() == ["good", "second"]


def test_json_that_is_not_utf8_costs_its_span(doors: Doors, intake: StoreIntake) -> None:
    """One name in Latin-1 among good spans: that span is rejected, as it is in protobuf."""
    body = spans(SPAN, {**SPAN, "name": "CAF?"}).replace(b"CAF?", b"caf\xe9")
    status, answer, _ = ask(doors, body, JSON)
    assert (status, json.loads(answer)["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert intake.span_names() == ["good"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[],".join([b"["] * 3_100_000),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_json_that_is_no_request_is_refused_for_good(doors: Doors, body: bytes) -> None:
    """400 with a google.rpc.Status as JSON, which quotes nothing."""
    status, answer, headers = ask(doors, body, JSON)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(answer)["code"] == 3
    assert "JSON" in json.loads(answer)["message"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(CAPTURE)),
        ("gzip", gzip.compress(CAPTURE[:999]) + gzip.compress(CAPTURE[999:])),
        ("deflate", zlib.compress(CAPTURE)),
        ("deflate", zlib.compress(CAPTURE, wbits=-15)),
        ("zstd", pa.compress(CAPTURE, "zstd", asbytes=True)),
        ("identity", CAPTURE),
        ("GZIP", gzip.compress(CAPTURE)),
    ],
)
def test_compressed_bodies_are_read(doors: Doors, intake: StoreIntake, encoding: str, body: bytes) -> None:
    """Gzip of one or several members, deflate with and without zlib's header, zstd and identity."""
    assert ask(doors, body, {**PROTOBUF, "content-encoding": encoding})[0] == 200
    assert intake.offered == [("traces", CAPTURE)]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("cut", [slice(0, 0), slice(0, 100), slice(0, -5), slice(10, None)])
def test_damaged_compression_is_refused_for_good(doors: Doors, intake: StoreIntake, encoding: str, cut: slice) -> None:
    """400 for compressed bodies that are cut short or begin in the middle; nothing of them is kept."""
    packed = {
        "gzip": gzip.compress(CAPTURE),
        "deflate": zlib.compress(CAPTURE),
        "zstd": pa.compress(CAPTURE, "zstd", asbytes=True),
    }[encoding]
    status, answer, _ = ask(doors, packed[cut], {**PROTOBUF, "content-encoding": encoding})
    assert status == 400
    assert Status.FromString(answer).code == 3
    assert intake.offered == []


def test_other_types_methods_and_paths_are_refused(doors: Doors, intake: StoreIntake) -> None:
    """415 for other content types and encodings, 405 for GET, 404 elsewhere; nothing is kept."""
    assert ask(doors, headers={"content-type": "text/plain"})[0] == 415
    assert ask(doors, headers={})[0] == 415
    status, _, headers = ask(doors, headers={**PROTOBUF, "content-encoding": "br"})
    assert (status, headers["accept-encoding"]) == (415, "identity, gzip, deflate, zstd")
    status, _, headers = ask(doors, None, {}, method="GET")
    assert (status, headers["allow"]) == (405, "POST")
    assert ask(doors, path="/v1/profiles")[0] == 404
    assert ask(doors, path="/v1/traces/")[0] == 404
    assert intake.offered == []


def test_refusals_for_now_carry_a_delay() -> None:
    """503 with Retry-After in whole seconds, at least one; for the intake's own refusal and its not being ready."""
    intake = Scripted(lambda: known(Refused("the disk is full", 2.5)))
    with Doors(intake) as doors:
        status, answer, headers = ask(doors)
        assert (status, headers["retry-after"], Status.FromString(answer).message) == (503, "3", "the disk is full")
        intake.reason = "draining"
        status, answer, headers = ask(doors, AS_JSON, JSON)
        assert (status, headers["retry-after"], json.loads(answer)["message"]) == (503, "1", "draining")
        assert len(intake.offered) == 1


def test_a_defect_of_ours_is_tried_again() -> None:
    """An exception of any kind is 503 with Retry-After and counted, never 500."""

    def fail() -> Future[Answer]:
        raise KeyboardInterrupt

    with Doors(Scripted(fail)) as doors:
        for expected in (1, 2):
            status, _, headers = ask(doors)
            assert (status, headers["retry-after"]) == (503, "1")
            assert doors.metrics.get(SELF_FAILURES, "http receiver") == expected


def test_bad_spans_are_rejected_one_by_one(doors: Doors, intake: StoreIntake) -> None:
    """Partial success in protobuf, as in JSON."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    group.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="good", start_time_unix_nano=1)
    group.spans.add(trace_id=bytes(16), span_id=b"s" * 8, name="bad", start_time_unix_nano=1)
    status, body, _ = ask(doors, request.SerializeToString())
    assert status == 200
    assert ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans == 1
    assert intake.span_names() == ["good"]


def test_logs_and_metrics_have_their_pages(doors: Doors, intake: StoreIntake) -> None:
    """Logs are taken, in both encodings; metrics are a success in which all is rejected."""
    record = {"timeUnixNano": "1", "body": {"stringValue": "x"}, "traceId": SPAN["traceId"], "spanId": SPAN["spanId"]}
    logs = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    assert ask(doors, logs, JSON, "/v1/logs")[:2] == (200, b"{}")
    ((signal, payload),) = intake.offered
    assert signal == "logs"
    assert bytes.fromhex(SPAN["traceId"]) in payload
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [{}, {}]}}]}]}]}
    status, body, _ = ask(doors, json.dumps(metrics).encode(), JSON, "/v1/metrics")
    assert status == 200
    assert json.loads(body)["partialSuccess"]["rejectedDataPoints"] == "2"
    assert ask(doors, b"\xff", PROTOBUF, "/v1/metrics")[0] == 200


def test_the_official_exporter_is_served(doors: Doors, intake: StoreIntake) -> None:
    """OpenTelemetry's own HTTP exporter is told of success, with and without compression."""
    for compression in (Compression.NoCompression, Compression.Gzip, Compression.Deflate):
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{doors.http_port}/v1/traces", compression=compression)
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("test").start_as_current_span(compression.value):
            pass
        provider.shutdown()
    assert intake.span_names() == ["none", "gzip", "deflate"]


def test_probes(doors: Doors, intake: StoreIntake) -> None:
    """/healthz says that all threads live, /readyz whether requests are taken, and why not."""
    assert ask(doors, None, {}, "/healthz", "GET")[:2] == (200, b"ok\n")
    assert ask(doors, None, {}, "/readyz", "GET")[:2] == (200, b"ready\n")
    intake.reason = "the disk is full"
    assert ask(doors, None, {}, "/healthz", "GET")[0] == 200
    assert ask(doors, None, {}, "/readyz", "GET")[:2] == (503, b"the disk is full\n")
    intake.ended = "a thread has ended"
    assert ask(doors, None, {}, "/healthz", "GET")[:2] == (503, b"a thread has ended\n")


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no.such.host.invalid:0", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_used_is_a_clear_refusal(doors: Doors, intake: StoreIntake, address: str) -> None:
    """The error names the setting, and stopping what never started is nothing."""
    second = HttpReceiver(intake, address.format(port=doors.http_port), Security(), Limits())
    with pytest.raises(CannotStartError, match="OTEL_VOICEBOT_HTTP_ADDR"):
        second.start()
    second.stop(1)


def test_stopping_answers_what_was_taken() -> None:
    """A request that waits for the disk when the door closes gets its answer; stopping twice is nothing."""
    held: Future[Answer] = Future()
    offered = threading.Event()

    def hold() -> Future[Answer]:
        offered.set()
        return held

    doors = Doors(Scripted(hold))
    with doors:
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(ask(doors)[0]))
        waiting.start()
        assert offered.wait(30)
        stopper = threading.Thread(target=doors._http.stop, args=(20,))
        stopper.start()
        held.set_result(Accepted())
        waiting.join(30)
        stopper.join(30)
        assert answers == [200]
