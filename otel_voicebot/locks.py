"""Locks that end with the process that holds them, however it ends."""

import fcntl
import os
from pathlib import Path

__all__ = ["locked"]


def locked(path: str | Path, flags: int) -> int | None:
    """A descriptor that holds the lock of a file or directory; None when somebody has it, here or in another process.

    It ends when the descriptor is closed, here and in children that were forked meanwhile.

    Args:
        path: what is locked.
        flags: how it is opened, as of ``os.open``; a child that is executed doesn't get it.

    Raises:
        OSError: it can't be opened so, or the file system has no locks.
    """
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
