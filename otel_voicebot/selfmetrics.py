"""The package's own counters: what came in, what was refused, dropped, committed, late.

Declared in ``semconv`` (``SELF_*``). One instance per running pipeline, handed to its parts by the composition root;
the exporters read it when they are scraped.
"""

import logging
import threading

from otel_voicebot.semconv import SELF_FAILURES, Metric

__all__ = ["SelfMetrics"]

_log = logging.getLogger("otel_voicebot")


class SelfMetrics:
    """Counters and gauges, by metric and one label value. Safe to use from any thread; never blocks for long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}
        self._told: set[str] = set()

    def add(self, metric: Metric, amount: float = 1, label: str = "") -> None:
        """Raise a counter."""
        if amount:
            key = (metric.name, label)
            with self._lock:
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

        Only the error's class is logged: its text may quote what a caller said.
        """
        self.add(SELF_FAILURES, 1, stage)
        with self._lock:
            first = stage not in self._told
            self._told.add(stage)
        if first:
            _log.warning(
                "otel_voicebot: %s failed with %s; the bot goes on, further failures are only counted in "
                "voicebot_pipeline_failures_total",
                stage,
                type(error).__qualname__,
                exc_info=error if _log.isEnabledFor(logging.DEBUG) else None,
            )

    def after_fork(self) -> None:
        """Start from zero in a forked child: what the parent counted is the parent's."""
        self._lock = threading.Lock()
        self._values = {}
