"""The README and the wiring page, as pasted."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.program import PROGRAM

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def python(program: str, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with nothing set up."""
    environment = {"OTEL_VOICEBOT_METRICS_ADDR": "127.0.0.1:0", "PATH": "/usr/bin:/bin"}
    run = [sys.executable, "-c", program, *words]
    return subprocess.run(run, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("page", ["README.md", "docs/wiring.md"])
def test_the_python_of_a_page_runs_and_leaves_data_and_metrics(page: str, tmp_path: Path) -> None:
    """In a process of its own, with nothing set up; what it recorded can be reported."""
    program = "\n".join(blocks(page, "python"))
    if "vb.session" not in program:
        program += "\nwith provider.get_tracer('x').start_as_current_span('chat m'):\n    pass\nprovider.shutdown()\n"
    done = python(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "voicebot-data" / "hot" / "spans").rglob("*.parquet"))


def test_the_commands_of_the_readme_work_on_what_its_code_left(tmp_path: Path) -> None:
    """Each `otel-voicebot` line runs as written; what stands for an id or a file is filled in."""
    program = "\n".join(blocks("README.md", "python")) + "\nprint(call.session_id)"
    made = python(program, tmp_path)
    lines = [line for block in blocks("README.md", "console") for line in block.splitlines()]
    commands = [line.removeprefix("$ ").partition("#")[0] for line in lines if line.startswith("$ otel-voicebot")]
    assert len(commands) >= 5
    capture = ROOT / "tests" / "data" / "captures" / "pipecat.otlp.pb"
    for command in commands:
        words = shlex.split(command.replace("SESSION", made.stdout.strip()).replace("spans.jsonl.zst", str(capture)))
        done = python(PROGRAM, tmp_path, *words[1:])
        assert done.returncode == 0, (command, done.stderr)
    assert (tmp_path / "turns.csv").read_text().count("\n") == 2
