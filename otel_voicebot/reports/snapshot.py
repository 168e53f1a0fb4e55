"""The report of a window as somebody asks a running service for it: within a time, one at a time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from otel_voicebot.models import Selection, Terms
from otel_voicebot.reports.answer import Wanted, answer
from otel_voicebot.reports.report import Report

__all__ = ["Basis", "Snapshots"]

_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Basis:
    """What KPIs depend on beside the spans.

    Attributes:
        terms: limits and amounts; its ``as_of`` is each question's own.
        files: of prices, targets and quotas.
    """

    terms: Terms = field(default_factory=Terms)
    files: Wanted = field(default_factory=Wanted)


class Snapshots:
    """Computes reports of one data directory. Safe from any thread.

    Args:
        data: the directory.
        basis: limits, prices, targets and quotas.
        timeout_s: seconds that one report may take.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        data: Path,
        basis: Basis | None = None,
        timeout_s: float = _TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._basis = basis or Basis()
        self._timeout_s = timeout_s
        self._clock = clock
        self._stopped = threading.Event()

    def report(self, selection: Selection, now: datetime, asked: str | None = None) -> Report:
        """The report of these sessions; ``asked``: with this one of ``sections.ON_REQUEST``.

        Raises:
            NoDataError, UnreadableDataError: as ``source.ask``.
            UsageError: the price, targets or quotas file is wrong.
            TooSlowError: it took longer than it may, or ``stop`` was called.
        """
        basis, end = self._basis, self._clock() + self._timeout_s
        return answer(
            self._data,
            selection,
            replace(basis.terms, as_of=selection.as_of or now),
            replace(basis.files, sections=(asked,) if asked else ()),
            lambda: self._stopped.is_set() or self._clock() > end,
        )

    def stop(self) -> None:
        """Break off what is computed; what is asked afterwards is broken off, too."""
        self._stopped.set()
