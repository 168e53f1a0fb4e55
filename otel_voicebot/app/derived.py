"""The live state and its clockwork: what both pipelines do with rows beside putting them on disk."""

import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import pyarrow as pa

from otel_voicebot.app.policy import prices_of
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings

__all__ = ["Derived", "Ticks"]

L = TypeVar("L", bound=Live)


class Ticks(NamedTuple):
    """How far apart two ticks are: each has a fixed cost."""

    at_least_s: float
    times: float
    """So many times the CPU seconds that the last one took, where that is more."""


class Derived(Generic[L]):
    """Feeds a live state and lets it compute now and then. For one thread, except ``active`` and ``interrupt``.

    Nothing here raises, except ``drain``, it is counted: what the live state can't do must not keep spans
    from the disk.

    Args:
        settings: idle timeout, bounds, price file.
        metrics: the package's own counters.
        aggregator: takes the derived metrics.
        emit: takes rows of turns and sessions; see ``Live``.
        ticks: how far apart.
        make: makes the live state.

    Raises:
        UsageError: the price file is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: SelfMetrics,
        aggregator: Aggregator,
        emit: Callable[..., None],
        ticks: Ticks,
        make: Callable[..., L],
    ) -> None:
        self._metrics = metrics
        self._ticks = ticks
        self._tick_at = time.monotonic()
        self.live = make(
            aggregator,
            metrics,
            emit,
            prices=prices_of(settings),
            idle_timeout_s=settings.session_idle_timeout,
            max_sessions=settings.max_sessions,
            max_spans=settings.max_spans,
        )

    def add(self, rows: pa.RecordBatch) -> None:
        """Take spans, each delivered once."""
        self._contain(lambda: self.live.add(rows))

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began in this process."""
        for session_id, bot in sessions:
            self.live.started(session_id, bot)

    def tick(self) -> None:
        """Compute what is final, where something is and it is time. It costs tens of ms: not done at each look."""
        now = time.monotonic()
        if now >= self._tick_at and self.live.due():
            began = time.thread_time()
            self._contain(self.live.tick)
            spent = time.thread_time() - began
            self._tick_at = now + max(self._ticks.at_least_s, self._ticks.times * spent)

    def drain(self) -> None:
        """Take as final what has ended, without waiting for late spans."""
        self.live.tick(drain=True)

    def _contain(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - see the class
            self._metrics.contained("live", error)

    def active(self) -> dict[str, int]:
        """Sessions under way, by bot. Safe from any thread."""
        return self.live.active()

    def interrupt(self) -> None:
        """Break off the query that runs, from another thread."""
        self.live.interrupt()

    def close(self) -> None:
        """Free the engines."""
        self.live.close()
