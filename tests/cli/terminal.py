"""A program in a real pseudo-terminal: what it draws, and keys pressed."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.program import PROGRAM
from tests.app.served import WAIT_S

__all__ = ["Terminal"]

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ROOT = Path(__file__).parents[2]


class Terminal:
    """``otel-voicebot WORDS`` on a terminal of so many columns; killed when the block is left.

    Attributes:
        raw: everything that it wrote, with what moves the cursor.
    """

    def __init__(self, *words: str, columns: int = 100, rows: int = 40) -> None:
        self.raw = ""
        # At Ctrl-C the kernel throws away what it has not shown yet, also half of a character.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pid, self._fd = pty.fork()
        if not self._pid:  # the child does nothing but become the program
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(_ROOT)}
            os.execve(sys.executable, [sys.executable, "-c", PROGRAM, *words], environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    @property
    def text(self) -> str:
        """What it wrote, without what moves the cursor."""
        return _CONTROLS.sub("", self.raw).replace("\r", "")

    def until(self, true: Callable[[str], object]) -> str:
        """Read until it is true of the text."""
        deadline = time.monotonic() + WAIT_S
        while not true(self.text):
            assert time.monotonic() < deadline, f"it did not come true: {self.text[-3000:]}"
            assert self._read(0.2), f"it ended: {self.text[-3000:]}"
        return self.text

    def _read(self, timeout: float) -> bool:
        """Take what is there; False when the program has closed the terminal."""
        if not select.select([self._fd], [], [], timeout)[0]:
            return True
        try:
            taken = os.read(self._fd, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            return False
        self.raw += self._decode(taken)
        return bool(taken)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._fd, key)

    def ended(self) -> int:
        """Read to the end; its exit code."""
        deadline = time.monotonic() + WAIT_S
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it did not end: {self.text[-3000:]}"
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)
