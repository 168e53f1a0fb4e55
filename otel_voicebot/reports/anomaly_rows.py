"""The rows behind an incident: its worst operations, what failed how, how long their callers waited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from otel_voicebot.reports.anomalies import Series

__all__ = ["Asked", "Rows", "rows_of"]

_SHOWN: Final = 5
_ASKED: Final = """WITH asked AS (
    SELECT unnest(?::BIGINT[]) AS incident, unnest(?::VARCHAR[]) AS measure, unnest(?::VARCHAR[]) AS bot,
        unnest(?::VARCHAR[]) AS component, unnest(?::VARCHAR[]) AS provider, unnest(?::VARCHAR[]) AS model,
        unnest(?::VARCHAR[]) AS agent, unnest(?::VARCHAR[]) AS decision,
        unnest(?::BIGINT[]) AS from_nano, unnest(?::BIGINT[]) AS until_nano
),
hit AS (
    SELECT a.incident, o.*
    FROM observations o
    JOIN asked a ON o.measure = a.measure AND o.start_nano >= a.from_nano AND o.start_nano < a.until_nano
        AND o.bot IS NOT DISTINCT FROM a.bot AND o.component IS NOT DISTINCT FROM a.component
        AND o.provider IS NOT DISTINCT FROM a.provider AND o.model IS NOT DISTINCT FROM a.model
        AND o.agent IS NOT DISTINCT FROM a.agent AND o.decision IS NOT DISTINCT FROM a.decision
) """
_WORST: Final = """, turns_hit AS (
    SELECT incident, session_id, turn_index, max(value) AS worst, sum(value) AS value, max(error_type) AS error_type
    FROM hit
    WHERE value > 0
    GROUP BY incident, session_id, turn_index
)
SELECT h.incident, h.session_id, h.turn_index, s.trace_id, h.worst AS value, h.error_type
FROM turns_hit h
LEFT JOIN sessions s ON s.session_id = h.session_id
QUALIFY row_number() OVER (PARTITION BY h.incident ORDER BY h.worst DESC, h.value DESC, h.session_id, h.turn_index) <= ?
ORDER BY h.incident, h.worst DESC, h.value DESC, h.session_id, h.turn_index"""
_ERRORS: Final = """SELECT incident, coalesce(error_type, '_OTHER') AS error_type, count(*) AS errors
FROM hit
WHERE measure = 'error_rate' AND value > 0
GROUP BY incident, coalesce(error_type, '_OTHER')
ORDER BY incident, errors DESC, error_type"""
_SPENT: Final = """, exchanges_hit AS (SELECT DISTINCT incident, session_id, turn_index FROM hit WHERE waited),
waited AS (
    SELECT e.incident, sum(coalesce(t.response_gap_s, t.wait_s)) AS waited_s
    FROM exchanges_hit e
    JOIN turns t ON t.session_id = e.session_id AND t.turn_index = e.turn_index
    GROUP BY e.incident
),
spent AS (SELECT incident, sum(value) AS spent FROM hit GROUP BY incident)
SELECT s.incident, s.spent, w.waited_s FROM spent s LEFT JOIN waited w ON w.incident = s.incident"""


class _Engine(Protocol):
    def sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows: those of a series from ``start`` on and before ``end``."""

    series: "Series"
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Rows:
    """What explains an incident.

    Attributes:
        worst: the worst exchanges or sessions: session_id, turn_index, trace_id, value, error_type; at most five.
        errors: failed operations by type, of an error rate.
        spent: sum of the values, seconds or USD; None where nobody looked.
        waited_s: what callers waited in these exchanges; None where they don't wait for all of the values.
    """

    worst: tuple[Mapping[str, object], ...] = ()
    errors: Mapping[str, int] = field(default_factory=dict)
    spent: float | None = None
    waited_s: float | None = None


def rows_of(engine: _Engine, asked: Sequence[Asked]) -> list[Rows]:
    """The rows of each, in three queries for all.

    Raises:
        UnreadableDataError: as ``Engine.sql``.
    """
    if not asked:
        return []
    given: list[object] = [
        list(range(len(asked))),
        *([getattr(one.series, key) for one in asked] for key in asked[0].series._fields),
        *([int(getattr(one, key).timestamp()) * 1_000_000_000 for one in asked] for key in ("start", "end")),
    ]
    worst, errors, spent = (
        engine.sql(_ASKED + text, [*given, *more]).to_pylist()
        for text, more in ((_WORST, [_SHOWN]), (_ERRORS, []), (_SPENT, []))
    )
    sums = {row["incident"]: row for row in spent}
    return [
        Rows(
            tuple({k: v for k, v in row.items() if k != "incident"} for row in worst if row["incident"] == number),
            {row["error_type"]: row["errors"] for row in errors if row["incident"] == number},
            sums.get(number, {}).get("spent"),
            sums.get(number, {}).get("waited_s"),
        )
        for number in range(len(asked))
    ]
