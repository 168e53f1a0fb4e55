"""Bodies as senders send them become plain protobuf: compressed ones are unpacked, JSON is converted.

Both within bounds: what a body may become is asked for piece by piece, so a bomb costs no more than the bound.
"""

import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.receivers.answers import Signal
from otel_voicebot.receivers.jsonids import ids_of_one_to_base64, ids_to_base64
from otel_voicebot.receivers.usualjson import usual

__all__ = ["ENCODINGS", "BadBodyError", "LargeBodyError", "decompress", "from_document", "from_json", "load", "sniff"]

_PIECE: Final = 1 << 20
_ENDS_EARLY: Final = "it ends too early"

_MARKS: Final = (b",", b":", b"[", b"{")
_MOST_MARKS: Final = 6_000_000
"""Each stands for a value at most, and a value takes some 60 bytes: `[],` would become 24 times its bytes. Spans of
frameworks have one in ten to twelve bytes, so that this is 60 MB of them, which take 6 s and ten times the memory."""

Reserve = Callable[[int], None]
"""Asks for this many more bytes; raises where they can't be had."""


class BadBodyError(Exception):
    """A body that can never be accepted. The text says why and quotes nothing of it."""


class LargeBodyError(BadBodyError):
    """One that could be, in smaller batches."""


def decompress(body: bytes, encoding: str, limit: int, reserve: Reserve) -> bytes:
    """The body without its compression.

    Args:
        body: the bytes as they came.
        encoding: one of ``ENCODINGS``.
        limit: bytes that it may become.
        reserve: is asked before each megabyte; what it raises ends the work.

    Raises:
        BadBodyError: the bytes are damaged, or (LargeBodyError) become more than ``limit``.
    """
    if encoding == "identity":
        return body
    plain = io.BytesIO()
    try:
        for piece in ENCODINGS[encoding](body):
            if plain.tell() + len(piece) > limit:
                raise LargeBodyError(
                    f"the body becomes more than {limit} bytes when decompressed; send smaller batches"
                )
            reserve(len(piece))
            plain.write(piece)
    except (zlib.error, EOFError, OSError) as error:
        raise BadBodyError(f"the body is not valid {encoding} data") from error
    return plain.getvalue()


def sniff(body: bytes) -> str:
    """The compression of a protobuf request by its first bytes.

    They are no protobuf that OTLP knows: gzip's have a wire type that does not exist, zlib's are a field 15 and zstd's
    a field 5, where a request has a field 1 only.
    """
    if body[:2] == b"\x1f\x8b":
        return "gzip"
    if body[:4] == b"\x28\xb5\x2f\xfd":
        return "zstd"
    if body[:1] == b"\x78" and len(body) > 1 and int.from_bytes(body[:2], "big") % 31 == 0:
        return "deflate"
    return "identity"


def _gzip(body: bytes) -> Iterator[bytes]:
    rest = body
    while rest:  # a gzip file may have several members
        stream = zlib.decompressobj(wbits=31)
        yield from _inflate(stream, rest)
        rest = stream.unused_data.lstrip(b"\0")
    if not body:
        raise EOFError(_ENDS_EARLY)


def _deflate(body: bytes) -> Iterator[bytes]:
    # HTTP's "deflate" is zlib's format; some senders take the word literally and leave its header out
    zlib_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    yield from _inflate(zlib.decompressobj(wbits=15 if zlib_header else -15), body)


def _inflate(stream: Any, body: bytes) -> Iterator[bytes]:
    while not stream.eof:
        piece = stream.decompress(body, _PIECE)
        if not piece and not stream.eof:
            raise EOFError(_ENDS_EARLY)
        yield piece
        body = stream.unconsumed_tail


def _zstd(body: bytes) -> Iterator[bytes]:
    if not body:
        raise EOFError(_ENDS_EARLY)
    with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
        while piece := stream.read(_PIECE):
            yield piece


ENCODINGS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "identity": lambda body: iter((body,)),
    "gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
"""Content encodings that are understood."""

_REQUESTS: Final[dict[Signal, tuple[type[Message], tuple[tuple[str, str], ...]]]] = {
    "traces": (
        ExportTraceServiceRequest,
        (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("spans", "spans")),
    ),
    "logs": (
        ExportLogsServiceRequest,
        (("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs"), ("logRecords", "log_records")),
    ),
}
"""Per signal its message, and the names of its lists from outside in, in JSON and in protobuf."""


def from_json(signal: Signal, content: bytes) -> tuple[bytes, int]:
    """An OTLP/JSON request as protobuf, and how many of its spans or log records can't be read and are left out.

    Ids may be hex (OTLP/JSON) or base64 (protobuf's own JSON).

    Raises:
        BadBodyError: this is no such request, or (LargeBodyError) one of too many values.
    """
    if sum(content.count(mark) for mark in _MARKS) > _MOST_MARKS:
        raise LargeBodyError("the body is JSON of too many values; send smaller batches, or protobuf")
    try:
        document = load(content)
    except (ValueError, RecursionError) as error:
        raise BadBodyError("the body is not JSON") from error
    return from_document(signal, document)


def load(content: bytes) -> Any:
    """What a JSON text holds. A text in it that is not UTF-8 becomes one that protobuf refuses, with its span only.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        return json.loads(content.decode("utf-8", "surrogateescape"))


def from_document(signal: Signal, document: Any) -> tuple[bytes, int]:
    """The same of JSON that was parsed, which is changed.

    Raises:
        BadBodyError: this is no such request.
    """
    kind, names = _REQUESTS[signal]
    if not isinstance(document, dict):
        raise BadBodyError("the body is JSON, but no OTLP request")
    if (quick := usual(document, kind)) is not None:
        return quick.SerializeToString(), 0
    request, refused = kind(), 0
    try:
        ids_to_base64(document)
        _parse(document, request)
    except _ODD:
        request.Clear()
        refused = _one_by_one(document, request, names)
    return request.SerializeToString(), refused


_ODD: Final = (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError, KeyError, SystemError)
"""What comes of JSON whose values have other types than OTLP's; the last of a key that is half a surrogate."""


def _parse(document: Any, message: Message) -> None:
    json_format.ParseDict(document, message, ignore_unknown_fields=True)


def _one_by_one(document: dict[str, Any], request: Any, names: tuple[tuple[str, str], ...]) -> int:
    """Fill the request with what can be read; the number of spans or log records that can't."""
    outer, inner, leaf = names
    refused = 0
    for resource in _list(document, outer):
        holder = getattr(request, outer[1]).add()
        known = _fill(resource, holder, inner)
        for scope in _list(resource, inner):
            group = getattr(holder, inner[1]).add()
            found = getattr(group, leaf[1])
            known_too = _fill(scope, group, leaf) and known
            for one in _list(scope, leaf):
                if not (known_too and _fill(one, found.add())):
                    refused += 1
                    del found[-1:]  # parsed or not: without its resource a span says nothing
    if not refused:
        raise BadBodyError("the body is JSON, but no OTLP request: a field has the wrong type")
    return refused


def _fill(document: Any, message: Message, without: tuple[str, ...] = ()) -> bool:
    """Read an object into a message, but for its inner lists; whether that went well."""
    try:
        if not without:
            ids_of_one_to_base64(document)
        _parse({key: value for key, value in document.items() if key not in without}, message)
    except _ODD:
        return False
    return True


def _list(parent: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(parent, dict):
        for key in dict.fromkeys(keys):
            found = parent.get(key)
            yield from found if isinstance(found, list) else ()
