"""One maintainer a data directory: a lease that processes and hosts share, and a fence for whoever lost it.

    <data>/lease/<number>.json      the lease: who holds it, until when; the highest number is the one that counts
    <data>/work/<number>-<holder>/  the holder's work directory

A lease is taken by giving the next number to a file, which only one can do. The new holder first moves the work
directories of all lower numbers into its own. Everything that changes the store passes through the holder's directory:
files are made there and renamed out, what is to go is renamed into it. So a holder that was paused, and whose lease was
taken meanwhile, fails at its next step, whatever it had prepared; clocks decide when a lease may be taken, never
whether that is safe.
"""

import contextlib
import itertools
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from otel_voicebot.errors import CannotStartError, LeaseError
from otel_voicebot.store import disk

__all__ = ["LEASES", "WORK", "Holder", "Lease", "holder", "take"]

LEASES: Final = "lease"
WORK: Final = "work"

_TERM_S: Final = 120.0
"""A holder renews between two steps; the longest step (grouping the keys of 10 M spans) takes a quarter of this."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease."""

    number: int
    name: str
    host: str
    pid: int
    until_ns: int
    """Nanoseconds since 1970; 0 when it was given back."""

    def may_be_followed(self, now: int) -> bool:
        """True when the lease is over, or its holder was a process of this machine that is no longer there."""
        return now >= self.until_ns or (self.host == socket.gethostname() and not _runs(self.pid))


class Lease:
    """The right to change what is on disk; leave it (``with``) to give it back. For one thread.

    Attributes:
        data: the data directory.
        work: the directory that every change passes through.
    """

    def __init__(self, data: Path, mine: Holder, *, term_s: float, clock: Callable[[], int]) -> None:
        self.data = data
        self.work = _work_of(data, mine)
        self._mine = mine
        self._term_ns = int(term_s * 1e9)
        self._clock = clock
        self._renew_at = mine.until_ns - self._term_ns * 2 // 3
        self._numbers = itertools.count()

    def name(self, suffix: str) -> Path:
        """A path in the work directory that was not given before."""
        return self.work / f"{next(self._numbers):06d}{suffix}"

    def keep(self) -> None:
        """Renew the lease when a third of its term is over. Cheap enough to call at every step.

        Raises:
            LeaseError: another maintainer has it now.
        """
        now = self._clock()
        if now < self._renew_at:
            return
        if _numbers(self.data)[-1:] != [self._mine.number]:
            raise _lost(self.data)
        _write(self.data, self._mine, self.name(".lease"), now + self._term_ns)
        # Looked at again after it was written: somebody may have found it over just before.
        if _numbers(self.data)[-1:] != [self._mine.number]:
            raise _lost(self.data)
        self._renew_at = now + self._term_ns // 3

    def publish(self, made: Path, target: Path) -> None:
        """Rename a file from the work directory to where it counts, over the former one, and make that durable.

        Its bytes are fsynced already; the target's directory is made when it is missing.

        Raises:
            LeaseError: the work directory is gone, as another maintainer has the lease now.
        """
        disk.make(target.parent)
        with self.fenced():
            disk.rename(made, target)
        disk.sync_directory(target.parent)

    def discard(self, path: Path) -> int:
        """Take a file, or a directory with all it holds, out of the store in one step; returns its bytes, 0 when gone.

        Raises:
            LeaseError: as ``publish``.
        """
        aside = self.name(".gone")
        with self.fenced():
            try:
                disk.rename(path, aside)
            except FileNotFoundError:
                if disk.exists(self.work):
                    return 0
                raise
        size = _bytes(aside)
        _delete(aside)
        return size

    def release(self) -> None:
        """Give the lease back. Idempotent; does nothing when it was lost."""
        with contextlib.suppress(OSError):
            if _numbers(self.data)[-1:] == [self._mine.number]:
                _write(self.data, self._mine, self.name(".lease"), 0)
        _delete(self.work)

    @contextlib.contextmanager
    def fenced(self) -> Any:
        """Steps in the work directory; where it is gone they raise LeaseError, as another maintainer has taken over."""
        try:
            yield
        except FileNotFoundError:
            if disk.exists(self.work):
                raise
            raise _lost(self.data) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def take(data: Path, *, term_s: float = _TERM_S, clock: Callable[[], int] = time.time_ns) -> Lease:
    """Take the lease of a data directory, which must exist.

    Raises:
        LeaseError: another maintainer holds it; the message says who and until when.
        CannotStartError: the directory can't be written.
    """
    data = data.absolute()
    try:
        return _take(data, term_s, clock)
    except OSError as error:
        msg = f"can't write {error.filename or data}: {error.strerror or error}"
        raise CannotStartError(msg) from error


def _take(data: Path, term_s: float, clock: Callable[[], int]) -> Lease:
    disk.make(data / LEASES)
    now = clock()
    before = holder(data)
    if before is not None and not before.may_be_followed(now):
        seconds = max(before.until_ns - now, 0) / 1e9
        msg = (
            f"another maintainer works on {data}: process {before.pid} on {before.host}; "
            f"its lease ends in {seconds:.0f} s unless it is renewed"
        )
        raise LeaseError(msg)
    # The number after the one that was looked at, and not after the highest by now: that one may hold the lease.
    number = before.number + 1 if before is not None else 1
    mine = Holder(number, secrets.token_hex(6), socket.gethostname(), os.getpid(), now + int(term_s * 1e9))
    lease = Lease(data, mine, term_s=term_s, clock=clock)
    # Before the lease is taken: made after it, it would appear behind the back of a successor, who has removed what
    # was there, and this holder would pass the fence.
    disk.make(lease.work)
    try:
        tmp = lease.name(".lease")
        disk.write(tmp, _encode(mine), durable=True)
        disk.link(tmp, _lease_of(data, number))
        disk.remove(tmp)
        disk.sync_directory(data / LEASES)
        if _numbers(data)[-1:] != [number]:
            raise _lost(data)
        _fence(data, lease)
    except (FileExistsError, FileNotFoundError):  # the other one took it; it may have swept this work directory, too
        _delete(lease.work)
        msg = f"another maintainer has just begun to work on {data}"
        raise LeaseError(msg) from None
    except BaseException:
        _delete(lease.work)
        raise
    return lease


def holder(data: Path) -> Holder | None:
    """Who holds the lease, or held it last; None when nobody ever did."""
    for number in reversed(_numbers(data)):
        content = disk.read(_lease_of(data, number))
        if content is None:
            continue  # a successor has removed it, and there is a higher number by now, or nobody needs one
        try:
            found = json.loads(content)
            return Holder(number, found["holder"], found["host"], int(found["pid"]), int(found["until_unix_nano"]))
        except (ValueError, KeyError, TypeError):
            return Holder(number, "", "", 0, 0)  # not ours, or damaged: it holds nothing
    return None


def _fence(data: Path, lease: Lease) -> None:
    """Shut out all who held the lease before; from here on only this holder changes anything."""
    mine = lease.work.name
    for name in disk.names(data / WORK):
        if name[:8] < mine[:8]:
            with contextlib.suppress(FileNotFoundError):
                lease.discard(data / WORK / name)
    for number in _numbers(data)[:-1]:
        disk.remove(_lease_of(data, number))


def _write(data: Path, mine: Holder, tmp: Path, until_ns: int) -> None:
    renewed = Holder(mine.number, mine.name, mine.host, mine.pid, until_ns)
    try:
        disk.write_durable(_lease_of(data, mine.number), tmp, _encode(renewed))
    except FileNotFoundError:
        raise _lost(data) from None


def _encode(mine: Holder) -> bytes:
    document = {"holder": mine.name, "host": mine.host, "pid": mine.pid, "until_unix_nano": mine.until_ns}
    return json.dumps(document).encode()


def _lease_of(data: Path, number: int) -> Path:
    return data / LEASES / f"{number:08d}.json"


def _work_of(data: Path, mine: Holder) -> Path:
    return data / WORK / f"{mine.number:08d}-{mine.name}"


def _numbers(data: Path) -> list[int]:
    return [int(name[:-5]) for name in disk.names(data / LEASES) if name.endswith(".json") and name[:-5].isdecimal()]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return disk.size(path) or 0
    return sum(
        disk.size(path / name) or 0 if not (path / name).is_dir() else _bytes(path / name) for name in disk.names(path)
    )


def _delete(path: Path) -> None:
    """What is left in a work directory harms nobody, so a failure here is none."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            disk.remove(path)


def _lost(data: Path) -> LeaseError:
    return LeaseError(f"another maintainer has taken over {data}; nothing half done was left, run it again")
