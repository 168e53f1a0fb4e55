"""One request as it lies in a file becomes OTLP protobuf: JSON or protobuf, plain or zstd-compressed, any signal."""

import json
from functools import partial
from typing import Any, Final, NamedTuple

import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.receivers.answers import Signal
from otel_voicebot.receivers.bodies import BadBodyError, from_document, load
from otel_voicebot.receivers.salvage import salvage

__all__ = ["ZSTD", "DamagedError", "Request", "is_json", "read_request"]

ZSTD: Final = b"\x28\xb5\x2f\xfd"
_KEYS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("resourceSpans", "resource_spans"),
    "logs": ("resourceLogs", "resource_logs"),
}
"""Per signal what its JSON begins with."""
_OTHERS: Final = ("resourceMetrics", "resourceProfiles", "resource_metrics", "resource_profiles")
_WRONG_TYPE: Final = "this JSON is not an OTLP request: a field has the wrong type"


class Request(NamedTuple):
    """A request and what it is of."""

    signal: Signal
    payload: bytes
    """Protobuf. Single spans or log records in it may be unreadable."""
    lost: int = 0
    """Spans or log records that could not be read and are not in it."""


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
    return _from_json(content) if is_json(content) else [Request(_signal_of(content), content)]


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
        traces, logs = _rest(ExportTraceServiceRequest, content), _rest(ExportLogsServiceRequest, content)
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


def _rest(kind: type[Message], content: bytes) -> Any:
    """What of it can be parsed without the spans or log records at fault."""
    kept = salvage(content, partial(_parses, kind))
    return None if kept is None else _parsed(kind, kept[0])


def _parses(kind: type[Message], content: bytes) -> bool:
    return _parsed(kind, content) is not None


def _from_json(content: bytes) -> list[Request]:
    try:
        document: Any = load(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise DamagedError(f"broken JSON at {place}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, an integer of thousands of digits, nested too deep
        raise DamagedError(f"broken JSON: {type(error).__name__}") from error
    found = [_message(signal, document) for signal, keys in _KEYS.items() if any(key in document for key in keys)]
    if not found and not any(key in document for key in _OTHERS):
        raise DamagedError("this JSON is not an OTLP request: it has no resourceSpans and no resourceLogs")
    return found


def _message(signal: Signal, document: dict[str, Any]) -> Request:
    try:
        payload, lost = from_document(signal, document)
    except BadBodyError as error:
        # json_format's messages quote the value, which may be what a caller said.
        raise DamagedError(_WRONG_TYPE) from error
    if lost and salvage(payload, bool) is None:  # nothing is left
        raise DamagedError(_WRONG_TYPE)
    return Request(signal, payload, lost)
