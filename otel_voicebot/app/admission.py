"""Who may come in now: bounds on memory, disk and time, and the reasons that senders are given."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_voicebot.receivers.answers import Refused
from otel_voicebot.store import disk

__all__ = ["Admission"]

_DISK_LOOK_S: Final = 1.0
"""Seconds between two looks at the free space."""
_DISK_USUAL_S: Final = 0.02
"""Seconds, once, for which a look is waited for."""
_DISK_ANSWERS_S: Final = 2.0
"""Seconds after which a look that goes on means that the disk hangs."""
_SLOW_S: Final = 4.0
"""A commit that takes longer holds up whoever comes: Collectors give up after 5 s by default, and come again."""
_BUSY_RETRY_S: Final = 1.0
_DISK_RETRY_S: Final = 5.0


class Admission:
    """Counts what is being worked on, and says no while there is too much of it. Any thread; never blocks.

    Args:
        data: the data directory.
        memory_limit: bytes of requests being worked on. A request that is alone is let in whatever its size.
        min_free_disk: bytes that have to stay free.
        backlog: why the stages behind can't take more; None while they can.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        data: Path,
        memory_limit: int,
        min_free_disk: int,
        *,
        backlog: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._memory_limit = memory_limit
        self._min_free_disk = min_free_disk
        self._backlog = backlog
        self._clock = clock
        self._lock = threading.Lock()
        self._held = 0
        self._closed: str | None = "starting"
        self._committing_since: float | None = None
        self._disk_at = float("-inf")
        self._looking_since: float | None = None
        self._disk_full: str | None = None
        self._refused_by_disk: str | None = None

    # ---- what the service says ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Let in."""
        self._closed = None

    def close(self, why: str) -> None:
        """Let nobody in any more."""
        self._closed = why

    def commit_began(self) -> None:
        """A commit begins."""
        self._committing_since = self._clock()

    def commit_ended(self, refused: str | None = None) -> None:
        """A commit has ended; ``refused``: what the disk said."""
        self._committing_since = None
        self._refused_by_disk = refused

    # ---- what requests ask --------------------------------------------------------------------------------------

    def enter(self, size: int) -> Refused | None:
        """Count a request in; or say why not, and then it is not counted."""
        if self._closed is not None:
            return Refused(self._closed, _BUSY_RETRY_S)
        full = self._disk()
        if full is not None:
            return Refused(full, _DISK_RETRY_S)
        busy = self._slow() or self._backlog()
        if busy is not None:
            return Refused(busy, _BUSY_RETRY_S)
        with self._lock:
            if self._held and self._held + size > self._memory_limit:
                return Refused("overloaded: too much is being worked on", _BUSY_RETRY_S)
            self._held += size
        return None

    def hold(self, size: int) -> None:
        """Count more (or less, when negative) for requests that are in."""
        with self._lock:
            self._held += size

    @property
    def held(self) -> int:
        """Bytes being worked on."""
        return self._held

    def unready(self) -> str | None:
        """Why a request would be turned away now, whatever its size; None when it would not."""
        return self._closed or self._disk() or self._refused_by_disk or self._slow() or self._backlog()

    def _slow(self) -> str | None:
        since = self._committing_since
        slow = since is not None and self._clock() - since > _SLOW_S
        return "the disk is slow: a commit is taking long" if slow else None

    def _disk(self) -> str | None:
        """What the disk said last. It is asked on a thread of its own: where a file system hangs, nobody else does."""
        now = self._clock()
        with self._lock:
            due = self._looking_since is None and now - self._disk_at >= _DISK_LOOK_S
            if due:
                self._looking_since = self._disk_at = now
        if due:
            look = threading.Thread(target=self._look, name="otel-voicebot-disk", daemon=True)
            look.start()
            look.join(_DISK_USUAL_S)  # mostly it takes microseconds, and then the answer is of now
        since = self._looking_since
        hangs = since is not None and self._clock() - since > _DISK_ANSWERS_S
        return "the disk doesn't answer" if hangs else self._disk_full

    def _look(self) -> None:
        try:
            free = disk.free_bytes(self._data)
        except OSError as error:
            self._disk_full = f"the disk can't be asked for its free space: {error.strerror}"
        else:
            self._disk_full = "the disk is almost full" if free < self._min_free_disk else None
        finally:
            self._looking_since = None
