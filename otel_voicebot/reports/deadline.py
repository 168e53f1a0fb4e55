"""How long a question may take."""

import time
from collections.abc import Callable

from otel_voicebot.errors import TooSlowError

__all__ = ["Deadline"]


class Deadline:
    """The moment at which a question is given up. All its parts share it: what one takes the others don't have.

    Args:
        seconds: that the question may take from now on.
        clock: seconds that only grow.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds that remain, more than 0.

        Raises:
            TooSlowError: none do.
        """
        remaining = self._end - self._clock()
        if remaining <= 0:
            raise self.missed()
        return remaining

    def missed(self) -> TooSlowError:
        """What is raised when it has passed."""
        return TooSlowError(f"the question takes longer than {self._seconds:g} s; ask about less time")
