"""The segments of waits for people: their letters and colours in a waterfall, and the list below it."""

from typing import Final

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.trace import Trace, Wait
from otel_voicebot.reports.values import duration, quantity, seconds
from otel_voicebot.semconv import SEGMENTS

__all__ = ["LETTERS", "letter", "listed", "style"]

LETTERS: Final = dict(zip(SEGMENTS, "esnrtlwapo?", strict=True))
"""The letter that each segment is drawn with, so that it can be told without colour."""
_STYLES: Final = {
    "endpointing": "black on cyan",
    "stt_tail": "white on blue",
    "nlu": "black on yellow",
    "rag": "black on bright_yellow",
    "tool": "black on bright_red",
    "llm_first_token": "white on magenta",
    "llm_speakable": "black on bright_magenta",
    "tts_first_audio": "black on green",
    "playout_start": "black on bright_green",
    "orchestration": "black on white",
    "unattributed": "white on bright_black",
}


def letter(segment: str) -> str:
    """What it is drawn with; a segment of a later version by its first letter, in capitals."""
    return LETTERS.get(segment) or segment[:1].upper() or "?"


def style(segment: str) -> str:
    """Its colours on a terminal."""
    return _STYLES.get(segment, "reverse")


def listed(trace: Trace) -> Grid:
    """Where the waits went: of one turn every segment, of a call a line a turn with the longest."""
    return _one(trace) if trace.turn is not None else _all(trace)


def _one(trace: Trace) -> Grid:
    wait = trace.waits[0] if trace.waits else None
    rows = tuple(
        {
            "_letter": letter(one.name),
            "segment": one.name,
            "owner": one.owner,
            "detail": one.detail,
            "start_s": (one.start - wait.segments[0].start) / 1e9,
            "duration_s": one.seconds,
            "share": wait.share(one),
            "_owner": one.owner or f"nobody: {one.detail}" if one.detail else one.owner or "",
        }
        for wait in trace.waits
        for one in wait.segments
    )
    columns = (
        Column("_letter", ""),
        Column("segment", "segment", style="bold"),
        Column("start_s", "after", seconds, right=True),
        Column("duration_s", "took", seconds, right=True),
        Column("share", "share", _share, right=True),
        Column("_owner", "owner"),
    )
    title = f"Where {_told(wait)} went" if wait is not None else "Where the wait went"
    return Grid("segments", title, columns, rows, empty=_unknown(wait))


def _told(wait: Wait) -> str:
    whole = duration(wait.seconds)
    return f"the wait of {whole}" if wait.abandon_reason is None else f"the wait of at least {whole}, given up,"


def _unknown(wait: Wait | None) -> str:
    return (
        "the turn has no wait: the bot spoke unasked"
        if wait is None
        else "it could not be cut: its beginning is unknown"
    )


def _all(trace: Trace) -> Grid:
    rows = tuple(
        {
            "turn": wait.turn,
            "waited_s": wait.seconds,
            "_waited": (">= " if wait.abandon_reason else "") + duration(wait.seconds),
            "segment": longest.name if longest else None,
            "duration_s": longest.seconds if longest else None,
            "share": wait.share(longest) if longest else None,
            "owner": longest.owner if longest else None,
            "end": " ".join(part for part in (wait.outcome, wait.abandon_reason) if part),
        }
        for wait in trace.waits
        for longest in [wait.longest]
    )
    columns = (
        Column("turn", "turn", right=True),
        Column("_waited", "waited", right=True, style="bold"),
        Column("segment", "longest segment"),
        Column("duration_s", "took", seconds, right=True),
        Column("share", "share", _share, right=True),
        Column("owner", "owner"),
        Column("end", "outcome"),
    )
    return Grid("waits", "Waits", columns, rows, empty="no turn has a wait")


def _share(value: object) -> str:
    return quantity(value, "ratio")
