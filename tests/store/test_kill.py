"""SIGKILL at a random moment: what was reported as committed is there, whole, once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq

from otel_voicebot.store import Commit, SpanStore, snapshot
from tests.store.rows import span_rows

KILLS = 20
ROWS = 50


def commit_until_killed(data: Path, first: int, pipe: int) -> None:
    """Commit on and on, and write each span id that the store reports as committed to ``pipe``."""

    def tell(commit: Commit) -> None:
        os.write(pipe, "".join(f"{span}\n" for _, span in commit.span_ids()).encode())  # < 4 KiB: all or nothing

    store = SpanStore(data, on_commit=tell)
    for number in count(first, ROWS):
        store.commit([span_rows(ROWS, first=number)])


def run_and_kill(data: Path, ledger: Path, first: int, seconds: float) -> None:
    """Kill a committing process after ``seconds``; another process keeps its ledger, fsynced."""
    source, sink = os.pipe()
    book = subprocess.Popen([sys.executable, str(Path(__file__).with_name("ledger.py")), str(ledger)], stdin=source)
    os.close(source)
    writer = os.fork()
    if writer == 0:
        try:
            commit_until_killed(data, first, sink)
        finally:
            os._exit(1)
    os.close(sink)
    time.sleep(seconds)
    os.kill(writer, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(writer, 0)[1])
    assert book.wait(timeout=30) == 0


def test_what_was_reported_survives_twenty_kills(tmp_path: Path) -> None:
    """Ledger minus store is empty, no file is half visible, nothing is there twice, and each restart goes on."""
    data, ledger = tmp_path / "data", tmp_path / "ledger"
    SpanStore(data).commit([span_rows(ROWS, first=1)])
    moments = random.Random(20)
    for kill in range(KILLS):
        run_and_kill(data, ledger, (kill + 1) * 1_000_000, moments.uniform(0.05, 0.3))
        assert not snapshot(data).damaged
    told = set(ledger.read_text().split())
    found = snapshot(data).without_unreadable()
    stored = Counter(found.read(["span_id"])["span_id"].to_pylist())
    assert len(told) > KILLS * ROWS
    assert told - stored.keys() == set()
    assert not found.damaged
    assert max(stored.values()) == 1
    assert {pq.read_metadata(path).num_rows for path in found.files} == {ROWS}
