"""The programs that the installer makes: what is written, waited for and called before they leave at once."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_SCRIPTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]


def _run(words: list[str], before: str = "", name: str = "otel-voicebot") -> subprocess.CompletedProcess[str]:
    module, _, function = _SCRIPTS[name].partition(":")
    code = f"import sys; from {module} import {function}\n{before}\nsys.exit({function}())"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def test_all_that_was_written_is_there(data: Path) -> None:
    """Into a pipe, which Python buffers, with the exit code; an error's sentence, too."""
    done = _run(["export", "spans", "--format", "jsonl", "--data", str(data)])
    assert (done.returncode, done.stderr) == (0, "6 spans\n")
    assert len({json.loads(line)["trace_id"] for line in done.stdout.splitlines()}) == 2
    whole = _run(["schema", "--json"])  # more than a buffer
    assert (whole.returncode, json.loads(whole.stdout)["schema"]) == (0, "otel_voicebot.schema/1")
    wrong = _run(["report", "--data", str(data / "nowhere")])
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert wrong.stderr.startswith(f"otel-voicebot: no data: {data / 'nowhere'} is not a directory")


@pytest.mark.parametrize("name", sorted(_SCRIPTS))
def test_each_returns_its_exit_code(name: str) -> None:
    """Help is 0, an option that there isn't 2."""
    assert _run(["--help"], name=name).returncode == 0
    assert _run(["--no-such-option"], name=name).returncode == 2


def test_what_is_to_be_done_at_the_end_is_done() -> None:
    """What registered for the end of the process is called, the last first, and what it says is heard."""
    before = "import atexit\nfor word in ('one', 'two'): atexit.register(sys.stderr.write, word)"
    done = _run(["schema", "--help"], before)
    assert (done.returncode, done.stderr) == (0, "twoone")


def test_a_thread_that_works_is_waited_for() -> None:
    """The process ends when it has ended; a daemon is not waited for."""
    before = (
        "import threading, time\n"
        "def work():\n"
        "    time.sleep(0.5)\n"
        "    sys.stderr.write('done')\n"
        "threading.Thread(target=work).start()\n"
        "threading.Thread(target=time.sleep, args=(300,), daemon=True).start()"
    )
    done = _run(["schema", "--help"], before)
    assert (done.returncode, done.stderr) == (0, "done")
