"""KPIs by group of calls: by bot, channel, intent, day, ..., each as if the report had been filtered for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_voicebot.errors import UsageError
from otel_voicebot.models import Engine
from otel_voicebot.models.groups import GROUPINGS, OF_OPERATIONS, TIMES
from otel_voicebot.reports import kpis
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.values import quantity

__all__ = ["MOST", "Group", "Grouped", "against", "check", "compute", "document", "grid", "rows"]

MOST: Final = 100
"""Groups that are computed: a tenth of a second each."""
_ABREAST: Final = 6
"""So many groups stand beside each other with every KPI; more stand below each other, with a few."""
_FEW: Final = (
    *("turns", "response_gap_p50_s", "response_gap_p95_s", "error_rate", "aht_s", "containment", "escalation_rate"),
    *("fcr_7d", "csat_mean", "cost_per_session_usd"),
)
_BRIEF: Final = frozenset(GROUPINGS) - {"bot", "variant", "environment"}

Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The KPIs of the calls that have these values of what they are grouped by; None: it isn't known of them."""

    values: Values
    sessions: int
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups: by time in its order, else the largest first.

    Attributes:
        by: what they are by, names of ``models.groups.GROUPINGS``.
        groups: at most ``MOST``.
        left_groups: smaller ones that were not computed.
        left_sessions: calls in them.
        against: they are compared with the period before.
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    left_groups: int = 0
    left_sessions: int = 0
    against: bool = False

    def notes(self) -> tuple[str, ...]:
        """What a reader has to know, in sentences."""
        found = []
        if self.left_groups:
            found.append(
                f"Left out: {self.left_groups} smaller groups with {self.left_sessions} sessions. {MOST} groups are "
                "computed; a filter leaves fewer."
            )
        if several := [name for name in self.by if name in OF_OPERATIONS]:
            found.append(f"A call that used several ({', '.join(several)}) counts whole in each of their groups.")
        return tuple(found)


def check(by: Sequence[str], *, change: bool) -> None:
    """Raises UsageError where these can't be grouped by, or not with a change against the period before."""
    for name in by:
        if name not in GROUPINGS:
            raise UsageError(f"nothing can be grouped by {name!r}: choose {', '.join(GROUPINGS)}")
    if len(set(by)) < len(by):
        raise UsageError(f"--group-by names {next(name for name in by if by.count(name) > 1)} twice")
    if change and (times := [name for name in by if name in TIMES]):
        raise UsageError(f"--change with --group-by {times[0]}: a {times[0]} of this period isn't in the one before")


def brief(by: Sequence[str]) -> bool:
    """Whether an engine that keeps few columns can group by these."""
    return all(name in _BRIEF for name in by)


def compute(engine: Engine, by: Sequence[str], model: str = "all_kpis") -> Grouped:
    """The KPIs of each group of the engine's calls.

    Args:
        engine: see ``brief``. Afterwards it has the KPIs of all calls again, but no sections that read spans.
        by: names of ``GROUPINGS``.
        model: ``kpis``: only those of it, which takes a third of the time.

    Raises:
        UsageError: by time there would be more than ``MOST``: a hole among days would go unnoticed.
    """
    listed = engine.group(by)
    if len(listed) > MOST and (times := [name for name in by if name in TIMES]):
        msg = f"--group-by {times[0]} makes {len(listed)} groups, and {MOST} are computed: ask for a shorter time"
        longer = list(TIMES)[list(TIMES).index(times[0]) + 1 :]
        raise UsageError(msg + (f", or group by {longer[0]}" if longer else ""))
    chosen, left = listed[:MOST], listed[MOST:]
    if any(name in TIMES for name in by):
        chosen.sort(key=lambda group: tuple((value is None, value or "") for value in group[1]))
    found = []
    for sessions, values in chosen:
        engine.look_at(values)
        found.append(Group(values, sessions, kpis.computed(engine, model)))
    engine.look_at(None)
    return Grouped(tuple(by), tuple(found), len(left), sum(sessions for sessions, _ in left))


def against(found: Grouped, before: Grouped | None) -> Grouped:
    """The groups with what they were in the period before."""
    known = {group.values: group for group in before.groups} if before is not None else {}
    groups = []
    for group in found.groups:
        old = {kpi.name: kpi for kpi in known[group.values].kpis} if group.values in known else {}
        groups.append(replace(group, kpis=tuple(replace(kpi, previous=old.get(kpi.name)) for kpi in group.kpis)))
    return replace(found, groups=tuple(groups), against=True)


def document(found: Grouped) -> dict[str, object]:
    """What a JSON document says of groups."""
    return {
        "group_by": list(found.by),
        "groups": [
            {
                "group": dict(zip(found.by, group.values, strict=True)),
                "sessions": group.sessions,
                "kpis": {
                    kpi.name: {**kpis.told(kpi), **(kpis.changed(kpi) if found.against else {})} for kpi in group.kpis
                },
            }
            for group in found.groups
        ],
        "groups_left_out": {"groups": found.left_groups, "sessions": found.left_sessions},
    }


def rows(found: Grouped) -> tuple[dict[str, object], ...]:
    """One row for each group and KPI, as programs read them."""
    return tuple(
        {**dict(zip(found.by, group.values, strict=True)), **kpis.row(kpi, against=found.against)}
        for group in found.groups
        for kpi in group.kpis
    )


def long(found: Grouped) -> Grid:
    """``rows`` as a table."""
    columns = tuple(Column(name, name) for name in (*found.by, "kpi", "value", "unit"))
    return Grid("groups", _title(found), columns, rows(found), notes=found.notes())


def grid(found: Grouped) -> Grid:
    """For people: a few groups side by side with every KPI, or many below each other with some."""
    if len(found.groups) <= _ABREAST:
        return _abreast(found)
    columns = [*(Column(f"_{name}", name, style="bold") for name in found.by)]
    columns += [Column(f"_{name}", _short(name), right=True) for name in ("sessions", *_FEW)]
    table = tuple({**_named(found, group), **_cells(found, group)} for group in found.groups)
    note = "Every KPI of each group: --format csv, jsonl, parquet or json."
    return Grid(
        "groups", _title(found), tuple(columns), table, empty="no session was seen", notes=(*found.notes(), note)
    )


def _abreast(found: Grouped) -> Grid:
    columns = [Column("_kpi", "KPI")]
    columns += [
        Column(f"_{place}", ", ".join(map(_name, group.values)), right=True) for place, group in enumerate(found.groups)
    ]
    table: list[dict[str, object]] = []
    for place, group in enumerate(found.groups):
        for line, kpi in enumerate(group.kpis):
            if not place:
                table.append({"_kpi": kpi.name})
            table[line][f"_{place}"] = _cell(kpi, against=found.against)
    return Grid("groups", _title(found), tuple(columns), tuple(table), empty="no session was seen", notes=found.notes())


def _cells(found: Grouped, group: Group) -> Mapping[str, Any]:
    shown = {f"_{kpi.name}": _cell(kpi, against=found.against) for kpi in group.kpis}
    return {"_sessions": quantity(group.sessions), **{f"_{name}": shown.get(f"_{name}", "-") for name in _FEW}} | (
        {"_sessions": shown["_sessions"]} if found.against else {}
    )


def _named(found: Grouped, group: Group) -> dict[str, object]:
    return {f"_{name}": _name(value) for name, value in zip(found.by, group.values, strict=True)}


def _cell(kpi: Kpi, *, against: bool) -> str:
    return f"{kpi.shown}  {kpi.shown_change}" if against and kpi.change is not None else kpi.shown


def _name(value: str | None) -> str:
    return "-" if value is None else value


def _title(found: Grouped) -> str:
    return f"KPIs by {' and '.join(found.by)}"


def _short(name: str) -> str:
    return name.removesuffix("_usd").removesuffix("_s").replace("response_gap", "gap").replace("_", " ")
