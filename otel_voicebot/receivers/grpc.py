"""The OTLP/gRPC door.

Handlers take raw bytes, so nothing is parsed twice, and they take them as a stream of one: a request that is not
welcome is answered before its body is read, and no body is read beyond what may be read at once. grpcio's own bound of
calls at once is not used: it answers RESOURCE_EXHAUSTED without a delay, which makes a Collector drop the batch.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

import grpc

from otel_voicebot.errors import CannotStartError
from otel_voicebot.receivers.answers import Accepted, Answer, Intake, Refused
from otel_voicebot.receivers.bodies import sniff
from otel_voicebot.receivers.door import BusyError, Door, Lease
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.statuses import DOORS, accepted, refused
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["GrpcReceiver"]

_SPARE: Final = 8
"""Threads beyond the requests that may be worked on: they turn away the others, and answer health checks."""
_READING: Final = 8
"""Bodies that are read at once; each may take its full bound of memory."""
_POLL_S: Final = 1.0
_SERVICES: Final = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_HEALTH: Final = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"


class _UnauthenticatedError(Exception):
    """The token is wrong or missing."""


class _NoMessageError(Exception):
    """The call ended without a request: cancelled, by the sender or as it took too long, or empty."""


class GrpcReceiver:
    """Serves TraceService, LogsService and MetricsService, and ``grpc.health.v1.Health/Check`` as readiness.

    Args:
        intake: where requests go.
        address: HOST:PORT; port 0 picks a free one.
        security: who may send.
        limits: what a sender may cost.
        metrics: counts refusals, and failures that were contained.
    """

    def __init__(
        self, intake: Intake, address: str, security: Security, limits: Limits, metrics: SelfMetrics | None = None
    ) -> None:
        self._door = Door("grpc", intake, security, limits, metrics or SelfMetrics())
        self._address = address
        self._limits = limits
        self._reading = threading.BoundedSemaphore(_READING)
        self._slow = _SlowSenders(limits.receive_s)
        self._stopping = threading.Event()
        self._server: Any = None

    def start(self) -> int:
        """Listen; the port.

        Raises:
            CannotStartError: the address can't be used.
        """
        pool = ThreadPoolExecutor(self._limits.concurrent + _SPARE, thread_name_prefix="otel-voicebot-grpc")
        server = grpc.server(pool, options=_options(self._limits))
        for signal in DOORS:
            handler = grpc.stream_unary_rpc_method_handler(self._export(signal))
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(_SERVICES[signal], {"Export": handler}),)
            )
        check = grpc.unary_unary_rpc_method_handler(self._check)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_HEALTH, {"Check": check}),))
        try:
            port = self._bind(server)
        except RuntimeError as error:
            msg = (
                f"OTLP/gRPC can't be served at {self._address}: the port is taken, or not this machine's; "
                "set OTEL_VOICEBOT_GRPC_ADDR to another HOST:PORT (port 0 picks a free one)"
            )
            raise CannotStartError(msg) from error
        server.start()
        self._slow.start()
        self._server = server
        return port

    @property
    def alive(self) -> bool:
        """Whether its own thread runs; also before start and after stop. grpcio doesn't tell of its threads."""
        return self._server is None or self._slow.alive

    def stop(self, grace_s: float) -> None:
        """Take nothing new, answer what was taken within so many seconds, and end. Idempotent; safe before start."""
        server, self._server = self._server, None
        if server is not None:
            stopped = server.stop(grace_s)
            stopped.wait(grace_s + 1)
            self._stopping.set()
            self._slow.stop()

    def _bind(self, server: Any) -> int:
        security = self._door.security
        if security.cert is None or security.key is None:
            return int(server.add_insecure_port(self._address))
        client_ca = security.client_ca.read_bytes() if security.client_ca is not None else None
        credentials = grpc.ssl_server_credentials(
            [(security.key.read_bytes(), security.cert.read_bytes())], client_ca, client_ca is not None
        )
        return int(server.add_secure_port(self._address, credentials))

    def _check(self, request: bytes, context: Any) -> bytes:
        if request not in _KNOWN_TO_HEALTH:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        try:
            return _SERVING if self._door.intake.unready() is None else _NOT_SERVING
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            self._door.failed(error)
            return _NOT_SERVING

    def _export(self, signal: str) -> Callable[[Iterator[bytes], Any], bytes]:
        def export(requests: Iterator[bytes], context: Any) -> bytes:
            authentic = True
            try:
                answer = self._answer(signal, requests, context)
            except _UnauthenticatedError:
                authentic, answer = False, self._door.never("unauthenticated", "the bearer token is wrong or missing")
            except BusyError as error:
                answer = self._door.later("busy", str(error))
            except _NoMessageError:
                answer = self._door.never("malformed", "a call without a message")
            except BaseException as error:  # noqa: BLE001 - anything else would be answered with UNKNOWN
                if not context.is_active():  # the sender has gone; so has the request's body
                    return b""
                answer = self._door.failed(error)
            if isinstance(answer, Accepted):
                return accepted(signal, answer)
            return _abort(context, answer, authentic=authentic)

        return export

    def _answer(self, signal: str, requests: Iterator[bytes], context: Any) -> Answer:
        door = self._door
        authorization = next((value for key, value in context.invocation_metadata() if key == "authorization"), None)
        if not door.security.admits(authorization):
            raise _UnauthenticatedError
        closed = door.closed()
        if closed is not None:
            return closed
        with door.place() as lease:
            body = self._body(requests, context, lease)
            pending = door.take(signal, body, lease, encoding=sniff(body))
            del body
            lease.release()  # while it waits for the disk, the intake knows what it costs
            return pending.complete(self._wait(pending.future, context))

    def _body(self, requests: Iterator[bytes], context: Any, lease: Lease) -> bytes:
        if not self._reading.acquire(timeout=self._limits.receive_s):
            raise BusyError("too many requests are being received at once")
        try:
            with self._slow.watched(context):
                body = next(requests, None)
            if body is None:
                raise _NoMessageError
            lease.take(len(body))
        finally:
            self._reading.release()
        return body

    def _wait(self, future: Future[Answer], context: Any) -> Answer:
        deadline = time.monotonic() + self._limits.answer_s
        while True:
            try:
                return future.result(min(_POLL_S, max(0.0, deadline - time.monotonic())))
            except FutureTimeoutError:
                if self._stopping.is_set() or not context.is_active() or time.monotonic() >= deadline:
                    return self._door.later("slow", "the disk did not take it in time; try again")


class _SlowSenders:
    """Ends calls whose message takes too long to arrive: each of them keeps a thread and a place."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: dict[int, tuple[float, Any]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-voicebot-grpc-slow", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=2)

    @contextlib.contextmanager
    def watched(self, context: Any) -> Iterator[None]:
        """Cancel the call (which a Collector tries again) when the block takes too long."""
        self._calls[id(context)] = (time.monotonic() + self._seconds, context)
        try:
            yield
        finally:
            self._calls.pop(id(context), None)

    def _run(self) -> None:
        while not self._stopped.wait(min(_POLL_S, self._seconds / 4)):
            now = time.monotonic()
            for deadline, context in list(self._calls.values()):
                if now > deadline:
                    context.cancel()


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # or a second service takes half of the senders, silently
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.per_message_decompression", 0),  # we do it, with our bounds and our answers
        ("grpc.max_concurrent_streams", limits.concurrent + _SPARE),  # more would wait where nobody tells them
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # senders that keep alive are not turned out
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _health_request(service: str) -> bytes:
    return b"\x0a" + bytes([len(service)]) + service.encode() if service else b""


_KNOWN_TO_HEALTH: Final = {_health_request(service) for service in ("", *_SERVICES.values())}


def _abort(context: Any, answer: Refused, *, authentic: bool) -> bytes:
    if not authentic:
        code = grpc.StatusCode.UNAUTHENTICATED
    else:
        code = grpc.StatusCode.INVALID_ARGUMENT if answer.retry_after_s is None else grpc.StatusCode.UNAVAILABLE
    context.set_trailing_metadata((("grpc-status-details-bin", refused(answer, authentic=authentic)),))
    context.abort(code, answer.message)
    return b""
