"""A file that grows: whole requests as they come, through rotation and truncation, and how far one has read.

Understood is what the Collector's file exporter writes without end: JSON lines, and requests behind a 4-byte length
(protobuf, or JSON or protobuf compressed with zstd). A request that is half written is left for later.

Rotation is by rename (``spans.jsonl`` becomes ``spans-<time>.jsonl``, a new one is begun): what was being read is read
to its end, wherever it is by then, then the files after it. A file that was cut off, or overwritten, is read from its
start.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers.files import MAX_REQUEST
from otel_voicebot.receivers.requests import DamagedError, Request, is_json, read_request

__all__ = ["Follower", "Position"]

_READ_BYTES: Final = 4 << 20
_HEAD_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read. A path says little: it is another file after a rotation.

    Attributes:
        device: with ``inode`` tells the file.
        offset: bytes that were read.
        head: of its first 1024 bytes (of ``offset``, when that is less) the SHA-256: inodes are used again.
        modified: nanoseconds since 1970; files that came after it were written later.
    """

    device: int
    inode: int
    offset: int
    head: str
    modified: int


class Follower:
    """Reads one growing file.

    Args:
        path: where the newest of it is; it need not be there yet.
        position: how far it was read before; None starts at the beginning.
        tell: is told in a sentence what was damaged or can't be found any more.
    """

    def __init__(self, path: Path, position: Position | None, tell: Callable[[str], None]) -> None:
        self.path = path
        self._tell = tell
        self._resume = position
        self._file: int | None = None
        self._name = path
        self._offset = 0
        self._json = True
        self._first = ""

    def read(self) -> list[Request]:
        """The next whole requests, some megabytes of them; none when there is nothing new.

        Raises:
            UsageError: the file is of a form that can't be followed.
            UnreadableDataError: the file is damaged so that its rest can't be read.
        """
        if self._file is None and not self._open_first():
            return []
        self._look_for_truncation()
        after = self._after()
        requests = self._read_here()
        if requests is None and after is not None:  # the end, and it was no longer written to before we read it
            self._leave(after)
            requests = self._read_here()
        return requests or []

    def position(self) -> Position | None:
        """How far all that ``read`` gave reaches; None while there is no file."""
        if self._file is None:
            return None
        found = os.fstat(self._file)
        return Position(found.st_dev, found.st_ino, self._offset, self._head(self._offset), found.st_mtime_ns)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # ---- which file ---------------------------------------------------------------------------------------------

    def _open_first(self) -> bool:
        resume, self._resume = self._resume, None
        if resume is None:
            return self._open(self.path)
        for name in (self.path, *self._rotated()):
            if _identity(name) == (resume.device, resume.inode) and self._open(name):
                self._offset = resume.offset
                if os.fstat(self._file or 0).st_size < resume.offset or self._head(resume.offset) != resume.head:
                    self._offset = 0
                self._remember()
                return True
        later = [name for name in self._rotated() if _modified(name) > resume.modified]
        if self._open(later[0] if later else self.path):
            self._tell(f"{self.path}: the file that was being read is gone; what followed byte {resume.offset} is lost")
            return True
        self._resume = resume
        return False

    def _open(self, name: Path) -> bool:
        try:
            descriptor = os.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UsageError(f"can't open {name}: {error.strerror}") from error
        self.close()
        self._file, self._name, self._offset = descriptor, name, 0
        self._remember()
        return True

    def _rotated(self) -> list[Path]:
        """Earlier files of this path, by their names, which hold the time of their rotation."""
        start, end = f"{self.path.stem}-", self.path.suffix
        try:
            names = os.listdir(self.path.parent)  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return []
        return [self.path.parent / name for name in sorted(names) if name.startswith(start) and name.endswith(end)]

    def _after(self) -> Path | None:
        """The file after the one that is open; None while that is the newest."""
        assert self._file is not None  # noqa: S101 - see read
        found = os.fstat(self._file)
        mine, newest = (found.st_dev, found.st_ino), _identity(self.path)
        if newest == mine:
            return None
        rotated = self._rotated()
        places = [place for place, name in enumerate(rotated) if _identity(name) == mine]
        later = (
            rotated[places[0] + 1 :] if places else [name for name in rotated if _modified(name) > found.st_mtime_ns]
        )
        if later:
            return later[0]
        return self.path if newest is not None else None

    def _leave(self, after: Path) -> None:
        assert self._file is not None  # noqa: S101 - see read
        rest = os.fstat(self._file).st_size - self._offset
        if rest > 0:
            self._damage(f"byte {self._offset}: the last request is cut short")
        self._open(after)

    def _look_for_truncation(self) -> None:
        assert self._file is not None  # noqa: S101 - see read
        if os.fstat(self._file).st_size < self._offset or self._head(self._offset) != self._first:
            self._offset = 0
            self._remember()

    def _remember(self) -> None:
        """What the file begins with, up to where it was read."""
        self._first = self._head(self._offset)

    def _head(self, offset: int) -> str:
        assert self._file is not None  # noqa: S101 - see read
        return hashlib.sha256(os.pread(self._file, min(offset, _HEAD_BYTES), 0)).hexdigest()

    # ---- what is in it ------------------------------------------------------------------------------------------

    def _read_here(self) -> list[Request] | None:
        """Requests from the offset on; None when there is no whole one."""
        assert self._file is not None  # noqa: S101 - see read
        size = _READ_BYTES
        while True:
            content = os.pread(self._file, size, self._offset)
            if not content:
                return None
            self._recognise(os.pread(self._file, 4096, 0))
            pieces = _lines(content) if self._json else self._frames(content)
            if pieces:
                break
            if len(content) < size:
                return None
            if size > MAX_REQUEST:
                raise UnreadableDataError(
                    f"{self._name}: byte {self._offset}: no request ends here", (str(self._name),)
                )
            size *= 4
        found: list[Request] = []
        for place, used, piece in pieces:
            try:
                found += read_request(piece) if piece.strip() else []
            except DamagedError as error:
                self._damage(f"byte {self._offset + place}: {error}")
            end = place + used
        self._offset += end
        self._remember()
        return found

    def _recognise(self, content: bytes) -> None:
        self._json = is_json(content)
        length = int.from_bytes(content[:4].ljust(4, b"\0"), "big")
        if not self._json and (content[:1] == b"\n" or length > MAX_REQUEST):  # a line feed begins one protobuf request
            raise UsageError(f"can't follow {self._name}: it is neither JSON lines nor requests behind their length")

    def _frames(self, content: bytes) -> list[tuple[int, int, bytes]]:
        pieces: list[tuple[int, int, bytes]] = []
        place = 0
        while place + 4 <= len(content):
            size = int.from_bytes(content[place : place + 4], "big")
            if size > MAX_REQUEST and pieces:
                break  # first what is good
            if size > MAX_REQUEST:
                message = f"{self._name}: byte {self._offset + place}: {size} is not a length"
                raise UnreadableDataError(message, (str(self._name),))
            if place + 4 + size > len(content):
                break
            pieces.append((place, 4 + size, content[place + 4 : place + 4 + size]))
            place += 4 + size
        return pieces

    def _damage(self, what: str) -> None:
        self._tell(f"{self._name}: {what}; the rest is read")


def _lines(content: bytes) -> list[tuple[int, int, bytes]]:
    """Where each whole line begins, how long it is, and what it holds."""
    pieces, place = [], 0
    while (end := content.find(b"\n", place)) >= 0:
        pieces.append((place, end + 1 - place, content[place:end]))
        place = end + 1
    return pieces


def _identity(name: Path) -> tuple[int, int] | None:
    try:
        found = name.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _modified(name: Path) -> int:
    try:
        return name.stat().st_mtime_ns
    except OSError:
        return 0
