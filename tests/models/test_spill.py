"""Where engines write what doesn't fit into memory: nothing of it stays, however a process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_voicebot.models.spill import Spill

HOLDS = """
import sys, time
from pathlib import Path
from otel_voicebot.models.spill import Spill
spill = Spill()
Path(spill.path, "sorted").write_bytes(bytes(1000))
print(spill.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of this process and its children are here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has a directory, an hour old by its date."""
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        old = time.time() - 3600
        os.utime(path, (old, old))
        yield process, path
        process.kill()


def test_it_goes_when_it_is_closed(place: Path) -> None:
    """Closed, also twice, or left: it is gone with all that is in it."""
    with Spill() as spill:
        Path(spill.path, "sorted").write_bytes(b"x")
        assert Path(spill.path).parent == place
    spill.close()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next(other: tuple[subprocess.Popen[str], Path]) -> None:
    """Nobody holds it any more: the next process removes it."""
    process, path = other
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.is_dir()
    Spill().close()
    assert not path.exists()


def test_what_a_process_holds_stays(other: tuple[subprocess.Popen[str], Path]) -> None:
    """However old it looks: a long question must not lose its files."""
    _, path = other
    Spill().close()
    assert (path / "sorted").stat().st_size == 1000


def test_what_is_just_being_made_stays(place: Path) -> None:
    """Between making a directory and holding it another process may look."""
    fresh = place / "otel-voicebot-spill-fresh"
    fresh.mkdir()
    Spill().close()
    assert fresh.is_dir()


def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place for temporary files there is no path, and no error: most answers fit into memory."""

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with Spill() as spill:
        assert spill.path == ""
