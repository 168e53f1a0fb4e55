"""One request of log records to an OTLP endpoint, over HTTP or gRPC: what became of it, and never an exception."""

import http.client
import ssl
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from otel_voicebot.errors import UsageError

__all__ = ["Again", "Refused", "Sender", "Sent", "Taken", "sender_for"]


@dataclass(frozen=True, slots=True)
class Taken:
    """The endpoint has it; it left out so many records for good."""

    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """It may be taken later, in so many seconds where the endpoint said so."""

    why: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken."""

    why: str


Sent = Taken | Again | Refused


class Sender(Protocol):
    """Sends to one endpoint. For one thread."""

    def send(self, compressed: bytes, plain: bytes, timeout_s: float) -> Sent:
        """Send an ``ExportLogsServiceRequest``, which is given gzipped and as it is. Never raises."""
        ...

    def close(self) -> None:
        """Let go of the connection; a later ``send`` makes a new one."""
        ...


def sender_for(endpoint: str) -> Sender:
    """A sender for a URL: ``http``, ``https`` (`/v1/logs` is added where it has no path), ``grpc``, ``grpcs``.

    Raises:
        UsageError: it is no such URL.
    """
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError as error:
        msg = f"logs_endpoint {endpoint!r} is no URL: {error}"
        raise UsageError(msg) from None
    if url.scheme not in _DEFAULT_PORTS or not host:
        msg = f"logs_endpoint {endpoint!r} must be like http://host:4318, https://host/v1/logs or grpc://host:4317"
        raise UsageError(msg)
    port = port or _DEFAULT_PORTS[url.scheme]
    if url.scheme.startswith("http"):
        return _Http(url, host, port)
    return _Grpc(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", secure=url.scheme == "grpcs")


_DEFAULT_PORTS: Final = {"http": 4318, "https": 4318, "grpc": 4317, "grpcs": 4317}
_HTTP_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses that OTLP calls retryable."""
_ANSWER_BYTES: Final = 1 << 20


class _Http:
    def __init__(self, url: SplitResult, host: str, port: int) -> None:
        path = url.path if url.path not in ("", "/") else "/v1/logs"
        self._path = f"{path}?{url.query}" if url.query else path
        self._host, self._port = host, port
        self._context = ssl.create_default_context() if url.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, compressed: bytes, plain: bytes, timeout_s: float) -> Sent:  # noqa: ARG002 - HTTP compresses itself
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "otel-voicebot"}
        try:
            connection = self._connected(timeout_s)
            connection.request("POST", self._path, compressed, headers)
            response = connection.getresponse()
            body = response.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Again(f"{type(error).__name__}: {error}")
        if response.will_close or not response.isclosed():  # a longer answer than we read: the connection is no use
            self.close()
        if 200 <= response.status < 300:
            return _taken(body)
        why = f"HTTP {response.status}"
        if response.status in _HTTP_AGAIN:
            return Again(why, _seconds(response.headers.get("Retry-After")))
        return Refused(why)

    def _connected(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = (
                http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
                if self._context is None
                else http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._context)
            )
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _taken(body: bytes) -> Taken:
    try:
        answer = ExportLogsServiceResponse.FromString(body)
    except DecodeError:  # some servers answer with a text
        return Taken()
    return Taken(max(answer.partial_success.rejected_log_records, 0))


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None


_EXPORT: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_GRPC_AGAIN: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes that OTLP calls retryable; RESOURCE_EXHAUSTED is where it says when."""


class _Grpc:
    def __init__(self, target: str, *, secure: bool) -> None:
        self._target = target
        self._secure = secure
        self._channel: Any = None

    def send(self, compressed: bytes, plain: bytes, timeout_s: float) -> Sent:  # noqa: ARG002 - gRPC compresses itself
        import grpc  # noqa: PLC0415 - a tenth of a second, where HTTP may do

        if self._channel is None:
            options = [("grpc.max_send_message_length", -1)]
            self._channel = (
                grpc.secure_channel(self._target, grpc.ssl_channel_credentials(), options)
                if self._secure
                else grpc.insecure_channel(self._target, options)
            )
        export = self._channel.unary_unary(_EXPORT, request_serializer=None, response_deserializer=None)
        try:
            return _taken(export(plain, timeout=timeout_s, compression=grpc.Compression.Gzip))
        except grpc.RpcError as error:
            code = error.code()
            why = f"gRPC {code.name}"
            after = _retry_info(error)
            if code.name in _GRPC_AGAIN or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after is not None):
                return Again(why, after)
            return Refused(why)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _retry_info(error: Any) -> float | None:
    """Seconds of the RetryInfo among an error's details."""
    from google.rpc.error_details_pb2 import RetryInfo  # noqa: PLC0415 - with gRPC only
    from google.rpc.status_pb2 import Status  # noqa: PLC0415

    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
            except DecodeError:
                return None
    return None
