"""Which of the services that share a data directory this one is, and who sat there before.

    <data>/services/<number>/lock         held by the process that sits there
    <data>/services/<number>/seat.json    its address, and the writers that have sat there
    <data>/services/<number>/counted      operations without a turn that were counted, 24 bytes each (see ``Notes``)

A process that was killed leaves its seat, as the kernel drops its lock. Whoever sits down next goes on with its calls.
Two services in one directory have seats of their own, so that no call is counted by both.
"""

import json
import os
from pathlib import Path
from typing import Final, Self

from otel_voicebot.errors import CannotStartError
from otel_voicebot.locks import locked
from otel_voicebot.store import disk

__all__ = ["Seat"]

_WRITERS_KEPT: Final = 200
"""Processes that sat here; older ones have left nothing that is still open."""
_SEATS: Final = 1000


class Seat:
    """A seat that is taken until ``leave`` or the end of the process.

    Attributes:
        directory: what belongs to the seat.
        writers: ids of the stores that wrote from here, this one's last.
        alone: nobody else has ever had a seat in this data directory.
    """

    def __init__(self, directory: Path, lock: int, writers: tuple[str, ...], *, alone: bool) -> None:
        self.directory = directory
        self.writers = writers
        self.alone = alone
        self._lock = lock

    @classmethod
    def take(cls, data: Path, address: str, writer: str) -> Self:
        """Sit down: where the last process with this address sat, else on a free seat, else on a new one.

        Args:
            data: the data directory.
            address: host and doors of this service, such as it will have them again after a restart.
            writer: id of this process' store.

        Raises:
            CannotStartError: no lock can be had in this directory, or nothing can be written.
        """
        try:
            return cls._take(data / "services", address, writer)
        except OSError as error:
            raise CannotStartError(f"can't take a seat in {data / 'services'}: {error.strerror or error}") from error

    @classmethod
    def _take(cls, services: Path, address: str, writer: str) -> Self:
        disk.make(services)
        known = [name for name in disk.names(services) if name.isdecimal()]
        said = {name: _read(services / name) for name in known}
        mine = sorted(known, key=lambda name: (said[name][0] != address, int(name)))
        free = (str(number) for number in range(_SEATS) if str(number) not in said)
        for name in (*mine, *free):
            directory = services / name
            disk.make(directory)
            lock = locked(directory / "lock", os.O_RDWR | os.O_CREAT)
            if lock is not None:
                before = _read(directory)[1]
                seat = cls(directory, lock, (*before, writer)[-_WRITERS_KEPT:], alone=not set(known) - {name})
                seat._write(address)
                return seat
        raise CannotStartError(f"all {_SEATS} seats in {services} are taken")

    def _write(self, address: str) -> None:
        content = json.dumps({"address": address, "writers": self.writers}).encode()
        tmp = self.directory / "seat.tmp"
        disk.remove(tmp)  # of one that was killed here
        disk.write_durable(self.directory / "seat.json", tmp, content)

    def leave(self) -> None:
        """Give the seat up. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _read(directory: Path) -> tuple[str, tuple[str, ...]]:
    """Address and writers of a seat; nothing where it says nothing that can be read."""
    try:
        said = json.loads(disk.read(directory / "seat.json") or b"{}")
        return str(said.get("address", "")), tuple(str(one) for one in said.get("writers", ()))
    except (ValueError, AttributeError, TypeError):
        return "", ()
