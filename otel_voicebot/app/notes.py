"""Which operations without a turn were counted: there is no row on disk that would tell the next process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from otel_voicebot.live import KEY
from otel_voicebot.store import disk

__all__ = ["Notes"]

_WIDTH: Final = 24
_REWRITE_BYTES: Final = 16 << 20


class Notes:
    """A file of keys. It survives a kill of the process; a power cut may take its end, as it may the last rows.

    Args:
        path: the file; made when it is missing.

    Raises:
        OSError: as from any of its methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._file = -1

    def read(self) -> pa.Array:
        """All keys. What a kill left half written is no key."""
        content = disk.read(self._path) or b""
        count = len(content) // _WIDTH
        return pa.Array.from_buffers(KEY, count, [None, pa.py_buffer(content[: count * _WIDTH])])

    def keep(self, keys: pa.Array) -> None:
        """Keep only these from now on, and be ready to add."""
        tmp = self._path.with_suffix(".tmp")
        disk.remove(tmp)
        content = _bytes(keys)
        disk.write(tmp, content, durable=False)
        disk.rename(tmp, self._path)
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size = len(content)

    def add(self, keys: Sequence[pa.Array]) -> None:
        """Note more; call ``keep`` first. Where that fails the file is as before."""
        content = b"".join(map(_bytes, keys))
        try:
            done = 0
            while done < len(content):
                done += os.write(self._file, content[done:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    @property
    def large(self) -> bool:
        """Whether it is time to ``keep`` only what is still needed."""
        return self._size > _REWRITE_BYTES

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _bytes(keys: pa.Array) -> bytes:
    if not len(keys):
        return b""
    whole: bytes = keys.buffers()[1].to_pybytes()
    return whole[keys.offset * _WIDTH : (keys.offset + len(keys)) * _WIDTH]
