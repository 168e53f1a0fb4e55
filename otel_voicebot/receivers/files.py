"""OTLP files: what a Collector's file exporter, a tracing tool or ``curl`` left behind, as OTLP protobuf requests.

Understood are, each plain, gzipped or zstd-compressed, told apart by their bytes and not by their names:

- JSON, one request a line (the Collector's file exporter) or one document over many lines. Ids may be hex (OTLP/JSON)
  or base64, enums numbers or names (protobuf's own JSON).
- protobuf, one request a file.
- requests behind a 4-byte big-endian length (the Collector's file exporter with ``format: proto`` or with
  ``compression: zstd``, which compresses each of them, JSON or protobuf).
"""

import gzip
import io
import itertools
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers.jsonids import ids_to_base64

__all__ = ["payloads"]

_log = logging.getLogger("otel_voicebot")

_MAX_REQUEST: Final = 1 << 28
"""Bytes of one request: a length beyond this is not a length."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_TRACES: Final = ("resourceSpans", "resource_spans")
_OTHERS: Final = ("resourceLogs", "resourceMetrics", "resourceProfiles", "resource_logs", "resource_metrics")

Found = tuple[str, bytes]
"""Where a request lies (``line 3``, ``byte 4711``; empty: the whole file), and its bytes."""


class _DamagedError(Exception):
    """A request, or the rest of a file, can't be read; the text says where and why."""


def payloads(path: Path, *, note: Callable[[str], None] = _log.info) -> Iterator[bytes]:
    """Each request of an OTLP file as ``ExportTraceServiceRequest`` protobuf bytes. Holds one request at a time.

    What can be read is yielded first, also after a damaged request. Requests of other signals only (logs, metrics) are
    skipped; ``note`` is told at the end, in a sentence, how many.

    Raises:
        UsageError: the file can't be opened (at the first request asked for).
        UnreadableDataError: at the end: something was damaged. The message names the file, the line or byte, and why.
    """
    damaged: list[str] = []
    skipped = 0
    try:
        with path.open("rb") as file:
            for where, content in _requests(_plain(file), damaged):
                try:
                    request = _to_protobuf(content)
                except _DamagedError as error:
                    damaged.append(f"{where}: {error}" if where else str(error))
                    continue
                if request is None:
                    skipped += 1
                else:
                    yield request
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UsageError(f"can't open {path}: {error.strerror}") from error
    if skipped:
        note(f"{path}: skipped {skipped} request{'s' * (skipped > 1)} that hold no traces but other signals")
    if damaged:
        more = f" (and {len(damaged) - 1} more places)" if len(damaged) > 1 else ""
        raise UnreadableDataError(f"{path}: {damaged[0]}{more}; the rest was read", (str(path),))


def _requests(stream: BinaryIO, damaged: list[str]) -> Iterator[Found]:
    """Cut a file into requests; what ends it too early goes to ``damaged``."""
    reader = io.BufferedReader(cast("io.RawIOBase", stream), 1 << 16)
    try:
        head = reader.peek(1 << 16)
        if not head:
            return
        if _is_json(head):
            yield from _lines(reader)
        elif head[:1] == b"\n":  # the tag of resource_spans, the only field of a request
            yield "", reader.read()
        else:
            yield from _frames(reader)
    except _DamagedError as error:
        damaged.append(str(error))
    except (OSError, EOFError, zlib.error) as error:
        damaged.append(f"the compressed stream is damaged or ends too early ({error})")


def _is_json(head: bytes) -> bool:
    # A protobuf request begins with a line feed too. Its next bytes are a length and then field tags and ids, which are
    # not text.
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return False
    return head[:1] != b"\n" or not any(byte < 32 and byte not in b"\t\n\r" for byte in head[:4096])


def _lines(reader: BinaryIO) -> Iterator[Found]:
    """One request a line, or one document over all lines."""
    numbered = ((number, line) for number, line in enumerate(_bounded_lines(reader), 1) if line.strip())
    number, first = next(numbered)
    second = next(numbered, None)
    if second is not None and not (_is_object(first) or _is_object(second[1])):
        yield "", b"\n" * (number - 1) + first + second[1] + b"".join(line for _, line in numbered)
        return
    yield f"line {number}", first
    rest = numbered if second is None else itertools.chain([second], numbered)
    for number, line in rest:
        yield f"line {number}", line


def _bounded_lines(reader: BinaryIO) -> Iterator[bytes]:
    while line := reader.readline(_MAX_REQUEST):
        if len(line) == _MAX_REQUEST:
            raise _DamagedError(f"a line is longer than {_MAX_REQUEST} bytes")
        yield line


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _frames(reader: BinaryIO) -> Iterator[Found]:
    offset = 0
    while prefix := _read_up_to(reader, 4):
        size = int.from_bytes(prefix, "big")
        if len(prefix) == 4 and size > _MAX_REQUEST:
            if not offset:
                raise _DamagedError("this is neither OTLP JSON nor OTLP protobuf")
            raise _DamagedError(f"byte {offset}: {size} is not a length")
        content = _read_up_to(reader, size) if len(prefix) == 4 else b""
        if len(prefix) < 4 or len(content) < size:
            raise _DamagedError(f"byte {offset}: the last request is cut short")
        yield f"byte {offset}", content
        offset += 4 + size


def _read_up_to(reader: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := reader.read(min(size, 1 << 20))):  # a wrong length must not reserve memory
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _to_protobuf(content: bytes) -> bytes | None:
    """A request as protobuf; None when it holds other signals only."""
    if content.startswith(_ZSTD):
        try:
            content = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
        except OSError as error:
            raise _DamagedError(f"damaged zstd data ({error})") from error
    if _is_json(content):
        return _from_json(content)
    try:
        ExportTraceServiceRequest.FromString(content)
    except DecodeError as error:
        raise _DamagedError("this is neither OTLP JSON nor OTLP protobuf") from error
    return content


def _from_json(content: bytes) -> bytes | None:
    try:
        document: Any = json.loads(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise _DamagedError(f"broken JSON at {place}: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise _DamagedError(f"broken JSON: {type(error).__name__}") from error
    if not any(key in document for key in _TRACES):
        if any(key in document for key in _OTHERS):
            return None
        raise _DamagedError("this JSON is not an OTLP request: it has no resourceSpans")
    try:
        ids_to_base64(document)
        request = json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # json_format's messages quote the value, which may be what a caller said.
        raise _DamagedError("this JSON is not an OTLP request: a field has the wrong type") from error
    return request.SerializeToString()


def _plain(file: io.BufferedReader) -> BinaryIO:
    magic = file.peek(4)[:4]  # not read and seek: it may be a pipe
    if magic.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if magic == _ZSTD:
        return cast("BinaryIO", _Zstd(file))
    return file


class _Zstd(io.RawIOBase):
    """pyarrow's zstd stream as a raw stream of the standard library."""

    def __init__(self, file: BinaryIO) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(file), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part: bytes = self._stream.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)
