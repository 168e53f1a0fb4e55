"""``otel-voicebot compare``: from spans on disk to a verdict and an exit code."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from otel_voicebot import frames
from otel_voicebot.reports import compare
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.sides import PERIOD, Sides
from tests.cli.conftest import Run, call, commit
from tests.reports.tables import NOON

HOUR = 3600
SIDE = 110
"""Calls of a variant."""


def rows(name: str, number: int, gap: float, start: float, **columns: object) -> list[dict[str, object]]:
    """A call of one exchange, in a trace of its own."""
    made = call(name, "0", gap, start, **columns)
    return [{**row, "trace_id": f"{number:032x}"} for row in made]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls of three variants, one a minute in turns: green answers half a second later than blue, red has one call.

    Those of the hour after are an hour later, of variant blue alone, and half as slow.
    """
    data = tmp_path_factory.mktemp("experiment") / "data"
    spans = []
    for index in range(SIDE):
        spread = index % 11 / 10
        spans += rows(f"blue-{index}", 2 * index, 1 + spread, 10 * index, variant="blue", environment="test")
        spans += rows(f"green-{index}", 2 * index + 1, 1.5 + spread, 10 * index + 5, variant="green")
        spans += rows(f"later-{index}", 1000 + index, 0.5 + spread / 2, 10 * index + HOUR, variant="blue", bot="b|..d")
    spans += rows("red", 9999, 1.0, 0, variant="red")
    commit(data, *spans)
    return data


AT_NOON = ("--until", "2026-03-01T13:00:00Z")


def test_worse_for_people(program: Run, experiment: Path) -> None:
    """A slower variant is worse: plain text on stdout, nothing on stderr, exit code 1 for a gate."""
    done = program("compare", "blue", "green", "--data", str(experiment), *AT_NOON)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "110 and 110 sessions, until 2026-03-01T13:00:00.000Z"
    assert lines[2].startswith("A: variant blue, 110 sessions, from 2026-03-01T12:00:00.000Z to ")
    assert lines[4] == "sample ratio: p = 1.000"
    assert lines[5] == "no prices: name a price file with --prices"
    assert lines[6].startswith("B is worse: worse in response_gap_mean_s, response_gap_p50_s")
    assert "  response_gap_mean_s *" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "verdict"),
    [
        (("blue", "green"), 1, "worse"),
        (("green", "blue"), 0, "better"),
        (("green", "blue", "--fail-on", "no-evidence"), 0, "better"),
        (("blue", "green", "--kpi", "containment"), 0, "too few"),
        (("blue", "green", "--kpi", "containment", "--fail-on", "no-evidence"), 1, "too few"),
        (("blue", "green", "--kpi", "aht_s"), 0, "no evidence"),
        (("blue", "green", "--min-calls", "111"), 0, "too few"),
        (("blue", "green", "--split", "90:10"), 1, "refused"),
        (("blue", "red"), 1, "refused"),
        (("blue", "red", "--split", "110:1"), 0, "too few"),
    ],
)
def test_verdicts_and_exit_codes(run: Run, experiment: Path, words: tuple[str, ...], code: int, verdict: str) -> None:
    """0 for better and for no evidence, 1 for worse and for groups that can't be compared; more by `--fail-on`."""
    done = run("compare", *words, "--data", str(experiment), *AT_NOON, "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (code, verdict)


def test_json(run: Run, experiment: Path) -> None:
    """One document, whose values are those of the report of each side."""
    words = ("--data", str(experiment), *AT_NOON, "--json")
    found = json.loads(run("compare", "blue", "green", *words).stdout)
    assert (found["schema"], found["by"], found["primary"]) == (
        "otel_voicebot.compare/1", "variant", "response_gap_mean_s",
    )  # fmt: skip
    assert found["kpis"]["response_gap_mean_s"]["difference"] == pytest.approx(0.5)
    for side, name in (("a", "blue"), ("b", "green")):
        kpis = json.loads(run("report", "--variant", name, *words).stdout)["kpis"]
        assert found[side]["sessions"] == kpis["sessions"]["value"] == SIDE
        for kpi in found["kpis"].keys() & kpis.keys():
            assert found["kpis"][kpi][side]["value"] == pytest.approx(kpis[kpi]["value"]), kpi
            assert found["kpis"][kpi][side]["denominator"] == (kpis[kpi]["denominator"] or 0), kpi


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("2026-03-01T12:00..2026-03-01T13:00", "2026-03-01T13:00..2026-03-01T14:00", ()),
        ("..2026-03-01T13:00Z", "2026-03-01T13:00Z..", ()),
        ("..2026-03-01T13:00Z", "2026-03-01T13:00Z..", ("--by", "period", "--variant", "blue")),
    ],
)
def test_periods(run: Run, experiment: Path, a: str, b: str, words: tuple[str, ...]) -> None:
    """Two periods are compared by the start of their calls; nobody checks how many calls there are."""
    done = run("compare", a, b, "--data", str(experiment), "--json", "--kpi", "response_gap_mean_s", *words)
    found = json.loads(done.stdout)
    assert (done.returncode, found["by"], found["verdict"], found["split_p"]) == (0, "period", "better", None)
    assert (found["a"]["sessions"], found["b"]["sessions"]) == (110 if words else 221, 110)
    assert (found["window"]["since"] is None) is a.startswith("..")


def test_other_columns(run: Run, experiment: Path) -> None:
    """By any name that sessions carry; nothing was split by chance there, and the head says so."""
    done = run("compare", "bank", "b|..d", "--by", "bot", "--data", str(experiment), "--kpi", "response_gap_mean_s")
    assert done.returncode == 0
    assert "not split by chance: what differs may be who calls\n" in done.stdout
    assert "B is better: " in done.stdout


def test_python_gives_the_same(run: Run, experiment: Path) -> None:
    """The Python API finds what the command line prints."""
    found = compare.between(experiment, Sides("bank", "b|..d", "bot"), compare.Plan(("response_gap_p50_s",)))
    words = ("bank", "b|..d", "--by", "bot", "--kpi", "response_gap_p50_s", "--data", str(experiment))
    said = json.loads(run("compare", *words, "--json").stdout)
    kpi = said["kpis"]["response_gap_p50_s"]
    effect = found.kpi("response_gap_p50_s").effect
    assert effect is not None
    assert (kpi["interval"], kpi["p"]) == ([effect.low, effect.high], effect.p)
    one = NOON + timedelta(hours=1)
    periods = compare.between(experiment, Sides(Period(None, one), Period(one, None), PERIOD))
    assert (periods.a.sessions, periods.b.sessions) == (221, 110)


def test_cost(run: Run, tmp_path: Path) -> None:
    """C2: a dearer model is worse by a price file, which is named; without one nothing is known to be dear."""
    data, file, spans = tmp_path / "data", tmp_path / "prices.yaml", []
    for index in range(SIDE):
        for number, model in enumerate(("cheap", "dear")):
            made = rows(f"{model}-{index}", 2 * index + number, 1 + index % 11 / 10, 10 * index, variant=model)
            made[2] |= {"model": model, "input_tokens": 100 + index}
            spans += made
    commit(data, *spans)
    models = "".join(
        f"  - {{provider: local, model: {model}, per_million_input: {usd}, per_million_output: 0}}\n"
        for model, usd in (("cheap", 1), ("dear", 3))
    )
    file.write_text(f"date: 2026-02-01\nllm:\n{models}")
    words = ("compare", "cheap", "dear", "--data", str(data), "--json", "--kpi", "cost_per_priced_session_usd")
    done = run(*words, "--prices", str(file))
    found = json.loads(done.stdout)
    kpi = found["kpis"]["cost_per_priced_session_usd"]
    mean = (100 + (SIDE - 1) / 2) / 1e6
    assert (kpi["a"]["value"], kpi["difference"]) == (pytest.approx(mean), pytest.approx(2 * mean))
    assert (done.returncode, kpi["verdict"], kpi["unit"]) == (1, "worse", "USD")
    assert found["prices"] == "prices from a price file of 2026-02-01"
    table = frames.compare("cheap", "dear", data, plan=compare.Plan(("cost_per_priced_session_usd",)), prices=file)
    assert list(table["difference"]) == [kpi["difference"]]
    unpriced = json.loads(run(*words).stdout)
    assert (unpriced["verdict"], unpriced["prices"]) == ("not measured", "no prices: name a price file with --prices")
    assert unpriced["kpis"]["cost_per_priced_session_usd"]["b"]["excluded"] == SIDE


@pytest.mark.parametrize(("kind", "start"), [("md", "# Comparison"), ("html", "<!doctype html>"), ("jsonl", "{")])
def test_other_formats(run: Run, experiment: Path, kind: str, start: str) -> None:
    """As with every verb that reads."""
    done = run("compare", "blue", "green", "--data", str(experiment), *AT_NOON, "--format", kind)
    assert done.returncode == 1
    assert done.stdout.startswith(start)


def test_csv(run: Run, experiment: Path) -> None:
    """A line a KPI with unrounded values; what is unknown is empty."""
    done = run("compare", "blue", "green", "--data", str(experiment), *AT_NOON, "--csv")
    found = {row["kpi"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert float(found["response_gap_mean_s"]["difference"]) == pytest.approx(0.5)
    assert (found["response_gap_mean_s"]["primary"], found["aht_s"]["primary"]) == ("true", "false")
    assert (found["wer"]["difference"], found["wer"]["verdict"]) == ("", "not measured")


WRONG = [
    (("blue", "blue"), 2, "both sides are blue: there is nothing to compare"),
    (("blue", "green", "--kpi", "speed"), 2, "there is no KPI 'speed' to compare by; there are response_gap_mean_s"),
    (("blue", "green", "--primary", "speed"), 2, "there is no KPI 'speed'"),
    (("blue", "green", "--kpi", "nps", "--primary", "wer"), 2, "the primary KPI wer is not among those asked: nps"),
    (("blue", "green", "--split", "half"), 2, "--split 'half' is no split: write 50:50 or 90:10"),
    (("blue", "green", "--split", "100:0"), 2, "a split of 100:0 leaves a side without calls"),
    (("blue", "green", "--min-calls", "3"), 2, "--min-calls"),
    (("blue", "green", "--variant", "blue"), 2, "--variant makes no sense where sides are told apart by variant"),
    (("x", "y", "--by", "user_hash"), 2, "calls can't be compared by 'user_hash': choose bot, channel, variant, "),
    (("x", "y", "--by", "a\"; DROP TABLE x"), 2, "calls can't be compared by 'a\"; DROP TABLE x'"),
    (("blue", "2026-03-01.."), 2, "one is a period and one is not"),
    (("blue", "green", "--by", "period"), 2, "'blue' is no period: write SINCE..UNTIL, such as 2026-03-01..2026-03-08"),
    (("..", "2026-03-01.."), 2, "'..' is no period"),
    (("soon..", "2026-03-01.."), 2, "the period 'soon' is no time"),
    (("2026-03-01..2026-03-03", "2026-03-02.."), 2, "overlap: a call would be on both sides"),
    (("2026-03-02..2026-03-01", "2026-03-02.."), 2, "is empty: it ends before it begins"),
    (("..2026-03-01", "2026-03-01..", "--since", "1d"), 2, "--since makes no sense where sides are told apart by"),
    (("blue", "grey"), 3, "no sessions of variant grey: all time, in "),
    (("blue", "grey"), 3, "; there are blue, green, red"),
    (("blue", "x' OR '1'='1"), 3, "no sessions of variant x' OR '1'='1"),
    (("blue", "green", "--channel", "fax"), 3, "no sessions of variant blue: all time, channel fax, in "),
    (("x", "y", "--by", "channel"), 3, "; no call has a channel"),
    (("..2020-01-01", "2026-03-01.."), 3, "no sessions of period ..2020-01-01T00:00:00.000Z: "),
    (("blue", "green", "--data", "nowhere"), 3, "nowhere is not a directory"),
    (("blue",), 2, "B"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, *_ in WRONG])
def test_what_goes_wrong(run: Run, experiment: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    """Each mistake has its exit code and a sentence, as JSON where JSON was asked for."""
    done = run("compare", *words, OTEL_VOICEBOT_DATA=str(experiment))
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    said = run("compare", *words, "--json", OTEL_VOICEBOT_DATA=str(experiment))
    assert (said.returncode, json.loads(said.stdout)["error"]["code"]) == (code, code)


def test_a_damaged_file_is_named(run: Run, experiment: Path, tmp_path: Path) -> None:
    """What can be read is compared, the rest is named with exit code 4; also where a side may lie in it."""
    data = tmp_path / "copy"
    made = [row for index in range(2) for row in rows(f"c{index}", index, 1.0, 0, variant="blue")]
    file = commit(
        data, *made, *(row for index in range(2) for row in rows(f"d{index}", 9 + index, 1.0, 0, variant="green"))
    )
    (file.parent / f"0{file.name}").write_bytes(b"PAR1 nothing of it")
    done = run("compare", "blue", "green", "--data", str(data), "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (4, "too few")
    assert "left out what can't be read" in done.stderr
    missing = run("compare", "blue", "grey", "--data", str(data))
    assert missing.returncode == 4
    assert "what can't be read was left out" in missing.stderr
