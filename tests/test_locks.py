"""Locks of files and directories that end with their process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_voicebot.locks import locked

HOLD = """
import os, sys, time
from otel_voicebot.locks import locked
print(locked(sys.argv[1], os.O_RDONLY) is not None, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_one_holds_it_at_a_time(tmp_path: Path, kind: str) -> None:
    """Also in the same process; when the descriptor is closed the next has it."""
    path = tmp_path if kind == "directory" else tmp_path / "lock"
    if kind == "file":
        path.touch()
    held = locked(path, os.O_RDONLY)
    assert held is not None
    assert locked(path, os.O_RDONLY) is None
    os.close(held)
    again = locked(str(path), os.O_RDONLY)
    assert again is not None
    os.close(again)


def test_a_killed_process_holds_it_no_longer(tmp_path: Path) -> None:
    """Nobody has to clean up."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert locked(tmp_path, os.O_RDONLY) is None
        other.kill()
        other.wait()
    held = locked(tmp_path, os.O_RDONLY)
    assert held is not None
    os.close(held)


def test_a_program_that_is_started_meanwhile_does_not_hold_it(tmp_path: Path) -> None:
    """Else a bot's tool would keep the directory after the bot's end."""
    held = locked(tmp_path, os.O_RDONLY)
    assert held is not None
    command = [sys.executable, "-c", "print('runs', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "runs\n"
        os.close(held)
        again = locked(tmp_path, os.O_RDONLY)
        other.kill()
    assert again is not None
    os.close(again)


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """With its name; only a lock that is held is None."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        locked(tmp_path / "nowhere", os.O_RDONLY)


def test_a_refused_lock_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """A service asks every second for as long as another one has it."""
    held = locked(tmp_path, os.O_RDONLY)
    assert held is not None
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert locked(tmp_path, os.O_RDONLY) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(held)
