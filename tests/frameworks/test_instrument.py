"""The plain `opentelemetry-instrument` command as a door."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.served import Served
from tests.frameworks.calls import INSTRUMENT, environment, rows

pytest.importorskip("opentelemetry.distro", reason="the extra frameworks is not installed: make frameworks")

BOT = """
from tests.app.bots import call
from opentelemetry import trace
call()
print(type(trace.get_tracer_provider()).__module__)
"""
QUIET = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}


def run(*options: str, **variables: str) -> tuple[str, str]:
    """Output and errors of a bot under the command."""
    done = subprocess.run(
        [*INSTRUMENT, *options, sys.executable, "-c", BOT],
        env=environment(**QUIET, OTEL_VOICEBOT_METRICS_ADDR="none", **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_attached_beside_another_exporter(tmp_path: Path) -> None:
    """Asked for, everything is computed in the bot: spans, turns, sessions; the console's exporter gets its spans."""
    out, _ = run("--traces_exporter", "console", OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_ATTACH="true")
    assert len(rows(tmp_path, "spans")) == out.count('"span_id": ') == 5
    assert [row["outcome"] for row in rows(tmp_path, "sessions")] == ["resolved"]
    assert len(rows(tmp_path, "turns")) == 1


def test_the_exporter_by_name_stores_spans_only(tmp_path: Path) -> None:
    """`otel_voicebot` among the exporters writes Parquet and computes nothing."""
    run("--traces_exporter", "otel_voicebot", OTEL_VOICEBOT_DATA=str(tmp_path))
    assert len(rows(tmp_path, "spans")) == 5
    assert [path.name for path in (tmp_path / "hot").iterdir()] == ["spans"]


def test_not_asked_nothing_happens(tmp_path: Path) -> None:
    """A program that runs under the command where our package happens to be installed is left alone."""
    out, errors = run("--traces_exporter", "none", OTEL_VOICEBOT_DATA=str(tmp_path))
    assert (out, errors) == ("opentelemetry.sdk.trace\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_bot_that_sends_writes_nothing_itself(tmp_path: Path, scheme: str) -> None:
    """Its spans are at the service when it has ended, over either protocol."""
    mine = tmp_path / "mine"
    with Served(tmp_path / "service") as service:
        door = f"{scheme}://{service.where[scheme]}"
        run("--traces_exporter", "none", OTEL_VOICEBOT_DATA=str(mine), OTEL_VOICEBOT_SEND_TO=door)
        assert len(rows(tmp_path / "service", "spans")) == 5
    assert not mine.exists()


JOBS = """
import multiprocessing, sys
from otel_voicebot.zerocode import start
from tests.app.bots import call

def job(name):
    start()
    call(name)

if __name__ == "__main__":
    if "parent" in sys.argv:
        start()
    process = multiprocessing.get_context(sys.argv[1]).Process(target=job, args=("job",))
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("started", ["job", "parent"])
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_process_of_multiprocessing_leaves_its_call(tmp_path: Path, method: str, started: str) -> None:
    """It ends without Python's atexit; its turn and its session are there all the same, wherever we were started."""
    (tmp_path / "jobs.py").write_text(JOBS)
    done = subprocess.run(
        [sys.executable, "jobs.py", method, started],
        cwd=tmp_path,
        env=environment(OTEL_VOICEBOT_METRICS_ADDR="none"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = tmp_path / "voicebot-data"
    assert [len(rows(data, table)) for table in ("spans", "turns", "sessions")] == [5, 1, 1]


def test_a_wrong_setting_is_said_and_the_program_runs(tmp_path: Path) -> None:
    """The log names the setting; the bot has its calls."""
    out, errors = run("--traces_exporter", "none", OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_SEND_TO="nowhere")
    assert out == "opentelemetry.sdk.trace\n"
    assert "OTEL_VOICEBOT_SEND_TO" in errors
