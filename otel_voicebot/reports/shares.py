"""Where all waits went: each segment and owner over the answered turns, the ``segments`` section of the report."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.values import quantity, seconds
from otel_voicebot.reports.waits import NOT_CUT, Key, Spent, folded

__all__ = ["Share", "grid", "shares"]

Share = Mapping[str, object]
"""One segment and owner: ``segment``, ``owner``, ``owner_kind``, ``provider``, ``model``, ``turns`` (answered turns in
which it occurs), ``total_s``, ``share`` (of all answered waits), ``mean_s``, ``p50_s``, ``p95_s`` (where it occurs)."""

_UNATTRIBUTED: Final = "unattributed"


def shares(answered: Spent) -> tuple[Share, ...]:
    """Segments and owners of the answered waits, the one with the most time first.

    Percentiles are linear, as ``quantile_cont`` in the SQL models; a segment that occurs twice in a turn is summed.
    """
    (found,) = folded([answered])
    whole = int(found.waited_ns.sum())
    if not whole:
        return ()
    times: list[list[np.ndarray]] = [[] for _ in found.keys]
    for _, sums in found.totals() if found.keys else ():
        for place, column in enumerate(sums.T):
            times[place].append(column[column > 0])
    rows = [_share(key, np.concatenate(parts), whole) for key, parts in zip(found.keys, times, strict=True)]
    uncut = ~found.has()
    if uncut.any():
        rows.append(_share(NOT_CUT, found.waited_ns[uncut], whole))
    return tuple(sorted(filter(None, rows), key=lambda row: -float(str(row["total_s"]))))


def _share(key: Key, times: np.ndarray, whole: int) -> dict[str, object] | None:
    if not len(times):
        return None
    total = int(times.sum())
    p50, p95 = np.quantile(times, (0.5, 0.95)) / 1e9
    return {
        **key.document(),
        "turns": len(times),
        "total_s": total / 1e9,
        "share": total / whole,
        "mean_s": total / len(times) / 1e9,
        "p50_s": float(p50),
        "p95_s": float(p95),
    }


def grid(rows: tuple[Share, ...]) -> Grid:
    """The section as a table."""
    columns = (
        Column("segment", "segment", style="bold"),
        Column("owner", "owner", lambda value: str(value or "")),
        Column("turns", "turns", right=True),
        Column("total_s", "total", seconds, right=True),
        Column("share", "share", lambda value: quantity(value, "ratio"), right=True),
        Column("mean_s", "mean", seconds, right=True),
        Column("p50_s", "p50", seconds, right=True),
        Column("p95_s", "p95", seconds, right=True),
    )
    unknown = sum(float(str(row["share"])) for row in rows if row["segment"] == _UNATTRIBUTED)
    uncut = sum(float(str(row["share"])) for row in rows if row["segment"] == NOT_CUT.segment)
    notes = [
        "of answered turns; mean, p50 and p95 where the segment occurs; shares add up to all waits",
        f"unattributed: {quantity(unknown, 'ratio')} of all waits, which no span explains",
    ]
    if uncut:
        notes.append(f"not_cut: {quantity(uncut, 'ratio')}, waits whose beginning is not known")
    return Grid(
        "segments", "Where the waits went", columns, rows, "no answered turn has a wait", tuple(notes) if rows else ()
    )
