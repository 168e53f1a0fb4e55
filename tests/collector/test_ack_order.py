"""System calls of the service under load: every OK follows the fsync of its file and of its file's directory."""

import subprocess
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest

from bench import faults_points, wire
from bench.faults_points import tracing
from bench.program import PROGRAM
from bench.sending import EXPORT
from bench.serving import Server
from tests.collector import syscalls

REQUESTS = 60
SENDERS = 3

LEFT_OUT = """
import os, stat
fsync = os.fsync
def without(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode) is not {left_out}:
        fsync(descriptor)
os.fsync = without
"""
WITHOUT_FILE = LEFT_OUT.format(left_out=False) + PROGRAM
WITHOUT_DIRECTORY = LEFT_OUT.format(left_out=True) + PROGRAM

Send = Callable[[bytes], None]


def trace_id(number: int) -> bytes:
    """The trace of a request: bytes that stand nowhere else in it."""
    return b"ack-order-%06d" % number


def payload(number: int) -> bytes:
    """A request of five spans of one trace."""
    start = 1_767_571_200_000_000_000 + number * 1_000_000_000
    spans = [
        wire.Span(trace_id(number), bytes([index] * 8), b"", "voicebot.stt", 1, start, start + 1, {"a": index})
        for index in range(1, 6)
    ]
    return wire.request([({"service.name": "bank"}, "scope", map(wire.span, spans))])


def send_all(server: Server) -> None:
    """Half of the requests over each door, several at a time."""
    with grpc.insecure_channel(server.grpc) as channel:
        export = channel.unary_unary(EXPORT)

        def send(number: int) -> None:
            if number % 2:
                export(payload(number), timeout=60)
                return
            headers = {"Content-Type": "application/x-protobuf"}
            request = urllib.request.Request(f"http://{server.http}/v1/traces", payload(number), headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(send, range(REQUESTS)))


def files_of_traces(data: Path) -> dict[bytes, Path]:
    """The hot file that holds each trace."""
    found = {}
    for path in (data / "hot" / "spans").rglob("*.parquet"):
        for trace in pq.read_table(path, columns=["trace_id"], partitioning=None)["trace_id"].to_pylist():
            found[trace] = path
    return found


def traced_run(directory: Path, program: str) -> dict[str, str]:
    """The requests sent to a service that is traced; those whose OK is not proven to follow what it promises."""
    if reason := faults_points.why_not():
        pytest.skip(reason)
    log = directory / "strace"
    with Server((directory / "data").resolve(), program=program) as server:
        with tracing([*syscalls.STRACE, "-p", str(server.pid), "-o", str(log)]):
            send_all(server)
        assert server.stop() == 0
    files = files_of_traces(server.data)
    assert len(files) == REQUESTS
    return syscalls.unproven(syscalls.acks(log.read_text(errors="replace")), files)


def test_every_ok_follows_both_fsyncs(tmp_path: Path) -> None:
    """Over both doors: file fsynced, renamed, its directory fsynced, and only then the answer leaves."""
    assert traced_run(tmp_path, PROGRAM) == {}


@pytest.mark.parametrize(("program", "which"), [(WITHOUT_FILE, "file"), (WITHOUT_DIRECTORY, "directory")])
def test_the_check_fails_when_an_fsync_is_left_out(tmp_path: Path, program: str, which: str) -> None:
    """The same run with the fsync of files, or of directories, taken out of the process: every answer is unproven."""
    missing = traced_run(tmp_path, program)
    assert len(missing) == REQUESTS
    assert all(reason.startswith(f"its {which} was not fsynced") for reason in missing.values())


def test_an_answer_that_is_sent_early_is_found() -> None:
    """A log in which the answer leaves between the rename and the fsync of the directory."""
    body = b"POST /v1/traces HTTP/1.1\r\n\r\n" + trace_id(1)

    def text(content: bytes) -> str:
        return "".join(f"\\x{byte:02x}" for byte in content)

    socket = "9<TCP:[127.0.0.1:4318->127.0.0.1:5000]>"
    lines = [
        f'1 recvfrom({socket}, "{text(body)}", 65536, 0, NULL, NULL) = {len(body)}',
        "2 fsync(7</d/tmp/a.tmp>) = 0",
        f'2 rename("{text(b"/d/tmp/a.tmp")}", "{text(b"/d/hot/a.parquet")}") = 0',
        f'1 sendto({socket}, "{text(b"HTTP/1.1 200 OK")}", 15, 0, NULL, 0) = 15',
        "2 fsync(7</d/hot>) = 0",
    ]
    files = {trace_id(1): Path("/d/hot/a.parquet")}
    found = syscalls.unproven(syscalls.acks("\n".join(lines)), files)
    assert found == {trace_id(1).hex(): "its directory was not fsynced after the rename"}
    lines[3], lines[4] = lines[4], lines[3]
    assert syscalls.unproven(syscalls.acks("\n".join(lines)), files) == {}


def test_strace_is_there_in_ci() -> None:
    """What this file skips without strace is run in CI: the script installs it."""
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    assert "strace" in script
    assert subprocess.run(["bash", "-n", str(Path(__file__).parents[2] / ".ci" / "run")], check=False).returncode == 0
