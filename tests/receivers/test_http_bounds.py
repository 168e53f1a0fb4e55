"""The OTLP/HTTP door: what a sender may cost."""

import gzip
import http.client
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.rpc.status_pb2 import Status

from otel_voicebot.app.admission import Admission
from otel_voicebot.receivers.answers import Accepted, Answer, Signal
from otel_voicebot.receivers.bodies import from_json
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.semconv import SELF_FAILURES, SELF_REFUSED
from otel_voicebot.store import disk
from tests.receivers.asking import CAPTURE, JSON, PROTOBUF, SPAN, ask, spans
from tests.receivers.service import Doors, Scripted, StoreIntake


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_bombs_are_refused_for_good(intake: StoreIntake, encoding: str) -> None:
    """A small body that becomes more than the bound gets 400."""
    zeros = bytes(200 << 20)
    packed = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": lambda body: pa.compress(body, "zstd", asbytes=True),
    }
    with Doors(intake, limits=Limits(decompressed_bytes=1 << 20)) as doors:
        assert ask(doors, packed[encoding](zeros), {**PROTOBUF, "content-encoding": encoding})[0] == 400
        assert ask(doors, packed[encoding](zeros), {**JSON, "content-encoding": encoding})[0] == 400
    assert intake.offered == []


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_beyond_the_bound_are_refused_for_good(intake: StoreIntake, *, chunked: bool) -> None:
    """400 and not 413 or 429, whether the length is announced or not; the connection still serves the next request."""

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    with Doors(intake, limits=Limits(body_bytes=1 << 20)) as doors:
        status, answer, _ = ask(doors, pieces() if chunked else bytes(2_000_000))
        assert status == 400
        assert "1048576 bytes" in Status.FromString(answer).message
        assert doors.metrics.get(SELF_REFUSED, "too_large") == 1
        assert ask(doors)[0] == 200


def test_too_many_at_once_are_told_to_come_again() -> None:
    """Beyond the bound of requests at once: 503 with Retry-After; the probes still answer."""
    held: Future[Answer] = Future()
    offered = threading.Event()

    def hold() -> Future[Answer]:
        offered.set()
        return held

    with Doors(Scripted(hold), limits=Limits(concurrent=1)) as doors:
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(ask(doors)[0]))
        waiting.start()
        assert offered.wait(30)
        status, _, headers = ask(doors)
        assert (status, headers["retry-after"]) == (503, "1")
        assert ask(doors, None, {}, "/readyz", "GET")[0] == 200
        held.set_result(Accepted())
        waiting.join(30)
        assert answers == [200]


def test_protobuf_does_not_wait_behind_json(intake: StoreIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one JSON body is read for seconds, and others wait for it, protobuf is answered; more JSON gets 503."""
    gate, inside = threading.Event(), threading.Event()

    def read(signal: Signal, content: bytes) -> tuple[bytes, int]:
        inside.set()
        assert gate.wait(30)
        return from_json(signal, content)

    monkeypatch.setattr("otel_voicebot.receivers.door.from_json", read)
    with Doors(intake, limits=Limits(concurrent=32)) as doors:
        found: list[int] = []
        senders = [threading.Thread(target=lambda: found.append(ask(doors, spans(SPAN), JSON)[0])) for _ in range(8)]
        for sender in senders:
            sender.start()
        assert inside.wait(30)
        _eventually(lambda: doors._http._app._json_places._left == 0)
        assert ask(doors)[0] == 200
        assert ask(doors, spans(SPAN), JSON)[0] == 503
        gate.set()
        for sender in senders:
            sender.join(30)
        assert found == [200] * 8


def test_json_may_be_as_large_as_protobuf(doors: Doors, intake: StoreIntake) -> None:
    """Forty megabytes of JSON in a few long texts are taken; of the same size in a hundred times the values, not."""
    prompt = {"key": "prompt", "value": {"stringValue": "x" * 1_000_000}}
    assert ask(doors, spans(*({**SPAN, "attributes": [prompt]} for _ in range(40))), JSON)[0] == 200
    status, answer, _ = ask(doors, b"[" + b'{"a":1},' * 2_000_001 + b"{}]", JSON)
    assert (status, "too many values" in json.loads(answer)["message"]) == (400, True)
    assert doors.metrics.get(SELF_REFUSED, "too_large") == 1
    assert len(intake.span_names()) == 40


def test_a_disk_that_hangs_holds_nobody_up(
    intake: StoreIntake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file system doesn't say how much space it has: 503, not ready, and alive all the same."""
    monkeypatch.setattr("otel_voicebot.app.admission._DISK_ANSWERS_S", 0.001)
    gate = threading.Event()
    monkeypatch.setattr(disk, "free_bytes", lambda _: gate.wait(30) and 1 << 40)
    admission = Admission(tmp_path, 1 << 30, 1)
    admission.open()
    with Doors(intake) as doors:
        monkeypatch.setattr(intake, "unready", admission.unready)
        assert ask(doors, None, {}, "/readyz", "GET")[:2] == (503, b"the disk doesn't answer\n")
        assert ask(doors)[0] == 503
        assert ask(doors, None, {}, "/healthz", "GET")[0] == 200
        gate.set()
        _eventually(lambda: ask(doors)[0] == 200)


def test_bytes_at_once_are_bounded(intake: StoreIntake) -> None:
    """A body for which there is no room now, beside those under way, gets 503; afterwards there is room again."""
    limits = Limits(body_bytes=1_000_000, decompressed_bytes=1_000_000, in_flight_bytes=1)
    with Doors(intake, limits=limits) as doors:
        slow = [_started(doors, 900_000) for _ in range(2)]
        for sender in slow:
            sender.sendall(bytes(890_000))
        _eventually(lambda: doors._http._app._door._budget._left < 300_000)
        assert ask(doors, bytes(900_000))[0] == 503
        for sender in slow:
            sender.close()
        _eventually(lambda: ask(doors)[0] == 200)


def test_a_disk_that_takes_too_long_is_tried_again() -> None:
    """A request that waits longer than the bound gets 503, and its late answer harms nothing."""
    held: Future[Answer] = Future()
    with Doors(Scripted(lambda: held), limits=Limits(answer_s=0.2)) as doors:
        assert ask(doors)[0] == 503
        held.set_result(Accepted())
        assert ask(doors)[0] == 200


def test_slow_senders_are_told_to_come_again(intake: StoreIntake) -> None:
    """A body that takes too long gets 503 (408 would lose it) and its connection is closed."""
    with Doors(intake, limits=Limits(receive_s=0.3)) as doors, _started(doors, 1000) as sender:
        sender.sendall(b"a few bytes")
        answer = _read_all(sender)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer
        assert doors.metrics.get(SELF_REFUSED, "slow_sender") == 1


@pytest.mark.parametrize("sent", [b"", b"POST /v1/tra", b"\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "])
def test_connections_without_a_request_are_closed(
    intake: StoreIntake, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on which no whole request arrives in time is closed."""
    monkeypatch.setattr("otel_voicebot.receivers.connection._ANSWER_S", 0.1)
    with Doors(intake, limits=Limits(receive_s=0.2)) as doors, _connected(doors) as sender:
        sender.sendall(sent)
        assert _read_all(sender) == b""


def test_endless_heads_are_cut_off(doors: Doors) -> None:
    """A head, or trailers, that never end are refused after some hundred kilobytes."""
    begun = b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
    for start in (b"GET / HTTP/1.1\r\nX: ", begun + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "):
        with _connected(doors) as sender:
            sender.sendall(start)
            with pytest.raises(OSError, match=r"reset|roken pipe"):
                sender.sendall(b"a" * 200_000_000)


def test_nonsense_is_answered(doors: Doors) -> None:
    """What is no HTTP gets 400, and the door still serves."""
    with _connected(doors) as sender:
        sender.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert _read_all(sender).startswith(b"HTTP/1.1 400")
    assert ask(doors)[0] == 200


def test_a_sender_that_leaves_is_no_failure(doors: Doors, intake: StoreIntake) -> None:
    """A client that disconnects in the middle of its body costs nothing and is no failure of ours."""
    for _ in range(3):
        with _started(doors, 1_000_000) as sender:
            sender.sendall(bytes(1000))
    assert ask(doors)[0] == 200
    assert doors.metrics.get(SELF_FAILURES, "http receiver") == 0
    assert len(intake.offered) == 1


def test_connections_are_kept(doors: Doors, intake: StoreIntake) -> None:
    """Many requests go over one connection, refused ones between them."""
    connection = http.client.HTTPConnection("127.0.0.1", doors.http_port, timeout=30)
    used = set()
    for place in range(6):
        connection.request("POST", "/v1/traces", CAPTURE if place % 2 else b"\xff", PROTOBUF)
        response = connection.getresponse()
        response.read()
        assert response.status == (200 if place % 2 else 400)
        used.add(connection.sock)
    connection.close()
    assert len(used) == 1
    assert len(intake.offered) == 3


def _connected(doors: Doors) -> socket.socket:
    return socket.create_connection(("127.0.0.1", doors.http_port), timeout=30)


def _started(doors: Doors, length: int) -> socket.socket:
    """A request whose head has been sent, and nothing of its body."""
    sender = _connected(doors)
    head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
    sender.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
    return sender


def _read_all(sender: socket.socket) -> bytes:
    parts = []
    while part := sender.recv(65536):
        parts.append(part)
    return b"".join(parts)


def _eventually(true: Any) -> None:
    for _ in range(300):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("never became true")
