"""``otel-voicebot serve`` from outside the process."""

import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from bench.generate import calls
from bench.program import PROGRAM
from otel_voicebot.settings import Settings
from otel_voicebot.store import snapshot
from tests.app.served import Served, until
from tests.app.service_parts import request
from tests.live.doors import sdk_span
from tests.live.test_bounds import call


def _post(served: Served, body: bytes) -> int:
    import urllib.request

    head = {"Content-Type": "application/x-protobuf"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{served.where['http']}/v1/traces", body, head), timeout=30
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_says_where_it_is_and_ends_well(tmp_path: Path) -> None:
    """The ready line names each door; probes answer; SIGTERM ends it with code 0."""
    with Served(tmp_path / "data") as served:
        assert served.where["ready"] is True
        assert served.where["data"] == str(tmp_path / "data")
        assert served.get("/readyz")
        assert served.get("/healthz")
        assert "voicebot_spans_committed_total" in served.get("/metrics", "metrics")
        assert [served.get(page, "metrics") for page in ("/healthz", "/readyz")] == ["ok\n", "ok\n"]
        assert served.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs the /proc of Linux")
def test_no_thread_takes_the_signal_that_ends_it(tmp_path: Path) -> None:
    """Not even those of NumPy: the kernel would give it to one of them, and end the process without an answer."""
    with Served(tmp_path / "data") as served:
        pid = served.process.pid
        blocked = {
            int(task.name): int(line.split()[1], 16)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for line in (task / "status").read_text().splitlines()
            if line.startswith("SigBlk")
        }
    assert len(blocked) > 1
    for number in (signal.SIGTERM, signal.SIGINT):
        assert {task for task, mask in blocked.items() if not mask >> number - 1 & 1} <= {pid}


def test_a_door_can_be_switched_off(tmp_path: Path) -> None:
    """`none` is null in the ready line, and nothing listens."""
    with Served(tmp_path / "data", "--grpc", "none", "--metrics", "none") as served:
        assert (served.where["grpc"], served.where["metrics"]) == (None, None)
        assert _post(served, request(call("one", 7))) == 200
        assert served.stop(signal.SIGINT) == 0
    assert snapshot(tmp_path / "data").rows == 4


@pytest.mark.parametrize("door", ["--grpc", "--http", "--metrics", "--web"])
def test_a_taken_port_is_named(tmp_path: Path, door: str) -> None:
    """Exit code 6, one sentence that names the address, nothing on stdout."""
    others = [
        word for one in ("--grpc", "--http", "--metrics", "--web") if one != door for word in (one, "127.0.0.1:0")
    ]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "serve", "--data", str(tmp_path / "data"), door, address, *others],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 6
    assert address in done.stderr
    assert done.stdout == ""


def test_a_data_directory_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """Exit code 6."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(AssertionError, match=f"exit code 6: .*{tmp_path / 'data'}"):
        Served(tmp_path / "data")


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    """With a token file a sender without the token is refused, one with it is served."""
    (tmp_path / "token").write_text("open sesame\n")
    spans = [sdk_span(span) for span in call("one", 7)]
    with Served(tmp_path / "data", "--bearer-token-file", str(tmp_path / "token")) as served:
        assert _post(served, request(call("one", 7))) == 401
        for headers, wanted in ((None, "FAILURE"), ((("authorization", "Bearer open sesame"),), "SUCCESS")):
            exporter = OTLPSpanExporter(endpoint=served.where["grpc"], insecure=True, headers=headers, timeout=5)
            assert exporter.export(spans) is SpanExportResult[wanted]
            exporter.shutdown()


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """While senders go on, SIGTERM ends it with code 0, and every span that was answered with OK is on disk."""
    bodies = [(request(one.spans), len(one.spans)) for one in calls(20_000, seed=3)]
    acked: list[int] = []
    stop = threading.Event()
    with Served(tmp_path / "data") as served:
        threads = [threading.Thread(target=_send, args=(served, bodies[n::4], acked, stop)) for n in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acked) > 40)
        assert served.stop() == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert 0 < sum(acked) <= snapshot(tmp_path / "data").rows
    with Served(tmp_path / "data") as served:  # the next one starts on what is there
        assert _post(served, bodies[-1][0]) == 200


def _send(served: Served, bodies: list[tuple[bytes, int]], acked: list[int], stop: threading.Event) -> None:
    with grpc.insecure_channel(served.where["grpc"]) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        for body, spans in bodies:
            if stop.is_set():
                return
            try:
                export(body, timeout=30)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - grpc's errors are calls
                return
            acked.append(spans)


def test_a_repeat_after_a_kill_is_kept_once(tmp_path: Path) -> None:
    """The dedupe window is rebuilt from disk before the service is ready."""
    body = request(call("one", 7))
    with Served(tmp_path / "data") as served:
        assert _post(served, body) == 200
        served.kill()
    with Served(tmp_path / "data") as served:
        assert _post(served, body) == 200
        assert served.total("voicebot_spans_repeated_total") == 4
    assert snapshot(tmp_path / "data").rows == 4


def test_two_services_share_a_directory(tmp_path: Path) -> None:
    """Each counts its own calls, also after both were killed and started again."""
    data = tmp_path / "data"
    with Served(data) as one, Served(data) as two:
        for served, name in ((one, "one"), (two, "two")):
            served.export(call(name, 7)[:-1])  # the call goes on
            until(lambda served=served: served.total("voicebot_operation_duration_seconds_count") == 2)
    with Served(data) as one, Served(data) as two:
        under_way = [{key: n for key, n in it.metrics().items() if key[0].endswith("_active")} for it in (one, two)]
        assert [list(found.values()) for found in under_way] == [[1], [1]]
        assert one.total("voicebot_operation_duration_seconds_count") == 0
    assert snapshot(data).rows == 6


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """Exit code 2."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "serve", "--data", str(tmp_path), "--retention", "soon"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "retention" in done.stderr


def test_the_service_is_a_part_of_python_too(tmp_path: Path) -> None:
    """It starts and stops in this process; its settings say where."""
    from otel_voicebot.app.service import Service

    none = {"grpc_addr": "none", "metrics_addr": "none"}
    service = Service(Settings(data=tmp_path / "data", http_addr="127.0.0.1:0", **none))
    service.start()
    try:
        assert service.addresses.http
    finally:
        assert service.stop(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_told_to_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the live thread: not ready and not alive, at the HTTP door and at the metrics' port, which has no TLS."""
    from otel_voicebot.app.live_thread import LiveThread
    from otel_voicebot.app.service import Service

    none = {"grpc_addr": "none", "metrics_addr": "127.0.0.1:0"}
    service = Service(Settings(data=tmp_path / "data", http_addr="127.0.0.1:0", **none))
    service.start()
    monkeypatch.setattr(LiveThread, "_take", lambda _: 1 / 0)
    try:
        service._live._thread.join(30)
        for where in (service.addresses.http, service.addresses.metrics):
            for page in ("/healthz", "/readyz"):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(f"http://{where}{page}", timeout=10)
                assert (caught.value.code, caught.value.read()) == (503, b"a thread has ended: live\n")
    finally:
        service.stop(2)


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs the /proc of Linux")
def test_it_holds_no_pandas(tmp_path: Path) -> None:
    """Spans are taken in and a report is answered without it: pyarrow would load it for nothing, 35 MB."""
    with Served(tmp_path / "data") as served:
        assert _post(served, request(call("one", 7))) == 200
        maps = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "/pyarrow/" in maps
    assert "/pandas/" not in maps
