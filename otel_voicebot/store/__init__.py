"""Spans on disk: plain Parquet files that are whole, durable, and read by any tool as they are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_voicebot.store.group import GroupCommit
    from otel_voicebot.store.reader import Snapshot, reading, snapshot
    from otel_voicebot.store.window import Window
    from otel_voicebot.store.writer import Commit, SpanStore

__all__ = ["Commit", "GroupCommit", "Snapshot", "SpanStore", "Window", "reading", "snapshot"]

_HOME: Final = {
    **dict.fromkeys(("Snapshot", "reading", "snapshot"), "reader"),
    **dict.fromkeys(("Commit", "SpanStore"), "writer"),
    "GroupCommit": "group",
    "Window": "window",
}


def __getattr__(name: str) -> Any:  # who reads needs no writer: a tenth of a report's start
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
