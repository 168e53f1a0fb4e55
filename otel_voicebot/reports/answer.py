"""A report from a data directory, with all that somebody may want of it: what ``report`` and ``frames.kpis`` ask."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from otel_voicebot.errors import NoDataError
from otel_voicebot.models import Selection, Terms
from otel_voicebot.models.pricing import Prices, preload
from otel_voicebot.reports import groups, kpis, source
from otel_voicebot.reports.groups import Grouped
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.report import Before, Report, compute
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.sections import ON_REQUEST, section
from otel_voicebot.reports.source import Opened, Opener

__all__ = ["Files", "Wanted", "against", "answer"]


class Files(Protocol):
    """Who knows files that answers depend on: settings."""

    @property
    def prices(self) -> Path | None:
        """What things cost."""
        ...

    @property
    def targets(self) -> Path | None:
        """What latencies and caches are to reach."""
        ...

    @property
    def quotas(self) -> Path | None:
        """What services allow, and budgets."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is to hold beside its KPIs, waits, components, outcomes and errors, and the files it depends on.

    Attributes:
        sections: names of ``report.SECTIONS``; those on request are computed.
        group_by: names of ``models.groups.GROUPINGS``: KPIs by group, too.
        change: KPIs with what they were in the period before, which the selection has to begin.
        pictures: what charts show.
        prices: a price file.
        targets: a file of targets; None: the usual ones.
        quotas: a file of quotas and budgets; None: none are known.
        on: another engine than DuckDB. It groups nothing, draws nothing and cuts no waits.
    """

    sections: Sequence[str] = ()
    group_by: Sequence[str] = ()
    change: bool = False
    pictures: bool = False
    prices: Path | None = None
    targets: Path | None = None
    quotas: Path | None = None
    on: Opener | None = None

    def filled(self, known: "Files") -> "Wanted":
        """The same with the files that the settings know, where none was named."""
        return replace(
            self,
            prices=self.prices or known.prices,
            targets=self.targets or known.targets,
            quotas=self.quotas or known.quotas,
        )

    @property
    def brief(self) -> bool:
        """Whether an engine that keeps few columns has all of it."""
        whole = any(ON_REQUEST[name].whole for name in self.sections if name in ON_REQUEST)
        return not whole and groups.brief(self.group_by)

    @property
    def kept(self) -> bool:
        """Whether rows of turns and sessions may be taken as they were stored: nothing else is looked into."""
        return not (self.group_by or self.pictures or any(name in ON_REQUEST for name in self.sections))


@dataclass(frozen=True, slots=True)
class _Old:
    """The period before."""

    scope: Scope
    kpis: tuple[Kpi, ...]
    grouped: Grouped | None


def answer(
    data: Path, selection: Selection, terms: Terms, wanted: Wanted, given_up: Callable[[], bool] | None = None
) -> Report:
    """The report of the selected calls as of ``terms.as_of``.

    ``given_up``: as of ``Engine``; segments, which stored rows answer, don't ask it.

    Raises:
        UsageError: what is wanted contradicts itself, or a file of prices or targets is wrong.
        NoDataError, UnreadableDataError, TooSlowError: as ``source.ask``.
    """
    groups.check(wanted.group_by, change=wanted.change)
    earlier = Period(selection.since, selection.until).before(terms.as_of) if wanted.change else None
    threading.Thread(target=preload, daemon=True).start()  # a fifth of a second, while the engine reads files
    listing = Prices.read(wanted.prices)
    limits = _limits(selection, terms, wanted)

    def compute_all(opened: Opened) -> Report:
        told = listing.give(opened.engine)
        for name, rows in limits.items():
            opened.engine.give(name, rows)
        found = replace(compute(opened.engine, opened.scope), prices=told)
        asked = tuple(section(name, opened.engine) for name in dict.fromkeys(wanted.sections) if name in ON_REQUEST)
        found = replace(found, asked=asked)
        if wanted.pictures:  # from here on the engine has KPIs only
            from otel_voicebot.reports import pictures  # noqa: PLC0415 - few ask for them

            found = replace(found, pictures=pictures.compute(opened.engine))
        return replace(found, grouped=_grouped(opened, wanted))

    def compute_old(opened: Opened) -> _Old:
        listing.give(opened.engine)
        return _Old(opened.scope, kpis.computed(opened.engine), _grouped(opened, wanted))

    asking = partial(source.ask, data, now=terms.as_of, terms=terms, given_up=given_up, on=wanted.on)
    cut = "breakdowns" in wanted.sections
    found = asking(selection, compute=compute_all, brief=wanted.brief, cut=cut, kept=wanted.kept)
    if "segments" in wanted.sections and found.value("sessions"):
        from otel_voicebot.reports import exchanges  # noqa: PLC0415 - few ask for them
        from otel_voicebot.reports.shares import shares  # noqa: PLC0415

        parts, scope = exchanges.ask(data, selection, terms.as_of, lambda waits: (shares(waits.spent()), waits.scope))
        found = replace(found, segments=parts, scope=scope)
    if earlier is None:
        return found
    before = replace(selection, since=earlier.since, until=earlier.until)
    try:
        brief, kept = groups.brief(wanted.group_by), not wanted.group_by
        old = asking(before, compute=compute_old, brief=brief, cut=False, kept=kept)
    except NoDataError:
        return _compared(found, earlier, None)
    return _compared(found, earlier, old)


def against(data: Path, selection: Selection, terms: Terms, prices: Path | None = None) -> Report:
    """A report whose KPIs say what they were in the period before and how they changed: for dashboards.

    Raises as ``answer``; UsageError, too, where the selection has no beginning.
    """
    return answer(data, selection, terms, Wanted(change=True, prices=prices))


def _limits(selection: Selection, terms: Terms, wanted: Wanted) -> dict[str, list[dict[str, object]]]:
    """What targets and quotas allow, as rows of the tables that sections on request read; nothing where none is.

    Raises:
        UsageError: a file is wrong.
    """
    if wanted.targets is None and wanted.quotas is None and not any(name in ON_REQUEST for name in wanted.sections):
        return {}
    from otel_voicebot.models import quotas, targets  # noqa: PLC0415 - most reports read neither

    held = targets.DEFAULTS if wanted.targets is None else targets.read_targets(wanted.targets)
    # a window may end later than now, such as with the month: what is used by then isn't known yet
    moment = quotas.Moment(min(selection.until or terms.as_of, terms.as_of), selection.since, selection.every)
    allowed = quotas.as_rows(None if wanted.quotas is None else quotas.read_quotas(wanted.quotas), moment)
    return {"targets": targets.as_rows(held), "cache_targets": targets.cache_rows(held), "quotas": allowed}


def _grouped(opened: Opened, wanted: Wanted) -> Grouped | None:
    return groups.compute(opened.engine, wanted.group_by) if wanted.group_by else None


def _compared(found: Report, earlier: Period, old: _Old | None) -> Report:
    known = {} if old is None else {kpi.name: kpi for kpi in old.kpis}
    sessions = int(known["sessions"].value or 0) if known else 0
    if not sessions:
        known = {}
    grouped = None if found.grouped is None else groups.against(found.grouped, old.grouped if old is not None else None)
    unread = found.scope.unreadable if old is None else (*found.scope.unreadable, *old.scope.unreadable)
    return replace(
        found,
        scope=replace(found.scope, unreadable=tuple(dict.fromkeys(unread))),
        kpis=tuple(replace(kpi, previous=known.get(kpi.name)) for kpi in found.kpis),
        before=Before(earlier, sessions),
        grouped=grouped,
    )
