"""`import --outcomes`: what is known after the call restates it in every report."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run
from tests.models.twelve import tables

DAY_AFTER = "2026-03-09T10:00:00+00:00"


def imported(run: Run, tmp_path: Path) -> None:
    """The twelve calls, as they were known before s11's survey came."""
    facts = tables.FACTS
    (tmp_path / "calls.jsonl").write_text("")
    try:
        tables.FACTS = "\n".join(line for line in facts.splitlines() if " late " not in line)
        (tmp_path / "calls.jsonl").write_text("".join(f"{line}\n" for line in tables.lines()))
    finally:
        tables.FACTS = facts
    assert run("import", str(tmp_path / "calls.jsonl"), "--data", "data").returncode == 0


def kpis(run: Run, *options: str) -> dict[str, Any]:
    """The KPIs that a report prints."""
    found: dict[str, Any] = json.loads(run("report", "--json", "--data", "data", *options).stdout)["kpis"]
    return found


def session(run: Run, name: str) -> dict[str, Any]:
    """A session's row as it is exported."""
    lines = run("export", "sessions", "--format", "jsonl", "--data", "data").stdout.splitlines()
    (found,) = [row for row in map(json.loads, lines) if row["session_id"] == name]
    return dict(found)


def written(tmp_path: Path, kind: str, row: dict[str, Any]) -> Path:
    """A table of one row."""
    path = tmp_path / f"survey.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        mark = ";" if kind == "semicolons" else ","
        path.write_text(f"{mark.join(row)}\n{mark.join(str(one) for one in row.values())}\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "semicolons", "parquet"])
def test_a_survey_of_the_next_day_restates_its_session(run: Run, tmp_path: Path, kind: str) -> None:
    """Before it the session has no answer; after it report and export have it, and nothing else has changed."""
    imported(run, tmp_path)
    before, row = kpis(run), session(run, "s11")
    assert (row["csat"], before["csat_share"]["denominator"]) == (None, 3)
    survey = written(tmp_path, kind, {"session_id": "s11", "time": DAY_AFTER, "csat": 4, "nps": 10})
    done = run("import", "--outcomes", str(survey), "--data", "data", "--json")
    assert (done.returncode, json.loads(done.stdout)["spans"]) == (0, 1)
    after, now = kpis(run), session(run, "s11")
    assert (now["csat"], now["nps"]) == (4, 10)
    assert {name for name in row if row[name] != now[name]} - {"computed_at"} == {"csat", "nps"}
    assert after["csat_share"]["numerator"] == 2
    assert {name for name in before if before[name] != after[name]} == {
        *("csat_share", "csat_mean", "csat_response_rate", "nps", "nps_response_rate"),
    }
    run("import", "--outcomes", str(survey), "--data", "data")
    assert kpis(run) == after


def test_a_correction_and_a_callback(run: Run, tmp_path: Path) -> None:
    """s03 turns out unresolved; s04's caller rings a hotline that has no spans, an hour after."""
    imported(run, tmp_path)
    before = kpis(run)
    (tmp_path / "late.csv").write_text(
        "session_id,time,outcome,callback\n"
        "s03,2026-03-03T09:00:00,unresolved,\n"
        "s04,2026-03-05T10:00:00+00:00,,yes\n"
        "s07,2026-03-05T10:00:00+00:00,,no\n"
    )
    assert run("import", "--outcomes", str(tmp_path / "late.csv"), "--data", "data").returncode == 0
    after = kpis(run)
    assert session(run, "s03")["outcome"] == "unresolved"
    # of s03, s04, s07, s11 and s12 two are left
    assert (before["fcr_1d"]["numerator"], after["fcr_1d"]["numerator"]) == (5, 3)
    assert (before["strict_containment_24h"]["numerator"], after["strict_containment_24h"]["numerator"]) == (6, 5)
    assert before["containment"] == after["containment"]


WRONG = {
    "s01,6,,": "row 1: csat '6': must be a whole number from 1 to 5",
    "s01,3.5,,": "row 1: csat '3.5': must be a whole number from 1 to 5",
    "s01,good,,": "row 1: csat 'good': must be a whole number from 1 to 5",
    "s01,,11,": "row 1: nps '11': must be a whole number from 0 to 10",
    "s01,,-1,": "row 1: nps '-1': must be a whole number from 0 to 10",
    "s01,,1_0,": "row 1: nps '1_0': must be a whole number from 0 to 10",
    "s01,,,": "row 1: it tells nothing: csat, nps, outcome, callback are all empty",
    ",5,,": "row 1: session_id is missing",
    "s99,5,,": "row 1: session_id 's99': no such session in data",
    "s01,5,,yesterday": "row 1: time 'yesterday': must be ISO 8601",
}


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_row_is_named_with_its_value_and_the_rest_is_kept(run: Run, tmp_path: Path, row: str) -> None:
    """Exit code 4 and one sentence; the right row behind it counts."""
    imported(run, tmp_path)
    (tmp_path / "late.csv").write_text(f"session_id,csat,nps,time\n{row}\ns02,5,,\n")
    done = run("import", "--outcomes", str(tmp_path / "late.csv"), "--data", "data", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["spans"]) == (4, 1)
    assert WRONG[row] in found["unreadable"][0]
    assert "Traceback" not in done.stderr
    assert session(run, "s02")["csat"] == 5


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("csat,nps\n5,10\n", 2, "its columns are csat, nps; outcomes need session_id"),
        ("session_id,score\ns01,5\n", 2, "at least one of csat, nps, outcome, callback"),
        ("", 2, "its columns are none"),
        ("session_id,outcome\ns01,fine\n", 4, "row 1: outcome 'fine': must be one of resolved, unresolved"),
        ("session_id,callback\ns01,perhaps\n", 4, "row 1: callback 'perhaps': must be yes or no"),
        ("session_id,csat,csat\ns01,5,1\n", 2, "it has the column csat twice, and which of them counts isn't known"),
        ('session_id,csat\n"s01,5\ns02,4\n', 4, "neither CSV nor Parquet: unexpected end of data"),
    ],
)
def test_what_is_no_table_of_outcomes(run: Run, tmp_path: Path, text: str, code: int, says: str) -> None:
    """One sentence, the right exit code, and nothing stored."""
    imported(run, tmp_path)
    before = kpis(run)
    (tmp_path / "late.csv").write_text(text)
    done = run("import", "--outcomes", str(tmp_path / "late.csv"), "--data", "data")
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert kpis(run) == before


def test_columns_that_mean_nothing_are_named(run: Run, tmp_path: Path) -> None:
    """A survey tool's export may hold more; what isn't taken is said."""
    imported(run, tmp_path)
    (tmp_path / "late.csv").write_text("session_id,csat,agent name\ns02,5,Eve\n")
    done = run("import", "--outcomes", str(tmp_path / "late.csv"), "--data", "data")
    assert done.returncode == 0
    assert "columns that mean nothing here are left out: agent name" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_stands_before_damage_is_kept(run: Run, tmp_path: Path, kind: str) -> None:
    """Exit code 4, and the sentence says where the damage begins; a Parquet file that is damaged was opened."""
    imported(run, tmp_path)
    path = tmp_path / f"late.{kind}"
    if kind == "csv":
        path.write_text(f"session_id,csat\ns02,5\ns99,5\ns01,{'9' * 200_000}\n")
    else:
        rows = {"session_id": ["s02", "s99", "s01"], "csat": [5, 5, 5]}
        pq.write_table(pa.table(rows), path, row_group_size=2, compression="none", use_dictionary=False)
        content = bytearray(path.read_bytes())
        second = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
        content[second : second + 12] = b"\xff" * 12
        path.write_bytes(content)
    done = run("import", "--outcomes", str(path), "--data", "data", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["spans"]) == (4, 1)
    assert "nothing can be read behind row 2" in found["unreadable"][0]
    assert "; of what stands before, row 2: session_id 's99': no such session" in found["unreadable"][0]
    assert session(run, "s02")["csat"] == 5


def test_a_moment_is_one_however_it_is_written(run: Run, tmp_path: Path) -> None:
    """The same fact from a CSV file, with another offset, and from Parquet is one span."""
    imported(run, tmp_path)
    (tmp_path / "one.csv").write_text("session_id,csat,time\ns02,5,2026-03-09T10:00:00Z\n")
    (tmp_path / "two.csv").write_text("session_id,csat,time\ns02,5,2026-03-09T11:00:00+01:00\n")
    at = pa.array([1_773_050_400_000_000_000], pa.timestamp("ns", "Europe/Rome"))
    pq.write_table(pa.table({"session_id": ["s02"], "csat": [5], "time": at}), tmp_path / "three.parquet")
    for name in ("one.csv", "two.csv", "three.parquet"):
        assert run("import", "--outcomes", str(tmp_path / name), "--data", "data").returncode == 0
    rows = run("export", "spans", "--format", "jsonl", "--data", "data").stdout.splitlines()
    told = [row for row in map(json.loads, rows) if row["session_id"] == "s02" and row["name"] == "voicebot.feedback"]
    assert [(row["csat"], row["start_time"]) for row in told] == [(5, "2026-03-09T10:00:00.000000Z")]
