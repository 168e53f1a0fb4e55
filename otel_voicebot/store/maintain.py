"""Keeps a data directory in order in the background: closed hours are merged, old ones removed, erased people purged.

Any number of processes may run one on the same directory: the lease lets one at a time work. It has a thread of its own
that works on one hour at a time, on one core, below the priority of the rest, and never raises: what fails is counted,
and the hour is tried again later.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_voicebot.errors import LeaseError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_MERGED, SELF_REMOVED
from otel_voicebot.store import disk, marks
from otel_voicebot.store.compact import Hour, StoppedError, closed_hours, compact, stepper
from otel_voicebot.store.erase import purge
from otel_voicebot.store.lease import Lease, take
from otel_voicebot.store.retain import older_than, over_cap, preview, retain

__all__ = ["Care", "Maintainer"]

_AGAIN_NS: Final = 3600 * 1_000_000_000
"""An hour that can't be merged (a damaged file) is tried again after an hour."""
_NICE: Final = 10


@dataclass(frozen=True, slots=True)
class Care:
    """What is done to a data directory."""

    retention_s: float | None = None
    """Hours older than this are removed; None keeps them."""
    disk_cap: int | None = None
    """Bytes that the files may take; beyond, the oldest hours go. None: no cap."""
    interval_s: float = 60.0
    """Seconds between two rounds. A round with nothing to do costs some listings."""


class Maintainer:
    """One per process and data directory. ``start`` it, and ``stop`` it before the process ends.

    Args:
        data: the data directory; made by whoever writes.
        metrics: counts what was merged and removed, and what failed (stage ``maintain``).
        care: what is to be done.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self,
        data: Path,
        metrics: SelfMetrics,
        care: Care | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._data = data.absolute()
        self._metrics = metrics
        self._care = care or Care()
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: dict[Hour, int] = {}
        self._purged: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin with a round at once. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="otel_voicebot-maintain", daemon=True)
            self._thread.start()

    def stop(self, deadline_s: float = 5.0) -> bool:
        """Stop: a merge under way is given up, nothing of it stays. True when the thread has ended in time.

        Idempotent, safe before ``start``. Never raises.
        """
        self._stopping.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(deadline_s, 0))
        return not thread.is_alive()

    def round(self) -> None:
        """One round, now, on this thread. Never raises."""
        try:
            if self._is_due():
                with take(self._data, clock=self._clock) as lease:
                    self._work(lease)
            self._metrics.recovered("maintain")
        except LeaseError:
            pass  # another maintainer is at it
        except Exception as error:  # noqa: BLE001 - the bot or the service goes on, and the next round tries again
            self._metrics.contained("maintain", error)

    def _run(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # Linux: of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._stopping.is_set():
            self.round()
            self._stopping.wait(self._care.interval_s)

    def _is_due(self) -> bool:
        """Whether there is anything to do; without the lease, so that idle processes don't take turns with it."""
        if not disk.exists(self._data):
            return False
        now = self._clock()
        return bool(self._due_hours(now) or self._unpurged() or any(self._horizons(now)))

    def _work(self, lease: Lease) -> None:
        done, failed = compact(lease, self._due_hours(self._clock()), stop=self._stopping.is_set)
        for one in done:
            self._metrics.add(SELF_MERGED, one.merged.rows, one.hour.table)
        for wrong in failed:
            self._failed[wrong.hour] = self._clock() + _AGAIN_NS
            self._metrics.contained("maintain", wrong.error)
        if self._stopping.is_set():
            return
        if unpurged := self._unpurged():
            # Hours that are open now lose them when they are merged.
            with contextlib.suppress(StoppedError):
                purge(lease, self._clock(), step=stepper(lease, self._stopping.is_set))
                self._purged |= unpurged
        self._remove(lease)

    def _remove(self, lease: Lease) -> None:
        now = self._clock()
        for reason, horizon in zip(("retention", "disk_cap"), self._horizons(now), strict=True):
            if horizon and not self._stopping.is_set():
                removed = retain(lease, horizon, now)
                self._metrics.add(SELF_REMOVED, len({hour.name for hour in removed.hours}), reason)

    def _horizons(self, now: int) -> tuple[int, int]:
        """Up to when hours are to go, by age and by the cap; 0 where none is to."""
        care = self._care
        old = older_than(now, care.retention_s) if care.retention_s is not None else 0
        old = max(old, marks.horizon(self._data))  # what a holder that was killed has not seen through
        by_age = old if old and preview(self._data, old, now).hours else 0
        return by_age, over_cap(self._data, care.disk_cap, now) if care.disk_cap is not None else 0

    def _due_hours(self, now: int) -> list[Hour]:
        return [hour for hour in closed_hours(self._data, now) if self._failed.get(hour, 0) <= now]

    def _unpurged(self) -> frozenset[str]:
        """Tombstones whose people may still be in some file."""
        return frozenset(one.id for one in marks.tombstones(self._data)) - self._purged
