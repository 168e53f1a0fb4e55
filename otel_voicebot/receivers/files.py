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

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers.requests import ZSTD, DamagedError, Request, is_json, read_request

__all__ = ["MAX_REQUEST", "payloads"]

_log = logging.getLogger("otel_voicebot")

MAX_REQUEST: Final = 1 << 28
"""Bytes of one request: a length beyond this is not a length."""

_GZIP: Final = b"\x1f\x8b"

Found = tuple[str, bytes]
"""Where a request lies (``line 3``, ``byte 4711``; empty: the whole file), and its bytes."""


def payloads(path: Path, *, note: Callable[[str], None] = _log.info) -> Iterator[Request]:
    """Each request of an OTLP file, traces or logs, as protobuf bytes. Holds one request at a time.

    What can be read is yielded first, also after a damaged request. Requests of other signals only (metrics) are
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
                    found = read_request(content)
                except DamagedError as error:
                    damaged.append(f"{where}: {error}" if where else str(error))
                    continue
                skipped += not found
                yield from found
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UsageError(f"can't open {path}: {error.strerror}") from error
    if skipped:
        note(f"{path}: skipped {skipped} request{'s' * (skipped > 1)} that hold other signals than traces and logs")
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
        if is_json(head):
            yield from _lines(reader)
        elif head[:1] == b"\n":  # the tag of resource_spans, the only field of a request
            yield "", reader.read()
        else:
            yield from _frames(reader)
    except DamagedError as error:
        damaged.append(str(error))
    except (OSError, EOFError, zlib.error) as error:
        damaged.append(f"the compressed stream is damaged or ends too early ({error})")


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
    while line := reader.readline(MAX_REQUEST):
        if len(line) == MAX_REQUEST:
            raise DamagedError(f"a line is longer than {MAX_REQUEST} bytes")
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
        if len(prefix) == 4 and size > MAX_REQUEST:
            if not offset:
                raise DamagedError("this is neither OTLP JSON nor OTLP protobuf")
            raise DamagedError(f"byte {offset}: {size} is not a length")
        content = _read_up_to(reader, size) if len(prefix) == 4 else b""
        if len(prefix) < 4 or len(content) < size:
            raise DamagedError(f"byte {offset}: the last request is cut short")
        yield f"byte {offset}", content
        offset += 4 + size


def _read_up_to(reader: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := reader.read(min(size, 1 << 20))):  # a wrong length must not reserve memory
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _plain(file: io.BufferedReader) -> BinaryIO:
    magic = file.peek(4)[:4]  # not read and seek: it may be a pipe
    if magic.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if magic == ZSTD:
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
