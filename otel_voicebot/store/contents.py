"""What a file of spans says about itself in its footer: which traces and sessions it may hold, and from when to when.

A trace is then found by looking at a few bytes of each file's end, whose footers needn't be parsed, and files that
don't hold it aren't opened. The note is written with the file and never changes, as the file doesn't: it can't be
behind. A file without one (an older version wrote it, or it holds too many names) may hold anything.

A name becomes 32 bits: two names of the same bits make a file be opened in vain, and nothing worse.
"""

import base64
import binascii
import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.store.layout import is_trace

__all__ = ["NOTE", "Contents", "Gathered", "contents_of", "key_of"]

NOTE: Final = "otel_voicebot.contents"
"""Where it stands in the metadata of the file."""

_MOST_KEYS: Final = 1 << 18
"""Names of one file: 1.4 MB of its footer, which every reader takes in. Beyond, Parquet's bloom filters are left."""
_TAIL: Final = 32 << 10
"""Bytes that are read at once from a file's end; the note of most files is in them."""
_HEAD: Final = struct.Struct("<qq?7x")
"""First and last start, whether all names follow; keys are aligned behind it."""
_MIX: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))

Keys = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file may hold."""

    first: int
    """The earliest start of a span, nanoseconds since 1970."""
    last: int
    """The latest start."""
    keys: "array[int] | None"
    """Of its traces and sessions, in order; None when there were too many to write down."""

    def holds(self, keys: Iterable[int]) -> bool:
        """False when no trace or session of these keys is in the file."""
        if self.keys is None:
            return True
        # Not NumPy's search: thousands of files are asked, and its call alone costs more than a short search here.
        return any((at := bisect_left(self.keys, key)) < len(self.keys) and self.keys[at] == key for key in keys)

    def overlaps(self, first: int, last: int) -> bool:
        """False when no span of the file starts in this time."""
        return self.first <= last and self.last >= first


class Gathered:
    """Takes in the rows of a file that is being written, and gives its note."""

    def __init__(self) -> None:
        self._keys: list[Keys] = []
        self._too_many = False
        self._first = (1 << 63) - 1
        self._last = -(1 << 63)

    def add(self, rows: pa.Table) -> None:
        """Rows of the spans table; ids are bytes or hex."""
        if not self._too_many:
            self._keys.append(_keys(rows))
            if len(self._keys) > 64 or sum(map(len, self._keys)) > 2 * _MOST_KEYS:
                self._compact()
        found = pc.min_max(rows["start_unix_nano"]).as_py()
        if found["min"] is not None:
            self._first, self._last = min(self._first, found["min"]), max(self._last, found["max"])

    def note(self) -> dict[str, str]:
        """An entry for the file's metadata: text, as the format asks for it."""
        self._compact()
        names = b"".join(keys.astype("<u4").tobytes() for keys in self._keys)
        content = _HEAD.pack(self._first, self._last, not self._too_many) + names
        return {NOTE: base64.b64encode(content).decode()}

    def _compact(self) -> None:
        """Each key once, in order; none any more when there are too many to write down."""
        keys = np.unique(np.concatenate([*self._keys, np.empty(0, np.uint32)]))
        self._too_many = self._too_many or len(keys) > _MOST_KEYS
        self._keys = [] if self._too_many else [keys]


def key_of(name: str) -> int:
    """The 32 bits of a trace id (hex) or a session id. A session that is called like its trace has the trace's."""
    return int(_hashed(bytes.fromhex(name))[0]) if is_trace(name) else _checksum(name)


def contents_of(path: Path) -> Contents | None:
    """What a file says about itself; None when it says nothing, or can't be read. About 20 µs.

    Raises:
        FileNotFoundError: it is gone.
    """
    try:
        footer = _footer(path)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    return _parsed(footer)


def _keys(rows: pa.Table) -> Keys:
    traces, sessions = (pc.unique(rows[name]).drop_null().to_pylist() for name in ("trace_id", "session_id"))
    ids = bytes.fromhex("".join(traces)) if traces and isinstance(traces[0], str) else b"".join(traces)
    ids += bytes.fromhex("".join(name for name in sessions if is_trace(name)))
    others = np.array([_checksum(name) for name in sessions if not is_trace(name)], np.uint32)
    return np.unique(np.concatenate([_hashed(ids), others]))


def _checksum(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


def _hashed(ids: bytes) -> Keys:
    """Of traces' ids of 16 bytes. All bytes count: some senders leave the first half 0, or put the time there."""
    halves = np.frombuffer(ids, "<u8").reshape(-1, 2)
    mixed = halves[:, 0] * _MIX[0] ^ halves[:, 1] * _MIX[1]  # wraps around
    return ((mixed ^ (mixed >> np.uint64(29))) * _MIX[0] >> np.uint64(32)).astype(np.uint32)


def _footer(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        if len(tail) < 12 or tail[-4:] != b"PAR1":
            return b""
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if length <= len(tail) or tail.rfind(NOTE.encode()) >= 0 or length > size:
            return tail[-length:]
        file.seek(size - length)
        return file.read()


def _parsed(footer: bytes) -> Contents | None:
    """The note, found by its name: Parquet's metadata comes after the statistics, so the last such name is ours."""
    at = footer.rfind(NOTE.encode())
    if at < 0:
        return None
    at += len(NOTE)
    if footer[at : at + 1] != b"\x18":  # Thrift: a text follows
        return None
    length, at = _varint(footer, at + 1)
    try:
        content = base64.b64decode(footer[at : at + length], validate=True)
        first, last, known = _HEAD.unpack_from(content)
    except (binascii.Error, struct.error):
        return None
    if len(content) % 4 != _HEAD.size % 4:
        return None
    keys = array("I", np.frombuffer(content, "<u4", offset=_HEAD.size).astype(np.uintc).tobytes()) if known else None
    return Contents(first, last, keys)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 35:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at
