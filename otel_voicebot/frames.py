"""Reports as pandas data frames, for notebooks and programs: the same values as the command line, unrounded.

::

    from otel_voicebot import frames

    frames.kpis("voicebot-data", since="7d", change=True)
    frames.kpis("voicebot-data", group_by=["bot", "day"], since="30d")
    frames.section("intents", "voicebot-data", channel="phone")

Everything that selects calls (``Where``) is a keyword. What is unknown is missing (``None``, ``NaN``, ``<NA>``), never
0. ``frame.attrs`` says what was asked and as of when, and names files that could not be read. Settings come from the
environment as for the command line: the data directory, prices, targets, what a short call is.

Errors, for every function: ``NoDataError`` (there is no data, or no call is selected), ``UnreadableDataError`` (there
is, and none of it can be read), ``UsageError`` (the question makes no sense); all are ``errors.VoicebotError``.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from otel_voicebot import settings
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from otel_voicebot.models import Selection, Terms
    from otel_voicebot.reports.answer import Wanted
    from otel_voicebot.reports.compare import Plan
    from otel_voicebot.reports.detector import Rule
    from otel_voicebot.reports.report import Report
    from otel_voicebot.reports.scope import Scope
    from otel_voicebot.reports.slow import Choice

__all__ = ["Where", "anomalies", "compare", "kpis", "section", "sessions", "slow", "spans", "trace", "turns", "why"]


class Where(TypedDict, total=False):
    """Which calls are meant, and as of when. What isn't given selects all."""

    since: str | datetime | None
    """Calls that began at or after this: aware, ISO 8601 (UTC without an offset), or so long ago (``7d``, ``24h``)."""
    until: str | datetime | None
    """Calls that began before this."""
    bot: str | None
    channel: str | None
    variant: str | None
    environment: str | None
    intent: str | None
    """Of the call."""
    as_of: datetime | str | None
    """The moment that the answer is of, as ``since`` is given, and from which "ago" counts; None: now."""


def kpis(
    data: Path | str | None = None,
    *,
    group_by: Sequence[str] | str = (),
    change: bool = False,
    prices: Path | str | None = None,
    **where: Unpack[Where],
) -> "pd.DataFrame":
    """Every KPI, one a row: what ``report`` prints.

    Args:
        data: the data directory; None: that of the settings.
        group_by: KPIs by group (one name, or several): one row for each group and KPI. Names of
            ``models.groups.GROUPINGS``.
        change: with what each was in the period before; ``since`` says when this one begins.
        prices: a price file; None: that of the settings.
        **where: which calls.

    Returns:
        Columns ``kpi``, ``value``, ``unit`` (s, 1, USD, a count in braces), ``numerator``, ``denominator``,
        ``excluded`` (rows that the definition leaves out), ``provisional``, ``exclusion`` (which those are), ``note``
        (why the value is missing). With ``group_by`` a column of that name comes first for each; with ``change``
        ``previous``, ``change`` (in the unit) and ``change_relative`` (a share of ``previous``) come last.
    """
    from otel_voicebot.reports import groups  # noqa: PLC0415 - not at import
    from otel_voicebot.reports import kpis as found  # noqa: PLC0415
    from otel_voicebot.reports.answer import Wanted  # noqa: PLC0415

    names = (group_by,) if isinstance(group_by, str) else tuple(group_by)
    report = _report(data, Wanted(group_by=names, change=change, prices=_path(prices)), where)
    rows: Sequence[Mapping[str, object]]
    if report.grouped is not None:
        rows = groups.rows(report.grouped)
    else:
        rows = [found.row(kpi, against=change) for kpi in report.kpis]
    frame = _frame(rows, report.scope)
    if report.before is not None:
        frame.attrs["against"] = str(report.before.period)
    return frame.astype(dict.fromkeys(frame.columns.intersection(list(_NUMBERS)), "float64"))


_NUMBERS = ("value", "numerator", "denominator", "excluded", "provisional", "previous", "change", "change_relative")


def section(
    name: str,
    data: Path | str | None = None,
    *,
    prices: Path | str | None = None,
    targets: Path | str | None = None,
    quotas: Path | str | None = None,
    **where: Unpack[Where],
) -> "pd.DataFrame":
    """One section of the report, as ``report --section NAME --csv`` has it.

    Args:
        name: of ``reports.report.SECTIONS``: waits, components, outcomes, errors, segments, costs, intents, ...
        data: the data directory; None: that of the settings.
        prices: a price file; None: that of the settings.
        targets: a file of targets for ``sla`` and ``caches``; None: that of the settings.
        quotas: a file of quotas and budgets for ``services`` and ``quotas``; None: that of the settings.
        **where: which calls.

    Returns:
        One row a row of the section; its columns, units and denominators are told by the section's SQL model. No row
        where the section has nothing.
    """
    from otel_voicebot.reports.answer import Wanted  # noqa: PLC0415 - not at import
    from otel_voicebot.reports.report import SECTIONS, grids  # noqa: PLC0415

    if name not in SECTIONS:
        raise UsageError(f"there is no section {name!r}: choose {', '.join(SECTIONS)}")
    wanted = Wanted(sections=(name,), prices=_path(prices), targets=_path(targets), quotas=_path(quotas))
    report = _report(data, wanted, where)
    grid = grids(report)[name]
    return _frame(grid.rows, report.scope, grid.keys())


def slow(data: Path | str | None = None, *, choice: "Choice | None" = None, **where: Unpack[Where]) -> "pd.DataFrame":
    """The turns in which callers waited longest, the slowest first: what ``slow`` prints.

    Args:
        data: the data directory; None: that of the settings.
        choice: how many, and of which component, provider, model or cause (``reports.slow.Choice``); None: ten.
        **where: which calls.

    Returns:
        One row a turn, with the columns of ``turns`` and what its wait was spent on; ``response_gap_s`` and ``wait_s``
        in seconds, ``wait_s`` a lower bound of a wait that was given up.
    """
    from otel_voicebot.reports import exchanges  # noqa: PLC0415 - not at import
    from otel_voicebot.reports.scope import nothing  # noqa: PLC0415
    from otel_voicebot.reports.slow import compute  # noqa: PLC0415

    directory, selection, terms, _ = _question(data, where)
    found = exchanges.ask(directory, selection, terms.as_of, lambda turns: compute(turns, choice))
    if not found.turns:
        raise nothing(found.scope, "turns with a wait")
    return _frame(found.turns, found.scope)


def trace(name: str, data: Path | str | None = None, *, turn: int | None = None) -> "pd.DataFrame":
    """One call, or one turn of it, as its spans: what ``trace`` draws.

    Args:
        name: a session or trace id, the beginning of one, or one and ``/TURN``.
        data: the data directory; None: that of the settings.
        turn: only this turn.

    Returns:
        One row a span, parent before child, by start: ``depth``, then the columns of ``spans`` (``tables.md``):
        ``start_unix_nano``, ``end_unix_nano``, ``duration_ns`` in nanoseconds, what ends in ``_s`` in seconds.
    """
    from otel_voicebot.reports.named import trace_of  # noqa: PLC0415 - not at import

    found = trace_of(name, _directory(data), datetime.now(UTC), turn)
    return _frame([{"depth": bar.depth, **bar.row} for bar in found.bars], found.scope)


def compare(
    a: str, b: str, data: Path | str | None = None, *, by: str = "variant", plan: "Plan | None" = None,
    prices: Path | str | None = None, **where: Unpack[Where],
) -> "pd.DataFrame":  # fmt: skip
    """Is B better or worse than A, KPI by KPI: what ``compare`` prints.

    Args:
        a: the one side: a value of ``by``, or with ``by="period"`` a period ``SINCE..UNTIL``.
        b: the other.
        data: the data directory; None: that of the settings.
        by: a column of sessions, or ``period``.
        plan: which KPIs decide, and how (``reports.compare.Plan``).
        prices: a price file; None: that of the settings.
        **where: which calls.

    Returns:
        One row a KPI: ``a_…`` and ``b_…`` value, numerator, denominator, excluded, sessions; ``difference``, ``low``
        and ``high`` in the KPI's ``unit``, ``p``, ``p_adjusted``, ``verdict``; ``attrs["verdict"]`` of all.
    """
    from otel_voicebot.models.pricing import Prices  # noqa: PLC0415 - not at import
    from otel_voicebot.reports import compare as comparing  # noqa: PLC0415
    from otel_voicebot.reports import source  # noqa: PLC0415
    from otel_voicebot.reports.comparison import frame  # noqa: PLC0415
    from otel_voicebot.reports.periods import period  # noqa: PLC0415
    from otel_voicebot.reports.sides import PERIOD, Sides  # noqa: PLC0415

    directory, selection, terms, known = _question(data, where)
    listing, periods = Prices.read(_path(prices) or known.prices), by == PERIOD
    sides = Sides(period(a, terms.as_of), period(b, terms.as_of), by) if periods else Sides(a, b, by)
    chosen = plan or comparing.Plan()
    found = source.ask(
        directory, selection, terms.as_of, lambda opened: comparing.of(opened, sides, chosen, listing),
        brief=periods, cut=False, terms=terms,
    )  # fmt: skip
    table = frame(found)
    table.attrs = {**_asked(found.scope), "verdict": found.verdict, "reason": found.reason, "prices": found.prices}
    return table


def why(
    data: Path | str | None = None, *, against: str | None = None, seed: int = 0, **where: Unpack[Where]
) -> "pd.DataFrame":
    """Why waits changed against another period: what ``why`` prints.

    Args:
        data: the data directory; None: that of the settings.
        against: the other period, ``SINCE..UNTIL``; None: as long a time, just before.
        seed: of the draws that tell changes from noise.
        **where: which calls; without ``since`` the last 24 hours.

    Returns:
        One row a segment and owner, the largest change first, and last the whole response gap: ``before_s``,
        ``after_s``, ``change_s`` (= ``frequency_s`` + ``duration_s``), ``low_s``, ``high_s``: seconds a turn;
        ``before_share``, ``after_share`` of the turns; ``within_noise``; ``examples``.
    """
    from dataclasses import replace  # noqa: PLC0415 - not at import

    from otel_voicebot.reports import changes, exchanges  # noqa: PLC0415
    from otel_voicebot.reports.periods import pair  # noqa: PLC0415
    from otel_voicebot.reports.scope import nothing  # noqa: PLC0415
    from otel_voicebot.reports.why import answered, compute  # noqa: PLC0415

    directory, selection, terms, _ = _question(data, where)
    this, before = pair(selection.since, selection.until, against, terms.as_of)
    read = []
    for one in (before, this):
        chosen = replace(selection, since=one.since, until=one.until)
        turns, scope = exchanges.ask(directory, chosen, terms.as_of, lambda found: (found.turns(), found.scope))
        if not answered(turns):
            raise nothing(scope, "answered turns")
        read.append((turns, scope))
    (old, old_scope), (new, new_scope) = read
    return _frame(changes.table(compute(old, new, (old_scope, new_scope), seed)).rows, new_scope)


def anomalies(
    data: Path | str | None = None,
    *,
    rule: "Rule | None" = None,
    prices: Path | str | None = None,
    **where: Unpack[Where],
) -> "pd.DataFrame":
    """What was slower, failed more or cost more than usual, and when: what ``anomalies`` prints.

    Args:
        data: the data directory; None: that of the settings.
        rule: what counts, and how long the past is that is compared with (``reports.detector.Rule``); None: as the
            command line.
        prices: a price file; None: that of the settings.
        **where: which calls are judged; those before ``since`` are what they are compared with.

    Returns:
        One row an incident, with the columns of ``anomalies --csv``; none where nothing stood out. ``usual`` and
        ``observed`` in the row's ``unit``, ``change`` a share.
    """
    from otel_voicebot.models.pricing import Prices  # noqa: PLC0415 - not at import
    from otel_voicebot.reports.anomalies import find  # noqa: PLC0415
    from otel_voicebot.reports.incidents import frame  # noqa: PLC0415

    directory, selection, terms, known = _question(data, where)
    found = find(directory, selection, rule, Prices.read(_path(prices) or known.prices), terms.as_of)
    table = frame(found)
    table.attrs = _asked(found.scope)
    return table


def spans(data: Path | str | None = None, **where: Unpack[Where]) -> "pd.DataFrame":
    """Every span of the selected calls, each once: the table ``spans`` of docs/reference/tables.md, its columns."""
    return _table("spans", data, where)


def turns(data: Path | str | None = None, **where: Unpack[Where]) -> "pd.DataFrame":
    """Every exchange and greeting: the table ``turns`` of docs/reference/tables.md, its columns and units."""
    return _table("turns", data, where)


def sessions(data: Path | str | None = None, **where: Unpack[Where]) -> "pd.DataFrame":
    """Every call: the table ``sessions`` of docs/reference/tables.md, its columns and units."""
    return _table("sessions", data, where)


def _table(name: str, data: Path | str | None, where: Where) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - not at import
    import pyarrow as pa  # noqa: PLC0415

    from otel_voicebot.reports import export, source  # noqa: PLC0415
    from otel_voicebot.reports.scope import nothing  # noqa: PLC0415

    directory, selection, terms, _ = _question(data, where)
    rows, scope = source.ask(
        directory, selection, terms.as_of, lambda opened: (export.rows(opened, name), opened.scope),
        cut=name == "turns", terms=terms,
    )  # fmt: skip
    if not rows.num_rows:
        raise nothing(scope, name)
    # a column of whole numbers with gaps would become floats, and nanoseconds lose their last digits
    exact = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=exact.get)
    frame.attrs = _asked(scope)
    return frame


def _report(data: Path | str | None, wanted: "Wanted", where: Where) -> "Report":
    from otel_voicebot.reports.answer import answer  # noqa: PLC0415 - not at import
    from otel_voicebot.reports.scope import nothing  # noqa: PLC0415

    directory, selection, terms, known = _question(data, where)
    found = answer(directory, selection, terms, wanted.filled(known))
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    return found


def _question(data: Path | str | None, where: Where) -> "tuple[Path, Selection, Terms, settings.Settings]":
    from otel_voicebot.models import FILTERS, Selection  # noqa: PLC0415 - not at import
    from otel_voicebot.reports.periods import window  # noqa: PLC0415

    if unknown := where.keys() - Where.__annotations__.keys():
        msg = f"{sorted(unknown)[0]!r} selects nothing: choose {', '.join(Where.__annotations__)}"
        raise UsageError(msg)
    known = settings.load(**({} if data is None else {"data": Path(data)}))
    now = datetime.now(UTC)
    period, as_of = window(where.get("since"), where.get("until"), where.get("as_of"), now, str)
    labels: dict[str, Any] = {name: where.get(name) for name in FILTERS}
    terms = known.terms(as_of or now)
    return known.data, Selection(period.since, period.until, **labels, as_of=as_of), terms, known


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


def _directory(data: Path | str | None) -> Path:
    return settings.load(**({} if data is None else {"data": Path(data)})).data


def _frame(
    rows: Sequence[Mapping[str, object]], scope: "Scope", columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - not at import

    names = columns or list(dict.fromkeys(key for row in rows for key in row if not key.startswith("_")))
    frame = pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})
    frame.attrs = _asked(scope)
    return frame


def _column(values: list[object]) -> "pd.Series[Any]":
    """Whole numbers with gaps would become floats, and nanoseconds lose their last digits."""
    import pandas as pd  # noqa: PLC0415 - not at import

    kinds = {type(value) for value in values if value is not None}
    exact = {frozenset({int}): "Int64", frozenset({bool}): "boolean"}.get(frozenset(kinds))
    return pd.Series(values, dtype=exact) if exact is not None and None in values else pd.Series(values)


def _asked(scope: "Scope") -> dict[Any, Any]:
    """What the question was, as ``frame.attrs``: plain values, so that frames can be joined and stored."""
    return {
        "data": scope.data,
        "as_of": scope.as_of.isoformat(),
        "since": None if scope.since is None else scope.since.isoformat(),
        "until": None if scope.until is None else scope.until.isoformat(),
        "filters": dict(scope.filters),
        "unreadable": [item.path for item in scope.unreadable],
    }
