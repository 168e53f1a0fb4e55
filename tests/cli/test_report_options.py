"""`report --section`, `--prices`, `--targets`: what is asked for, and what is wrong with it."""

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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--prices", "nowhere.yaml"), "price file nowhere.yaml: can't be read: No such file or directory"),
        (("--prices", "wrong.yaml"), "price file wrong.yaml: stt[0].per_second: -1: "),
        (
            ("--targets", "wrong.yaml"),
            "targets file wrong.yaml: date: datetime.date(2026, 3, 1): Extra inputs are not permitted",
        ),
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
