"""`logs`: the records of a call, by session and trace."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_voicebot.processors import Policy, prepare_logs
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import LOGS, LOGS_READ, decode_logs
from otel_voicebot.store import SpanStore
from tests.cli.conftest import Run
from tests.processors.batches import _pairs, _value
from tests.reports.tables import nano

A, B = "a" * 32, "b" * 32


def record(said: str, at: float, trace: str = "", severity: int = 9, **more: Any) -> LogRecord:
    """A record so many seconds after noon."""
    return LogRecord(
        body=_value(said),
        time_unix_nano=nano(at),
        trace_id=bytes.fromhex(trace),
        severity_number=severity,
        attributes=_pairs(more),
    )


def store(data: Path, *records: LogRecord, capture: bool = True, ingest: int = 1_795_219_367_000_000) -> Path:
    """Put them on disk as the service does."""
    payload = LogsData(
        resource_logs=[
            ResourceLogs(
                resource=Resource(attributes=_pairs({"service.name": "bank-bot"})),
                scope_logs=[ScopeLogs(scope=InstrumentationScope(name="app"), log_records=records)],
            )
        ]
    ).SerializeToString()
    rows = prepare_logs(decode_logs(payload), Policy(capture_content=capture), SelfMetrics(), "test", ingest)
    path = SpanStore(data).commit([rows], "logs").path
    assert path is not None
    return path


@pytest.fixture
def logs(data: Path) -> Path:
    """Records of call-1 (trace a), call-2 (trace b) and of no call."""
    store(
        data,
        record("second of call-1", 2, A, 13),
        record("first of call-1", 1, A),
        record("of call-2", 3, B, 17),
        record("of call-1, in another trace", 4, B, 9, **{"session.id": "call-1"}),
        record("of nobody", 5),
    )
    return data


def bodies(run: Run, data: Path, *words: str) -> list[str]:
    """What was said, in order."""
    done = run("logs", *words, "--data", str(data), "--json")
    assert done.returncode == 0, done.stderr
    return [row["body"] for row in json.loads(done.stdout)["records"]]


def test_a_record_belongs_to_its_own_session_else_to_its_traces(run: Run, logs: Path) -> None:
    """`--session` gives the records that name it and those of its traces that name none, by time."""
    assert bodies(run, logs, "--session", "call-1") == [
        "first of call-1",
        "second of call-1",
        "of call-1, in another trace",
    ]
    assert bodies(run, logs, "--session", "call-2") == ["of call-2"]
    assert bodies(run, logs, "--trace", B) == ["of call-2", "of call-1, in another trace"]
    assert bodies(run, logs, "--trace", B[:5].upper(), "--session", "call-2") == ["of call-2"]
    assert len(bodies(run, logs)) == 5


def test_a_trace_without_spans_is_the_session_that_its_records_name(run: Run, tmp_path: Path) -> None:
    """Where only logs came in one record that names the session is enough for its trace; other records stay apart."""
    data = tmp_path / "only-logs"
    store(data, record("named", 1, A, **{"session.id": "s"}), record("not named", 2, A), record("no trace", 3))
    assert bodies(run, data, "--session", "s") == ["named", "not named"]


def test_severity_and_time_narrow(run: Run, logs: Path) -> None:
    """`--severity` is a least one, also where the source gave a word only; `--since` and `--until` are record times."""
    store(logs, LogRecord(body=_value("a word"), severity_text="WARNING", time_unix_nano=nano(6)))
    assert bodies(run, logs, "--severity", "warn") == ["second of call-1", "of call-2", "a word"]
    assert bodies(run, logs, "--severity", "error") == ["of call-2"]
    noon = json.loads(run("logs", "--data", str(logs), "--json").stdout)["records"][0]["time"]
    assert noon.endswith("12:00:01.000000Z")
    since, until = noon.replace(":01.", ":02."), noon.replace(":01.", ":04.")
    assert bodies(run, logs, "--since", since, "--until", until) == ["second of call-1", "of call-2"]


def test_a_record_delivered_twice_is_shown_once(run: Run, logs: Path) -> None:
    """Equal in every column but when it came in: one record. One nanosecond apart: two."""
    again = record("again", 7, A)
    later = record("again", 7, A)
    later.time_unix_nano += 1
    store(logs, again, ingest=1_795_219_367_000_000)
    store(logs, again, later, ingest=1_795_219_368_000_000)
    assert bodies(run, logs, "--session", "call-1").count("again") == 2


def test_messages_are_lengths_without_content_capture(run: Run, data: Path) -> None:
    """A withheld body is shown by its length, in the table for people and as null elsewhere."""
    path = store(data, record("my card number is 4111", 1, A), capture=False)
    assert b"4111" not in path.read_bytes()
    assert "(withheld, 22 characters)" in run("logs", "--session", "call-1", "--data", str(data)).stdout
    assert bodies(run, data, "--session", "call-1") == [None]


def test_every_format(run: Run, logs: Path, tmp_path: Path) -> None:
    """Table, JSON, CSV, JSON lines, Parquet, Markdown and HTML hold the same records."""
    words = ("logs", "--session", "call-1", "--data", str(logs))
    table = run(*words)
    assert [line.count("of call-1") for line in table.stdout.splitlines()[-3:]] == [1, 1, 1]
    assert "WARN" in table.stdout
    rows = list(csv.DictReader(io.StringIO(run(*words, "--csv").stdout)))
    assert [row["session_id"] for row in rows] == ["call-1"] * 3
    lines = [json.loads(line) for line in run(*words, "--format", "jsonl").stdout.splitlines()]
    assert list(lines[0]) == LOGS_READ.names
    assert lines[2]["trace_id"] == B
    run(*words, "--format", "parquet", "--output", str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").schema.names == LOGS_READ.names
    assert "| first of call-1 |" in run(*words, "--format", "md").stdout
    assert "<td>first of call-1</td>" in run(*words, "--format", "html").stdout


def test_the_limit_keeps_the_last_and_says_so(run: Run, logs: Path) -> None:
    """What is left out is counted, never silently."""
    done = run("logs", "-n", "2", "--data", str(logs), "--json")
    found = json.loads(done.stdout)
    assert [row["body"] for row in found["records"]] == ["of call-1, in another trace", "of nobody"]
    assert found["found"] == 5
    assert "the last 2 of 5 records" in done.stderr
    assert "3 earlier records are left out" in run("logs", "-n", "2", "--data", str(logs)).stdout


def test_exit_codes(run: Run, logs: Path, tmp_path: Path, data: Path) -> None:
    """No data 3, wrong usage 2, a damaged file 4 with the rest printed."""
    assert run("logs", "--session", "nobody", "--data", str(logs)).returncode == 3
    assert run("logs", "--data", str(tmp_path / "nothing")).returncode == 3
    assert run("logs", "--severity", "loud", "--data", str(logs)).returncode == 2
    assert run("logs", "--since", "yesterday-ish", "--data", str(logs)).returncode == 2
    several = run("logs", "--session", "call", "--data", str(logs))
    assert (several.returncode, "call-1, call-2" in several.stderr) == (2, True)
    damaged = store(logs, record("lost", 9, A))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    done = run("logs", "--session", "call-1", "--data", str(logs), "--json")
    assert done.returncode == 4
    assert len(json.loads(done.stdout)["records"]) == 3
    assert str(damaged) in done.stderr


def test_damage_inside_a_file_is_found_and_named(run: Run, logs: Path) -> None:
    """A page that can't be read costs its file only."""
    path = store(logs, *[record(f"noise {number} {'x' * number}", number, A) for number in range(500)])
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 64] = b"\xff" * 64
    path.write_bytes(content)
    done = run("logs", "--session", "call-2", "--data", str(logs), "--json")
    assert done.returncode == 4
    assert [row["body"] for row in json.loads(done.stdout)["records"]] == ["of call-2"]


def test_a_program_of_its_own(program: Run, logs: Path) -> None:
    """From outside the process, with stdout a pipe."""
    done = program("logs", "--session", "call-2", "--data", str(logs), "--format", "jsonl")
    assert (done.returncode, json.loads(done.stdout)["body"]) == (0, "of call-2")


def test_logs_of_history_read_as_hot_ones(run: Run, data: Path) -> None:
    """A merged hour holds hex ids; the records are the same."""
    path = store(data, record("merged", 1, A))
    rows = pq.read_table(path, partitioning=None).cast(LOGS)
    directory = data / "history" / "logs" / path.parent.parent.name / path.parent.name
    directory.mkdir(parents=True)
    ids = {
        name: pa.array([value and value.hex() for value in rows[name].to_pylist()]) for name in ("trace_id", "span_id")
    }
    columns = [ids.get(name, rows[name]) for name in LOGS.names]
    pq.write_table(pa.table(columns, schema=LOGS_READ), directory / "part-0.parquet")
    assert bodies(run, data, "--session", "call-1") == ["merged"]
