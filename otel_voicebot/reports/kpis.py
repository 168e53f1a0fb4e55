"""KPIs: one number each, with what it is a share of, what is left out, and how it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from otel_voicebot.reports import censored
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.measures import BAD
from otel_voicebot.reports.tables import Tables
from otel_voicebot.reports.values import plain, quantity

__all__ = ["Kpi", "changed", "computed", "effect", "grid", "row", "told"]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI. ``value`` is None when it is unknown, and ``note`` says why."""

    name: str
    value: float | None
    unit: str
    numerator: float | None
    denominator: float | None
    excluded: float | None
    """Rows that its definition leaves out; ``exclusion`` says which."""
    exclusion: str | None
    note: str | None
    provisional: float | None = None
    """What is in neither numerator nor denominator because its window is still open; None where there is no window."""
    previous: "Kpi | None" = None
    """The same of the period before; None where nobody asked, or there was none."""

    @property
    def change(self) -> float | None:
        """How much it rose, in its unit; None where one of the two is missing."""
        if self.previous is None or self.value is None or self.previous.value is None:
            return None
        return self.value - self.previous.value

    @property
    def relative(self) -> float | None:
        """``change`` as a share of the value before; None where that is missing or 0."""
        if self.change is None or self.previous is None or not self.previous.value:
            return None
        return self.change / abs(self.previous.value)

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        return quantity(self.value, _unit(self))

    @property
    def shown_change(self) -> str:
        """The change as a person reads it: in the KPI's unit, of a share in percentage points; and relative."""
        if self.change is None:
            return quantity(None)
        if _unit(self) == "ratio":
            size = f"{self.change * 100:+.1f} pp"
        else:
            size = ("+" if self.change >= 0 else "") + quantity(self.change, _unit(self))
        return size if self.relative is None else f"{size} ({self.relative * 100:+.1f} %)"


def _unit(kpi: Kpi) -> str:
    return "ratio" if kpi.unit == "1" and kpi.name not in _SCORES else kpi.unit


def computed(tables: Tables, model: str = "all_kpis") -> tuple[Kpi, ...]:
    """The KPIs of the sessions in ``tables``: of this model, which is every one."""
    return tuple(_kpi(row) for row in tables.table(model).to_pylist())


def told(kpi: Kpi) -> dict[str, object]:
    """A KPI in a JSON document."""
    return {
        "value": plain(kpi.value),
        "unit": kpi.unit,
        "numerator": plain(kpi.numerator),
        "denominator": plain(kpi.denominator),
        "excluded": plain(kpi.excluded),
        **({} if kpi.provisional is None else {"provisional": kpi.provisional}),
        "exclusion": kpi.exclusion,
        "note": kpi.note,
    }


def changed(kpi: Kpi) -> dict[str, object]:
    """What a JSON document says of the period before: ``previous`` and ``change``."""
    before = kpi.previous
    keys = ("value", "numerator", "denominator", "excluded", "provisional", "note")
    return {
        "previous": None if before is None else {key: plain(getattr(before, key)) for key in keys},
        "change": {"absolute": plain(kpi.change), "relative": plain(kpi.relative)},
    }


def effect(kpi: Kpi) -> Literal["better", "worse", "same"] | None:
    """What a KPI's change means; None where neither direction is better, or one of both values is missing."""
    if kpi.change is None or kpi.name not in BAD:
        return None
    if not kpi.change:
        return "same"
    return "worse" if (kpi.change > 0) == (BAD[kpi.name] == "up") else "better"


def row(kpi: Kpi, *, against: bool = False) -> dict[str, object]:
    """A KPI as a row of a table; ``against``: with the period before."""
    value = kpi.previous.value if kpi.previous is not None else None
    before = {"previous": value, "change": kpi.change, "change_relative": kpi.relative} if against else {}
    return {
        "kpi": kpi.name,
        "value": kpi.value,
        "unit": kpi.unit,
        "numerator": kpi.numerator,
        "denominator": kpi.denominator,
        "excluded": kpi.excluded,
        "provisional": kpi.provisional,
        "exclusion": kpi.exclusion,
        "note": kpi.note,
        **before,
        "_shown": kpi.shown,
        "_of": _fraction(kpi),
        "_left": _left(kpi),
        "_previous": quantity(value, _unit(kpi)),
        "_change": kpi.shown_change,
    }


def grid(kpis: Sequence[Kpi], *, against: bool = False, notes: Sequence[str] = ()) -> Grid:
    """KPIs as a table; ``against``: with the period before."""
    rows = tuple(row(kpi, against=against) for kpi in kpis)
    return Grid(
        "kpis", "KPIs", _AGAINST if against else _COLUMNS, rows, empty="no KPI could be computed", notes=tuple(notes)
    )


_FIRST: Final = (Column("kpi", "KPI"), Column("_shown", "value", right=True, style="bold"))
_LAST: Final = (
    Column("_of", "from", right=True),
    Column("_left", "left out"),
    Column("note", "note", show=lambda value: str(value or ""), style="dim"),
)
_COLUMNS: Final = (*_FIRST, *_LAST)
_AGAINST: Final = (
    *_FIRST,
    Column("_previous", "before", right=True),
    Column("_change", "change", right=True),
    *_LAST,
)


def _kpi(row: Row) -> Kpi:
    name, value, unit = str(row["name"]), _float(row["value"]), str(row["unit"])
    return Kpi(
        name=name,
        value=_whole(value) if unit.startswith("{") else value,
        unit=unit,
        numerator=_whole(_float(row["numerator"])),
        denominator=_whole(_float(row["denominator"])),
        excluded=_whole(_float(row["excluded"])),
        exclusion=str(row["exclusion"]) if row.get("exclusion") else None,
        note=_missing(name, row) if value is None else None,
        provisional=_whole(_float(row.get("provisional"))),
    )


def _missing(name: str, row: Row) -> str:
    if name in _CENSORED and row["denominator"]:
        return censored.NOT_REACHED
    if name in _WINDOWED and row.get("provisional"):
        return "no window has passed yet: all is provisional"
    if name in _COSTS and row["numerator"] is None and row["excluded"]:
        return "no price is known of anything that was used"
    if name == "cost_per_resolved_usd" and row["numerator"] is not None:
        return "no call was resolved"
    if name == "mos" and row["denominator"] is None:
        return "scores of several kinds are never mixed: see the section mos"
    return _MISSING.get(name, "nothing was measured")


def _float(value: object) -> float | None:
    return value if isinstance(value, (int, float)) else None


def _whole(value: float | None) -> float | None:
    """Counts come as doubles, as sums of seconds do: whole numbers are written as such."""
    return int(value) if value is not None and float(value).is_integer() else value


_ANSWERED = ("response_gap_p50_s", "response_gap_p95_s", "response_gap_p99_s")
_CENSORED = ("wait_km_p50_s", "wait_km_p95_s", "wait_km_p99_s")
_WINDOWED = ("fcr_1d", "fcr_7d", "fcr_30d", "strict_containment_24h")
_COSTS = ("cost_usd", "cost_per_session_usd", "cost_per_resolved_usd", "cost_per_talk_minute_usd")
_MISSING = {
    **dict.fromkeys(_ANSWERED, "no answered turn"),
    **dict.fromkeys(_CENSORED, "no exchange with a known wait"),
    **dict.fromkeys(("csat_share", "csat_mean", "nps"), "no survey answers"),
    **dict.fromkeys(("input_tokens", "output_tokens"), "no model call says its tokens"),
    **dict.fromkeys(("containment", "escalation_rate", "abandonment_rate"), "no eligible session"),
    **dict.fromkeys(("low_confidence_rate", "fallback_rate"), "no intent was classified"),
    "abandoned_wait_rate": "no exchange",
    "interruption_rate": "no bot speech",
    "error_rate": "no operation",
    "wer": "no reference texts",
    "mos": "no opinion scores",
    **dict.fromkeys(_WINDOWED, "no call of a known caller and intent (without a hash key no caller is known)"),
    **dict.fromkeys(("automation_rate", "csat_response_rate", "nps_response_rate", "cost_savings_usd"), "no session"),
    "session_success_rate": "no session with a known outcome",
    "completion_rate": "no workflow was started (event workflow_started)",
    **dict.fromkeys((*_COSTS, "priced_share"), "nothing that is paid for was used"),
    "aht_s": "no session with an answered turn",
    "cache_hit_rate": "no cache lookups",
}
"""Why a KPI is missing."""

_SCORES = ("csat_mean", "mos")
"""Of unit 1 and yet no shares."""


def _left(kpi: Kpi) -> str:
    """What a KPI doesn't count, and what it will count once its window has passed."""
    parts = [f"{quantity(kpi.excluded)} ({kpi.exclusion})"] if kpi.excluded else []
    if kpi.provisional:
        parts.append(f"{quantity(kpi.provisional)} provisional")
    return ", ".join(parts)


def _fraction(kpi: Kpi) -> str:
    """Numerator and denominator, where the KPI is a ratio; how many values there were, where it is a percentile."""
    if kpi.denominator is None:
        return ""
    if kpi.numerator is None or kpi.name in (*_ANSWERED, *_CENSORED):
        return f"n = {quantity(kpi.denominator)}"
    return f"{quantity(kpi.numerator)} / {quantity(kpi.denominator)}"
