"""The two sides of a comparison: which calls are whose."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from otel_voicebot.errors import UsageError
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.source import Opened
from otel_voicebot.reports.values import shown

__all__ = ["PERIOD", "Sides", "calls", "label", "others"]

PERIOD: Final = "period"
_NO_GROUPS: Final = frozenset(
    {"session_id", "session_source", "trace_id", "user_hash", "outcome", "end_reason", "escalated_by", "mos_kind"}
)
"""Text columns of sessions that no comparison can be by: ids, and results of the call."""
_LONGEST: Final = 60
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: two values of a column of ``sessions``, or two periods.

    Attributes:
        a: the one side (the control, what was before).
        b: the other (what is new).
        by: the column; ``period`` for periods.

    Raises:
        UsageError: both sides are the same, or periods overlap.
    """

    a: str | Period
    b: str | Period
    by: str = "variant"

    def __post_init__(self) -> None:
        if isinstance(self.a, Period) != isinstance(self.b, Period):
            msg = f"compare two names or two periods, not {label(self.a)} and {label(self.b)}"
            raise UsageError(msg)
        if self.a == self.b:
            msg = f"both sides are {label(self.a)}: there is nothing to compare"
            raise UsageError(msg)
        if isinstance(self.a, Period) and isinstance(self.b, Period) and self.a.overlaps(self.b):
            msg = f"the periods {self.a} and {self.b} overlap: a call would be on both sides"
            raise UsageError(msg)

    @property
    def names(self) -> tuple[str, str]:
        """Both, as people read them."""
        return label(self.a), label(self.b)

    @property
    def window(self) -> Period:
        """What holds both periods; all time where there are none."""
        if not isinstance(self.a, Period) or not isinstance(self.b, Period):
            return Period(None, None)
        begins, ends = (self.a.since, self.b.since), (self.a.until, self.b.until)
        since = None if None in begins else min(filter(None, begins))
        return Period(since, None if None in ends else max(filter(None, ends)))


def label(side: str | Period) -> str:
    """A side's name without what a terminal obeys, cut where it is very long."""
    text = shown(str(side))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def calls(opened: Opened, sides: Sides) -> pa.Table:
    """The calls of both sides: the model ``per_call`` with ``side`` (a, b) and ``start_time``, in a stable order.

    Raises:
        UsageError: sessions have no such column.
        UnreadableDataError: a file turned out to be damaged.
    """
    condition, parameters = _sides(opened, sides)
    # names of columns are the schema's own, values are parameters
    query = f"""SELECT CASE {condition} END AS side, s.start_time, p.*
        FROM per_call p JOIN sessions s ON s.session_id = p.session_id
        WHERE CASE {condition} END IS NOT NULL ORDER BY p.session_id"""  # noqa: S608
    return opened.engine.sql(query, parameters * 2)


def _sides(opened: Opened, sides: Sides) -> tuple[str, list[object]]:
    """The cases that tell a call's side, and their parameters."""
    if not isinstance(sides.a, Period) or not isinstance(sides.b, Period):
        column = _column(opened, sides.by)
        return f"WHEN s.\"{column}\" = ? THEN 'a' WHEN s.\"{column}\" = ? THEN 'b'", [sides.a, sides.b]
    terms, parameters = [], list[object]()
    for side, period in (("a", sides.a), ("b", sides.b)):
        bounds = [("s.start_time >= ?", period.since), ("s.start_time < ?", period.until)]
        known = [(term, moment) for term, moment in bounds if moment is not None]
        terms.append(f"WHEN {' AND '.join(term for term, _ in known)} THEN '{side}'")
        parameters += [moment for _, moment in known]
    return " ".join(terms), parameters


def _column(opened: Opened, name: str) -> str:
    described = opened.engine.sql("SELECT column_name, column_type FROM (DESCRIBE sessions)").to_pylist()
    columns = [str(row["column_name"]) for row in described if row["column_type"] == "VARCHAR"]
    groups = [column for column in columns if column not in _NO_GROUPS]
    if name not in groups:
        msg = f"calls can't be compared by {shown(name)!r}: choose {', '.join(groups)}, or {PERIOD}"
        raise UsageError(msg)
    return name


def others(opened: Opened, sides: Sides) -> str:
    """What there is to compare by, for who asked for something else: ``; there are blue, green``, else nothing."""
    if isinstance(sides.a, Period):
        return ""
    column = _column(opened, sides.by)
    query = f'SELECT "{column}" AS name FROM sessions WHERE name IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1'  # noqa: S608
    names = [label(str(row["name"])) for row in opened.engine.sql(f"{query} LIMIT {_FEW}").to_pylist()]
    return f"; there are {', '.join(names)}" if names else f"; no call has a {sides.by}"
