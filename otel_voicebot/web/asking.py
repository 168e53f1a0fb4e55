"""Questions are answered by few threads, so that they don't take the interpreter from those that take spans in."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from otel_voicebot.errors import TooSlowError

__all__ = ["Asking"]

Answer = TypeVar("Answer")

_THREADS: Final = 2
_WAITING: Final = 32
"""Questions that may wait for a thread; a further one is told to come again."""


class Asking:
    """Runs blocking questions for the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="otel-voicebot-web-question")
        self._asked = 0

    async def run(self, question: Callable[[], Answer]) -> Answer:
        """The answer; what the question raises is raised.

        Raises:
            TooSlowError: too many wait already.
        """
        if self._asked >= _THREADS + _WAITING:
            raise TooSlowError("too many questions at once; try again")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        finally:
            self._asked -= 1

    def close(self) -> None:
        """Take no more. What runs is stopped by the one who answers it."""
        self._pool.shutdown(wait=True, cancel_futures=True)
