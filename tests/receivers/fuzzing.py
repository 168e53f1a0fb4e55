"""Hostile bodies through the receiving path, in a process of its own: a crash in native code ends it.

``python -m tests.receivers.fuzzing fuzz SEED BODIES SENT`` prints one JSON object: how many bodies met which end, and
the memory; ``... bomb NAME`` sends one bomb of ``BOMBS`` through both doors and prints the ends and the memory.

The path is the door's own (bounds, decompression, JSON), then decoding, with what can be saved of a damaged request,
then preparing; the last SENT bodies go over sockets through both doors.
"""

import gzip
import http.client
import json
import random
import sys
import zlib
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.app.joining import decode_together
from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.receivers.answers import Accepted, Answer, Refused, Signal
from otel_voicebot.receivers.bodies import sniff
from otel_voicebot.receivers.door import Door
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.salvage import _REQUEST
from otel_voicebot.receivers.security import Security
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode, decode_logs
from tests.receivers.service import CAPTURES, LOGS_EXPORT, TRACE_EXPORT, Doors
from tests.spans.oracle import refusal

NAMES = ("pipecat", "pipecat_1_0_0", "livekit", "openinference", "openai_otel")
LIMITS = Limits(body_bytes=1 << 20, decompressed_bytes=1 << 20, json_bytes=1 << 20)
TOGETHER = 64
_DAMAGE = 0.005
"""Share of bodies of which one span is damaged and its neighbours must be kept; saving them costs some 7 ms."""


def seeds() -> list[bytes]:
    """Requests of up to three spans, cut out of real captures."""
    found = []
    for name in NAMES:
        for resource_spans in _REQUEST.FromString((CAPTURES / f"{name}.otlp.pb").read_bytes()).resources:
            for group in resource_spans.groups:
                items = [item for item in group.items if len(item) < 2000]
                for start in range(0, len(items), 3):
                    request = _REQUEST()
                    holder = request.resources.add(head=resource_spans.head)
                    holder.groups.add(head=group.head, items=items[start : start + 3])
                    found.append(request.SerializeToString())
    return found


class Fuzz:
    """Makes bodies and watches what becomes of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seeds = seeds()
        self.json_seeds = [_json(seed) for seed in self.seeds]
        self.ends: Counter[str] = Counter()
        self.metrics = SelfMetrics()
        self.door = Door("fuzz", self, Security(), LIMITS, self.metrics)
        self._readable: list[tuple[bytes, int, int]] = []

    # ---- what is sent -----------------------------------------------------------------------------------------------

    def mutated(self, body: bytes) -> bytes:
        """The body with one to sixteen changes."""
        changed, pick = bytearray(body), self.random
        for _ in range(pick.choice((1, 1, 1, 1, 2, 4, 16))):
            place = pick.randrange(len(changed) + 1)
            match pick.randrange(6):
                case 0 if place < len(changed):
                    changed[place] ^= 1 << pick.randrange(8)
                case 1 if place < len(changed):
                    changed[place] = pick.choice((0, 1, 0x7F, 0x80, 0xFF, pick.randrange(256)))
                case 2:
                    changed[place:place] = pick.randbytes(pick.randrange(1, 9))
                case 3:
                    del changed[place : place + pick.randrange(1, 33)]
                case 4 if pick.random() < 0.2:
                    del changed[place:]
                case _:
                    other = pick.choice(self.seeds)
                    start = pick.randrange(len(other))
                    changed[place:place] = other[start : start + pick.randrange(1, 200)]
        return bytes(changed)

    def body(self) -> tuple[bytes, str, bool]:
        """A body, its content encoding, and whether it is said to be JSON."""
        pick = self.random
        kind = pick.random()
        if kind < 0.30:
            return pick.randbytes(pick.randrange(300)), "identity", False
        if kind < 0.35:
            return self.mutated(pick.choice(self.json_seeds)), "identity", True
        if kind < 0.45:
            encoding, pack = pick.choice((("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", _zstd)))
            return self.mutated(pack(pick.choice(self.seeds))), encoding, False
        return self.mutated(pick.choice(self.seeds)), "identity", False

    # ---- what receives it -------------------------------------------------------------------------------------------

    def unready(self) -> str | None:
        """Always ready."""
        return None

    def broken(self) -> str | None:
        """Never."""
        return None

    def offer(self, signal: Signal, payload: bytes) -> Future[Answer]:
        """Read it; of what protobuf's own class reads, a group at once, as the service does."""
        future: Future[Answer] = Future()
        expected = _expected(payload)
        if signal == "traces" and expected is not None:
            self._readable.append((payload, *expected))
            if len(self._readable) == TOGETHER:
                self.flush()
            future.set_result(Accepted(expected[1]))
        else:
            joined: Any = decode_together(decode if signal == "traces" else decode_logs, [payload])
            (outcome,) = joined.outcomes
            readable = not isinstance(outcome, UnreadableDataError)
            future.set_result(Accepted(sum(outcome.values())) if readable else Refused(str(outcome), None))
        return future

    def flush(self) -> None:
        """Read what gathered, and compare the counts with those of protobuf's own class."""
        payloads = [payload for payload, _, _ in self._readable]
        joined = decode_together(decode, payloads)
        for outcome, (payload, _, rejected) in zip(joined.outcomes, self._readable, strict=True):
            assert not isinstance(outcome, UnreadableDataError), payload.hex()
            assert sum(outcome.values()) == rejected, payload.hex()
        assert sum(len(batch) for batch in joined.batches) == sum(good for _, good, _ in self._readable)
        for batch in joined.batches:
            prepare(batch, Policy(), self.metrics, "fuzz", 0).validate()
        self._readable.clear()

    def run(self, bodies: int) -> None:
        """Send bodies through the door, without sockets."""
        for place in range(bodies):
            if self.random.random() < _DAMAGE:
                self._damage_one()
                continue
            body, encoding, is_json = self.body()
            signal = "logs" if place % 50 == 0 else "traces"
            with self.door.place() as lease:
                answer = self.door.take(signal, body, lease, encoding=encoding, is_json=is_json).future.result()
            self.end("accepted" if isinstance(answer, Accepted) else "refused for good", answer)
        self.flush()

    def end(self, name: str, answer: Answer | None = None) -> None:
        """Count an end; one that is to be tried again is wrong, as nothing was wrong with us."""
        assert not isinstance(answer, Refused) or answer.retry_after_s is None, answer
        self.ends[name] += 1

    def _damage_one(self) -> None:
        """Of three spans the middle one is damaged, within its frame: the others are kept."""
        request = _REQUEST.FromString(self.random.choice(self.seeds))
        items = request.resources[0].groups[0].items
        middle = self.mutated(items[0])
        good = [_span(b"first-id"), _span(b"third-id")]
        del items[:]
        items.extend([good[0], middle, good[1]])
        joined = decode_together(decode, [request.SerializeToString()])
        rows = pa.Table.from_batches([prepare(b, Policy(), self.metrics, "fuzz", 0) for b in joined.batches])
        kept = set(rows["span_id"].to_pylist())
        assert {b"first-id", b"third-id"} <= kept, middle.hex()
        self.end("neighbours kept")

    def send(self, bodies: int) -> None:
        """Send bodies over sockets, by turns through both doors."""
        with Doors(self, limits=LIMITS, metrics=self.metrics) as doors:
            connection = http.client.HTTPConnection("127.0.0.1", doors.http_port, timeout=60)
            channel = grpc.insecure_channel(f"127.0.0.1:{doors.grpc_port}")
            calls = {signal: channel.unary_unary(path) for signal, path in _METHODS.items()}
            for place in range(bodies):
                signal = "logs" if place % 10 == 0 else "traces"
                body, encoding, is_json = self.body()
                if place % 2:
                    self._by_http(connection, signal, body, encoding, is_json=is_json)
                elif not is_json:
                    self._by_grpc(calls[signal], body)
            channel.close()
            connection.close()
        self.flush()

    def _by_http(self, connection: Any, signal: str, body: bytes, encoding: str, *, is_json: bool) -> None:
        content_type = "application/json" if is_json else "application/x-protobuf"
        connection.request("POST", f"/v1/{signal}", body, {"content-type": content_type, "content-encoding": encoding})
        response = connection.getresponse()
        response.read()
        assert response.status in (200, 400), response.status
        self.end(f"HTTP {response.status}")

    def _by_grpc(self, call: Any, body: bytes) -> None:
        code = grpc.StatusCode.OK
        try:
            call(body, timeout=60)
        except grpc.RpcError as error:
            code = error.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT), (code, sniff(body))
        self.end(f"gRPC {code.name}")


_METHODS = {"traces": TRACE_EXPORT, "logs": LOGS_EXPORT}


def _zstd(body: bytes) -> bytes:
    packed: bytes = pa.compress(body, "zstd", asbytes=True)
    return packed


def _json(seed: bytes) -> bytes:
    return json_format.MessageToJson(ExportTraceServiceRequest.FromString(seed), indent=None).encode()


def _span(span_id: bytes) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name, span.start_time_unix_nano = b"t" * 16, span_id, "good", 1
    encoded: bytes = span.SerializeToString()
    return encoded


def _expected(payload: bytes) -> tuple[int, int] | None:
    """How many spans protobuf's own class finds good, and how many not; None when it can't read the request."""
    try:
        request = ExportTraceServiceRequest.FromString(payload)
    except DecodeError:
        return None
    found = [
        refusal(span) is None
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    return sum(found), len(found) - sum(found)


def _field(number: int, content: bytes) -> bytes:
    size, header = len(content), bytearray([number << 3 | 2])
    while size > 127:
        header.append(size & 127 | 128)
        size >>= 7
    return bytes(header) + bytes([size]) + content


def _spans(*items: bytes) -> bytes:
    return _field(1, _field(2, b"".join(_field(2, item) for item in items)))


def _nested(levels: int) -> bytes:
    """An attribute whose value is a list in a list in a list ..., and the span that has it, between good ones."""
    value = b""
    for _ in range(levels):
        value = _field(5, _field(1, value))
    return _spans(
        _span(b"first-id"), _span(b"middleid") + _field(9, _field(1, b"k") + _field(2, value)), _span(b"third-id")
    )


BOMBS = {
    "gzip": (lambda: gzip.compress(bytes(1 << 30)), "gzip", 400),
    "deflate": (lambda: zlib.compress(bytes(1 << 30)), "deflate", 400),
    "zstd": (lambda: _zstd(bytes(1 << 30)), "zstd", 400),
    "spans": (lambda: gzip.compress(_field(1, _field(2, b"\x12\x00" * (16 << 20)))), "gzip", 400),
    "attributes": (lambda: gzip.compress(_spans(_span(b"first-id") + b"\x4a\x00" * (2 << 20))), "gzip", 200),
    "events": (lambda: gzip.compress(_spans(_span(b"first-id") + b"\x5a\x00" * (1 << 20))), "gzip", 200),
    "resources": (lambda: gzip.compress(b"\x0a\x00" * (2 << 20)), "gzip", 400),
    "nested": (lambda: _nested(3_000), "identity", 200),
}
"""Per name the body, its encoding, and the status that is right."""


def bomb(name: str) -> dict[str, Any]:
    """Send one through both doors; what became of it, and how much memory it took, in MiB."""
    make, encoding, _ = BOMBS[name]
    body = make()
    fuzz = Fuzz(0)
    with Doors(fuzz, metrics=fuzz.metrics) as doors:
        connection = http.client.HTTPConnection("127.0.0.1", doors.http_port, timeout=120)
        fuzz._by_http(connection, "traces", _spans(_span(b"first-id")), "identity", is_json=False)
        before = _peak_mib(reset=True)
        fuzz.ends.clear()
        fuzz._by_http(connection, "traces", body, encoding, is_json=False)
        with grpc.insecure_channel(f"127.0.0.1:{doors.grpc_port}") as channel:
            fuzz._by_grpc(channel.unary_unary(TRACE_EXPORT), body)
        fuzz.flush()
    return {"ends": fuzz.ends, "grown_mib": _peak_mib() - before}


def main() -> None:
    """Run as the module says."""
    if sys.argv[1] == "bomb":
        print(json.dumps(bomb(sys.argv[2])))
        return
    seed, bodies, sent = map(int, sys.argv[2:5])
    fuzz = Fuzz(seed)
    fuzz.run(2000)
    before = _peak_mib()
    fuzz.run(bodies - 2000)
    fuzz.send(sent)
    failures = {f"{name} {label}": value for (name, label), value in fuzz.metrics.read().items() if "failures" in name}
    print(json.dumps({"ends": fuzz.ends, "failures": failures, "before_mib": before, "peak_mib": _peak_mib()}))


def _peak_mib(*, reset: bool = False) -> int:
    """The most memory since the start, or since the last reset; with a reset, that in use now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


if __name__ == "__main__":
    main()
