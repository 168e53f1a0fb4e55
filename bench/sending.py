"""Sends OTLP over gRPC as raw bytes, and keeps a ledger: what was sent, what was acknowledged, how long it took."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import grpc

from bench import generate, wire
from otel_voicebot import semconv as s

__all__ = ["Ledger", "Request", "Sender", "requests_of"]

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRIED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""What OTLP lets a sender try again."""
_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """OTLP bytes and the keys of the spans in them, (trace id, span id) in hex."""

    payload: bytes
    keys: frozenset[tuple[str, str]]


def requests_of(spans: int, seed: int, *, per_request: int = 200) -> Iterator[Request]:
    """At least so many spans of whole calls, call by call, as requests of about ``per_request`` spans."""
    waiting: list[tuple[dict[str, str], wire.Span]] = []
    for call in generate.calls(spans, seed):
        waiting += [(call.resource, row) for row in call.spans]
        while len(waiting) >= per_request:
            yield _request(waiting[:per_request])
            del waiting[:per_request]
    if waiting:
        yield _request(waiting)


def _request(rows: list[tuple[dict[str, str], wire.Span]]) -> Request:
    by_resource: dict[str, tuple[dict[str, str], list[bytes]]] = {}
    for resource, row in rows:
        by_resource.setdefault(str(resource), (resource, []))[1].append(wire.span(row))
    groups = [(resource, s.SCOPE_NAME, spans) for resource, spans in by_resource.values()]
    return Request(wire.request(groups), frozenset((row.trace_id.hex(), row.span_id.hex()) for _, row in rows))


@dataclass
class Ledger:
    """What became of the requests. Filled by senders' threads."""

    sent: set[tuple[str, str]] = field(default_factory=set)
    acked: set[tuple[str, str]] = field(default_factory=set)
    ack_s: list[float] = field(default_factory=list)
    """Seconds from the first try of a request to its acknowledgement."""
    acked_at: list[float] = field(default_factory=list)
    """Monotonic times of acknowledgements."""
    retries: int = 0
    refused: list[str] = field(default_factory=list)
    """Answers that mean never: each loses a request."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def longest_s(self) -> float:
        """The longest wait for an acknowledgement."""
        return max(self.ack_s, default=0.0)

    def recovery_s(self, since: float) -> float:
        """Seconds from a monotonic time to the first acknowledgement after it."""
        return min((at - since for at in self.acked_at if at >= since), default=float("nan"))


class Sender:
    """Sends requests from several threads, each trying again until it is acknowledged, as OTLP prescribes.

    Args:
        address: HOST:PORT of a gRPC door.
        ledger: filled.
        in_flight: threads.
        timeout_s: of one try.
        repeat: every so many-th acknowledged request is sent again, as a sender does that missed the answer.
    """

    def __init__(
        self, address: str, ledger: Ledger, *, in_flight: int = 4, timeout_s: float = 30.0, repeat: int = 0
    ) -> None:
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._repeat = repeat
        self._in_flight = in_flight
        self._stopped = threading.Event()
        self._taking = threading.Lock()
        # a local subchannel pool: every sender has connections of its own, and none waits long to connect again
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.initial_reconnect_backoff_ms", 100),
        ]
        self._channel = grpc.insecure_channel(address, options)
        self._export = self._channel.unary_unary(EXPORT)
        self._threads: list[threading.Thread] = []

    def start(self, requests: Iterable[Request], *, pause_s: float = 0.0) -> Self:
        """Send them in the background; each thread waits ``pause_s`` between two requests."""
        source = iter(requests)
        for _ in range(self._in_flight):
            thread = threading.Thread(target=self._work, args=(source, pause_s), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def join(self, timeout_s: float = 600.0) -> None:
        """Wait until everything is acknowledged or refused for good.

        Raises:
            TimeoutError: it took too long.
        """
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"requests are unanswered after {timeout_s:g} s")

    def stop(self) -> None:
        """Finish the requests under way and take no more; what is not acknowledged by then stays so."""
        self._stopped.set()

    def _work(self, source: Iterator[Request], pause_s: float) -> None:
        while not self._stopped.is_set():
            with self._taking:
                request = next(source, None)
            if request is None:
                return
            if self.send(request) and self._repeat and len(self._ledger.ack_s) % self._repeat == 0:
                self.send(request)
            if pause_s:
                self._stopped.wait(pause_s)

    def send(self, request: Request) -> bool:
        """One request until it is acknowledged; False when it was refused for good, or we were stopped."""
        began = time.monotonic()
        with self._ledger.lock:
            self._ledger.sent |= request.keys
        while True:
            try:
                self._export(request.payload, timeout=self._timeout_s)
            except grpc.RpcError as error:
                if not self._goes_on(error):
                    return False
                continue
            now = time.monotonic()
            with self._ledger.lock:
                self._ledger.acked |= request.keys
                self._ledger.ack_s.append(now - began)
                self._ledger.acked_at.append(now)
            return True

    def _goes_on(self, error: grpc.RpcError) -> bool:
        code = error.code()
        if code not in _RETRIED:
            with self._ledger.lock:
                self._ledger.refused.append(f"{code.name}: {error.details()}")
            return False
        with self._ledger.lock:
            self._ledger.retries += 1
        return not self._stopped.wait(_PAUSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._channel.close()
