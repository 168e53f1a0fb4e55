"""The report of a window as somebody asks a running service for it: within a time, one at a time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from otel_voicebot.models import Selection, Terms
from otel_voicebot.models.price_file import read_prices
from otel_voicebot.models.pricing import Prices
from otel_voicebot.models.targets import DEFAULTS, as_rows, cache_rows, read_targets
from otel_voicebot.reports import source
from otel_voicebot.reports.report import Report, compute
from otel_voicebot.reports.sections import ON_REQUEST, section
from otel_voicebot.reports.source import Opened

__all__ = ["Basis", "Snapshots"]

_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Basis:
    """What KPIs depend on beside the spans, as the settings of these names have it."""

    short_session_s: float = 5.0
    human_interaction_usd: float = 5.0
    prices: Path | None = None
    targets: Path | None = None


class Snapshots:
    """Computes reports of one data directory. Safe from any thread.

    Args:
        data: the directory.
        basis: limits, prices and targets.
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
            UsageError: the price or targets file is wrong.
            TooSlowError: it took longer than it may, or ``stop`` was called.
        """
        basis, end = self._basis, self._clock() + self._timeout_s
        listing = Prices(None if basis.prices is None else read_prices(basis.prices))
        held = DEFAULTS if basis.targets is None else read_targets(basis.targets)

        def answer(opened: Opened) -> Report:
            told = listing.give(opened.engine)
            opened.engine.give("targets", as_rows(held))
            opened.engine.give("cache_targets", cache_rows(held))
            found = replace(compute(opened.engine, opened.scope), prices=told)
            return found if asked is None else replace(found, asked=section(asked, opened.engine))

        return source.ask(
            self._data,
            selection,
            now,
            answer,
            brief=asked is None or not ON_REQUEST[asked].whole,
            cut=asked == "breakdowns",
            terms=Terms(
                short_session_s=basis.short_session_s, human_interaction_usd=basis.human_interaction_usd, as_of=now
            ),
            given_up=lambda: self._stopped.is_set() or self._clock() > end,
        )

    def stop(self) -> None:
        """Break off what is computed; what is asked afterwards is broken off, too."""
        self._stopped.set()
