"""Questions are answered by few threads, so that they don't take the interpreter from those that take spans in."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, cast

from otel_voicebot.errors import TooSlowError

__all__ = ["Asking"]

Answer = TypeVar("Answer")

_THREADS: Final = 2
_WAITING: Final = 32
"""Questions that may wait for a thread; a further one is told to come again."""


class Asking:
    """Runs blocking questions for the event loop, so many at once."""

    def __init__(self, threads: int = _THREADS) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="otel-voicebot-web-question")
        self._asked = 0
        self._closed = False
        self._under_way: dict[Callable[[], object], asyncio.Task[object]] = {}

    async def run(self, question: Callable[[], Answer]) -> Answer:
        """The answer; what the question raises is raised.

        Raises:
            TooSlowError: too many wait already, or it is closed.
        """
        if self._closed:
            raise TooSlowError("shutting down")
        if self._asked >= self._threads + _WAITING:
            raise TooSlowError("too many questions at once; try again")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        finally:
            self._asked -= 1

    async def shared(self, question: Callable[[], Answer]) -> Answer:
        """The same for a question that many ask at once: as long as it is worked on, further ones wait for its answer.

        They take no thread, and no place among those that wait for one.
        """
        task = self._under_way.get(question)
        if task is None:
            task = asyncio.create_task(self.run(question))
            self._under_way[question] = task
            task.add_done_callback(lambda _: self._under_way.pop(question))
        # One who asks may go away: the others still want to know.
        return cast("Answer", await asyncio.shield(task))

    def close(self) -> None:
        """Take no more, and wait for what runs: it is stopped by the one who answers it. Idempotent."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
