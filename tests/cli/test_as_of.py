"""`--as-of`: a report of the past, repeated (issue 7, late outcomes)."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run
from tests.models.twelve import tables

BEFORE, AFTER = "2026-03-09T09:59:59.999999Z", "2026-03-09T10:00:00Z"
"""s11's survey is told on 9 March at 10:00, the day after the call."""


@pytest.fixture
def calls(run: Run, tmp_path: Path) -> Run:
    """A way to run commands on the twelve calls, all of which came in today."""
    (tmp_path / "calls.jsonl").write_text("".join(f"{line}\n" for line in tables.lines()))
    assert run("import", str(tmp_path / "calls.jsonl"), "--data", "voicebot-data").returncode == 0
    return run


def document(calls: Run, *options: str) -> dict[str, Any]:
    """A report as JSON."""
    found: dict[str, Any] = json.loads(calls("report", "--json", *options).stdout)
    return found


def test_what_was_told_later_is_left_out(calls: Run) -> None:
    """A microsecond before the survey it isn't known; at its moment it is; calls of later days aren't either time."""
    before, after = (document(calls, "--as-of", moment) for moment in (BEFORE, AFTER))
    assert (before["as_of"], after["as_of"]) == (BEFORE, "2026-03-09T10:00:00.000000Z")
    assert before["kpis"]["sessions"]["value"] == after["kpis"]["sessions"]["value"] == 11
    assert (before["kpis"]["csat_share"]["denominator"], after["kpis"]["csat_share"]["denominator"]) == (3, 4)
    changed = {name for name, kpi in before["kpis"].items() if kpi != after["kpis"][name]}
    # s11's own day ends 45 s after the survey: it changes no window
    assert changed == {"csat_share", "csat_mean", "csat_response_rate", "nps", "nps_response_rate"}


def test_a_report_can_be_repeated(run: Run, tmp_path: Path) -> None:
    """A report made when only the calls up to a moment were there is the report as of that moment, made afterwards."""
    cut = "2026-03-06T12:00:00"
    then = [line for line in tables.CALLS.splitlines() if not line.strip().startswith("s") or line.split()[4] < cut]
    for name, lines in (("then", tables.lines("\n".join(then))), ("now", tables.lines())):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        assert run("import", str(tmp_path / f"{name}.jsonl"), "--data", name).returncode == 0
    made = [json.loads(run("report", "--json", "--as-of", cut, "--data", name).stdout) for name in ("then", "now")]
    assert {**made[0], "data": ""} == {**made[1], "data": ""}
    assert made[0]["kpis"]["sessions"]["value"] == 8
    assert made[0]["kpis"]["fcr_7d"]["provisional"] == 6  # s01, s03, s05, s06, s07 and s08: no week has passed


def test_a_window_looks_back_from_that_moment(calls: Run) -> None:
    """`--since 2d` is two days before the moment; what the days before it tell of callers counts as ever."""
    found = document(calls, "--as-of", "2026-03-06T12:00:00Z", "--since", "2d")
    assert found["window"] == {"since": "2026-03-04T12:00:00.000000Z", "until": None}
    assert found["kpis"]["sessions"]["value"] == 2  # s04 and s08
    assert found["kpis"]["fcr_7d"]["provisional"] == 1  # s04 repeats s03, which began before the window


READERS: dict[str, Callable[[bytes], float]] = {
    "json": lambda text: json.loads(text)["kpis"]["csat_share"]["denominator"],
    "csv": lambda text: _row(csv.DictReader(io.StringIO(text.decode()))),
    "jsonl": lambda text: _row(map(json.loads, text.splitlines())),
    "parquet": lambda text: _row(pq.read_table(io.BytesIO(text)).to_pylist()),
}


def _row(rows: Any) -> float:
    (found,) = [row for row in rows if row["kpi"] == "csat_share"]
    return float(found["denominator"])


@pytest.mark.parametrize("kind", READERS)
def test_every_format_for_programs_is_of_that_moment(calls: Run, tmp_path: Path, kind: str) -> None:
    """The survey of the next day is in none of them before it came."""
    for moment, answers in ((BEFORE, 3), (AFTER, 4)):
        options = ("--format", kind, "--as-of", moment, "--output", f"report.{kind}")
        assert calls("report", *options).returncode == 0
        assert READERS[kind]((tmp_path / f"report.{kind}").read_bytes()) == answers


@pytest.mark.parametrize("kind", ["table", "md", "html"])
def test_every_format_for_people_says_as_of_when(calls: Run, kind: str) -> None:
    """The moment asked for stands in its head, and not the present."""
    done = calls("report", "--format", kind, "--as-of", AFTER)
    assert "as of 2026-03-09T10:00:00.000Z" in done.stdout


@pytest.mark.parametrize("section", ["latencies", "segments", "concurrency"])
def test_sections_are_of_that_moment(calls: Run, section: str) -> None:
    """Windows that end now end then, and waits that were stored later don't count: s12 of April is in none."""
    early = calls("report", "--section", section, "--format", "json", "--as-of", "2026-03-02T00:00:00Z")
    late = calls("report", "--section", section, "--format", "json", "--as-of", "2026-03-09T00:00:00Z")
    assert early.returncode == late.returncode == 0
    assert "2026-03-08" not in early.stdout.replace("2026-03-09", "")
    assert json.loads(early.stdout)["sections"][section] != json.loads(late.stdout)["sections"][section]


def test_export_and_compare_take_it_too(calls: Run) -> None:
    """The rows of sessions are those of that moment; sides are calls of that moment."""
    rows = [
        {row["session_id"]: row["csat"] for row in map(json.loads, done.stdout.splitlines())}
        for done in (calls("export", "sessions", "--format", "jsonl", "--as-of", moment) for moment in (BEFORE, AFTER))
    ]
    assert (rows[0]["s11"], rows[1]["s11"]) == (None, 4)
    assert "s12" not in rows[1]
    words = ("compare", "bank", "bank2", "--by", "bot", "--as-of", AFTER)
    assert "no sessions of bot bank2" in calls(*words).stderr
    periods = ("compare", "5d..2d", "2d..", "--as-of", "2026-03-09T12:00:00Z", "--min-calls", "10", "--json")
    found = json.loads(calls(*periods).stdout)
    assert (found["a"]["sessions"], found["b"]["sessions"]) == (4, 1)  # s04 s08 s09 s10, s11
    assert found["as_of"] == "2026-03-09T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("when", "sentence"),
    [("9000-01-01", "--as-of 9000-01-01 lies in the future"), ("soon", "--as-of 'soon' is no time")],
)
def test_a_wrong_moment_is_named(calls: Run, when: str, sentence: str) -> None:
    """One sentence, exit code 2."""
    done = calls("report", "--as-of", when)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_moment_before_all_has_no_data(calls: Run) -> None:
    """Nothing had happened: exit code 3."""
    assert calls("report", "--as-of", "2026-02-01").returncode == 3


@pytest.mark.parametrize(
    "command",
    [
        ("slow", "--json"),
        ("why", "--json", "--since", "2d"),
        ("business-dashboard", "--json"),
        ("orchestrator-log", "--json", "--window", "2d"),
    ],
    ids=lambda command: command[0],
)
def test_every_verb_that_answers_takes_it(calls: Run, command: tuple[str, ...]) -> None:
    """Each answers as of the moment, from which its windows count back; before the first call there is nothing."""
    done = calls(*command, "--as-of", BEFORE)
    assert done.returncode == 0, done.stderr
    assert BEFORE in done.stdout
    nothing = calls(*command, "--as-of", "2026-03-01")
    assert (nothing.returncode, "no " in nothing.stdout + nothing.stderr) == (3, True)


def test_anomalies_take_it_and_a_service_has_no_past(calls: Run) -> None:
    """Twelve calls are too few to judge, then as now; who asks a service is sent to the directory."""
    assert "too little history" in calls("anomalies", "--as-of", BEFORE).stderr
    refused = calls("orchestrator-log", "--url", "http://127.0.0.1:1", "--as-of", BEFORE)
    assert (refused.returncode, "doesn't know what was when" in refused.stderr) == (2, True)
