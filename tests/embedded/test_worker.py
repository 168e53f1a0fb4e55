"""Worker: constant time at the bot's side, bounded, contained, in time at the end."""

import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_voicebot.embedded import PipelineProcessor, Worker
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_DROPPED, SELF_FAILURES
from otel_voicebot.spans.fields import FIELDS, WHOLE

SLOW_QUERY = "SELECT count(*) FROM range(1_000_000_000_000) a WHERE a.range % 7 = 3"


def whole(span: ReadableSpan) -> tuple[Any, ...]:
    """What stands in the queue for a span that is kept as it is."""
    return (span, WHOLE, *(None,) * (len(FIELDS) - 2))


class Kept:
    """A consumer that keeps what it is given, and does what a test wants at a stage."""

    def __init__(self, **at: Callable[[], object]) -> None:
        self.spans: list[Any] = []
        """Spans that were put whole, of others the names."""
        self.sessions: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.at = at

    def _note(self, stage: str) -> Any:
        self.calls.append(stage)
        return self.at.get(stage, lambda: None)()

    def take(self, spans: Sequence[Any]) -> None:
        """Keep spans."""
        self._note("take")
        self.spans.extend(spans[:: len(FIELDS)])

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Keep sessions."""
        self._note("started")
        self.sessions.extend(sessions)

    def tick(self) -> None:
        """Note it."""
        self._note("tick")

    def drain(self) -> None:
        """Note it."""
        self._note("drain")

    def flush(self) -> bool:
        """Note it."""
        return self._note("flush") is not False

    def interrupt(self) -> None:
        """Note it."""
        self._note("interrupt")

    def close(self) -> None:
        """Note it."""
        self._note("close")


class Bench:
    """A worker with its counters, fed by a real tracer."""

    def __init__(self) -> None:
        self.metrics = SelfMetrics()
        self.workers: list[Worker[Any]] = []
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer("test")

    def worker(self, make: Callable[[], Any], *, size: int = 1000, interval_s: float = 0.01) -> Worker[Any]:
        """A worker that is closed after the test."""
        self.workers.append(Worker(make, self.metrics, size=size, interval_s=interval_s))
        return self.workers[-1]

    def span(self, name: str = "s") -> ReadableSpan:
        """A span that has ended."""
        span = self.tracer.start_span(name)
        span.end()
        assert isinstance(span, ReadableSpan)
        return span

    def dropped(self, reason: str) -> float:
        """Spans dropped."""
        return self.metrics.get(SELF_DROPPED, reason)

    def failed(self, stage: str) -> float:
        """Failures contained."""
        return self.metrics.get(SELF_FAILURES, stage)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench whose workers are closed at the end."""
    made = Bench()
    yield made
    for worker in made.workers:
        worker.close(0.5)


def engine() -> duckdb.DuckDBPyConnection:
    """A real query engine."""
    connection = duckdb.connect(config={"threads": 2})
    return connection.execute("SET enable_progress_bar = false")


class Gate:
    """Holds a stage until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        """Wait."""
        self.reached.set()
        assert self.open.wait(30)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---- put ------------------------------------------------------------------------------------------------------------


def test_put_costs_the_same_whatever_waits(bench: Bench) -> None:
    """A span costs microseconds with an empty queue, with a long one, and with a full one."""
    gate = Gate()
    worker = bench.worker(lambda: Kept(started=gate), size=100_000)
    worker.session_started("s", "bank")
    assert gate.reached.wait(10)
    span = bench.span()

    def cost(count: int) -> float:
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(count):
                worker.put(whole(span))
            best = min(best, (time.perf_counter() - began) / count)
        return best

    empty = cost(1000)
    cost(20_000)
    full = cost(1000)
    assert bench.dropped("queue_full") > 0
    gate.open.set()
    assert empty < 20e-6
    assert full < 20e-6


def test_a_full_queue_drops_and_counts(bench: Bench) -> None:
    """What finds the queue full is dropped and counted; what was in it is kept, in order."""
    gate = Gate()
    kept = Kept(started=gate)
    worker = bench.worker(lambda: kept, size=10)
    worker.session_started("s", "bank")
    assert gate.reached.wait(10)
    for number in range(25):
        worker.put(whole(bench.span(str(number))))
    gate.open.set()
    assert worker.flush(10)
    assert [span.name for span in kept.spans] == [str(number) for number in range(10)]
    assert bench.dropped("queue_full") == 15
    assert kept.sessions == [("s", "bank")]


def test_a_small_queue_wakes_the_worker_before_it_is_full(bench: Bench) -> None:
    """With a long interval a queue that fills up is worked off early, so nothing is dropped."""
    kept = Kept()
    worker = bench.worker(lambda: kept, size=100, interval_s=60)
    for _ in range(4):
        for _ in range(50):
            worker.put(whole(bench.span()))
        wait_for(lambda: len(worker._queue) == 0)
    assert bench.dropped("queue_full") == 0
    assert len(kept.spans) == 200


def test_a_span_that_the_garbage_collector_ends_is_taken(bench: Bench) -> None:
    """A span may end inside a put (a collected generator closes its block): nobody waits for himself."""
    kept = Kept()
    worker = bench.worker(lambda: kept)
    span = bench.span()

    class Closes:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            worker.put(whole(span))

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Closes()
            worker.put(whole(span))
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert worker.flush(10)
    assert len(kept.spans) == 400


def test_a_thread_that_cannot_start_costs_nothing_but_the_hurry(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no thread can be had, as when the interpreter is about to exit, put doesn't raise; close does the work."""
    kept = Kept()
    worker = bench.worker(lambda: kept)

    def no_threads(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_threads)
        worker.put(whole(bench.span()))
        worker.put(whole(bench.span()))
        assert not worker.flush(0.1)
    assert worker.close(5)
    assert len(kept.spans) == 2
    assert kept.calls[-2:] == ["flush", "close"]
    assert bench.failed("start") == 2
    assert len(caplog.records) == 1


# ---- a consumer that fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["started", "take", "tick", "drain", "flush", "close"])
def test_a_consumer_that_fails_is_contained(bench: Bench, stage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stage fails, it is counted, logged once without the text of the error, and the others go on."""

    def fail() -> None:
        raise ValueError("my pin is 4711")

    caplog.set_level(logging.DEBUG)
    kept = Kept(**{stage: fail})
    worker = bench.worker(lambda: kept)
    worker.session_started("s", "bank")
    for _ in range(3):
        worker.put(whole(bench.span()))
        worker.flush(10)
        worker.flush(10, drain=True)
    worker.close(10)
    counted = {"started": "sessions"}.get(stage, stage)
    assert bench.failed(counted) > 0
    assert {"started", "take", "tick", "drain", "flush", "close"} == set(kept.calls)
    assert bench.dropped("failed") == (3 if stage == "take" else 0)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert f"{counted} failed with ValueError" in warnings[0].getMessage()
    assert "4711" not in caplog.text


def test_a_callback_that_exits_ends_nothing(bench: Bench) -> None:
    """sys.exit() in code that runs on the worker's thread does not end the worker."""
    kept = Kept(tick=sys.exit)
    worker = bench.worker(lambda: kept)
    worker.put(whole(bench.span()))
    assert worker.flush(10)
    worker.put(whole(bench.span()))
    assert worker.flush(10)
    assert len(kept.spans) == 2
    assert bench.failed("tick") > 0


def test_a_consumer_that_cannot_be_made_switches_the_worker_off(bench: Bench) -> None:
    """When the consumer can't be made, spans are dropped and counted, and nobody waits for it."""

    def fail() -> Kept:
        raise MemoryError

    worker = bench.worker(fail)
    worker.put(whole(bench.span()))
    assert not worker.flush(10)
    worker.put(whole(bench.span()))
    assert not worker.close(10)
    assert bench.failed("start") == 1
    assert bench.dropped("start_failed") == 1
    assert bench.dropped("shut_down") == 1


# ---- flush ----------------------------------------------------------------------------------------------------------


def test_flush_returns_when_all_is_on_disk(bench: Bench) -> None:
    """After a flush everything put before was taken and flushed; a drain comes before its flush."""
    kept = Kept()
    worker = bench.worker(lambda: kept, interval_s=60)
    for _ in range(500):
        worker.put(whole(bench.span()))
    assert worker.flush(10)
    assert len(kept.spans) == 500
    assert [call for call in kept.calls if call != "tick"] == ["take", "flush"]
    assert worker.flush(10, drain=True)
    assert [call for call in kept.calls if call != "tick"] == ["take", "flush", "drain", "flush"]


def test_flush_says_when_it_did_not_succeed(bench: Bench) -> None:
    """False when the time was too short, and when the disk refused."""
    gate = Gate()
    refuses = [True]
    worker = bench.worker(lambda: Kept(take=gate, flush=lambda: not refuses[0]))
    worker.put(whole(bench.span()))
    began = time.monotonic()
    assert not worker.flush(0.2)
    assert 0.2 <= time.monotonic() - began < 2
    gate.open.set()
    assert not worker.flush(10)
    refuses.clear()
    refuses.append(False)
    assert worker.flush(10)


def test_flush_before_the_first_span_and_from_a_callback_returns_at_once(bench: Bench) -> None:
    """Nothing to do is done; a callback on the worker's thread is told no instead of waiting for itself."""
    answers: list[bool] = []
    worker = bench.worker(lambda: Kept(take=lambda: answers.extend([worker.flush(60), worker.close(60)])))
    assert worker.flush(60)
    worker.put(whole(bench.span()))
    wait_for(lambda: len(answers) == 2)
    assert answers == [False, False]


def test_many_threads_lose_nothing(bench: Bench) -> None:
    """Spans of many threads are taken once each, while others flush."""
    kept = Kept()
    worker = bench.worker(lambda: kept, size=100_000)
    span = bench.span()

    def put() -> None:
        for number in range(2000):
            worker.put(whole(span))
            if number % 500 == 0:
                worker.flush(10)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.close(20)
    assert len(kept.spans) == 16_000


# ---- close ----------------------------------------------------------------------------------------------------------


def test_close_works_off_a_full_queue(bench: Bench) -> None:
    """Shutdown with a full queue puts all of it on disk, then frees the consumer."""
    gate = Gate()
    kept = Kept(started=gate)
    worker = bench.worker(lambda: kept, size=30_000)
    worker.session_started("s", "bank")
    assert gate.reached.wait(10)
    span = bench.span()
    for _ in range(30_001):
        worker.put(whole(span))
    gate.open.set()
    assert worker.close(10)
    assert len(kept.spans) == 30_000
    assert kept.calls[-3:] == ["drain", "flush", "close"]
    assert bench.dropped("queue_full") == 1
    assert bench.dropped("shut_down") == 0


def test_close_flushes_what_it_took_when_time_runs_out(bench: Bench) -> None:
    """A consumer too slow for the whole queue still gets what it took to the disk in time; the rest is counted."""
    gate = Gate()
    kept = Kept(started=gate, take=lambda: time.sleep(0.5))
    worker = bench.worker(lambda: kept, size=100_000, interval_s=60)
    worker.session_started("s", "bank")  # it begins when all of them wait
    span = bench.span()
    for _ in range(80_000):
        worker.put(whole(span))
    assert gate.reached.wait(10)
    gate.open.set()
    began = time.monotonic()
    assert not worker.close(2.0)
    assert time.monotonic() - began < 2.1
    assert kept.calls[-2:] == ["flush", "close"]
    assert 0 < len(kept.spans) < 80_000
    assert len(kept.spans) + bench.dropped("shut_down") == 80_000


def test_close_twice_and_before_start(bench: Bench) -> None:
    """A worker that never ran and one that was closed are closed at once; what comes later is counted as dropped."""
    kept = Kept()
    idle, used = bench.worker(lambda: kept), bench.worker(lambda: kept)
    assert idle.close(10)
    idle.put(bench.span())
    idle.session_started("s", "bank")
    assert bench.dropped("shut_down") == 1
    used.put(whole(bench.span()))
    assert used.close(10)
    assert used.close(10)
    assert used.flush(60)
    assert kept.calls.count("close") == 1
    assert len(kept.spans) == 1


def test_close_keeps_its_deadline_while_the_consumer_hangs(bench: Bench) -> None:
    """A consumer that can't be broken off doesn't hold the exit up; what waits is counted."""
    gate = Gate()
    worker = bench.worker(lambda: Kept(take=gate))
    worker.put(whole(bench.span()))
    assert gate.reached.wait(10)
    worker.put(whole(bench.span()))
    began = time.monotonic()
    assert not worker.close(0.5)
    assert time.monotonic() - began < 1.0
    assert bench.dropped("shut_down") == 1
    gate.open.set()


def test_close_breaks_off_a_query(bench: Bench) -> None:
    """A query that would take hours is interrupted within the deadline, and what came before is put on disk."""
    connection = engine()
    kept = Kept(interrupt=connection.interrupt, tick=lambda: connection.execute(SLOW_QUERY))
    worker = bench.worker(lambda: kept)
    worker.put(whole(bench.span()))
    wait_for(lambda: "tick" in kept.calls)
    began = time.monotonic()
    assert worker.close(2.0)
    assert time.monotonic() - began < 2.1
    assert kept.calls[-2:] == ["flush", "close"]
    assert bench.failed("tick") == 1


def test_the_processor_closes_and_flushes_its_worker(bench: Bench) -> None:
    """A provider's force_flush and shutdown reach the worker, and a session counts before its span ends."""
    kept = Kept()
    worker = bench.worker(lambda: kept, interval_s=60)
    bench.provider.add_span_processor(PipelineProcessor(worker))
    open_session = bench.tracer.start_span("voicebot.session", attributes={"session.id": "s", "voicebot.bot": "bank"})
    bench.tracer.start_span("ended").end()
    assert bench.provider.force_flush(10_000)
    assert kept.sessions == [("s", "bank")]
    assert kept.spans == ["ended"]
    open_session.end()
    bench.provider.shutdown()
    bench.provider.shutdown()
    assert kept.spans == ["ended", "voicebot.session"]
    assert kept.calls[-2:] == ["flush", "close"]


# ---- the end of the process and fork, in processes of their own -----------------------------------------------------


def said(ended: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Exit code and output, without the query engine's own remark that a child has left the parent's engine alone."""
    stderr = [line for line in ended.stderr.splitlines() if not line.startswith(("nanobind: ", " - ", "See "))]
    return ended.returncode, ended.stdout, "\n".join(stderr)


def program(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has this file's classes."""
    head = """
        import atexit, os, sys, threading, time
        import duckdb
        from tests.embedded.test_worker import SLOW_QUERY, Bench, Kept, engine, wait_for, whole
        from otel_voicebot.semconv import SELF_DROPPED
    """
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(head) + textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_an_exit_in_the_middle_of_a_query_is_clean() -> None:
    """A process that exits while the engine computes ends with code 0 and says nothing."""
    ended = program("""
        bench = Bench()
        connection = engine()
        kept = Kept(interrupt=connection.interrupt, tick=lambda: connection.execute(SLOW_QUERY))
        worker = bench.worker(lambda: kept)
        atexit.register(worker.close, 1.0)
        worker.put(whole(bench.span()))
        wait_for(lambda: "tick" in kept.calls)
        time.sleep(0.1)
    """)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert [line for line in ended.stderr.splitlines() if "tick failed with InterruptException" not in line] == []


FORK = """
    def child(work):
        pid = os.fork()
        if pid == 0:
            work()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    bench = Bench()
    made = []
    def make():
        connection = engine()
        connection.execute("SELECT 1")
        made.append(Kept(interrupt=connection.interrupt))
        made[-1].connection = connection
        return made[-1]
    worker = bench.worker(make, interval_s=HURRY)
    worker.put(whole(bench.span("parent")))
    HOW
    def work():
        assert len(worker._queue) == 0 and worker.consumer is None
        assert bench.metrics.read() == {}
        worker.put(whole(bench.span("child")))
        assert worker.flush(10)
        assert [span.name for span in made[-1].spans] == ["child"], made[-1].spans
        END
    assert child(work) == 0
    worker.put(whole(bench.span("parent")))
    assert worker.close(10)
    names = [span.name for span in made[0].spans]
    assert names == ["parent"] * 2, names
    assert len(made) == 1
    print("done")
"""


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "worker.close(5); sys.exit(0)"])
@pytest.mark.parametrize(
    ("hurry", "how"),
    [("60", "wait_for(lambda: made)"), ("0.01", "wait_for(lambda: made and made[0].spans)"), ("60", "")],
    ids=["waiting spans", "idle worker", "worker about to start"],
)
def test_a_forked_child_starts_clean(end: str, hurry: str, how: str) -> None:
    """A child has an empty queue, zero counters and a consumer of its own; the parent goes on; both end cleanly."""
    ended = program(FORK.replace("END", end).replace("HURRY", hurry).replace("HOW", how))
    assert said(ended) == (0, "done\n", "")


def test_a_fork_in_the_middle_of_a_query_is_clean() -> None:
    """A child that is forked while the parent's engine computes works and ends; the parent's query is not disturbed."""
    ended = program("""
        bench = Bench()
        connections = []
        def make():
            connections.append(engine())
            here = connections[-1]
            def tick():
                if len(connections) == 1 and not ticked.is_set():
                    here.execute("SELECT count(*) FROM range(10_000_000) a WHERE a.range % 7 = 3")
                    ticked.set()
                else:
                    here.execute("SELECT count(*) FROM range(1000)")
            return Kept(tick=tick, interrupt=here.interrupt)
        ticked = threading.Event()
        worker = bench.worker(make)
        worker.put(whole(bench.span()))
        wait_for(lambda: worker.consumer is not None and "tick" in worker.consumer.calls, 30)
        pid = os.fork()
        if pid == 0:
            worker.put(whole(bench.span("child")))
            assert worker.flush(30)
            assert [span.name for span in worker.consumer.spans] == ["child"]
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert ticked.wait(30)
        assert worker.close(30)
        print("done")
    """)
    assert said(ended) == (0, "done\n", "")


def test_the_worker_gives_way_while_it_works_and_only_then(bench: Bench) -> None:
    """In a round a thread that wants the interpreter gets it at once; between rounds the bot's own interval holds."""
    usual, seen = sys.getswitchinterval(), []
    worker = bench.worker(lambda: Kept(take=lambda: seen.append(sys.getswitchinterval())))
    worker.put(whole(bench.span()))
    assert worker.flush(10)
    assert max(seen) < 0.001
    wait_for(lambda: sys.getswitchinterval() == usual)


def test_an_interval_that_the_bot_sets_in_a_round_stays(bench: Bench) -> None:
    """What the bot says while the worker works is not undone."""
    usual = sys.getswitchinterval()
    worker = bench.worker(lambda: Kept(take=lambda: sys.setswitchinterval(0.02)), interval_s=60)
    try:
        worker.put(whole(bench.span()))
        assert worker.flush(10)
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        worker.close(5)
        sys.setswitchinterval(usual)


def test_our_interval_is_taken_back_where_the_bot_has_restored_it(bench: Bench) -> None:
    """Saved by the bot in a round and restored after it, the worker's interval lasts until the next round."""
    usual, saved = sys.getswitchinterval(), []

    def saves() -> None:
        if not saved:
            saved.append(sys.getswitchinterval())
            sys.setswitchinterval(0.02)

    worker = bench.worker(lambda: Kept(take=saves), interval_s=60)
    try:
        worker.put(whole(bench.span()))
        assert worker.flush(10)
        sys.setswitchinterval(saved[0])
        assert worker.flush(10)
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(usual))
    finally:
        worker.close(5)
        sys.setswitchinterval(usual)


def test_a_small_queue_is_not_left_to_fill_up(bench: Bench) -> None:
    """The worker lets a burst pass only where the queue has room for it."""
    worker = bench.worker(Kept, size=1000, interval_s=60)
    for _ in range(200):
        for _ in range(20):
            worker.put(whole(bench.span()))
        time.sleep(0.001)
    assert worker.flush(10)
    assert bench.dropped("queue_full") == 0
