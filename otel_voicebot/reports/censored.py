"""The section on waits: how many were answered, how many given up and why, and what percentiles of both assume."""

from collections.abc import Mapping, Sequence

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.values import seconds

__all__ = ["ASSUMPTION", "NOT_REACHED", "grid", "notes"]

Row = Mapping[str, object]

ASSUMPTION = (
    "response_gap_* leave abandoned waits out, wait_km_* count them as at least so long (Kaplan-Meier). That assumes "
    "that patience is independent of the delay: when callers give up doesn't depend on when their answer would come."
)
NOT_REACHED = "not reached: the longest waits were abandoned"


def notes(rows: Sequence[Row]) -> tuple[str, ...]:
    """Sentences: how many waits are censored, by which reason, how many are left out, what is assumed.

    Args:
        rows: of the model ``wait_ends``.
    """
    if not rows:
        return ()
    timed, untimed = (sum(_count(row, part) for row in rows) for part in ("timed", "untimed"))
    censored = [row for row in rows if row["outcome"] == "abandoned" and row["timed"]]
    number = sum(_count(row, "timed") for row in censored)
    reasons = ", ".join(f"{_count(row, 'timed')} {row['abandon_reason']}" for row in censored)
    said = f"{number} of {timed} waits are censored: abandoned before an answer ({reasons})."
    found = [said if number else f"None of {timed} waits is censored: all were answered."]
    if untimed:
        found.append(f"Left out: {untimed} of unknown length, without speech marks.")
    return (*found, ASSUMPTION)


def grid(rows: Sequence[Row]) -> Grid:
    """The section as a table."""
    return Grid("waits", "Waits", _COLUMNS, tuple(rows), empty="no exchange was seen", notes=notes(rows))


def _count(row: Row, part: str) -> int:
    value = row[part]
    return value if isinstance(value, int) else 0


_COLUMNS = (
    Column("outcome", "outcome", style="bold"),
    Column("abandon_reason", "reason"),
    Column("timed", "n", right=True),
    Column("untimed", "without length", right=True),
    Column("p50_s", "p50", seconds, right=True),
    Column("p95_s", "p95", seconds, right=True),
    Column("p99_s", "p99", seconds, right=True),
    Column("max_s", "longest", seconds, right=True),
)
