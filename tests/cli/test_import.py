"""`import`: OTLP files into the store."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
PIPECAT = CAPTURES / "pipecat.otlp.json"


def spans_in(path: Path) -> int:
    """Spans of an OTLP JSON document."""
    return sum(
        len(scope["spans"])
        for resource in json.loads(path.read_text())["resourceSpans"]
        for scope in resource["scopeSpans"]
    )


def test_what_was_imported(run: Run, tmp_path: Path) -> None:
    """Spans of a file are in the store afterwards, each once, also when the file is given twice."""
    wanted = spans_in(PIPECAT)
    done = run("import", str(PIPECAT), "--data", "data", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["spans"], found["unreadable"]) == (0, wanted, [])
    assert found["sessions"] >= 1
    run("import", str(PIPECAT), "--data", "data")
    lines = run("export", "spans", "--format", "jsonl", "--data", "data").stdout.splitlines()
    assert len({(row["trace_id"], row["span_id"]) for row in map(json.loads, lines)}) == len(lines) == wanted


def test_sentence(run: Run) -> None:
    """For people one sentence says how much; which file is read goes to stderr."""
    done = run("import", str(PIPECAT), "--data", "data")
    assert done.stdout.startswith(f"{spans_in(PIPECAT)} spans of ")
    assert done.stderr == "reading pipecat.otlp.json (1 of 1)\n"


def test_truncated_file(run: Run, tmp_path: Path) -> None:
    """A file that is cut off is named, with exit code 4; what could be read of it and the other files are kept."""
    line = json.dumps(json.loads(PIPECAT.read_text()))
    cut = tmp_path / "cut.jsonl"
    cut.write_text(f"{line}\n{line[: len(line) // 2]}")
    packed = tmp_path / "whole.jsonl.gz"
    packed.write_bytes(gzip.compress(line.encode()))
    done = run("import", str(cut), str(packed), "--data", "data", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 4
    assert found["spans"] == 2 * spans_in(PIPECAT)
    assert len(found["unreadable"]) == 1
    assert str(cut) in found["unreadable"][0]
    assert str(cut) in done.stderr


def test_no_otlp(run: Run, tmp_path: Path) -> None:
    """A file that is no OTLP at all leaves nothing behind but a sentence."""
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    done = run("import", "notes.txt", "--data", "data")
    assert done.returncode == 4
    assert "notes.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_empty_file(run: Run, tmp_path: Path) -> None:
    """An empty file, which a Collector leaves when it has just begun one, is no error: it holds 0 spans."""
    (tmp_path / "empty.json").write_bytes(b"")
    for name in ("empty.json", "/dev/null"):
        done = run("import", name, "--data", "data")
        assert (done.returncode, done.stdout) == (0, "0 spans of 0 sessions imported\n")


@pytest.mark.parametrize("content", [PIPECAT.read_bytes(), gzip.compress(PIPECAT.read_bytes())], ids=["plain", "gzip"])
def test_pipe(run: Run, tmp_path: Path, content: bytes) -> None:
    """A pipe is read as a file is, plain or compressed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    done = run("import", str(pipe), "--data", "data", "--json")
    writer.join(10)
    assert (done.returncode, json.loads(done.stdout)["spans"]) == (0, spans_in(PIPECAT))


def test_data_in_the_way(run: Run, tmp_path: Path) -> None:
    """A data directory that can't be made is said so, with exit code 6."""
    (tmp_path / "file").write_text("")
    done = run("import", str(PIPECAT), "--data", "file/data", "--json")
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"]["code"] == 6


@pytest.mark.parametrize("name", sorted(path.name for path in CAPTURES.glob("*.pb")))
def test_every_capture(run: Run, name: str) -> None:
    """Real captures of other frameworks are read, and can be reported on."""
    assert run("import", str(CAPTURES / name), "--data", "data").returncode == 0
    found = json.loads(run("report", "--data", "data", "--json").stdout)
    assert found["kpis"]["sessions"]["value"] >= 1


def test_logs_are_stored_too(run: Run, tmp_path: Path) -> None:
    """Log records of a file are in the store, told apart from spans, and found by session."""
    record = {
        "observedTimeUnixNano": "1700000000000000000",
        "severityNumber": 13,
        "body": {"stringValue": "a line"},
        "attributes": [{"key": "session.id", "value": {"stringValue": "call-9"}}],
    }
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    (tmp_path / "mixed.jsonl").write_text(f"{json.dumps(json.loads(PIPECAT.read_text()))}\n{json.dumps(logs)}\n")
    done = run("import", "mixed.jsonl", "--data", "data", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["spans"], found["logs"]) == (0, spans_in(PIPECAT), 1)
    shown = json.loads(run("logs", "--session", "call-9", "--data", "data", "--json").stdout)
    assert [row["body_characters"] for row in shown["records"]] == [6]
    assert "1 log records" in run("import", "mixed.jsonl", "--data", "data").stdout
