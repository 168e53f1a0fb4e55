"""The slowest turns: how long the caller waited, and in which measured parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.values import duration, plain

__all__ = ["COLUMNS", "PARTS", "RANKING", "Slow", "compute", "document", "grid", "head", "label"]

PARTS = {
    "endpointing_s": "endpointing",
    "stt_s": "stt",
    "llm_first_token_s": "llm first token",
    "tts_first_audio_s": "tts first audio",
}
"""The measured parts of a turn, by column. They may overlap, so they are compared and never added up."""

RANKING = ("kind", "session_id", "turn_index", "response_gap_s", "wait_s")
"""What it takes to find the slowest turns."""

COLUMNS = (
    *(
        "kind",
        "session_id",
        "turn_index",
        "trace_id",
        "bot",
        "channel",
        "variant",
        "environment",
        "start_time",
        "outcome",
    ),
    *("abandon_reason", "response_gap_s", "wait_s", *PARTS, "transcription_delay_s", "llm_s", "tts_s"),
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


def compute(
    turns: pa.Table, scope: Scope, limit: int, turns_of: Callable[[Sequence[str]], pa.Table] | None = None
) -> Slow:
    """The ``limit`` exchanges in which the caller waited longest.

    An abandoned exchange counts with the wait until it was given up: the caller waited at least that long.

    Args:
        turns: all turns, with the columns ``COLUMNS``; those of ``RANKING`` do where ``turns_of`` is given.
        scope: what they are of.
        limit: how many.
        turns_of: gives the turns of some sessions with ``COLUMNS``; all columns of all turns cost much more.
    """
    exchanges = turns.filter(pc.equal(turns["kind"], "exchange"))
    waited = pc.coalesce(exchanges["response_gap_s"], exchanges["wait_s"])
    known = exchanges.append_column("waited_s", waited).filter(pc.is_valid(waited))
    by = [("waited_s", "descending"), ("session_id", "ascending"), ("turn_index", "ascending")]
    longest = known.take(pc.select_k_unstable(known, min(limit, len(known)), by)) if len(known) else known
    chosen = tuple(
        {
            "turn": label(row),
            "waited_s": row["waited_s"],
            **{key: row[key] for key in COLUMNS if key != "kind"},
            "largest_part": _largest(row),
        }
        for row in _full(longest, turns_of)
    )
    sessions = set(pc.unique(exchanges["session_id"]).to_pylist())
    return Slow(scope, len(exchanges), chosen, _id_length(sessions))


def _full(longest: pa.Table, turns_of: Callable[[Sequence[str]], pa.Table] | None) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = longest.to_pylist()
    if turns_of is None or not rows:
        return rows
    found = turns_of(sorted({str(row["session_id"]) for row in rows})).to_pylist()
    whole = {(row["session_id"], row["turn_index"]): row for row in found}
    return [{**row, **whole[row["session_id"], row["turn_index"]]} for row in rows]


def _id_length(sessions: set[str]) -> int:
    """At least 8: shorter ones look like words. Ids that are hardly longer stay whole."""
    longest = max(map(len, sessions), default=0)
    enough = (n for n in range(8, longest - 4) if len({name[:n] for name in sessions}) == len(sessions))
    return next(enough, longest)


def label(row: Mapping[str, object]) -> str:
    """``SESSION/TURN``, as ``trace`` takes it."""
    return f"{row['session_id']}/{row['turn_index']}"


def _part(row: Mapping[str, object], key: str) -> float | None:
    """Seconds of a part; of speech recognition what it took after the caller had stopped, where that is known.

    In some frameworks its span lasts as long as the caller speaks.
    """
    delay = row.get("transcription_delay_s") if key == "stt_s" else None
    value = delay if delay is not None else row.get(key)
    return value if isinstance(value, float) else None


def _largest(row: Mapping[str, object]) -> str | None:
    parts = {name: value for key, name in PARTS.items() if (value := _part(row, key)) is not None}
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
    waited = row["waited_s"]
    gap = duration(waited if isinstance(waited, float) else None)
    shown: dict[str, object] = {
        **row,
        "_turn": f"{str(row['session_id'])[:id_length]}/{row['turn_index']}",
        "_gap": gap if row["response_gap_s"] is not None else f">= {gap}",
        "_end": " ".join(str(part) for part in (row["outcome"], row["abandon_reason"]) if part),
    }
    for key, name in PARTS.items():
        text = duration(_part(row, key))
        shown[f"_{key}"] = f"*{text}" if name == row["largest_part"] else text
    return shown
