"""The queue between the bot's threads and the one thread that does the work."""

import contextlib
import ctypes
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat, starmap
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from otel_voicebot.giving_way import giving_way
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_DROPPED, SELF_QUEUE
from otel_voicebot.spans.fields import FIELDS

__all__ = ["Consumer", "Worker"]

_BATCH: Final = 8192
"""How many waiting spans wake the worker early: a batch has a fixed cost."""
_MOST: Final = 2 * _BATCH
"""Spans handed to the consumer at once: those that came while the worker woke up are no batch of their own."""

_TAKE_UNTIL, _INTERRUPT_AFTER = 0.6, 0.8
"""Shares of the time for closing, after which no more spans are taken, and after which queries are broken off."""


_SETTLES_S: Final = 0.05
"""Seconds that the worker waits when many spans wake it: they come in bursts, and while the bot's thread is busy with
one, working beside it costs both of them more."""
_FORK_WAITS_S: Final = 2.0
"""A fork waits so long for a round to end. Forked in the middle of the engine's first query, a child's engine hangs."""


Waiting = list[Any]
"""The ``FIELDS`` of spans that ended, one span behind the other. They wait side by side, without an object that holds a
span's: the garbage collector would look at each such object again and again, and the bot's full collections came three
times as often."""
_WIDTH: Final = len(FIELDS)


class Consumer(Protocol):
    """What the worker feeds. Made, used and closed on the worker's thread; only ``interrupt`` comes from another.

    Each of these may raise: the worker contains and counts it.
    """

    def take(self, spans: Waiting) -> None:
        """Spans that ended."""

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began."""

    def tick(self) -> None:
        """Do what is due: final turns, a commit."""

    def drain(self) -> None:
        """Do all that can be done now: nothing more may come."""

    def flush(self) -> bool:
        """Put on disk what came in; False when the disk refuses."""
        ...

    def interrupt(self) -> None:
        """Break off what takes long."""

    def close(self) -> None:
        """Free everything."""


C = TypeVar("C", bound=Consumer)


class Worker(Generic[C]):
    """Takes spans from any thread in constant time, and hands them to a consumer on a thread of its own.

    The queue is bounded: a span that finds it full is dropped and counted (reason ``queue_full``). The thread starts
    with the first span. A fork waits a moment for the worker's round to end, so that no lock of the engine is copied
    while it is held; the child starts clean: empty queue, a consumer of its own.

    Args:
        make: makes the consumer.
        metrics: counts drops and failures.
        size: spans that may wait.
        interval_s: seconds between two looks at the queue.

    Attributes:
        consumer: what was made; None before the first span.
    """

    def __init__(self, make: Callable[[], C], metrics: SelfMetrics, *, size: int, interval_s: float) -> None:
        self._make = make
        self._metrics = metrics
        self._starts_kept = size
        self._size = size * _WIDTH
        self._many = max(1, min(_BATCH, size // 2)) * _WIDTH
        self._interval_s = interval_s
        self._closed = False
        self._reset()
        _attend_forks(self)

    def _reset(self) -> None:
        self.consumer: C | None = None
        self._queue: deque[Any] = deque()
        self._starts: deque[tuple[str, str]] = deque(maxlen=self._starts_kept)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        # Not an Event: a garbage collection inside `set` may end a span, and `put` must not wait for itself.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._stop_by: float | None = None
        self._busy = threading.RLock()
        self._answers = threading.Condition()
        self._asked = 0
        self._answered = 0
        self._drain = False
        self._ended = False
        self._kept = True

    # ---- the bot's threads ---------------------------------------------------------------------------------------

    def put(self, span: tuple[Any, ...]) -> None:
        """Take the ``FIELDS`` of a span. Constant time; never blocks, never raises."""
        queue = self._queue
        if len(queue) >= self._size or self._closed:
            self._metrics.add(SELF_DROPPED, 1, "shut_down" if self._closed else "queue_full")
            return
        queue.extend(span)  # at once: neither a thread nor a garbage collection comes between two entries
        if self._thread is None:
            self.start()
        elif len(queue) == self._many:
            self._wake.put(None)

    def session_started(self, session_id: str, bot: str) -> None:
        """Note that a session began. As ``put``; a note that is pushed out is made up for by the first span."""
        if not self._closed:
            self._starts.append((session_id, bot))
            if self._thread is None:
                self.start()

    def contained(self, stage: str, error: Exception) -> None:
        """Count a failure that was kept from the bot."""
        self._metrics.contained(stage, error)

    def start(self) -> None:
        """Start the thread, where it doesn't run yet: by itself the first span does. Never raises."""
        if not self._starting.acquire(blocking=False):
            return  # somebody else does it, or we are inside it: a garbage collection may end a span anywhere
        try:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="otel-voicebot", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError as error:  # no more threads, or the interpreter is about to exit: `close` does the work
            self._metrics.contained("start", error)
        finally:
            self._starting.release()

    def flush(self, timeout_s: float, *, drain: bool = False) -> bool:
        """Work off all that was put before; False when that took longer than ``timeout_s`` seconds or the disk refused.

        Args:
            timeout_s: how long to wait.
            drain: don't wait until turns and sessions are final either.
        """
        if self._thread is None:
            return not self._queue
        if self._thread is threading.current_thread():
            return False  # a callback of the worker: waiting for ourselves would not end
        with self._answers:
            self._drain |= drain
            self._asked += 1
            mine = self._asked
            self._wake.put(None)
            self._answers.wait_for(lambda: self._answered >= mine or self._ended, timeout_s)
            return self._kept and (self._answered >= mine or self._ended)

    def close(self, timeout_s: float) -> bool:
        """Work off what waits and put it on disk, within ``timeout_s`` seconds, and end. Idempotent.

        False when something was lost: it is counted (reason ``shut_down``). The thread is not left inside the query
        engine, where the interpreter's exit would abort the process.
        """
        deadline = time.monotonic() + timeout_s
        self._closed = True
        if self._stop_by is None:
            self._stop_by = deadline - (1 - _TAKE_UNTIL) * timeout_s
        thread = self._thread
        if thread is threading.current_thread():
            return False
        if thread is None:
            if self._queue:
                self._run()
            return self._kept
        self._wake.put(None)
        thread.join(max(timeout_s * _INTERRUPT_AFTER, 0.0))
        while thread.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(Exception):  # it may have come to its end at this moment
                if self.consumer is not None:
                    self.consumer.interrupt()
            thread.join(0.05)
        if thread.is_alive():
            self._discard("shut_down")
            return False
        return self._kept

    # ---- the worker's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._busy, giving_way():
                consumer = self.consumer = self._make()
        except Exception as error:  # noqa: BLE001 - the bot goes on without us
            self._metrics.contained("start", error)
            self._closed = True
            self._kept = False
            self._discard("start_failed")
        else:
            while not self._round(consumer):
                pass
            self._discard("shut_down")
            self._guard("close", consumer.close)
        with self._answers:
            self._ended = True
            self._answers.notify_all()

    def _round(self, consumer: C) -> bool:
        """One look at the queue, and all that follows from it; True when it was the last."""
        with contextlib.suppress(Empty):
            self._wake.get(timeout=0 if self._stop_by is not None else self._interval_s)
            room = 4 * len(self._queue) <= self._size  # a small queue would be full by then
            if room and self._stop_by is None and self._asked == self._answered:
                self._wake.get(timeout=_SETTLES_S)  # many wait; whoever asks for a flush wakes us once more
        many = len(self._queue) >= _BATCH * _WIDTH
        # while few wait, as in calls: changing hands so often costs a tenth of what many take
        with self._busy, contextlib.nullcontext() if many else giving_way():
            return self._look(consumer)

    def _look(self, consumer: C) -> bool:
        stop = self._stop_by is not None
        with self._answers:
            asked, drain, self._drain = self._asked, self._drain, False
        self._work(consumer)
        if stop or drain:
            self._guard("drain", consumer.drain)
        else:
            self._guard("tick", consumer.tick)
        if stop or asked > self._answered:
            kept = self._guard("flush", consumer.flush)
            with self._answers:
                self._answered, self._kept = asked, kept
                self._answers.notify_all()
        return stop

    def _work(self, consumer: C) -> None:
        if self._starts:
            starts = [self._starts.popleft() for _ in range(len(self._starts))]
            self._guard("sessions", partial(consumer.started, starts))
        left = len(self._queue)  # what comes meanwhile is for the next round, so that a round ends
        most = _MOST * _WIDTH
        while left > 0 and not (self._stop_by is not None and time.monotonic() > self._stop_by):
            spans = self._pop(min(left, most))
            left -= most
            if not self._guard("take", partial(consumer.take, spans)):
                self._metrics.add(SELF_DROPPED, len(spans) // _WIDTH, "failed")
        self._metrics.set(SELF_QUEUE, len(self._queue) // _WIDTH)

    def _pop(self, count: int) -> list[Any]:
        pop, spans = self._queue.popleft, list[Any]()
        with contextlib.suppress(IndexError):  # `close` gave up and discarded the rest
            spans.extend(starmap(pop, repeat((), count)))
        del spans[len(spans) - len(spans) % _WIDTH :]
        return spans

    def _guard(self, stage: str, call: Callable[[], bool | None]) -> bool:
        """Whether the call came to its end and did not say False."""
        try:
            return call() is not False
        except BaseException as error:  # noqa: BLE001 - whatever fails here, a callback's sys.exit() too, ends nothing
            self._metrics.contained(stage, error)
            return False

    def _discard(self, reason: str) -> None:
        lost = len(self._queue) // _WIDTH
        self._queue.clear()
        self._metrics.set(SELF_QUEUE, 0)
        if lost:
            self._kept = False
            self._metrics.add(SELF_DROPPED, lost, reason)


def _attend_forks(worker: Worker[C]) -> None:
    reference = weakref.ref(worker)

    def before() -> None:
        alive = reference()
        if alive is not None:
            alive._busy.acquire(timeout=_FORK_WAITS_S)  # noqa: SLF001 - this module's own class

    def in_parent() -> None:
        alive = reference()
        if alive is not None:
            with contextlib.suppress(RuntimeError):  # the round took too long, the fork went on without
                alive._busy.release()  # noqa: SLF001

    def in_child() -> None:
        alive = reference()
        if alive is not None:
            _keep(alive.consumer)
            alive._reset()  # noqa: SLF001

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _keep(inherited: object) -> None:
    """Never destroy it, not even at exit: a query engine may wait for threads that exist only in the parent."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
