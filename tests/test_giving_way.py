"""How our threads share the interpreter with the bot's, and what loading us may do to it: nothing that stays."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_voicebot import giving_way as module
from otel_voicebot.embedded import ParquetSpanExporter
from otel_voicebot.giving_way import breathe, giving_way, uncollected
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import collect

MANY = 500_000


@pytest.fixture
def full() -> Iterator[list[int]]:
    """Grows with each full collection."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(2)

    gc.collect()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()
    gc.enable()


def pass_() -> None:
    """So much garbage that young collections come, and a full one where what is new is a quarter of all."""
    for _ in range(200_000):
        one: list[object] = []
        one.append(one)


def test_what_is_loaded_brings_no_full_collection(full: list[int]) -> None:
    """Neither while half a million objects are made nor after: the collector takes them for old ones."""
    with uncollected():
        kept = [[number] for number in range(MANY)]
    pass_()
    assert (full, gc.isenabled(), gc.get_freeze_count()) == ([], True, 0)
    more = [[number] for number in range(MANY)]  # as new ones the same number brings one
    pass_()
    assert full != []
    assert len(kept) == len(more)


def test_what_the_bot_has_frozen_stays_frozen() -> None:
    """A bot may have put its objects aside, as servers do before they fork."""
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            pass
        assert gc.get_freeze_count() == frozen > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_bot_that_collects_itself_goes_on_so() -> None:
    """Where the collector is switched off it stays off."""
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_child_that_is_forked_meanwhile_collects() -> None:
    """The thread that would switch the collector on again isn't in the child."""
    with uncollected():
        child = os.fork()
        if not child:
            os._exit(0 if gc.isenabled() else 1)
        assert not gc.isenabled()
    _, status = os.waitpid(child, 0)
    assert (status, gc.isenabled()) == (0, True)


class Clock:
    """Stands in for ``time``: each look at it is a step later, sleeping is noted with the thread that does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.001
        self.slept: list[int] = []

    def perf_counter(self) -> float:
        """Seconds."""
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        """No longer than a breath."""
        assert 0 < seconds < 0.001
        self.slept.append(threading.get_ident())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_only_a_thread_that_gives_way_breathes(clock: Clock) -> None:
    """A thread beside it, of the bot or of a service, loses no time."""
    breathe()
    with giving_way():
        breathe()
        others = threading.Thread(target=breathe)
        others.start()
        others.join()
        with giving_way():
            breathe()
        breathe()
    breathe()
    assert clock.slept == 3 * [threading.get_ident()]


def test_it_breathes_now_and_then_only(clock: Clock) -> None:
    """However often it is asked to: 0.1 ms later each time, and every third or fourth time it is due."""
    clock.step = 0.0001
    with giving_way():
        for _ in range(100):
            breathe()
    assert 20 <= len(clock.slept) <= 34


def ended() -> tuple[ReadableSpan, ...]:
    """A span."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("bot").start_as_current_span("turn", attributes={"session.id": "a", "turn": 1}):
        pass
    return kept.get_finished_spans()


def test_who_takes_spans_breathes_all_along(clock: Clock) -> None:
    """Without it an event loop's wake-ups beside that come milliseconds late (``bench loop``)."""
    live = Live(Aggregator(), SelfMetrics(), lambda *_: None)
    counts = []
    with giving_way():
        batch = collect(ended())
        counts.append(len(clock.slept))
        rows = prepare(batch, Policy(), SelfMetrics(), "sdk", 1)
        counts.append(len(clock.slept) - sum(counts))
        live.add(rows)
        counts.append(len(clock.slept) - sum(counts))
    collected, prepared, taken = counts
    assert collected >= 15
    assert prepared >= 10
    assert taken >= 3


def test_the_exporter_breathes(clock: Clock, tmp_path: Path) -> None:
    """It works on a thread of the bot's process, too."""
    ParquetSpanExporter(tmp_path / "data").export(ended())
    assert len(clock.slept) >= 25


def test_several_threads_leave_the_interval_as_it_was() -> None:
    """None takes another's for the usual one."""
    usual = sys.getswitchinterval()

    def enter() -> None:
        for _ in range(20_000):
            with giving_way():
                pass

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_a_forked_child_has_the_usual_interval() -> None:
    """The thread that gave way isn't there."""
    usual = sys.getswitchinterval()
    with giving_way():
        assert sys.getswitchinterval() < usual
        child = os.fork()
        if not child:
            os._exit(abs(sys.getswitchinterval() - usual) > 1e-5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
