"""The package's own counters: what came in, what was refused, dropped, committed, late.

Declared in ``semconv`` (``SELF_*``). One instance per running pipeline, handed to its parts by the composition root;
the exporters read it when they are scraped.
"""

import logging
import os
import threading
import traceback
import weakref
from typing import Final

from otel_voicebot.conventions import Metric
from otel_voicebot.errors import CannotStartError
from otel_voicebot.semconv import OVERFLOW, SELF_FAILURES

__all__ = ["SelfMetrics"]

_log = logging.getLogger("otel_voicebot")
_SERIES_KEPT: Final = 1000
"""Counters and gauges, all together: the label of some is a name that senders make up (an instrumentation scope)."""


class SelfMetrics:
    """Counters and gauges, by metric and one label value. Safe to use from any thread; never blocks for long.

    Bounded: beyond 1000 of them what has a new label goes to the label ``_overflow``.

    A forked child starts from zero: what the parent counted is the parent's.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._reset()
        _reset_in_children(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # a garbage collection under the lock may end a span, which is counted here too
        self._values: dict[tuple[str, str], float] = {}

    def add(self, metric: Metric, amount: float = 1, label: str = "") -> None:
        """Raise a counter."""
        if amount:
            key = (metric.name, label)
            with self._lock:
                if label and len(self._values) >= _SERIES_KEPT and key not in self._values:
                    key = (metric.name, OVERFLOW)
                self._values[key] = self._values.get(key, 0) + amount

    def set(self, metric: Metric, value: float, label: str = "") -> None:
        """Set a gauge."""
        with self._lock:
            self._values[metric.name, label] = value

    def get(self, metric: Metric, label: str = "") -> float:
        """The value now; 0 when nothing was ever added."""
        with self._lock:
            return self._values.get((metric.name, label), 0)

    def read(self) -> dict[tuple[str, str], float]:
        """A copy of all values, by (metric name, label value)."""
        with self._lock:
            return dict(self._values)

    def contained(self, stage: str, error: BaseException) -> None:
        """Count a failure that must not reach the bot; log the first of each stage.

        Of a port or a disk that refuses it is the whole sentence, as the user can do something about it; of anything
        else the class and, at debug level, where it happened: its text may quote what a caller said.
        """
        self.add(SELF_FAILURES, 1, stage)
        with self._lock:
            first = stage not in self._told
            self._told.add(stage)
        if first:
            clear = isinstance(error, CannotStartError)
            what = str(error) if clear else f"{stage} failed with {type(error).__qualname__}"
            _log.warning("otel_voicebot: %s. The bot goes on; voicebot_pipeline_failures_total counts", what)
            _log.debug("otel_voicebot: %s failed at\n%s", stage, "\n".join(_lines(error)))

    def recovered(self, stage: str) -> None:
        """Say that a stage works again, if it was said to fail; its next failure is logged again."""
        with self._lock:
            told = stage in self._told
            self._told.discard(stage)
        if told:
            _log.warning("otel_voicebot: %s works again", stage)


def _lines(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]


def _reset_in_children(metrics: SelfMetrics) -> None:
    reference = weakref.ref(metrics)

    def reset() -> None:
        alive = reference()
        if alive is not None:
            alive._reset()  # noqa: SLF001 - this module's own class

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
