"""`report --section`, `--prices`, `--targets`, `--quotas`, `export --prices`: what is asked for, and what is wrong."""

import csv
import io
import json
from pathlib import Path

import pytest

from otel_voicebot.cli import report
from otel_voicebot.models.groups import GROUPINGS
from otel_voicebot.reports.report import SECTIONS
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


def test_the_names_are_those_that_there_are() -> None:
    """What `--help` lists without loading anything is what reports and models have."""
    assert set(report.SECTIONS) == set(SECTIONS)
    assert list(report.GROUPINGS) == list(GROUPINGS)


def test_groups_and_change_in_json_and_csv(run: Run, calls: str) -> None:
    """Both have every KPI of each group with what it was before; the groups of two periods stand beside each other."""
    words = ("report", "--since", "2026-03-04", "--until", "2026-03-07", "--change", "--data", calls)
    found = json.loads(run(*words, "--group-by", "intent", "--json").stdout)
    assert found["against"] == {
        "since": "2026-03-01T00:00:00.000000Z",
        "until": "2026-03-04T00:00:00.000000Z",
        "sessions": 4,
    }
    turns = found["kpis"]["turns"]
    assert (turns["value"], turns["previous"]["value"]) == (5, 6)
    assert turns["change"] == {"absolute": -1, "relative": -1 / 6}
    assert found["group_by"] == ["intent"]
    assert found["groups_left_out"] == {"groups": 0, "sessions": 0}
    groups = {one["group"]["intent"]: one for one in found["groups"]}
    assert {name: one["sessions"] for name, one in groups.items()} == {"balance": 2, "complaint": 1, "loan": 1, None: 1}
    assert groups["balance"]["kpis"]["turns"]["change"] == {"absolute": 2, "relative": 2}
    lines = list(csv.DictReader(io.StringIO(run(*words, "--group-by", "intent", "--csv").stdout)))
    assert len(lines) == 4 * len(found["kpis"])
    row = next(line for line in lines if (line["intent"], line["kpi"]) == ("balance", "turns"))
    assert (row["value"], row["previous"], row["change"]) == ("3", "1", "2")
    table = run(*words, "--group-by", "intent").stdout
    assert "compared with 2026-03-01T00:00:00.000Z..2026-03-04T00:00:00.000Z, 4 sessions" in table
    assert "3, +2 (+200.0 %)" in table


def test_several_sections(run: Run, calls: str) -> None:
    """They stand below each other, in the order in which they are asked for."""
    text = run("report", "--section", "intents", "--section", "outcomes", "--format", "md", "--data", calls).stdout
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Intents", "## Outcomes"]
    found = json.loads(run("report", "--section", "intents", "--section", "costs", "--json", "--data", calls).stdout)
    assert {"intents", "costs"} <= set(found["sections"])


def test_charts_are_drawn_beside_the_report(run: Run, calls: str) -> None:
    """Each is named on stderr; the report is printed as ever."""
    done = run("report", "--charts", "pictures", "--csv", "--data", calls)
    assert done.returncode == 0
    assert done.stdout.startswith("kpi,value,unit")
    drawn = sorted(path.name for path in Path("pictures").iterdir())
    assert "spread.png" in drawn
    assert [f"drawn: pictures/{name}" in done.stderr for name in drawn] == [True] * len(drawn)


def test_intent_is_a_filter_of_every_verb_that_filters(run: Run, calls: str) -> None:
    """It leaves the same calls everywhere, and is named where there are none."""
    exported = run("export", "sessions", "--format", "jsonl", "--intent", "loan", "--data", calls).stdout
    assert {json.loads(line)["intent"] for line in exported.splitlines()} == {"loan"}
    found = json.loads(run("slow", "--intent", "loan", "--json", "--data", calls).stdout)
    loans = {json.loads(line)["session_id"] for line in exported.splitlines()}
    assert {turn["session_id"] for turn in found["turns"]} <= loans
    verbs = (("report",), ("slow",), ("export", "turns"), ("doctor",), ("why",), ("compare", "a", "b", "--by", "bot"))
    for verb in verbs:
        done = run(*verb, "--intent", "nothing", "--data", calls)
        assert done.returncode == 3, verb
        assert "intent nothing" in done.stderr, verb


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--group-by", "mood"), "--group-by 'mood' is none; there is bot, channel"),
        (("--section", "mood"), "--section 'mood' is none; there is kpis, waits"),
        (("--change",), "--change compares with the period before: say with --since when this one begins"),
        (("--change", "--since", "7d", "--group-by", "day"), "a day of this period isn't in the one before"),
        (("--csv", "--section", "waits", "--section", "costs"), "csv holds one part, not waits and costs"),
        (("--csv", "--section", "waits", "--group-by", "bot"), "csv holds one part, not waits and --group-by"),
    ],
)
def test_misuse(run: Run, calls: str, words: tuple[str, ...], says: str) -> None:
    """One sentence that says what to do, exit code 2."""
    done = run("report", *words, "--data", calls)
    assert done.returncode == 2
    assert says in done.stderr
