"""Anomalies for people and for machines."""

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING

from otel_voicebot.reports.anomalies import MEASURES, Found, Incident
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.values import MISSING, duration, plain, quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["document", "frame", "grids", "head"]


def head(found: Found) -> list[str]:
    """Of what, and whether there are any."""
    rule = found.rule
    lines = found.scope.lines(f"{found.judged} of {found.series} series have enough past, {found.bins} bins judged")
    if found.prices:
        lines.append(found.prices)
    lines.append(
        f"an anomaly: {rule.min_change * 100:g} % slower or dearer than usual, or {rule.min_error_points * 100:g} "
        f"points more errors, beyond chance: {rule.alpha * 100:g} % of windows where nothing happens are to show any"
    )
    episodes = {one.episode for one in found.incidents}
    if not episodes:
        return [*lines, "no anomaly"]
    several = f", in {len(episodes)} episodes" if len(episodes) > 1 else ""
    return [*lines, f"{len(found.incidents)} {'anomaly' if len(found.incidents) == 1 else 'anomalies'}{several}"]


def grids(found: Found) -> list[Grid]:
    """A table of the anomalies, and one of the rows behind them."""
    columns = (
        Column("episode", "#", right=True),
        Column("_from", "from"),
        Column("_took", "lasted", right=True),
        Column("_measure", "what"),
        Column("series", "where"),
        Column("_usual", "usual", right=True),
        Column("_observed", "observed", right=True, style="bold"),
        Column("observations", "n", right=True),
        Column("z", "z", right=True),
        Column("_spread", "of its kind"),
        Column("_note", "note", style="dim"),
    )
    notes = (
        "usual, observed: geometric means, of error rates the share; z: of the bin that stands out most",
        "the same number: at the same time",
    )
    rows = tuple(_row(one) for one in found.incidents)
    first = Grid("anomalies", "Anomalies", columns, rows, "no anomaly", notes if rows else ())
    return [first, _worst(found)] if rows else [first]


def _worst(found: Found) -> Grid:
    columns = (
        Column("episode", "#", right=True),
        Column("_measure", "what"),
        Column("series", "where"),
        Column("_value", "value", right=True),
        Column("error_type", "error"),
        Column("command", "look at it"),
    )
    rows = tuple(
        {
            "episode": one.episode,
            "measure": one.series.measure,
            "series": one.series.name,
            **_turn(row),
            "_measure": MEASURES[one.series.measure].title,
            "_value": "failed" if one.series.measure == "error_rate" else _shown(row["value"], one),
        }
        for one in found.incidents
        for row in one.rows.worst[:3]
    )
    return Grid("rows", "The rows behind them", columns, rows, "none")


def _turn(row: Mapping[str, object]) -> dict[str, object]:
    turn = "" if row["turn_index"] is None else f"/{row['turn_index']}"
    # senders name sessions, and readers paste
    return {**row, "command": f"otel-voicebot trace {quote(str(row['session_id']) + turn)}"}


def _row(one: Incident) -> dict[str, object]:
    measure = MEASURES[one.series.measure]
    return {
        "episode": one.episode,
        "measure": one.series.measure,
        "unit": measure.unit,
        "series": one.series.name,
        **{key: getattr(one.series, key) for key in one.series._fields[1:]},
        "start": one.start,
        "end": one.end,
        "ongoing": one.ongoing,
        "bin_minutes": one.minutes,
        "calls": one.calls,
        "observations": one.n,
        "usual": one.usual,
        "observed": one.observed,
        "change": one.change,
        "added": one.added,
        "added_wait_share": one.added_wait_share,
        "z": one.z,
        "p": one.p,
        "same_hour": one.same_hour,
        "past_bins": one.past_bins,
        "affected": one.affected,
        "comparable": one.comparable,
        "spread": one.spread,
        "errors": dict(one.rows.errors),
        "_from": one.start.strftime("%Y-%m-%d %H:%MZ"),
        "_took": duration((one.end - one.start).total_seconds()).removesuffix(" 00 s") + ("…" if one.ongoing else ""),
        "_measure": measure.title,
        "_usual": _shown(one.usual, one),
        "_observed": _shown(one.observed, one),
        "_spread": one.spread if one.comparable > 1 else MISSING,
        "_note": _note(one),
    }


def _shown(value: object, one: Incident) -> str:
    unit = MEASURES[one.series.measure].unit
    if unit == "USD" and isinstance(value, float) and abs(value) < 0.01:
        return f"{value:.2g}"
    return quantity(value, unit)


def _note(one: Incident) -> str:
    notes = [f"{count} {kind}" for kind, count in one.rows.errors.items()][:3]
    if one.added_wait_share is not None and one.series.measure != "response_gap_s":
        notes.append(f"{quantity(one.added_wait_share, 'ratio')} of the waits")
    if MEASURES[one.series.measure].unit == "USD" and one.added is not None:
        notes.append(f"{quantity(one.added, 'USD')} USD more")
    if one.ongoing:
        notes.append("up to the end of the data")
    if one.same_hour:
        notes.append("against the same hour of other days")
    return ", ".join(notes)


def document(found: Found) -> dict[str, object]:
    """The JSON document of ``anomalies --json``."""
    rule = found.rule
    return {
        **found.scope.document("anomalies"),
        "series": found.series,
        "judged": found.judged,
        "bins": found.bins,
        "prices": found.prices,
        "rule": {
            "alpha": rule.alpha,
            "min_change": rule.min_change,
            "min_error_points": rule.min_error_points,
            "min_calls": rule.min_calls,
            "min_past_bins": rule.min_past,
            "history_s": rule.history_s,
        },
        "anomalies": [
            {**_machine(_row(one)), "rows": [plain(_turn(row)) for row in one.rows.worst]} for one in found.incidents
        ],
    }


def _machine(row: Mapping[str, object]) -> dict[str, object]:
    return {key: plain(value) for key, value in row.items() if not key.startswith("_")}


def frame(found: Found) -> "pd.DataFrame":
    """One row an anomaly, its values unrounded; what is unknown is missing."""
    import pandas as pd  # noqa: PLC0415 - the command line does without it

    return pd.DataFrame([{k: v for k, v in _row(one).items() if not k.startswith("_")} for one in found.incidents])
