"""The thread of the live state."""

import time
from pathlib import Path

import pytest

from otel_voicebot import semconv as s
from otel_voicebot.app.live_thread import LiveThread
from otel_voicebot.app.notes import Notes
from otel_voicebot.live import Left
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings
from otel_voicebot.store import SpanStore


class PanicError(BaseException):
    """What a defect in Rust becomes: no Exception."""


def test_a_panic_ends_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and the thread looks after the next rows: else nothing would be let in any more, for ever."""
    metrics, store = SelfMetrics(), SpanStore(tmp_path)
    live = LiveThread(Settings(data=tmp_path), metrics, store, store.writer, Notes(tmp_path / "counted"))
    live.resume(Left())
    ticks = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 1:
            raise PanicError

    monkeypatch.setattr(live.derived, "tick", tick)
    live.start()
    deadline = time.monotonic() + 20
    while len(ticks) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(ticks) >= 2
    assert metrics.get(s.SELF_FAILURES, "live") == 1
    assert live.stop(10)
