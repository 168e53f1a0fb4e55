"""Spans on disk: plain Parquet files that are whole, durable, and read by any tool as they are."""

from typing import TYPE_CHECKING, Final

from otel_voicebot.loading import lazily

if TYPE_CHECKING:
    from otel_voicebot.store.group import GroupCommit
    from otel_voicebot.store.reader import Snapshot, reading, snapshot
    from otel_voicebot.store.window import Window
    from otel_voicebot.store.writer import Commit, SpanStore

__all__ = ["Commit", "GroupCommit", "Snapshot", "SpanStore", "Window", "reading", "snapshot"]

_HOMES: Final = {
    **dict.fromkeys(("Snapshot", "reading", "snapshot"), "reader"),
    **dict.fromkeys(("Commit", "SpanStore"), "writer"),
    "GroupCommit": "group",
    "Window": "window",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)  # who reads needs no writer: a tenth of a report's start
