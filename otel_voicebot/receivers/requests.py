"""One request as it lies in a file becomes OTLP protobuf: JSON or protobuf, plain or zstd-compressed, any signal."""

import json
from typing import Any, Final

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.receivers.answers import Signal
from otel_voicebot.receivers.jsonids import ids_to_base64
from otel_voicebot.receivers.usualjson import usual

__all__ = ["ZSTD", "DamagedError", "Request", "is_json", "read_request"]

ZSTD: Final = b"\x28\xb5\x2f\xfd"
_KINDS: Final[dict[Signal, tuple[type[Message], tuple[str, str]]]] = {
    "traces": (ExportTraceServiceRequest, ("resourceSpans", "resource_spans")),
    "logs": (ExportLogsServiceRequest, ("resourceLogs", "resource_logs")),
}
"""Per signal its message, and what its JSON begins with."""
_OTHERS: Final = ("resourceMetrics", "resourceProfiles", "resource_metrics", "resource_profiles")

Request = tuple[Signal, bytes]
"""A request and what it is of."""


class DamagedError(Exception):
    """A request, or the rest of a file, can't be read; the text says where and why, and quotes nothing."""


def read_request(content: bytes) -> list[Request]:
    """The traces and logs in one stored request; none when it holds other signals only.

    Raises:
        DamagedError: it can't be read.
    """
    if content.startswith(ZSTD):
        try:
            content = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
        except OSError as error:
            raise DamagedError(f"damaged zstd data ({error})") from error
    return _from_json(content) if is_json(content) else [(_signal_of(content), content)]


def is_json(head: bytes) -> bool:
    """Whether bytes begin as JSON does, and not as a protobuf request, which begins with a line feed too."""
    # A protobuf request's next bytes are a length and then field tags and ids, which are not text.
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return False
    return head[:1] != b"\n" or not any(byte < 32 and byte not in b"\t\n\r" for byte in head[:4096])


def _signal_of(content: bytes) -> Signal:
    """Both signals have the same shape, and the fields of one are mostly unknown ones of the other."""
    traces, logs = _parsed(ExportTraceServiceRequest, content), _parsed(ExportLogsServiceRequest, content)
    if traces is None and logs is None:
        raise DamagedError("this is neither OTLP JSON nor OTLP protobuf")
    if traces is not None and any(
        len(span.trace_id) == 16 and span.start_time_unix_nano
        for resource in traces.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans[:1]
    ):
        return "traces"
    if logs is not None and any(
        record.time_unix_nano or record.observed_time_unix_nano
        for resource in logs.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records[:1]
    ):
        return "logs"
    return "logs" if traces is None else "traces"


def _parsed(kind: type[Message], content: bytes) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError:
        return None


def _from_json(content: bytes) -> list[Request]:
    try:
        document: Any = json.loads(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise DamagedError(f"broken JSON at {place}: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"broken JSON: {type(error).__name__}") from error
    found: list[Request] = [
        (signal, _message(document, kind).SerializeToString())
        for signal, (kind, keys) in _KINDS.items()
        if any(key in document for key in keys)
    ]
    if not found and not any(key in document for key in _OTHERS):
        raise DamagedError("this JSON is not an OTLP request: it has no resourceSpans and no resourceLogs")
    return found


def _message(document: dict[str, Any], kind: type[Message]) -> Message:
    message = usual(document, kind)
    if message is not None:
        return message
    try:
        ids_to_base64(document)
        return json_format.ParseDict(document, kind(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # json_format's messages quote the value, which may be what a caller said.
        raise DamagedError("this JSON is not an OTLP request: a field has the wrong type") from error
