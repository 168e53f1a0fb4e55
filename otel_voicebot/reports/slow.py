"""The slowest turns: how long the caller waited, and in which measured parts."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.values import duration, plain

__all__ = ["PARTS", "Slow", "compute", "document", "grid", "head", "label"]

PARTS = {
    "endpointing_s": "endpointing",
    "stt_s": "stt",
    "llm_first_token_s": "llm first token",
    "tts_first_audio_s": "tts first audio",
}
"""The measured parts of a turn, by column. They may overlap, so they are compared and never added up."""

_KEPT = (
    *("session_id", "turn_index", "trace_id", "bot", "channel", "variant", "environment", "start_time", "outcome"),
    *("abandon_reason", "response_gap_s", "wait_s", *PARTS, "llm_s", "tts_s"),
    *("stt_model", "llm_model", "tts_model", "errors", "error_type", "interrupted"),
)


@dataclass(frozen=True, slots=True)
class Slow:
    """The slowest exchanges, longest wait first. ``exchanges`` is how many there were to choose from."""

    scope: Scope
    exchanges: int
    turns: tuple[Mapping[str, object], ...]
    id_length: int
    """So many characters tell the sessions of all these exchanges apart."""


def compute(turns: pa.Table, scope: Scope, limit: int) -> Slow:
    """The ``limit`` exchanges in which the caller waited longest.

    An abandoned exchange counts with the wait until it was given up: the caller waited at least that long.
    """
    rows = [row for row in turns.to_pylist() if row["kind"] == "exchange"]
    waited = [(wait, row) for row in rows if (wait := _wait(row)) is not None]
    waited.sort(key=lambda pair: (-pair[0], str(pair[1]["session_id"]), pair[1]["turn_index"] or 0))
    chosen = tuple(
        {"turn": label(row), "waited_s": wait, **{key: row.get(key) for key in _KEPT}, "largest_part": _largest(row)}
        for wait, row in waited[:limit]
    )
    return Slow(scope, len(rows), chosen, _id_length({str(row["session_id"]) for row in rows}))


def _id_length(sessions: set[str]) -> int:
    """At least 8: shorter ones look like words. Ids that are hardly longer stay whole."""
    longest = max(map(len, sessions), default=0)
    enough = (n for n in range(8, longest - 4) if len({name[:n] for name in sessions}) == len(sessions))
    return next(enough, longest)


def label(row: Mapping[str, object]) -> str:
    """``SESSION/TURN``, as ``trace`` takes it."""
    return f"{row['session_id']}/{row['turn_index']}"


def _wait(row: Mapping[str, object]) -> float | None:
    for key in ("response_gap_s", "wait_s"):
        if isinstance(value := row.get(key), float):
            return value
    return None


def _largest(row: Mapping[str, object]) -> str | None:
    parts = {name: value for key, name in PARTS.items() if isinstance(value := row.get(key), float)}
    return max(parts, key=lambda name: parts[name]) if parts else None


def head(slow: Slow) -> list[str]:
    """Of which data."""
    return slow.scope.lines(f"{slow.exchanges} turns")


def document(slow: Slow) -> dict[str, object]:
    """The JSON document of ``slow --json``."""
    return {
        **slow.scope.document("slow"),
        "exchanges": slow.exchanges,
        "turns": [plain(dict(row)) for row in slow.turns],
    }


def grid(slow: Slow) -> Grid:
    """A table: one turn a line, its largest part marked with ``*``."""
    rows = tuple(_shown(row, slow.id_length) for row in slow.turns)
    columns = (
        Column("_turn", "turn"),
        Column("_gap", "waited", right=True, style="bold"),
        *(Column(f"_{key}", name, right=True) for key, name in PARTS.items()),
        Column("llm_model", "model"),
        Column("_end", "outcome"),
        Column("error_type", "error", show=lambda value: str(value or ""), style="red"),
    )
    abandoned = any(row["response_gap_s"] is None for row in slow.turns)
    notes = ("* the largest measured part; parts overlap, so they need not add up to the wait",) if rows else ()
    if abandoned:
        notes = (*notes, ">= the caller gave up before the bot answered: the wait was at least this long")
    return Grid("slow", f"Slowest {len(rows)} of {slow.exchanges} turns", columns, rows, "no turn has a wait", notes)


def _shown(row: Mapping[str, object], id_length: int) -> dict[str, object]:
    gap = duration(_wait(row))
    shown: dict[str, object] = {
        **row,
        "_turn": f"{str(row['session_id'])[:id_length]}/{row['turn_index']}",
        "_gap": gap if row["response_gap_s"] is not None else f">= {gap}",
        "_end": " ".join(str(part) for part in (row["outcome"], row["abandon_reason"]) if part),
    }
    for key, name in PARTS.items():
        value = row[key]
        text = duration(value if isinstance(value, float) else None)
        shown[f"_{key}"] = f"*{text}" if name == row["largest_part"] else text
    return shown
