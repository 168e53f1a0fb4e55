"""The verbs that read: what they print for people and for machines."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from otel_voicebot.models import Engine
from otel_voicebot.spans.schema import PUBLISHED, SPANS_READ
from otel_voicebot.store import Snapshot
from tests.cli.conftest import Run, call, commit


def test_report_for_people(program: Run, data: Path) -> None:
    """Piped, a report is plain aligned text: no colour codes, no lines, nothing on stderr."""
    done = program("report", "--data", str(data))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"2 sessions, 2 turns, all time\ndata {data}, as of ")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  response_gap_p50_s ")]
    assert line.split() == ["response_gap_p50_s", "2.00", "s", "n", "=", "2"]
    assert "\x1b" not in done.stdout
    assert not set(done.stdout) & set("│┃─━┏")


def test_report_json(run: Run, data: Path) -> None:
    """`--json` gives one document with the KPIs by name."""
    found = json.loads(run("report", "--data", str(data), "--json").stdout)
    assert found["kpis"]["turns"]["value"] == 2
    assert found["kpis"]["response_gap_p50_s"]["value"] == 2.0
    assert found["kpis"]["error_rate"] == {
        "value": 0.5, "unit": "1", "numerator": 1, "denominator": 2, "excluded": 0, "exclusion": None, "note": None,
    }  # fmt: skip
    assert found["sections"]["errors"] == [
        {"component": "llm", "provider": "local", "error_type": "timeout", "errors": 1}
    ]


@pytest.mark.parametrize("words", [("--csv",), ("--format", "csv"), ("--format=csv",)])
def test_report_csv(run: Run, data: Path, words: tuple[str, ...]) -> None:
    """CSV holds the KPIs, one a line."""
    rows = {row["kpi"]: row for row in csv.DictReader(io.StringIO(run("report", "--data", str(data), *words).stdout))}
    assert rows["sessions"]["value"] == "2"
    assert rows["csat_share"]["value"] == ""


@pytest.mark.parametrize(
    ("kind", "start"),
    [("md", b"# Voicebot report"), ("html", b"<!doctype html>"), ("parquet", b"PAR1"), ("jsonl", b"{")],
)
def test_report_in_other_formats(run: Run, data: Path, tmp_path: Path, kind: str, start: bytes) -> None:
    """Every format can be written to a file, and stdout then holds nothing."""
    done = run("report", "--data", str(data), "--format", kind, "--output", "report.out", "--section", "components")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "report.out").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("words", "sessions"),
    [
        ((), 2),
        (("--variant", "B"), 1),
        (("--bot", "bank"), 2),
        (("--since", "2026-03-01T12:30:00Z"), 1),
        (("--until", "2026-03-01T12:30:00"), 1),
        (("--since", "2026-03-01", "--until", "2026-03-02"), 2),
        (("--since", "2026-03-01T14:30:00+02:00"), 1),
    ],
)
def test_selection(run: Run, data: Path, words: tuple[str, ...], sessions: int) -> None:
    """Windows select sessions by their start, times without an offset are UTC; filters select by name."""
    found = json.loads(run("report", "--data", str(data), "--json", *words).stdout)
    assert found["kpis"]["sessions"]["value"] == sessions


def test_slow(run: Run, data: Path) -> None:
    """The slowest turn stands first; its name is what `trace` takes."""
    found = json.loads(run("slow", "--data", str(data), "--json", "--limit", "1").stdout)
    assert [(turn["turn"], turn["waited_s"]) for turn in found["turns"]] == [("call-2/1", 3.0)]
    traced = json.loads(run("trace", found["turns"][0]["turn"], "--data", str(data), "--json").stdout)
    assert [span["component"] for span in traced["spans"]] == ["turn", "llm"]
    assert traced["turns"][0]["response_gap_s"] == 3.0


def test_trace_for_people(program: Run, data: Path) -> None:
    """A turn is drawn with marks for the caller's end of speech and the first bot audio."""
    done = program("trace", "call-2", "--turn", "1", "--data", str(data), PYTHONIOENCODING="utf-8", COLUMNS="90")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "turn 1 of session call-2\nbank  B  2026-03-01T13:00:01.000Z\nthe caller waited 3.00 s"
    )
    assert "▼ caller stops" in done.stdout
    assert "▼ bot speaks" in done.stdout
    assert "! timeout" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "asked", ["f" * 32, "F" * 32, "f" * 32 + "/1", "call-", "call-7", "a" * 31, "call-1/9", "c" * 5]
)
def test_trace_never_reads_the_whole_store(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """Neither for a trace that is unknown nor for the beginning of a name: the models see at most the call it names."""
    seen: list[frozenset[str]] = []
    real = Engine.__init__

    def build(self: Engine, source: Snapshot, *rest: Any, **others: Any) -> None:
        seen.append(source.traces)
        real(self, source, *rest, **others)

    monkeypatch.setattr(Engine, "__init__", build)
    done = run("trace", asked, "--data", str(data))
    assert {len(traces) for traces in seen} <= {1}
    if asked == "a" * 31:
        assert done.stdout.startswith("session call-1")
        assert seen
    elif asked == "call-1/9":
        assert "session call-1 has no turn 9: its turns are 1 to 1" in done.stderr
    else:
        assert done.returncode == (2 if asked == "call-" else 3)
        assert not seen
        said = "or retention or an erasure removed it" if len(asked) >= 32 else "call-1"
        assert said in done.stderr


def test_trace_takes_an_id_in_capitals(run: Run, data: Path) -> None:
    """Of a trace, with a turn or without; as it stands in some tools."""
    for asked, turn in (("B" * 32, None), ("B" * 32 + "/1", 1)):
        found = json.loads(run("trace", asked, "--data", str(data), "--json").stdout)
        assert (found["session_id"], found["turn"]) == ("call-2", turn)


def test_trace_finds_a_beginning_beside_a_damaged_file(run: Run, data: Path) -> None:
    """The call is shown; what can't be read is told, and is the exit code."""
    torn = commit(data, *call("call-3", "c", 1.0))
    torn.write_bytes(torn.read_bytes()[:-20])
    done = run("trace", "aaaa", "--data", str(data), "--json")
    assert json.loads(done.stdout)["session_id"] == "call-1"
    assert (done.returncode, str(torn) in done.stderr) == (4, True)


def test_trace_without_unicode(program: Run, data: Path) -> None:
    """Where stdout can't show more than ASCII, bars are ASCII."""
    done = program("trace", "call-2", "--data", str(data), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####" in done.stdout


def test_export_turns_csv(run: Run, data: Path) -> None:
    """Turns as CSV have the published columns."""
    rows = list(csv.DictReader(io.StringIO(run("export", "turns", "--data", str(data)).stdout)))
    assert list(rows[0]) == PUBLISHED["turns"].names
    assert [(row["session_id"], row["response_gap_s"], row["interrupted"]) for row in rows] == [
        ("call-1", "1.0", "false"),
        ("call-2", "3.0", "false"),
    ]
    cut = [json.loads(row["segments"]) for row in rows]
    assert [round(sum(part["duration_s"] for part in parts), 6) for parts in cut] == [1.0, 3.0]


def test_export_turns_with_their_segments(run: Run, data: Path, tmp_path: Path) -> None:
    """A list of objects as JSON lines, a list of structs as Parquet, the same."""
    path = tmp_path / "turns.parquet"
    run("export", "turns", "--format", "parquet", "--data", str(data), "--output", str(path))
    lines = run("export", "turns", "--format", "jsonl", "--data", str(data)).stdout.splitlines()
    stored = pq.read_table(path)["segments"].to_pylist()
    assert [json.loads(line)["segments"] for line in lines] == stored
    assert stored[0][0]["segment"] == "llm_first_token"


def test_export_spans(run: Run, data: Path, tmp_path: Path) -> None:
    """Spans as Parquet are in the readers' form with ids as hex; as JSON lines they are the same rows."""
    path = tmp_path / "spans.parquet"
    run("export", "spans", "--format", "parquet", "--data", str(data), "--output", str(path))
    table = pq.read_table(path)
    assert table.schema.equals(SPANS_READ)
    assert table.column("trace_id").to_pylist() == ["a" * 32] * 3 + ["b" * 32] * 3
    lines = run("export", "spans", "--format", "jsonl", "--variant", "B", "--data", str(data)).stdout.splitlines()
    assert [json.loads(line)["span_id"] for line in lines] == [f"{index:016x}" for index in (1, 2, 3)]


def test_export_sessions_json(run: Run, data: Path) -> None:
    """Sessions as JSON are one document with the rows."""
    found = json.loads(run("export", "sessions", "--json", "--data", str(data)).stdout)
    assert [(row["session_id"], row["outcome"]) for row in found["rows"]] == [
        ("call-1", "resolved"),
        ("call-2", "resolved"),
    ]


def test_schema(run: Run) -> None:
    """`schema` names every column with type and meaning, without any data."""
    found = json.loads(run("schema", "--json").stdout)
    assert {name: [column["name"] for column in columns] for name, columns in found["tables"].items()} == {
        name: schema.names for name, schema in PUBLISHED.items()
    }
    assert all(column["meaning"] for columns in found["tables"].values() for column in columns)
    assert "  response_gap_s " in run("schema", "turns").stdout


def test_data_from_the_environment(run: Run, data: Path) -> None:
    """OTEL_VOICEBOT_DATA names the directory; `--data` goes before it."""
    assert run("report", OTEL_VOICEBOT_DATA=str(data)).returncode == 0
    assert run("report", "--data", str(data), OTEL_VOICEBOT_DATA="/nowhere").returncode == 0


HOSTILE = "\x1b[31mred\n\u202eevil\u2066\x9b2J"


@pytest.mark.parametrize("verb", ["report", "slow", "trace"])
def test_nothing_of_a_sender_reaches_the_terminal(run: Run, tmp_path: Path, verb: str) -> None:
    """Control, line and direction characters of ids, bots, models and errors are shown as ``?``."""
    rows = call(HOSTILE, "c", 1.0, bot=HOSTILE, variant=HOSTILE, operation=HOSTILE)
    rows[2] |= {"model": HOSTILE, "provider": HOSTILE, "status": "error", "error_type": HOSTILE}
    commit(tmp_path / "data", *rows)
    done = run(
        verb, *(["cccc"] if verb == "trace" else []), *(["--bot", HOSTILE] if verb != "trace" else []), "--data", "data"
    )
    assert done.returncode == 0
    assert "?[31mred" in done.stdout
    assert not {"\x1b", "\u202e", "\u2066", "\x9b"} & {*done.stdout, *done.stderr}
    assert json.loads(run("slow", "--data", "data", "--json").stdout)["turns"][0]["session_id"] == HOSTILE


def test_errors_name_ids_without_control_characters(run: Run, tmp_path: Path) -> None:
    """An error that names ids shows them as the tables do."""
    commit(tmp_path / "data", *call(HOSTILE, "c", 1.0))
    done = run("trace", "nothing", "--data", "data")
    assert done.returncode == 3
    assert "?[31mred" in done.stderr
    assert not {"\x1b", "\u202e", "\u2066", "\x9b"} & {*done.stderr}


def test_token_counts_are_exact(run: Run, tmp_path: Path) -> None:
    """The largest count is shown to its last digit."""
    rows = call("call-1", "a", 1.0)
    rows[2] |= {"input_tokens": 2**63 - 1}
    commit(tmp_path / "data", *rows)
    assert "9223372036854775807 tokens in" in run("trace", "call-1", "--data", "data").stdout


def test_a_report_loads_what_it_needs(data: Path) -> None:
    """Its start is a third of a small report's time: no other verb, no writer, no pandas, no reader of YAML."""
    seen = "print(*[name for name in sys.modules if name.startswith(('otel_voicebot.', 'pandas', 'yaml', 'pyarrow.'))])"
    program = f"import sys; from otel_voicebot.cli import main; main(sys.argv[1:]); {seen}"
    done = subprocess.run(
        [sys.executable, "-c", program, "report", "--json", "--data", str(data)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"otel_voicebot.cli.report", "otel_voicebot.models.engine", "otel_voicebot.store.reader"} <= loaded
    needless = {f"otel_voicebot.{name}" for name in ("cli.serve", "cli.slow", "store.writer", "models.price_file")}
    assert loaded & {*needless, "pandas", "yaml", "pyarrow.compute"} == set()
