"""Hostile bodies: no crash, no 500, bounded memory, the right status, and the valid spans of the same request kept."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.receivers.fuzzing import BOMBS

ROOT = Path(__file__).parents[2]
PROCESSES, BODIES, SENT = 2, 50_000, 1_500
GROWN_MIB = 200
"""What a fuzzed process may grow by; a bound of memory, not of one of many bodies of a megabyte at most."""


def _started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.receivers.fuzzing", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors[-3000:]
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)  # under a minute where nothing else runs
def test_fuzzed_bodies_are_answered_rightly() -> None:
    """Over 100,000 mutated captures and random bodies: accepted or refused for good, as protobuf's own class would."""
    processes = [_started("fuzz", seed, BODIES, SENT) for seed in range(PROCESSES)]
    for found in [_ended(process) for process in processes]:
        ends = found["ends"]
        assert sum(ends.values()) >= BODIES + SENT * 0.95  # JSON does not go to gRPC
        assert min(ends[end] for end in ("accepted", "refused for good", "neighbours kept")) > 100
        assert min(ends[end] for end in ("HTTP 200", "HTTP 400", "gRPC OK", "gRPC INVALID_ARGUMENT")) > 10
        assert found["failures"] == {}
        assert found["peak_mib"] - found["before_mib"] < GROWN_MIB


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_no_more_than_their_bound(name: str) -> None:
    """A body that would become a gigabyte, millions of spans, attributes or resources, or 3,000 levels deep."""
    found = _ended(_started("bomb", name))
    status = BOMBS[name][2]
    assert found["ends"] == {f"HTTP {status}": 1, "gRPC OK" if status == 200 else "gRPC INVALID_ARGUMENT": 1}
    assert found["grown_mib"] < 400
