"""`import`: OTLP files into the store."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.program import PROGRAM
from otel_voicebot.errors import NoDataError
from otel_voicebot.store import snapshot
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


def following(data: Path, *files: Path, interval: float = 0.05) -> "subprocess.Popen[str]":
    """A program that follows files."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM,
         "import", "--follow", *map(str, files), "--data", str(data), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]),
             "OTEL_VOICEBOT_COMMIT_INTERVAL": str(interval)},
    )  # fmt: skip


def until(says: Callable[[], bool]) -> None:
    """Wait for it, at most a minute."""
    deadline = time.monotonic() + 60
    while not says():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stored(data: Path) -> list[tuple[bytes, bytes]]:
    """The key of every row in the files, repeated ones too."""
    try:
        rows = snapshot(data).read(["trace_id", "span_id"])
    except NoDataError:
        return []
    return list(zip(*(rows[name].to_pylist() for name in ("trace_id", "span_id")), strict=True))


def calls(count: int) -> list[str]:
    """Lines of a file exporter: calls that differ in their ids, of a few spans each."""
    lines = []
    for number in range(count):
        trace, root = f"{number + 1:032x}", f"{1:016x}"
        spans = [
            {
                "traceId": trace,
                "spanId": f"{place:016x}",
                **({"parentSpanId": root} if place > 1 else {}),
                "name": "voicebot.session" if place == 1 else "voicebot.turn",
                "startTimeUnixNano": str(1_790_000_000_000_000_000 + number * 10**10 + place * 10**9),
                "endTimeUnixNano": str(1_790_000_000_500_000_000 + number * 10**10 + place * 10**9),
                "attributes": [{"key": "session.id", "value": {"stringValue": f"call-{number}"}}]
                + ([{"key": "voicebot.turn.index", "value": {"intValue": str(place - 1)}}] if place > 1 else []),
            }
            for place in (1, 2, 3)
        ]
        scope = {"scope": {"name": "otel_voicebot"}, "spans": spans}
        lines.append(json.dumps({"resourceSpans": [{"scopeSpans": [scope]}]}) + "\n")
    return lines


def kpis(run: Run, data: Path) -> object:
    """The report's figures."""
    return json.loads(run("report", "--data", str(data), "--json").stdout)["kpis"]


@pytest.mark.slow
def test_follow_counts_once_however_often_it_is_killed(run: Run, tmp_path: Path) -> None:
    """Killed at random moments while its file grows and rotates, a follower leaves each span on disk exactly once.

    The report is that of a plain import, also after the same file was imported once more.
    """
    drawn, data, path = random.Random(4), tmp_path / "followed", tmp_path / "spans.jsonl"
    lines = calls(240)
    written = ""
    for part in range(8):
        process = following(data, path)
        for line in lines[part * 30 : part * 30 + 30]:
            half = drawn.randint(1, len(line))
            for piece in (line[:half], line[half:]):
                with path.open("a") as file:
                    file.write(piece)
                time.sleep(drawn.uniform(0, 0.1))
            written += line
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        if part % 3 == 1:
            path.rename(tmp_path / f"spans-2026-11-21T10-0{part}-00.000.jsonl")
    process = following(data, path)
    assert process.stderr is not None
    assert "following" in process.stderr.readline()  # all may be stored already, by those that were killed
    until(lambda: len(set(stored(data))) == 720)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out)["unreadable"] == []
    assert len(stored(data)) == 720
    whole = tmp_path / "whole.jsonl"
    whole.write_text(written)
    run("import", str(whole), "--data", str(tmp_path / "plain"))
    assert kpis(run, data) == kpis(run, tmp_path / "plain")
    run("import", str(whole), "--data", str(data))  # a second, plain import of the same
    assert kpis(run, data) == kpis(run, tmp_path / "plain")


def test_follow_ends_with_a_commit(tmp_path: Path) -> None:
    """At Ctrl-C, long before a commit is due, what was read is put on disk; a second follower reads nothing again."""
    data, path = tmp_path / "data", tmp_path / "spans.jsonl"
    path.write_text("".join(calls(5)))
    for spans in (15, 0):
        process = following(data, path, interval=3600)
        assert process.stderr is not None
        assert "following" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert (json.loads(out)["spans"], json.loads(out)["repeated"]) == (spans, 0)
    assert len(stored(data)) == 15


def test_what_was_committed_but_not_noted_is_left_out(tmp_path: Path) -> None:
    """Killed between commit and note: without the note everything is read again, and nothing is stored again."""
    data, path = tmp_path / "data", tmp_path / "spans.jsonl"
    path.write_text("".join(calls(5)))
    for repeated in (0, 15):
        process = following(data, path)
        until(lambda: len(list((data / "import").glob("*.json"))) == 1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert json.loads(out)["repeated"] == repeated
        for note in (data / "import").glob("*.json"):
            note.unlink()
    assert len(stored(data)) == 15


def test_a_file_that_can_not_be_followed_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    """One document compressed as a whole can't grow; nor can a pipe."""
    (tmp_path / "spans.gz").write_bytes(gzip.compress(b"{}"))
    os.mkfifo(tmp_path / "pipe")
    for name in ("spans.gz", "pipe", "no-such-directory/file"):
        done = run("import", "--follow", name, "--data", "data")
        assert (done.returncode, name in done.stderr) == (2, True)
