"""The how-to pages, as pasted."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.frameworks.provider import Provider
from bench.frameworks.script import PLAIN
from tests.app.served import Served, until
from tests.frameworks.calls import environment, rows
from tests.test_readme import blocks

pytest.importorskip("pipecat", reason="the extra frameworks is not installed: make frameworks")

PIPECAT = """
import asyncio
from bench.frameworks.pipecat_bot import main

asyncio.run(main("plain"))
"""
LIVEKIT = """
import asyncio, os
from bench.frameworks.livekit_bot import main

if __name__ == "__main__":
    os.environ["LIVEKIT_BOT_SCRIPT"] = "plain"
    asyncio.run(main())
"""
PLAIN_BOT = "from tests.app.bots import call\ncall()\n"
QUIET = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_VOICEBOT_METRICS_ADDR": "127.0.0.1:0"}
_DEFAULT_DOOR = "http://127.0.0.1:4318"

pytestmark = pytest.mark.slow


def paste(block: str, directory: Path, door: str = _DEFAULT_DOOR, **variables: str) -> None:
    """Run a block's lines in one shell, but those that install; the service of the page runs already, at ``door``."""
    lines = [line for line in block.splitlines() if not re.match("pip install|otel-voicebot serve", line)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Provider(step.text for step in PLAIN) as provider:
        done = subprocess.run(
            ["sh", "-e", "-c", "\n".join(lines).replace(_DEFAULT_DOOR, door)],
            cwd=directory,
            env=environment(**QUIET, PATH=path, OPENAI_BASE_URL=provider.url, **variables),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_pipecat_in_the_bots_process(tmp_path: Path) -> None:
    """The first block: the call is stored beside the bot, as one session."""
    (tmp_path / "bot.py").write_text(PIPECAT)
    paste(blocks("docs/pipecat.md", "sh")[0], tmp_path)
    assert len(rows(tmp_path / "voicebot-data", "sessions")) == 1


@pytest.mark.parametrize(
    ("page", "number", "file", "bot"),
    [("docs/pipecat.md", 1, "bot.py", PIPECAT), ("docs/livekit.md", 0, "agent.py", LIVEKIT)],
)
def test_a_bot_that_sends(tmp_path: Path, page: str, number: int, file: str, bot: str) -> None:
    """The block with a service: it has the call, and nothing was written beside the bot."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / file).write_text(bot)
    with Served(tmp_path / "data") as service:
        paste(blocks(page, "sh")[number], tmp_path / "bot", f"http://{service.where['http']}")
        until(lambda: service.total("voicebot_sessions_total") == 1)
    assert sorted(path.name for path in (tmp_path / "bot").iterdir() if path.name != "__pycache__") == [file]


def test_any_bot_under_the_command(tmp_path: Path) -> None:
    """The page on opentelemetry-instrument: spans, turns and sessions lie beside the bot."""
    (tmp_path / "bot.py").write_text(PLAIN_BOT)
    none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}
    paste(blocks("docs/opentelemetry-instrument.md", "sh")[0], tmp_path, **none)
    assert [len(rows(tmp_path / "voicebot-data", table)) for table in ("spans", "turns", "sessions")] == [5, 1, 1]


def test_the_three_lines_in_a_pipecat_bot(tmp_path: Path) -> None:
    """They give a worker that traces and measures, and a tracer provider."""
    block = blocks("docs/pipecat.md", "python")[0]
    program = (
        "from pipecat.pipeline.pipeline import Pipeline\n"
        "from pipecat.pipeline.worker import PipelineParams, PipelineWorker\n"
        "pipeline = Pipeline([])\n"
        f"{block}\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.trace import get_tracer_provider\n"
        "assert worker.turn_trace_observer and worker.params.enable_metrics and worker.params.enable_usage_metrics\n"
        "assert isinstance(get_tracer_provider(), TracerProvider)\n"
    )
    command: list[Any] = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment(**QUIET), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_line_in_a_livekit_agent(tmp_path: Path) -> None:
    """It starts the pipeline in the process that runs the job; a second call of the entrypoint changes nothing."""
    program = (
        blocks("docs/livekit.md", "python")[0]
        + "\nimport asyncio\nfrom tests.app.bots import call\n"
        + "asyncio.run(entrypoint(None))\nasyncio.run(entrypoint(None))\ncall()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment(**QUIET), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "voicebot-data", "spans")) == 5
