"""The queue between the bot's threads and the one thread that does the work."""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from opentelemetry.sdk.trace import ReadableSpan

from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_DROPPED, SELF_QUEUE

__all__ = ["Consumer", "Worker"]

_BATCH: Final = 2048
"""Spans handed to the consumer at once, and how many waiting ones wake the worker early."""


class Consumer(Protocol):
    """What the worker feeds. Made, used and closed on the worker's thread; only ``interrupt`` comes from another."""

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Spans that ended. May raise: the worker contains and counts it."""

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began."""

    def tick(self) -> None:
        """Do what is due: final turns, a commit."""

    def flush(self) -> None:
        """Put on disk what came in."""

    def drain(self) -> None:
        """Do all that can be done now: nothing more may come."""

    def interrupt(self) -> None:
        """Break off what takes long."""

    def close(self) -> None:
        """Free everything."""


class Worker:
    """Takes spans from any thread in constant time, and hands them to a consumer on a thread of its own.

    The queue is bounded: a span that finds it full is dropped and counted (reason ``queue_full``). The thread starts with the first
    span. After a fork the child starts clean: empty queue, a consumer of its own.

    Args:
        make: makes the consumer.
        metrics: counts drops and failures.
        size: spans that may wait.
        interval_s: seconds between two looks at the queue.
    """

    def __init__(self, make: Callable[[], Consumer], metrics: SelfMetrics, *, size: int, interval_s: float) -> None:
        self._make = make
        self._metrics = metrics
        self._size = size
        self._interval_s = interval_s
        self._closed = False
        self._reset()
        _reset_in_children(self)

    def _reset(self) -> None:
        self._queue: deque[ReadableSpan] = deque()
        self._starts: deque[tuple[str, str]] = deque(maxlen=self._size)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._flushed = threading.Condition()
        self._asked = 0
        self._answered = 0
        self._drain = False
        self._consumer: Consumer | None = None

    def put(self, span: ReadableSpan) -> None:
        """Take a span. Constant time; never blocks, never raises."""
        queue = self._queue
        if len(queue) >= self._size or self._closed:
            self._metrics.add(SELF_DROPPED, 1, "shut_down" if self._closed else "queue_full")
            return
        queue.append(span)
        if self._thread is None:
            self._start()
        elif len(queue) == _BATCH:
            self._wake.set()

    def session_started(self, session_id: str, bot: str) -> None:
        """Note that a session began."""
        if not self._closed:
            self._starts.append((session_id, bot))
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="otel-voicebot", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        try:
            consumer = self._consumer = self._make()
        except Exception as error:  # noqa: BLE001 - the bot goes on without us
            self._metrics.contained("start", error)
            self._discard("start_failed")
            self._closed = True
            self._answer(self._asked)
            return
        while True:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            stop, asked, drain = self._stop, self._asked, self._drain
            self._work(consumer)
            self._guard("tick", consumer.tick)
            if stop or drain:
                self._drain = False
                self._guard("drain", consumer.drain)
            if asked > self._answered:
                self._guard("flush", consumer.flush)
                self._answer(asked)
            if stop:
                self._discard("shut_down")
                self._guard("close", consumer.close)
                return

    def _work(self, consumer: Consumer) -> None:
        self._metrics.set(SELF_QUEUE, len(self._queue))
        if self._starts:
            starts = [self._starts.popleft() for _ in range(len(self._starts))]
            self._guard("sessions", partial(consumer.started, starts))
        left = len(self._queue)  # what comes meanwhile is for the next round, so that a round ends
        while left > 0:
            spans = [self._queue.popleft() for _ in range(min(left, _BATCH))]
            left -= len(spans)
            if not self._guard("take", partial(consumer.take, spans)):
                self._metrics.add(SELF_DROPPED, len(spans), "failed")

    def _guard(self, stage: str, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever fails here must not reach the bot
            self._metrics.contained(stage, error)
            return False
        return True

    def _discard(self, reason: str) -> None:
        lost = len(self._queue)
        self._queue.clear()
        self._metrics.add(SELF_DROPPED, lost, reason)

    def _answer(self, asked: int) -> None:
        with self._flushed:
            self._answered = max(asked, self._answered)
            self._flushed.notify_all()

    def flush(self, timeout_s: float, *, drain: bool = False) -> bool:
        """Work off all that was put before; False when that took longer than ``timeout_s`` seconds.

        Args:
            timeout_s: how long to wait.
            drain: don't wait until turns and sessions are final either.
        """
        if self._thread is None:
            return True
        with self._flushed:
            self._drain |= drain
            self._asked += 1
            mine = self._asked
            self._wake.set()
            return self._flushed.wait_for(lambda: self._answered >= mine, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Work off what waits, within ``timeout_s`` seconds, and end. Idempotent.

        What could not be worked off in time is counted (reason ``shut_down``). The thread is never left inside the
        query engine: at the interpreter's exit that would abort the process.
        """
        self._closed = True
        thread = self._thread
        if thread is None or not thread.is_alive():
            return True
        deadline = time.monotonic() + timeout_s
        self._stop = True
        self._wake.set()
        thread.join(max(timeout_s * 0.9, 0.0))
        while thread.is_alive() and time.monotonic() < deadline:
            if self._consumer is not None:
                self._consumer.interrupt()
            thread.join(0.05)
        if thread.is_alive():
            self._discard("shut_down")
        return not thread.is_alive()


def _reset_in_children(worker: Worker) -> None:
    reference = weakref.ref(worker)

    def reset() -> None:
        alive = reference()
        if alive is not None:
            alive._reset()  # noqa: SLF001 - this module's own class

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
