"""One bot, two doors: its own pipeline, and OTLP through a real Collector to the service."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults_tally import stored_keys
from bench.serving import Server, wait_until
from tests.collector.conftest import MakeCollector
from tests.collector.rows import live_rows, model_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the Collector may have to be built first

CALLS = 5
ROOT = Path(__file__).parents[2]


def hold_calls(embedded: Path, address: str) -> None:
    """The demo's bot in a process of its own."""
    command = [sys.executable, "-m", "tests.collector.bot", str(embedded), address, str(CALLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_both_doors_give_the_same_turns_and_sessions(tmp_path: Path, make_collector: MakeCollector) -> None:
    """Spans, turn rows and session rows of both stores are equal, row by row, computed live and from the spans."""
    pytest.importorskip("pocketsphinx", reason="real calls need the extra [demo]")
    embedded, behind = tmp_path / "embedded", tmp_path / "behind"
    with Server(behind) as server, make_collector(env={"VOICEBOT_GRPC": server.grpc}) as collector:
        hold_calls(embedded, collector.grpc)
        expected = stored_keys(embedded)
        wait_until(lambda: stored_keys(behind).total() >= expected.total(), 60)
        wait_until(lambda: len(live_rows(behind, "sessions")) == CALLS, 60)  # final 5 s after their end
        assert server.stop() == 0
    assert expected.total() > CALLS * 20
    assert stored_keys(behind) == expected
    for table in ("turns", "sessions"):
        rows = model_rows(embedded, table)
        assert len(rows) >= CALLS
        assert model_rows(behind, table) == rows
        live = live_rows(embedded, table)
        assert len(live) == len(rows)
        assert live_rows(behind, table) == live
