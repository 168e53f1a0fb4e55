"""Metrics that need more than what just ended: first call resolution, who spoke; from stored calls.

The SQL models of a report compute them, now and then, on a thread of its own below the priority of the rest: what a
service takes in doesn't wait for it, and between two rounds the last values stand.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv as s
from otel_voicebot.errors import NoDataError, TooSlowError
from otel_voicebot.live import Aggregator
from otel_voicebot.live.aggregate import Series
from otel_voicebot.models import Selection
from otel_voicebot.reports.source import Opened, ask
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings

__all__ = ["ISSUES_OF", "SESSIONS_OF", "StoredKpis"]

ISSUES_OF: Final = timedelta(days=14)
"""Issues that began so long ago are counted: in half of that time a window of 7 days has passed."""
SESSIONS_OF: Final = timedelta(hours=24)
"""The same for sessions."""
_WINDOWS: Final = {1: "1d", 7: "7d"}
_STATES: Final = ("solved", "unsolved", "provisional")
_PARTS: Final = {"caller": "caller_s", "bot": "bot_s", "dead_air": "dead_air_s", "call": "call_s"}
_SHARE: Final = 4
"""A round comes so many times its own length after the last, at least."""
_NICE: Final = 10

Read = Mapping[str, Mapping[tuple[str, ...], Series]]


class StoredKpis:
    """One per service. ``start`` it, and ``stop`` it before the process ends. Never raises.

    Args:
        settings: where the data is, how often, and what KPIs depend on.
        metrics: counts what failed (stage ``kpis``).
        clock: unix seconds.
    """

    def __init__(self, settings: Settings, metrics: SelfMetrics, clock: Callable[[], float] = time.time) -> None:
        self._interval_s = settings.kpi_interval
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._found: Read = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-voicebot-kpis", daemon=True)

    def read(self) -> Read:
        """Metric name -> label values -> series, of the last round; nothing before the first."""
        return self._found

    def start(self) -> None:
        """Begin with a round at once, unless the interval is 0."""
        if self._interval_s:
            self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Begin no further round; False when one is still under way after so many seconds. Idempotent."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # Linux: of this thread and those of its engine alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._stopping.is_set():
            began = time.monotonic()
            self.round()
            self._stopping.wait(max(self._interval_s, _SHARE * (time.monotonic() - began)))

    def round(self) -> None:
        """Compute everything, now, on this thread."""
        try:
            now = datetime.fromtimestamp(self._clock(), UTC)
            into = Aggregator(clock=self._clock)
            self._ask(now, ISSUES_OF, lambda opened: _issues(into, opened))
            self._ask(now, SESSIONS_OF, lambda opened: _speech(into, opened))
            into.count(s.KPIS_COMPUTED, {}, pa.chunked_array([[now.timestamp()]]))
            found = into.read()
            self._found = {metric.name: found[metric.name] for metric in s.STORED_KPIS if metric.name in found}
            self._metrics.recovered("kpis")
        except TooSlowError as error:
            if not self._stopping.is_set():  # else it was given up for that
                self._metrics.contained("kpis", error)
        except Exception as error:  # noqa: BLE001 - the service goes on, and the next round tries again
            self._metrics.contained("kpis", error)

    def _ask(self, now: datetime, past: timedelta, compute: Callable[[Opened], None]) -> None:
        terms, stopping = self._settings.terms(now), self._stopping.is_set
        with contextlib.suppress(NoDataError):
            ask(
                self._settings.data,
                Selection(since=now - past),
                now,
                compute,
                cut=False,
                terms=terms,
                given_up=stopping,
            )


def _issues(into: Aggregator, opened: Opened) -> None:
    rows = opened.engine.table("issues")
    known = pc.if_else(pc.fill_null(rows["solved"], False), "solved", "unsolved")  # noqa: FBT003 - Arrow's signature
    states = pc.if_else(rows["passed"], known, "provisional")
    rows = rows.append_column("state", states)
    for days, window in _WINDOWS.items():
        chosen = rows.filter(pc.equal(rows["days"], days))
        for state in _STATES:  # each has a series, if of 0: a share of what isn't there would be missing
            amounts = pc.cast(pc.equal(chosen["state"], state), pa.float64())
            into.count(s.FCR_ISSUES, {"bot": chosen["bot"], "window": window, "state": state}, amounts)


def _speech(into: Aggregator, opened: Opened) -> None:
    rows = opened.engine.table("speech")
    for part, column in _PARTS.items():
        into.count(s.SPEECH_DURATION, {"bot": rows["bot"], "part": part}, rows[column])
