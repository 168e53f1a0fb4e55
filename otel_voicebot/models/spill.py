"""Where an engine writes what doesn't fit into memory: a directory of its own, that nobody leaves behind for long."""

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otel_voicebot.locks import locked

__all__ = ["Spill"]

_PREFIX: Final = "otel-voicebot-spill-"
_HOLD: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_S: Final = 60.0
"""Seconds after which a directory that nobody holds is one of a process that was killed, and not just being made."""


class Spill:
    """A directory for temporary files; by itself DuckDB would put them beside the user, in the working directory.

    It is held by a lock that ends with the process: the next one removes what a killed one has left, which may be
    gigabytes.

    Attributes:
        path: the directory; empty where there is nowhere to write: what fits into memory is answered all the same.
    """

    def __init__(self) -> None:
        self.path = ""
        self._held: int | None = None
        with suppress(OSError):
            self.path = tempfile.mkdtemp(prefix=_PREFIX)
            try:
                self._held = locked(self.path, _HOLD)
            except OSError:  # what isn't held would be taken for left behind
                self.close()
                raise
            _clear(Path(self.path).parent)

    def close(self) -> None:
        """Remove it, with all that is in it. Idempotent."""
        if self.path:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path = ""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _clear(directory: Path) -> None:
    """Remove the user's directories that no process holds."""
    with os.scandir(directory) as entries:
        named = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in named:
        with suppress(OSError):  # another process was quicker
            found = os.lstat(path)
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if ours and found.st_mtime < time.time() - _NEW_S and (held := locked(path, _HOLD)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(held)
