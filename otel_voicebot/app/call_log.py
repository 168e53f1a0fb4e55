"""One log line for each call that is over."""

import logging
import statistics
from collections import OrderedDict
from typing import Any, Final

import pyarrow as pa

__all__ = ["CallLog"]

_log = logging.getLogger("otel_voicebot")

_CALLS_KEPT: Final = 20_000
"""Calls whose turns, or whose end, are remembered; beyond, the oldest are forgotten: their line has no gaps then."""
_ID_SHOWN: Final = 100
"""Characters of an id."""
_TURN: Final = ["session_id", "turn_index", "response_gap_s", "interrupted"]
_SESSION: Final = ["session_id", "bot", "turns", "outcome", "duration_s", "errors", "complete"]


class CallLog:
    """Says what became of each call: turns, response gaps, interruptions, outcome. For one thread.

    It costs nothing while the level INFO of the logger ``otel_voicebot`` is off. It reads the rows that are stored
    anyway, so its figures are the report's. A turn that is computed again replaces itself; a call that is computed
    again is not told again.
    """

    def __init__(self) -> None:
        self._turns: OrderedDict[str, dict[int, tuple[float | None, bool]]] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()

    def add(self, table: str, rows: pa.Table) -> None:
        """Note turns; log sessions."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if table == "turns":
            for row in rows.select(_TURN).to_pylist():
                self._note(row)
        elif table == "sessions":
            for row in rows.select(_SESSION).to_pylist():
                self._tell(row)

    def _note(self, row: dict[str, Any]) -> None:
        name = row["session_id"]
        if name in self._told:
            return  # its line is out
        self._turns.setdefault(name, {})[row["turn_index"]] = (row["response_gap_s"], bool(row["interrupted"]))
        if len(self._turns) > _CALLS_KEPT:
            self._turns.popitem(last=False)

    def _tell(self, row: dict[str, Any]) -> None:
        name = row["session_id"]
        turns = list(self._turns.pop(name, {}).values())
        if name in self._told:
            return
        self._told[name] = None
        if len(self._told) > _CALLS_KEPT:
            self._told.popitem(last=False)
        _log.info("%s", _line(row, turns))


def _line(row: dict[str, Any], turns: list[tuple[float | None, bool]]) -> str:
    gaps = [gap for gap, _ in turns if gap is not None]
    interrupted = sum(stopped for _, stopped in turns)
    length = "" if row["duration_s"] is None else f" of {row['duration_s']:.1f} s"
    gap = f"gap p50 {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s" if gaps else "no gap measured"
    if gaps and len(gaps) < row["turns"]:
        gap += f" ({len(gaps)} measured)"
    facts = [
        f"{row['turns']} turn{'' if row['turns'] == 1 else 's'}",
        gap,
        f"{interrupted} interrupted",
        f"{row['errors']} error{'' if row['errors'] == 1 else 's'}",
        f"outcome {row['outcome']}",
        *([] if row["complete"] else ["its end was not seen"]),
    ]
    bot = f" with {_plain(row['bot'])}" if row["bot"] else ""
    return f"call {_plain(row['session_id'])}{bot}{length}: {', '.join(facts)}"


def _plain(text: str) -> str:
    """An id as a sender gave it, on one line: nobody writes lines of ours into our log."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_ID_SHOWN])
