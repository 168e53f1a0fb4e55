"""A data directory with two calls, and a way to run the command line on it as a program."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from bench.program import PROGRAM
from otel_voicebot.cli import main
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore
from tests.reports.tables import NOON, nano, span

Run = Callable[..., subprocess.CompletedProcess[str]]


def commit(data: Path, *rows: Mapping[str, object]) -> Path:
    """Put spans into the store, as a bot would; returns the file."""
    batch = pa.RecordBatch.from_pylist([_stored(row) for row in rows], schema=SPANS)
    return SpanStore(data).commit([batch]).path


def _stored(row: Mapping[str, object]) -> dict[str, object]:
    ids = {key: bytes.fromhex(str(row[key])) for key in ("trace_id", "span_id", "parent_span_id") if row[key]}
    return {"ingest_time": NOON, "schema_version": 1, **row, **ids}


def call(name: str, trace: str, gap: float, start: float = 0, **columns: object) -> list[dict[str, object]]:
    """A call of one exchange with this response gap, ``start`` seconds after noon."""
    own = {"session_id": name, "trace_id": trace * 32, "variant": "A", **columns}
    root, turn, llm = (f"{index:016x}" for index in (1, 2, 3))
    heard, spoken = nano(start + 2), nano(start + 2 + gap)
    return [
        span(root, "session", start, start + 30, **own, turn_index=None, outcome="resolved", name="voicebot.session"),
        span(turn, "turn", start + 1, start + 9, **own, parent_span_id=root,
             user_speech_end_unix_nano=heard, bot_speech_start_unix_nano=spoken),
        span(llm, "llm", start + 2, start + 2 + gap, **own, parent_span_id=turn, provider="local", model="rules",
             time_to_first_chunk_s=gap / 2, input_tokens=10, output_tokens=20),
    ]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two calls: call-1 waits 1 s, call-2, of variant B and an hour later, 3 s and its model fails."""
    directory = tmp_path / "data"
    commit(directory, *call("call-1", "a", 1.0))
    later = call("call-2", "b", 3.0, timedelta(hours=1).total_seconds(), variant="B")
    later[2] |= {"status": "error", "error_type": "timeout"}
    commit(directory, *later)
    return directory


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command line in this process, in an empty directory; nothing is a terminal."""
    monkeypatch.chdir(tmp_path)

    def within(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            capfdbinary.readouterr()
            code = main(words)
            out, err = capfdbinary.readouterr()
        return subprocess.CompletedProcess(words, code, out.decode(), err.decode())

    return within


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Run it as a program of its own, with a clean environment."""

    def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )

    return start
