"""Every command with odd input: one clear sentence, the right exit code, no traceback (issue 7; DESIGN 10).

Commands and their options come from the command line itself: a new command needs a row in ``ASKED``, and a new option
is tried as its type says.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from otel_voicebot import cli
from tests.cli.conftest import Run


@dataclass(frozen=True)
class Asked:
    """How a command is asked something sensible of the two calls of ``data``, and what it says where there is none."""

    words: tuple[str, ...] = ()
    """What it needs beside its options."""
    empty: int = 3
    """Exit code where the directory is empty."""
    missing: int = 3
    """Exit code where there is no such directory."""
    foreign: int = 4
    """Exit code where all Parquet files are another program's."""
    reads: bool = True
    """It reads a data directory; else only its options are tried."""


ASKED = {
    "demo": Asked(reads=False),
    "serve": Asked(reads=False),
    "report": Asked(),
    "slow": Asked(),
    "why": Asked(
        ("--since", "2026-03-01T12:30:00", "--until", "2026-03-02", "--against", "2026-03-01..2026-03-01T12:30")
    ),
    "trace": Asked(("call-1",)),
    "logs": Asked(),
    "compare": Asked(("A", "B", "--min-calls", "10", "--split", "1:1")),
    "anomalies": Asked(),
    "doctor": Asked(),
    "import": Asked(("calls.jsonl",), reads=False),
    "export": Asked(("sessions",)),
    "compact": Asked(empty=0),
    "retain": Asked(("--older-than", "36500d"), empty=0, foreign=0),
    "verify": Asked(empty=0, foreign=1),
    "schema": Asked(reads=False),
    "sql": Asked(("kpis",), reads=False),
    "slo compile": Asked((str(Path(__file__).parents[2] / "deploy" / "slo.yaml"),), reads=False),
    "orchestrator-log": Asked(),
    "monitor-session": Asked(),
    "analytics-report": Asked(),
    "threshold-alert": Asked(("--metric", "latency", "--threshold", "500", "--min-count", "1")),
    "business-dashboard": Asked(("--since", "2026-03-01")),
}
TOO_LITTLE = ("logs", "anomalies")
"""Two calls without logs are not enough for these."""
READING = [name for name, asked in ASKED.items() if asked.reads]
TIMES = {"--since", "--until", "--as-of", "--against"}
NAMES = {"--section", "--kpi", "--primary", "--metric", "--by", "--model", "--group-by", "--dialect"}
"""Options that name one of ours, whatever their type; those of a choice are found by it."""
WRITTEN = {"--data", "--output", "--charts", "--chart", "--tests", "--alertmanager"}
"""Files and directories that a command makes."""
FREE = {("slow", "--model")}
"""Of that name, and yet the user's own words."""


def options(name: str) -> Iterator[tuple[str, Any]]:
    """The options of a command, each by its longest name."""
    command: Any = typer.main.get_command(cli.command())
    for word in name.split():
        command = command.commands[word]
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield max(parameter.opts, key=len), parameter


def of(name: str, data: Path) -> tuple[str, ...]:
    """The data directory, for a command that takes one."""
    return ("--data", str(data)) if "--data" in dict(options(name)) else ()


def kind_of(parameter: Any) -> str:
    """What an option takes: choice, number, file, text or flag."""
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "choice"
    return {int: "number", float: "number", Path: "file", bool: "flag"}.get(annotation, "text")


def wrong(kind: Callable[[str, Any], bool]) -> list[tuple[str, str]]:
    """Every command with each of its options of a kind."""
    return [(name, option) for name, _ in cli.VERBS for option, parameter in options(name) if kind(option, parameter)]


def one_sentence(done: Any, code: int, *, of: str = "") -> str:
    """What a failed command said: a line on stderr that names it, nothing else anywhere; returns it."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("otel-voicebot: ")]
    assert len(said) == 1, done.stderr
    assert of in said[0]
    return said[0]


def test_every_command_has_a_row() -> None:
    """A new command can't be forgotten here."""
    assert list(ASKED) == [name for name, _ in cli.VERBS]


def directory(tmp_path: Path, kind: str) -> Path:
    """A data directory with nothing to be read in it."""
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "foreign":
        for table in ("spans", "turns", "sessions", "logs"):
            hour = path / "hot" / table / "date=2026-03-01" / "hour=12"
            hour.mkdir(parents=True)
            pq.write_table(pa.table({"colour": ["red"], "start_time": ["noon"]}), hour / "other.parquet")
    return path


@pytest.mark.parametrize("kind", ["empty", "missing", "foreign"])
@pytest.mark.parametrize("name", READING)
def test_where_there_is_nothing_to_read(run: Run, tmp_path: Path, name: str, kind: str) -> None:
    """An empty directory, none at all, another program's files: the sentence names the directory or a file in it."""
    asked, path = ASKED[name], directory(tmp_path, kind)
    code = getattr(asked, kind)
    done = run(*name.split(), *asked.words, "--data", str(path))
    if name == "compact" and code == 4:  # it tells of each hour that it leaves as it was
        assert (done.returncode, "Traceback" in done.stderr, str(path) in done.stderr) == (4, False, True)
        return
    if code in (0, 1):
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)
        return
    one_sentence(done, code, of=str(path))
    assert done.stdout == ""
    if "--json" in dict(options(name)):
        found = json.loads(run(*name.split(), *asked.words, "--data", str(path), "--json").stdout)
        assert (list(found), found["error"]["code"]) == (["error"], code)


@pytest.mark.parametrize("name", READING)
def test_what_is_asked_sensibly_is_answered(run: Run, data: Path, name: str) -> None:
    """The rows of the table are no mistakes themselves: of the two calls each has its answer, or too little to tell."""
    done = run(*name.split(), *ASKED[name].words, "--data", str(data))
    assert done.returncode in ((3,) if name in TOO_LITTLE else (0, 1)), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "option"), wrong(lambda option, _: option in TIMES))
def test_a_bad_date(run: Run, data: Path, name: str, option: str) -> None:
    """It is named with its option, and what a time looks like is said; with data and without."""
    for text in ("someday", "2026-02-30", "12:00", "7 fortnights"):
        done = run(*name.split(), *ASKED[name].words, option, text, *of(name, data))
        said = one_sentence(done, 2)
        assert text in said
        assert "write" in said


@pytest.mark.parametrize(
    ("name", "option"),
    [one for one in wrong(lambda option, kind: kind_of(kind) == "choice" or option in NAMES) if one not in FREE],
)
def test_an_unknown_name(run: Run, data: Path, name: str, option: str) -> None:
    """A KPI, section, metric or format that there is none of: it is named, and so is what there is."""
    said = one_sentence(run(*name.split(), *ASKED[name].words, option, "mystery", *of(name, data)), 2)
    assert "mystery" in said
    assert len(said) > len("otel-voicebot: mystery") + 20


@pytest.mark.parametrize(("name", "option"), wrong(lambda _, parameter: kind_of(parameter) == "number"))
def test_a_number_that_is_none(run: Run, name: str, option: str) -> None:
    """It is named with its option before anything is done."""
    said = one_sentence(run(*name.split(), *ASKED[name].words, option, "many"), 2)
    assert option in said
    assert "many" in said


@pytest.mark.parametrize(
    ("name", "option"),
    wrong(lambda option, parameter: kind_of(parameter) == "file" and option not in WRITTEN),
)
def test_a_file_that_is_not_there(run: Run, data: Path, name: str, option: str) -> None:
    """Wrong usage: the file is named."""
    more = ("--tls-key", "nowhere.pem") if option == "--tls-cert" else ()
    more = ("--tls-cert", "nowhere.pem") if option == "--tls-key" else more
    more = ("--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem") if option == "--tls-client-ca" else more
    done = run(*name.split(), *ASKED[name].words, option, "nowhere.pem", *of(name, data), *more)
    assert "nowhere" in one_sentence(done, 2)


@pytest.mark.parametrize("name", [name for name, _ in cli.VERBS])
def test_an_option_that_there_is_none_of(run: Run, name: str) -> None:
    """It is named, and how to get help is said."""
    done = run(*name.split(), *ASKED[name].words, "--mystery")
    assert "--mystery" in one_sentence(done, 2)
    assert f"{name} --help" in done.stderr


@pytest.mark.parametrize("name", [name for name in READING if "--output" in dict(options(name))])
def test_an_output_that_cannot_be_written(run: Run, data: Path, name: str) -> None:
    """Exit code 6, and the file is named."""
    json_ = ("--json",) if name == "trace" else ()
    done = run(*name.split(), *ASKED[name].words, *json_, "--data", str(data), "--output", "no/such/file")
    if name in TOO_LITTLE:  # that is said first
        one_sentence(done, 3)
        return
    if json_:
        assert (done.returncode, "no/such/file" in done.stdout) == (6, True)
        return
    one_sentence(done, 6, of="no/such/file")
