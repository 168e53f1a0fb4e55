"""What the charts of a report show: how gaps are spread, how KPIs went by day or hour, intents, costs.

Only what no section has is computed here; pictures are drawn from it by ``plots`` (HTML) and ``drawings`` (PNG).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_voicebot.models import Engine
from otel_voicebot.models.groups import TIMES
from otel_voicebot.reports import groups
from otel_voicebot.reports.groups import Group

__all__ = ["Pictures", "Spread", "compute"]

Row = Mapping[str, object]

_BARS: Final = 40
_POINTS: Final = 62
"""Of a trend: two months of days, two days of hours and some."""
_FEW_DAYS: Final = 2
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TOP: Final = 12
"""Intents and services that a chart names."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Response gaps of answered turns, counted by length.

    Attributes:
        step_s: width of a bar, seconds.
        counts: turns with a gap from ``i * step_s`` to before ``(i + 1) * step_s``; of the first also below 0.
        longer: turns with a longer gap than the last bar.
        quantiles: name (p50, p95, p99) to seconds, as the KPIs have them.
    """

    step_s: float
    counts: tuple[int, ...]
    longer: int
    quantiles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What charts show beside the sections of a report.

    Attributes:
        spread: how long the answered turns' gaps were; None without any.
        unit: of the trend: hour, day, week or month; None where it would have but one point.
        trend: the KPIs of the model ``kpis`` by that, in its order.
        intents: rows of the model ``intents``, the most frequent.
        costs: rows of the model ``cost_by_model`` with a price, the dearest.
    """

    spread: Spread | None
    unit: str | None
    trend: tuple[Group, ...]
    intents: tuple[Row, ...]
    costs: tuple[Row, ...]


def compute(engine: Engine) -> Pictures:
    """From an engine that has its prices. Afterwards it has KPIs of all calls, and no sections that read spans."""
    intents = tuple(engine.table("intents").to_pylist()[:_TOP])
    costs = tuple(row for row in engine.table("cost_by_model").to_pylist() if row["cost_usd"] is not None)
    spread = _spread(engine)
    unit = _unit(engine)
    trend = groups.compute(engine, [unit], "kpis").groups if unit is not None else ()
    return Pictures(spread, unit, trend, intents, costs[:_TOP])


def _unit(engine: Engine) -> str | None:
    """Hours of a day or two, days of some weeks, weeks or months of more; None where there would be but one point."""
    points = {name: len(engine.group([name])) for name in TIMES}
    fits = [name for name, count in points.items() if 1 < count <= _POINTS]
    if "day" in fits and points["day"] > _FEW_DAYS:
        return "day"
    return fits[0] if fits else None


def _spread(engine: Engine) -> Spread | None:
    known = {row["name"]: row["value"] for row in engine.table("kpis").to_pylist()}
    quantiles = {name: known[f"response_gap_{name}_s"] for name in ("p50", "p95", "p99")}
    if quantiles["p99"] is None:
        return None
    step = next((one for one in _STEPS if one * _BARS >= quantiles["p99"]), _STEPS[-1])
    found = engine.sql(
        # in whole microseconds: 0.3 / 0.1 is less than 3
        """SELECT least(greatest(floor(round(response_gap_s * 1e6) / ?), 0), ?)::BIGINT AS place, count(*) AS n
        FROM turns WHERE response_gap_s IS NOT NULL GROUP BY place ORDER BY place""",
        [round(step * 1e6), _BARS],
    ).to_pylist()
    counts = {row["place"]: row["n"] for row in found}
    last = max((place for place in counts if place < _BARS), default=0)
    return Spread(step, tuple(counts.get(place, 0) for place in range(last + 1)), counts.get(_BARS, 0), quantiles)
