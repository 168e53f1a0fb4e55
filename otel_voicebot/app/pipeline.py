"""One embedded pipeline: spans that ended become rows on disk, turns, sessions and metrics."""

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd  # noqa: F401 - pyarrow loads it with the first array: now, and not while somebody speaks
import pyarrow as pa

from otel_voicebot.app.call_log import CallLog
from otel_voicebot.app.computed import Computed, Table
from otel_voicebot.app.derived import Derived, Ticks
from otel_voicebot.app.policy import policy_of
from otel_voicebot.errors import CannotStartError
from otel_voicebot.live import Aggregator, Engines, Live
from otel_voicebot.processors import prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings
from otel_voicebot.spans import collect_fields
from otel_voicebot.store import Commit, GroupCommit, SpanStore
from otel_voicebot.store.maintain import Care, Maintainer

__all__ = ["Pipeline", "look_interval"]

_LOOK_S: Final = 5.0
"""Seconds between two looks at what came in. Taking spans takes 5 to 15 ms, however few there are."""
_LEAST_S: Final = 0.05
"""A look at nothing costs a bot that idles something, too."""
_TICK_SHARE: Final = 75
"""Ticks cost at most 1.3 % of a core."""
_MAINTAINER_S: Final = 1.0
"""Seconds to wait for a merge that is given up: nothing of it stays, whenever it ends."""


def look_interval(settings: Settings) -> float:
    """Seconds between two looks at what came in.

    A commit interval is a whole number of them: spans that have waited for a look are committed in the last that comes
    in time.
    """
    most = min(_LOOK_S, settings.tick_interval or _LOOK_S, settings.commit_interval / 2)
    return max(_LEAST_S, settings.commit_interval / math.ceil(settings.commit_interval / most))


class Pipeline:
    """What the worker feeds: see ``embedded.Consumer``. Lives on the worker's thread.

    Metrics don't wait for the disk: a turn shows while the call goes on, its spans are durable a commit interval later.

    Args:
        settings: where, how often, how much.
        metrics: the package's own counters.
        on_commit: called after each durable commit, on the worker's thread.
        calls: logs calls that are over.
        engines: what another pipeline has computed with, which has ended.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: SelfMetrics,
        on_commit: Callable[[Commit], None] | None = None,
        calls: CallLog | None = None,
        engines: Engines | None = None,
    ) -> None:
        self.aggregator = Aggregator()
        self._metrics = metrics
        self._policy = policy_of(settings)
        look_s = look_interval(settings)
        self._store = _LazyStore(partial(SpanStore, settings.data, metrics=metrics, on_commit=on_commit))
        self._commits = GroupCommit(
            self._store,
            metrics,
            max_rows=settings.commit_rows,
            max_age_s=settings.commit_interval - look_s,  # the oldest came up to a look before it was taken
        )
        writer = f"embedded-{os.getpid()}"
        self._computed = Computed(self._store, metrics, settings.commit_interval, writer, calls)
        make = partial(Live, engines=engines or Engines(settings.short_session_s))
        ticks = Ticks(settings.tick_interval or _LOOK_S, _TICK_SHARE)
        self._derived = Derived(settings, metrics, self.aggregator, self._computed.add, ticks, make)
        self._maintainer = Maintainer(settings.data, metrics, Care(settings.retention, settings.disk_cap))
        self._maintainer.start()

    def take(self, spans: list[Any]) -> None:
        """Make rows of the spans (see ``spans.fields``; one behind the other), for the disk and for the live state."""
        rows = prepare(collect_fields(spans), self._policy, self._metrics, "sdk", time.time_ns() // 1000)
        self._commits.add(rows)
        self._derived.add(rows)

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Sessions (id, bot) that began."""
        self._derived.started(sessions)

    def tick(self) -> None:
        """Compute what is final; commit what is due. Computing costs tens of milliseconds: not done at each look."""
        self._derived.tick()
        if self._commits.due() or self._computed.due():
            self.flush()

    def drain(self) -> None:
        """Take as final what has ended, without waiting for late spans."""
        self._derived.drain()

    def flush(self) -> bool:
        """Put all rows on disk; False while the disk refuses, and then they wait."""
        try:
            self._commits.flush()
            self._computed.flush()
        except CannotStartError as error:
            self._metrics.contained("commit", error)
            return False
        self._metrics.recovered("commit")
        return True

    def active(self) -> dict[str, int]:
        """Sessions under way, by bot. Safe from any thread."""
        return self._derived.active()

    def interrupt(self) -> None:
        """Break off the query that runs, from another thread."""
        self._derived.interrupt()

    def close(self) -> None:
        """End, and free the engines."""
        self.end()
        self._derived.close()

    def end(self) -> None:
        """Give up a merge that is under way. The engines stay, for another pipeline."""
        self._maintainer.stop(_MAINTAINER_S)


class _LazyStore:
    """A store that is opened when it is first needed, so that a disk that refuses at the start may still come back."""

    def __init__(self, make: Callable[[], SpanStore]) -> None:
        self._make = make
        self._store: SpanStore | None = None

    def _open(self) -> SpanStore:
        if self._store is None:
            self._store = self._make()
        return self._store

    def commit(self, rows: Sequence[pa.RecordBatch]) -> Commit:
        """See ``SpanStore.commit``."""
        return self._open().commit(rows)

    def write_rows(self, table: Table, rows: pa.Table) -> None:
        """See ``SpanStore.write_rows``."""
        self._open().write_rows(table, rows)
