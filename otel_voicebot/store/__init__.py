"""Spans on disk: plain Parquet files that are whole, durable, and read by any tool as they are."""

from otel_voicebot.store.group import GroupCommit
from otel_voicebot.store.reader import Snapshot, reading, snapshot
from otel_voicebot.store.window import Window
from otel_voicebot.store.writer import Commit, SpanStore

__all__ = ["Commit", "GroupCommit", "Snapshot", "SpanStore", "Window", "reading", "snapshot"]
