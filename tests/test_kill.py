"""The demo, killed with SIGKILL at random moments: what was reported as committed is there, whole, once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from otel_voicebot.cli import main
from otel_voicebot.store import snapshot

KILLS = 20
ROOT = Path(__file__).parents[1]

BOT = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from otel_voicebot.app.configuring import configure
from otel_voicebot.demo.center import CallCenter

pipe = int(sys.argv[2])

def tell(commit):
    os.write(pipe, "".join(f"{trace} {span}\\n" for trace, span in commit.span_ids()).encode())

with CallCenter(1, snr=None, seed=int(sys.argv[3]), speed=12.0, on_progress=lambda _: None) as center:
    if not sys.stdin.readline():
        sys.exit()
    options = {"commit_interval": 0.3, "commit_rows": 20, "tick_interval": 0.2, "metrics_addr": "none"}
    configure(data=sys.argv[1], create_provider=True, on_commit=tell, **options)
    plans = center.plans(100)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(center.hold, range(1, len(plans) + 1), plans))
"""


class Run:
    """A bot in a process of its own, and another process that keeps its ledger: every line fsynced."""

    def __init__(self, data: Path, ledger: Path, seed: int) -> None:
        source, sink = os.pipe()
        keeper = [sys.executable, str(ROOT / "tests" / "store" / "ledger.py"), str(ledger)]
        self.keeper = subprocess.Popen(keeper, stdin=source)
        os.close(source)
        # It waits, with its models loaded, until it is told to begin: the next one gets ready while this one works.
        self.bot = subprocess.Popen(
            [sys.executable, "-c", BOT, str(data), str(sink), str(seed)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[sink],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(sink)
        self.ledger = ledger

    def begin(self) -> None:
        """Let it hold calls; returns after its first commit."""
        assert self.bot.stdin is not None
        before = self.ledger.stat().st_size
        with contextlib.suppress(BrokenPipeError):  # it is dead, and why is said below
            self.bot.stdin.write(b"\n")
            self.bot.stdin.flush()
        deadline = time.monotonic() + 90
        while self.ledger.stat().st_size == before:
            assert self.bot.poll() is None, self.bot.stderr.read().decode() if self.bot.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, and wait until all that it reported is in the ledger."""
        self.bot.kill()
        assert self.bot.wait(timeout=30) == -signal.SIGKILL
        self.keeper.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_demo_reported_survives_twenty_kills(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Ledger minus store is empty, no file is half visible, each start goes on, and a report counts nothing twice."""
    data, ledger = tmp_path / "data", tmp_path / "ledger"
    ledger.touch()
    moments = random.Random(3)
    with contextlib.ExitStack() as leftovers:
        runs = []
        for number in range(KILLS + 1):
            runs.append(Run(data, ledger, number))
            leftovers.callback(runs[-1].bot.kill)
            if number:
                runs[-2].begin()
                time.sleep(moments.uniform(0.0, 2.5))
                runs[-2].kill()
                assert not snapshot(data).damaged

    told = {tuple(line.split()) for line in ledger.read_text().splitlines()}
    found = snapshot(data)
    rows = found.read(["trace_id", "span_id", "session_id", "component"]).to_pylist()
    spans = Counter((row["trace_id"], row["span_id"]) for row in rows)
    assert len(told) > KILLS * 3
    assert told - spans.keys() == set()
    assert max(spans.values()) == 1
    for path in data.glob("hot/**/*.parquet"):
        assert pq.read_table(path).num_rows > 0

    capfdbinary.readouterr()
    assert main(("report", "--data", str(data), "--json")) == 0
    kpis = json.loads(capfdbinary.readouterr().out)["kpis"]
    assert kpis["sessions"]["value"] == len({row["session_id"] or row["trace_id"] for row in rows})
