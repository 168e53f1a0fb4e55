"""A7: ``otel-voicebot anomalies``: from spans on disk to an exit code."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.reports.anomalous import calls, failing, stored


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five hours of calls, in the fifth of which a model fails."""
    return stored(tmp_path_factory.mktemp("burst"), calls(120_000), failing(0.4), (4.0, 4.5))


def test_for_people(run: Run, burst: Path) -> None:
    """Found: exit code 1, the anomaly, and commands that show it as they stand; nothing on stderr."""
    done = run("anomalies", "--data", str(burst))
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 anomaly\n" in done.stdout
    assert "llm openai gpt-4o-mini, bot bank" in done.stdout
    assert "overloaded" in done.stdout
    command = next(line for line in done.stdout.splitlines() if "otel-voicebot trace" in line).split()[-3:]
    assert run(*command[1:], "--data", str(burst)).returncode == 0


def test_json(run: Run, burst: Path) -> None:
    """One document: what was judged, by which rule, the anomalies with their rows."""
    found = json.loads(run("anomalies", "--data", str(burst), "--json").stdout)
    assert found["schema"] == "otel_voicebot.anomalies/1"
    assert found["rule"]["alpha"] == 0.01
    assert 0 < found["judged"] <= found["series"]
    (one,) = found["anomalies"]
    assert (one["measure"], one["model"], one["unit"]) == ("error_rate", "gpt-4o-mini", "ratio")
    assert one["rows"][0]["command"].startswith("otel-voicebot trace ")


def test_other_formats(run: Run, burst: Path, tmp_path: Path) -> None:
    """CSV has a row an anomaly; Markdown and HTML both tables; a picture is a PNG beside them."""
    (row,) = csv.DictReader(io.StringIO(run("anomalies", "--data", str(burst), "--csv").stdout))
    assert row["measure"] == "error_rate"
    assert float(row["observed"]) > float(row["usual"]) + 0.02
    assert "## The rows behind them" in run("anomalies", "--data", str(burst), "--format", "md").stdout
    chart = tmp_path / "anomalies.png"
    done = run("anomalies", "--data", str(burst), "--chart", str(chart), "--format", "html")
    assert done.stdout.startswith("<!doctype html>")
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert str(chart) in done.stderr


def test_none(run: Run, burst: Path, tmp_path: Path) -> None:
    """Nothing found: exit code 0, and no picture is written."""
    chart = tmp_path / "none.png"
    done = run("anomalies", "--data", str(burst), "--until", "2026-01-05T04:00", "--chart", str(chart))
    assert (done.returncode, chart.exists()) == (0, False)
    assert "no anomaly" in done.stdout
    assert "no picture" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--alpha", "2"), 2, "--alpha 2 is no chance"),
        (("--history", "5m"), 2, "--history '5m' is too short"),
        (("--history", "long"), 2, "--history 'long' is no time"),
        (("--since", "never"), 2, "--since"),
        ((), 3, "too little history"),
        (("--bot", "nobody"), 3, "too little history"),
        (("--since", "0001-01-01"), 3, "too little history"),
    ],
)
def test_what_goes_wrong(run: Run, data: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """One sentence and the exit code: two calls are no history."""
    done = run("anomalies", "--data", str(data), *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    told = run("anomalies", "--data", str(data), *words, "--json")
    assert said in json.loads(told.stdout)["error"]["message"]
