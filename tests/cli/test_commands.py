"""The documents' commands on Parquet files (FEATURES A9 to A13, A16, F1): what they print, and wrong questions."""

import csv
import importlib
import io
import json
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.program import PROGRAM
from otel_voicebot import cli
from otel_voicebot.cli import alone
from otel_voicebot.reports.dashboard import EXECUTIVE
from otel_voicebot.reports.thresholds import WATCHED
from tests.cli.conftest import Run, call, commit
from tests.models.twelve import tables, take_in

ROOT = Path(__file__).parents[2]
NAMES = ("orchestrator-log", "monitor-session", "analytics-report", "threshold-alert", "business-dashboard")
WATCH = ("threshold-alert", "--metric", "latency", "--threshold", "500")


@pytest.fixture(scope="module")
def twelve_calls(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The twelve calls that can be counted with a pencil."""
    return str(take_in(tmp_path_factory.mktemp("commands"), tables.lines()))


def kpis(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    """Of a JSON document."""
    found: dict[str, dict[str, object]] = json.loads(done.stdout)["kpis"]
    return found


def cells(text: str, kpi: str) -> str:
    """The line of a KPI, without the room between its cells."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [kpi]]
    return " ".join(line.split())


def test_orchestrator_log_is_the_report(run: Run, twelve_calls: str) -> None:
    """Every KPI is the report's, with numerator and denominator; component percentiles are its own, too."""
    found = run("orchestrator-log", "--metrics", "--json", "--data", twelve_calls)
    report = kpis(run("report", "--json", "--data", twelve_calls))
    mine = kpis(found)
    assert set(mine) >= {"aht_s", "fcr_7d", "csat_mean", "response_gap_p95_s", "cache_hit_rate"}
    assert mine == {name: report[name] for name in mine}
    sections = json.loads(found.stdout)["sections"]["components"]
    llm = next(row for row in sections if row["component"] == "llm")
    assert (llm["operations"], llm["p50_s"]) == (14, 0.7)


def test_orchestrator_log_prints_the_window_of_fcr(run: Run, twelve_calls: str) -> None:
    """7 days unless told, in the KPI's name and in words."""
    week = run("orchestrator-log", "--data", twelve_calls)
    assert cells(week.stdout, "fcr_7d") == "fcr_7d 33.3 % 3 / 9"
    assert "within 7 days" in week.stdout
    day = run("orchestrator-log", "--fcr-window", "1d", "--data", twelve_calls)
    assert cells(day.stdout, "fcr_1d") == "fcr_1d 50.0 % 5 / 10"
    assert "fcr_7d" not in day.stdout


def test_a_kpi_without_data_says_why(run: Run, data: Path) -> None:
    """No caller is known, nobody answered a survey, no cache was asked, nothing was scored."""
    log, session = run("orchestrator-log", "--data", str(data)), run("monitor-session", "--data", str(data))
    for line in (
        "no call of a known caller and intent (without a hash key no caller is known)",
        "no survey answers",
        "no cache lookups",
    ):
        assert line in log.stdout
    assert "no opinion scores" in session.stdout
    assert "no reference texts" in session.stdout


def test_monitor_session_is_the_report(run: Run, twelve_calls: str) -> None:
    """WER, MOS, cache hit rate are its; the kind of score is named; calls that are over aren't active."""
    mine, report = (kpis(run(verb, "--json", "--data", twelve_calls)) for verb in ("monitor-session", "report"))
    assert mine.pop("active_sessions")["value"] == 0
    assert mine["mos"].pop("note") == "dnsmos"
    report["mos"].pop("note")
    assert set(mine) >= {"wer", "mos", "cache_hit_rate"}
    assert mine == {name: report[name] for name in mine}


def test_a_call_that_was_silent_too_long_is_not_active(run: Run, tmp_path: Path) -> None:
    """A call without an end is under way for ten minutes, or as long as the setting says."""
    start = (datetime.now(UTC) - timedelta(minutes=3)).timestamp() - datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    commit(tmp_path / "data", *call("on-call", "c", 1.0, start)[1:])
    words = ("monitor-session", "--json", "--data", str(tmp_path / "data"))
    assert kpis(run(*words))["active_sessions"]["value"] == 1
    assert kpis(run(*words, OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT="60"))["active_sessions"]["value"] == 0


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_analytics_report_is_the_report_as_a_file(run: Run, twelve_calls: str, tmp_path: Path, kind: str) -> None:
    """The same values, in each format; stdout stays empty."""
    done = run("analytics-report", f"--export={kind}", "--output=kpis.out", "--data", twelve_calls)
    assert (done.returncode, done.stdout) == (0, "")
    written = (tmp_path / "kpis.out").read_bytes()
    match kind:
        case "csv":
            rows = list(csv.DictReader(io.StringIO(written.decode())))
            values = {row["kpi"]: float(row["value"]) if row["value"] else None for row in rows}
        case "json":
            values = {name: one["value"] for name, one in json.loads(written)["kpis"].items()}
        case _:
            values = {row["kpi"]: row["value"] for row in pq.read_table(tmp_path / "kpis.out").to_pylist()}
    report = kpis(run("report", "--json", "--data", twelve_calls))
    assert values == {name: one["value"] for name, one in report.items()}


def test_analytics_report_has_groups_change_and_as_of(run: Run, twelve_calls: str) -> None:
    """What `report` is asked by the same options."""
    options = (
        "--group-by",
        "intent",
        "--since",
        "2026-03-05",
        "--until",
        "2026-03-08",
        "--change",
        "--data",
        twelve_calls,
    )
    options = (*options, "--as-of", "2026-03-08T09:00:00Z")
    done = [run(verb, how, "csv", *options) for verb, how in (("analytics-report", "--export"), ("report", "--format"))]
    assert (done[0].returncode, done[0].stdout) == (0, done[1].stdout)
    assert len(done[0].stdout.splitlines()) > 80


def test_analytics_report_of_one_section(run: Run, twelve_calls: str) -> None:
    """For BI tools that want the components."""
    done = run("analytics-report", "--export", "csv", "--section", "components", "--data", twelve_calls)
    assert done.stdout.startswith("component,provider,model,operations,")


def test_an_evaluation_tells_value_threshold_and_observations(run: Run, twelve_calls: str) -> None:
    """In JSON in the unit of the report's KPI, of which it is the value."""
    words = (*WATCH, "--min-count", "13", "--json", "--data", twelve_calls)
    done = run(*words)
    found = json.loads(done.stdout)
    report = kpis(run("report", "--json", "--data", twelve_calls))["response_gap_p95_s"]
    assert done.returncode == 1
    assert (found["crossed"], found["state"], found["bad"], found["unit"]) == (True, "crossed", "above", "s")
    assert (found["value"], found["threshold"]) == (report["value"], 0.5)
    assert (found["observations"], found["quantile"]) == (report["denominator"], "p95")


def test_too_few_observations_are_no_alert(run: Run, twelve_calls: str) -> None:
    """13 answered turns are not 20: it says so, with the value, and exits with 3."""
    done = run(*WATCH, "--data", twelve_calls)
    assert done.returncode == 3
    assert "too few  latency p95 2.70 s, above 500 ms  (n 13 of 20 needed)" in done.stdout
    assert json.loads(run(*WATCH, "--json", "--data", twelve_calls).stdout)["crossed"] is None


def test_a_window_holds_the_calls_that_began_in_it(run: Run, tmp_path: Path) -> None:
    """Also while it watches: old calls are not counted."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ago = (datetime.now(UTC) - noon).total_seconds()
    commit(tmp_path / "data", *call("old", "a", 3.0, ago - 4000), *call("new", "b", 0.3, ago - 60))
    one = (*WATCH, "--min-count", "1", "--data", str(tmp_path / "data"))
    assert run(*one).returncode == 1
    assert run(*one, "--window", "15m").returncode == 0
    watched = run(*one, "--interval", "0.1", "--count", "2")
    assert watched.returncode == 0
    assert watched.stdout.count("quiet    latency p95 300 ms, within 500 ms  (n 1, 5 min)\n") == 2
    assert watched.stdout.count("calls that began, in the last 5 min at each look\n") == 1


def test_a_window_without_data_is_quiet_not_an_error(run: Run, data: Path) -> None:
    """What is stored is months old: a watch waits for calls, a single look says that there are too few."""
    for day in list((data / "hot").glob("*/date=*")):
        day.rename(day.with_name("date=2026-03-01"))
    words = (*WATCH, "--data", str(data))
    done = run(*words, "--window", "1h")
    assert (done.returncode, done.stderr) == (3, "")
    assert "too few  latency p95 unknown: no call began then  (n 0 of 20 needed, 1 h)" in done.stdout
    assert run(*words, "--interval", "0.1", "--count", "2").stdout.count("too few") == 2
    found = kpis(run("monitor-session", "--window", "1h", "--json", "--data", str(data)))
    assert (found["turns"]["value"], found["wer"]["value"]) == (0, None)


def test_business_dashboard_compares_with_the_period_before(run: Run, twelve_calls: str) -> None:
    """Each KPI is the report's of the period, its previous value the report's of the one before; both hold 4 days."""
    words = ("--since", "2026-03-04", "--until", "2026-03-08", "--data", twelve_calls)
    before = ("--since", "2026-02-28", "--until", "2026-03-04", "--data", twelve_calls)
    mine, now, old = (
        kpis(run("business-dashboard", "--json", *words)),
        *(kpis(run("report", "--json", *period)) for period in (words, before)),
    )
    assert tuple(mine) == EXECUTIVE
    for name, one in mine.items():
        assert (one["value"], one["denominator"]) == (now[name]["value"], now[name]["denominator"])
        previous = one["previous"]
        assert isinstance(previous, dict)
        assert previous["value"] == old[name]["value"]
    assert (mine["containment"]["verdict"], mine["automation_rate"]["verdict"]) == ("worse", "better")
    assert (mine["response_gap_p95_s"]["verdict"], mine["aht_s"]["verdict"]) == ("better", None)


def test_business_dashboard_for_people(run: Run, twelve_calls: str) -> None:
    """It fits 80 columns, and says so when there was nothing before."""
    done = run("business-dashboard", "--since", "2026-03-04", "--until", "2026-03-08", "--data", twelve_calls)
    lines = done.stdout.splitlines()
    assert cells(done.stdout, "containment") == "containment 50.0 % 2 / 4 75.0 % -25.0 pp worse"
    table = lines[lines.index("Business dashboard") : lines.index("  csat_mean, csat_share, nps: no survey answers")]
    assert max(map(len, table)) <= 80
    first = run("business-dashboard", "--since", "2026-03-01", "--until", "2026-03-08", "--data", twelve_calls)
    assert "before: no session from 2026-02-22T00:00:00.000Z to 2026-03-01T00:00:00.000Z" in first.stdout


def test_the_last_thirty_days_are_the_dashboards_default(run: Run, twelve_calls: str) -> None:
    """Without calls in it: exit code 3, and the sentence names the window."""
    done = run("business-dashboard", "--data", twelve_calls)
    assert done.returncode == 3
    assert f"no sessions: since {datetime.now(UTC) - timedelta(days=30):%Y-%m-%d}" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_program_of_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The installer makes it; its help and its usage carry its name, and what it does is what the verb does."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[name].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert alone(name, ["--help"]) == 0
    assert f"Usage: {name} [OPTIONS]" in capsys.readouterr().out
    assert name in dict(cli.VERBS)


def test_a_program_of_its_own_name_works(tmp_path: Path, twelve_calls: str) -> None:
    """Arguments come from its command line, its exit code goes out."""
    script = "import sys; from otel_voicebot.cli.scripts import threshold_alert; sys.exit(threshold_alert())"
    words = ("--metric=latency", "--threshold=500", "--min-count=5", "--data", twelve_calls)
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (1, "")
    wrong = subprocess.run(
        [sys.executable, "-c", script, "--metric=none", "--threshold=1", "--json"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]["code"]) == (2, 2)


def _broken(path: Path) -> None:
    hour = path / "hot" / "spans" / f"{datetime.now(UTC):date=%Y-%m-%d}" / f"{datetime.now(UTC):hour=%H}"
    hour.mkdir(parents=True)
    (hour / "them-1.parquet").write_text("this is no Parquet file at all")


READING = [
    ("orchestrator-log",),
    ("monitor-session",),
    ("monitor-session", "--live", "--count", "1"),
    ("analytics-report", "--export", "csv"),
    WATCH,
    (*WATCH, "--interval", "1", "--count", "1"),
    ("business-dashboard",),
]


@pytest.mark.parametrize("words", READING)
@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda path: path.mkdir(), 3, "holds no spans"),
        (lambda _: None, 3, "is not a directory"),
        (_broken, 4, "no spans can be read: "),
    ],
)
def test_a_directory_without_an_answer_is_a_sentence(
    run: Run, tmp_path: Path, words: tuple[str, ...], make: object, code: int, says: str
) -> None:
    """Empty, missing, unreadable: one sentence, the right exit code, no traceback; with `--json` a document."""
    assert callable(make)
    make(tmp_path / "there")
    done = run(*words, "--data", str(tmp_path / "there"))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    if "csv" not in words:
        found = run(*words, "--json", "--data", str(tmp_path / "there"))
        assert json.loads(found.stdout)["error"]["code"] == code


URL = ("--url", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("orchestrator-log", "--since", "yesterday"), "--since 'yesterday' is no time"),
        (("monitor-session", "--until", "32.13.2026"), "--until '32.13.2026' is no time"),
        (("analytics-report", "--export", "xlsx"), "xlsx"),
        (("analytics-report", "--section", "none"), "none"),
        (("business-dashboard", "--since", "2026-03-02", "--until", "2026-03-01"), "the window is empty"),
        (("orchestrator-log", "--fcr-window", "2d"), "2d"),
        (("monitor-session", "--interval", "2"), "--interval and --count are of --live"),
        (("monitor-session", "--window", "soon"), "--window 'soon' is no length of time: write 60, 15m, 24h or 7d"),
        (("monitor-session", "--window", "1h", "--since", "2h"), "--window says of when"),
        (("monitor-session", "--data", ".", *URL), "name a directory with --data or a service with --url, not both"),
        (("monitor-session", "--since", "2h", *URL), "a service doesn't know what was when"),
        (("monitor-session", "--url", "ftp://host"), "--url 'ftp://host' is no http or https URL"),
        (("monitor-session", "--live", "--window", "1h", *URL), "is more than 400 times --interval 2 s"),
        (
            ("threshold-alert", "--metric", "speed", "--threshold", "1"),
            "--metric 'speed' can't be watched; there is lat",
        ),
        (("threshold-alert", "--metric", "wer", "--threshold", "10"), "write a share from 0 to 1, or a percentage"),
        (("threshold-alert", "--metric", "mos", "--threshold", "10%"), "write a number from 1 to 5"),
        (("threshold-alert", "--metric", "latency", "--threshold", "fast"), "write milliseconds, or a time such as"),
        (("threshold-alert", "--metric", "latency", "--threshold", "-1"), "none that latency could cross"),
        (("threshold-alert", "--metric", "wer", "--threshold", "0.1", "--quantile", "p50"), "wer has no percentiles"),
        ((*WATCH, "--count", "2"), "--count is of --interval"),
        ((*WATCH, "--interval", "0"), "--interval"),
        ((*WATCH, "--interval", "inf"), "'--interval': Input should be less than or equal to 86400"),
        (("monitor-session", "--live", "--interval", "1e9"), "'--interval': Input should be less than or equal"),
        (("monitor-session", "--window", "99999d"), "--window 99999d begins before 1970"),
        (
            ("threshold-alert", "--metric", "latency", "--threshold", "20s", *URL),
            "--threshold 20.00 s: a service counts what takes longer than 13.50 s in one bucket, so latency could",
        ),
    ],
)
def test_a_wrong_question_is_a_sentence(run: Run, words: tuple[str, ...], says: str) -> None:
    """Exit code 2, whatever the data."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [("orchestrator-log",), ("monitor-session",), ("monitor-session", "--live"), WATCH, (*WATCH, "--interval", "1")],
)
def test_a_service_that_is_not_there_is_a_sentence(run: Run, words: tuple[str, ...]) -> None:
    """Exit code 5 with its address; something else that answers there is said to be no service of ours."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    done = run(*words, "--url", address)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"http://{address}/metrics doesn't answer" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_ends_a_watch(twelve_calls: str) -> None:
    """`monitor-session --live … | head -1` ends quietly and with 0: 1 would say no to somebody's question."""
    words = f"monitor-session --live --interval 0.1 --data '{twelve_calls}'"
    pipe = f"'{sys.executable}' -c '{PROGRAM}' {words} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", pipe], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"calls that began at any time\n", b"")


PAGE = (ROOT / "docs" / "commands.md").read_text()


def pasted() -> list[str]:
    """The command lines of docs/commands.md that need no service."""
    lines = [line.removeprefix("$ ").partition("#")[0].strip() for line in PAGE.splitlines() if line.startswith("$ ")]
    return [line for line in lines if "--url" not in line]


@pytest.mark.parametrize("line", pasted())
def test_the_lines_of_the_page_work_as_pasted(
    line: str, twelve_calls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stored calls; those that go on until Ctrl-C are stopped after a look."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_VOICEBOT_DATA", twelve_calls)
    name, *words = shlex.split(line)
    once = ["--count", "1"] if {"--live", "--interval=60"} & set(words) else []
    if name in ("business-dashboard", "threshold-alert"):  # the calls are older than that: see the exit code
        assert alone(name, [*words, *once]) == 3
    else:
        assert alone(name, [*words, *once]) == 0


def test_the_page_lists_every_metric_with_its_direction() -> None:
    """As a row of its table says it."""
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    told = {name: row[2] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert told == {name: "above" if one.bad == "up" else "below" for name, one in WATCHED.items()}
