"""How long requests wait for others, so that they are read together: see ``docs/decisions/012``."""

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

_EVERY_S: Final = 0.25
"""Seconds from one reading to the next, at least: reading and its commit cost 13 ms of CPU, and a file."""
_BYTES: Final = 2 << 20
"""Of payload, some 5,000 spans: for more nobody waits."""
_REQUESTS: Final = 32
"""The same in requests: a door works on 64 at once."""
_BACK_S: Final = 0.05
"""Seconds after an answer within which a sender is back that had more to send and waited for it."""


class Pace:
    """Says when to read what waits. Any thread.

    What comes after a quiet quarter of a second is read at once. Where all senders send again as soon as they are
    answered they aren't kept waiting: most exporters have one request under way, and would only send less. One who does
    so among others who don't has four answers a second.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._away = 0
        self._answered_at = float("-inf")
        self._back = False

    def answered(self, requests: int) -> None:
        """So many senders are about to have their answers, and may send more; who is to come later isn't one."""
        with self._lock:
            now = self._clock()
            self._away = requests + (self._away if now - self._answered_at <= _BACK_S else 0)
            self._answered_at = now

    def came(self) -> None:
        """A request has come."""
        with self._lock:
            if self._away and self._clock() - self._answered_at <= _BACK_S:
                self._away -= 1
                self._back = not self._away

    def enough(self, requests: int, size: int) -> bool:
        """Whether waiting gains nothing: so much waits, or all who were answered last have come again, at once.

        Args:
            requests: how many wait.
            size: bytes of their payloads.
        """
        return self._back or requests >= _REQUESTS or size >= _BYTES

    def wait_s(self) -> float:
        """Seconds until what waits is to be read."""
        return max(self._next - self._clock(), 0.0)

    def began(self) -> None:
        """A reading begins."""
        with self._lock:
            self._next = self._clock() + _EVERY_S
            self._back = False
