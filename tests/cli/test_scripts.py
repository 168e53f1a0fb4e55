"""The programs that the installer makes: what is written, waited for and called before they leave at once."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_SCRIPTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
_WORKS = """
import threading, time
def work():
    time.sleep(0.5)
    sys.stderr.write("done")
threading.Thread(target=work).start()
"""


def _run(words: list[str], before: str = "", name: str = "otel-voicebot") -> subprocess.CompletedProcess[str]:
    module, _, function = _SCRIPTS[name].partition(":")
    code = f"import sys; from {module} import {function}\n{before}\nsys.exit({function}())"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, encoding="utf-8", timeout=120, check=False, env=env
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
    before = (
        "import atexit\n"
        "for word in ('one', 'two'): atexit.register(sys.stderr.write, word)\n"
        "atexit.register(print, 'three')"
    )
    done = _run(["--version"], before)
    assert (done.returncode, done.stderr) == (0, "twoone")
    assert done.stdout.splitlines()[1:] == ["three"]


def test_nothing_is_taken_apart() -> None:
    """What modules hold is left to the system: to free it one by one takes a tenth of a second of a report."""
    before = "import os\nclass Held:\n    def __del__(self, write=os.write): write(2, b'freed')\nheld = Held()"
    assert _run(["--version"], before).stderr == ""
    assert _run(["--version"], f"{before}\n{_WORKS}").stderr == "donefreed"


def test_a_thread_that_works_is_waited_for() -> None:
    """The process ends when it has ended; a daemon is not waited for."""
    daemon = "threading.Thread(target=time.sleep, args=(300,), daemon=True).start()"
    done = _run(["--version"], f"{_WORKS}\n{daemon}")
    assert (done.returncode, done.stderr) == (0, "done")
