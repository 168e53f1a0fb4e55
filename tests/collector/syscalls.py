"""Reads an strace log of the service: which answer was sent when, and what had been fsynced by then.

Nothing in the service says what an answer is for. The log has the bytes on its sockets, so a request is told by the
trace ids in it and its answer by HTTP/2 stream or HTTP/1.1 connection, and the file that holds its spans by looking
into the store afterwards.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["STRACE", "Ack", "acks", "unproven"]

STRACE = (
    *("strace", "-f", "-yy", "-xx", "-s", "1000000", "-e", "signal=none"),
    *("-e", "trace=fsync,rename,renameat,renameat2,recvmsg,recvfrom,read,sendmsg,sendto,write,writev"),
)

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_RESULT = re.compile(r"= (-?\d+|\?)[^=]*$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SOCKET = re.compile(r"^(\d+<(?:TCP|TCPv6|socket):\[.*?\]>)")
_PATH = re.compile(r"^\d+<([^>]*)>")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _END_STREAM = 0, 1, 1


@dataclass(frozen=True)
class Call:
    """One system call. ``done`` is False at the moment it was entered and True when it came back."""

    name: str
    arguments: str
    done: bool
    result: int = 0


@dataclass
class Ack:
    """An answer that says OK: the bytes of its request, and every fsync and rename that was through before it left."""

    request: bytes
    fsynced: list[tuple[int, str]]
    renamed: list[tuple[int, str, str]]


@dataclass
class _Connection:
    received: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    streams: dict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    http2: bool | None = None


def _calls(log: str) -> Iterator[Call]:
    """Each call twice, as it is entered and as it comes back, in the order in which that happened."""
    entered: dict[str, str] = {}
    for line in log.splitlines():
        if not (found := _LINE.match(line)):
            continue
        thread, text = found.groups()
        if resumed := _RESUMED.match(text):
            before = entered.pop(thread, "")
            name, arguments = before.partition("(")[::2]
            if name:
                yield _finished(name, arguments + resumed[2])
        elif call := _CALL.match(text):
            name, arguments = call.groups()
            if arguments.endswith("<unfinished ...>"):
                arguments = arguments.removesuffix("<unfinished ...>")
                entered[thread] = f"{name}({arguments}"
                yield Call(name, arguments, done=False)
            else:
                yield Call(name, arguments, done=False)
                yield _finished(name, arguments)


def _finished(name: str, arguments: str) -> Call:
    result = _RESULT.search(arguments)
    failed = result is None or result[1] == "?" or "(INJECTED)" in arguments
    return Call(name, arguments, done=True, result=-1 if failed or result is None else int(result[1]))


def _bytes(arguments: str) -> bytes:
    texts = _TEXT.findall(arguments)
    return b"".join(bytes.fromhex(text.replace("\\x", "")) for text in texts)


def _decoded(arguments: str) -> str:
    """Arguments with file names readable again (-xx hides them too)."""
    return re.sub(r"((?:\\x[0-9a-f]{2})+)", lambda text: bytes.fromhex(text[1].replace("\\x", "")).decode(), arguments)


def _frames(stream: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Take whole HTTP/2 frames off the front: type, flags, stream, payload."""
    while len(stream) >= 9:
        length = int.from_bytes(stream[:3])
        if len(stream) < 9 + length:
            return
        kind, flags, number = stream[3], stream[4], int.from_bytes(stream[5:9]) & 0x7FFF_FFFF
        payload = bytes(stream[9 : 9 + length])
        del stream[: 9 + length]
        yield kind, flags, number, payload


def _received(connection: _Connection, content: bytes) -> None:
    connection.received += content
    if connection.http2 is None and len(connection.received) >= len(_PREFACE):
        connection.http2 = connection.received.startswith(_PREFACE)
        if connection.http2:
            del connection.received[: len(_PREFACE)]
    if connection.http2:
        for kind, _, number, payload in _frames(connection.received):
            if kind == _DATA:
                connection.streams[number] += payload


def _answered(connection: _Connection, content: bytes) -> Iterator[bytes]:
    """Requests that these bytes answer with OK."""
    if content.startswith(b"HTTP/1.1"):
        if content.startswith(b"HTTP/1.1 200"):
            yield bytes(connection.received)
        connection.received.clear()
        return
    connection.sent += content  # HTTP/2 settings leave before anything came in
    for kind, flags, number, _ in _frames(connection.sent):
        if kind == _HEADERS and flags & _END_STREAM:
            yield bytes(connection.streams.pop(number, b""))


def acks(log: str) -> list[Ack]:
    """Every OK that left, in order. Traced from before the first connection on."""
    connections: dict[str, _Connection] = defaultdict(_Connection)
    fsynced: list[tuple[int, str]] = []
    renamed: list[tuple[int, str, str]] = []
    found = []
    for moment, call in enumerate(_calls(log)):
        socket = _SOCKET.match(call.arguments)
        if call.name == "fsync" and call.done and call.result == 0:
            path = _PATH.match(_decoded(call.arguments))
            assert path is not None, call
            fsynced.append((moment, path[1]))
        elif call.name.startswith("rename") and call.done and call.result == 0:
            source, target = re.findall(r'"([^"]*)"', _decoded(call.arguments))[:2]
            renamed.append((moment, source, target))
        elif socket and call.done and call.name in ("recvmsg", "recvfrom", "read") and call.result > 0:
            _received(connections[socket[1]], _bytes(call.arguments))
        elif socket and not call.done and call.name in ("sendmsg", "sendto", "write", "writev"):
            done = _answered(connections[socket[1]], _bytes(call.arguments))
            found += [Ack(request, list(fsynced), list(renamed)) for request in done]
    return found


def unproven(found: list[Ack], files: Mapping[bytes, Path]) -> dict[str, str]:
    """Trace ids whose OK left before their file and its directory were fsynced, each with what was missing.

    Args:
        found: the answers.
        files: the hot file that holds the spans of each trace id.
    """
    missing = {}
    for trace, path in files.items():
        answers = [ack for ack in found if trace in ack.request]
        if not answers:
            missing[trace.hex()] = "never answered"
        elif reason := _reason(answers[0], path):
            missing[trace.hex()] = reason
    return missing


def _reason(ack: Ack, path: Path) -> str:
    placed = [(moment, source) for moment, source, target in ack.renamed if target == str(path)]
    if not placed:
        return "answered before its file was renamed into place"
    at, source = placed[0]
    if not any(moment < at and name == source for moment, name in ack.fsynced):
        return "its file was not fsynced before the rename"
    if not any(moment > at and name == str(path.parent) for moment, name in ack.fsynced):
        return "its directory was not fsynced after the rename"
    return ""
