"""`report --section`, `--prices`, `--targets`, `--quotas`, `export --prices`: what is asked for, and what is wrong."""

import json
from pathlib import Path

import pytest

from otel_voicebot.reports.sections import ON_REQUEST
from tests.cli.conftest import Run
from tests.models.twelve import HERE, tables, take_in


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The twelve calls."""
    return str(take_in(tmp_path_factory.mktemp("calls"), tables.lines()))


@pytest.mark.parametrize("name", sorted(ON_REQUEST))
def test_a_section_on_request_stands_in_the_json_document(run: Run, calls: str, name: str) -> None:
    """It is there when it is asked for, beside the usual ones."""
    done = run("report", "--section", name, "--json", "--data", calls)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)["sections"]) == {"waits", "components", "outcomes", "errors", name}


def test_nothing_more_is_computed_than_is_asked_for(run: Run, calls: str) -> None:
    """A plain report has none of them."""
    found = json.loads(run("report", "--json", "--data", calls).stdout)
    assert set(found["sections"]) == {"waits", "components", "outcomes", "errors"}


def test_costs_by_a_price_file(run: Run, calls: str) -> None:
    """The file's prices, its date, and the share that has one."""
    found = json.loads(run("report", "--prices", str(HERE / "prices.yaml"), "--json", "--data", calls).stdout)
    assert found["kpis"]["cost_usd"]["value"] == 0.1509
    assert found["kpis"]["priced_share"]["numerator"] == 50
    assert found["notes"]["prices"] == ["prices from a price file of 2026-03-01"]


def test_a_price_file_may_be_a_setting(run: Run, calls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So may what a human costs."""
    monkeypatch.setenv("OTEL_VOICEBOT_PRICES", str(HERE / "prices.yaml"))
    monkeypatch.setenv("OTEL_VOICEBOT_HUMAN_INTERACTION_USD", "2.5")
    found = json.loads(run("report", "--json", "--data", calls).stdout)["kpis"]
    assert (found["cost_usd"]["value"], found["cost_savings_usd"]["value"]) == (0.1509, 25)


QUOTAS = """
quotas:
  - {service: deepgram, period: month, seconds: 25}
  - {service: telephony, period: month, calls: 11}
budgets: [{period: month, usd: 1}]
"""


@pytest.mark.parametrize("by_setting", [True, False])
def test_quotas_and_budgets_of_a_file(run: Run, calls: str, monkeypatch: pytest.MonkeyPatch, by_setting: bool) -> None:
    """B2: what is used up or nearly is said in words, of the month that ends with --until; the exit code stays 0."""
    Path("quotas.yaml").write_text(QUOTAS)
    words = ("--section", "quotas", "--until", "2026-03-09", "--prices", str(HERE / "prices.yaml"), "--data", calls)
    if by_setting:
        monkeypatch.setenv("OTEL_VOICEBOT_QUOTAS", "quotas.yaml")
    else:
        words = (*words, "--quotas", "quotas.yaml")
    done = run("report", *words)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines() if "month" in line]
    told = [(line[0], *line[3:5], line[6]) for line in lines if "%" in line]
    assert told == [
        ("deepgram", "26", "25", "104.0"),
        ("telephony", "10", "11", "90.9"),
        ("everything", "0.1417", "1", "14.2"),
    ]
    assert "used up" in done.stdout
    assert "warning" in done.stdout
    rows = json.loads(run("report", *words, "--json").stdout)["sections"]["quotas"]
    assert [(row["state"], row["used_up_at"]) for row in rows] == [
        ("used_up", None),
        ("warning", "2026-03-09T19:12:00.000000Z"),
        ("ok", None),
    ]
    some = json.loads(run("report", *words, "--channel", "phone", "--json").stdout)["sections"]["quotas"]
    assert [(row["whole"], row["projected_share"]) for row in some] == [(False, None)] * 3


def test_an_export_says_what_calls_cost_and_by_which_prices(run: Run, calls: str) -> None:
    """C2: the rows' sum is the report's cost; the note names the prices. Without a file only known models cost."""
    words = ("export", "sessions", "--format", "jsonl", "--data", calls)
    done = run(*words, "--prices", str(HERE / "prices.yaml"))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(0.1509)
    assert done.stderr == "12 sessions; prices from a price file of 2026-03-01\n"
    listed = run(*words)
    rows = {row["session_id"]: row for row in map(json.loads, listed.stdout.splitlines())}
    assert listed.stderr.startswith("12 sessions; prices from genai-prices ")
    assert (rows["s09"]["cost_usd"], rows["s09"]["priced_share"]) == (None, 0.0)
    assert rows["s11"]["cost_usd"] == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--prices", "nowhere.yaml"), "price file nowhere.yaml: can't be read: No such file or directory"),
        (("--prices", "wrong.yaml"), "price file wrong.yaml: stt[0].per_second: -1: "),
        (
            ("--targets", "wrong.yaml"),
            "targets file wrong.yaml: date: datetime.date(2026, 3, 1): Extra inputs are not permitted",
        ),
        (("--quotas", "wrong.yaml"), "quotas file wrong.yaml: date: datetime.date(2026, 3, 1): Extra inputs are not"),
        (("--section", "nothing"), "nothing"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run: Run, calls: str, words: tuple[str, str], says: str) -> None:
    """Exit code 2, no traceback; with `--json` the error is a document."""
    Path("wrong.yaml").write_text("date: 2026-03-01\nstt:\n  - {per_second: -1}\n")
    done = run("report", *words, "--data", calls)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    document = run("report", *words, "--json", "--data", calls)
    assert json.loads(document.stdout)["error"]["code"] == 2
