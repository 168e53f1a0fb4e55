"""What goes wrong: one clear sentence and the exit code of the contract, as JSON where JSON was asked for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.program import PROGRAM
from otel_voicebot import cli
from otel_voicebot.cli import failures
from otel_voicebot.reports import periods
from tests.cli.conftest import Run

WRONG = [
    (("report", "--since", "yesterday"), 2, "--since 'yesterday' is no time"),
    (("report", "--since", "1h", "--until", "2h"), 2, "the window is empty"),
    (("report", "--format", "xml"), 2, "'xml'"),
    (("report", "--format", "md", "--csv"), 2, "choose one format, not csv and md"),
    (("report", "--since", "0001-01-01T00:00:00+14:00"), 2, "--since '0001-01-01T00:00:00+14:00' is no time"),
    (("report", "--until", "9999-12-31T23:59:59-14:00"), 2, "--until '9999-12-31T23:59:59-14:00' is no time"),
    (("report", "--since", "9999-12-31T23:59:59"), 3, "no spans since 9999-12-31"),
    (("demo", "--linger", "nan"), 2, "--linger"),
    (("demo", "--linger", "inf"), 2, "inf is neither decibels nor seconds"),
    (("demo", "--snr", "nan"), 2, "nan is neither decibels nor seconds"),
    (("demo", "--concurrency", "0"), 2, "--concurrency"),
    (("report", "--nonsense"), 2, "--nonsense"),
    (("nonsense",), 2, "nonsense"),
    (("trace",), 2, "ID"),
    (("slow", "--limit", "0"), 2, "--limit"),
    (("trace", "call-9"), 3, "no session or trace is called 'call-9'; there is, for instance, call-"),
    (("trace", "call-1/7"), 3, "session call-1 has no turn 7"),
    (
        ("report", "--bot", "shop", "--until", "2026-03-02"),
        3,
        "no sessions: until 2026-03-02T00:00:00.000Z, bot shop, in",
    ),
    (("slow", "--variant", "C"), 3, "no turns with a wait: all time, variant C, in"),
    (("export", "spans", "--until", "2020-01-01", "--output", "none.csv"), 3, "no spans: until 2020"),
    (("report", "--data", "nowhere"), 3, "nowhere is not a directory"),
    (("report", "--output", "no/such/dir"), 6, "can't write no/such/dir: No such file or directory"),
    (("import", "nothing.json"), 2, "no such file: nothing.json"),
    (("import", "."), 2, "is a directory, not a file: ."),
]


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, *_ in WRONG])
def test_sentence_and_code(run: Run, data: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    """Each mistake has its exit code, and a sentence on stderr that names what is wrong."""
    done = run(*words, OTEL_VOICEBOT_DATA=str(data))
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, *_ in WRONG])
def test_json_errors(run: Run, data: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    """With `--json` stdout holds one document with code and message, for wrong usage too."""
    done = run(*words, "--json", OTEL_VOICEBOT_DATA=str(data))
    assert done.returncode == code
    found = json.loads(done.stdout)
    assert list(found) == ["error"]
    assert found["error"]["code"] == code
    assert found["error"]["message"]


def test_wrong_setting(run: Run) -> None:
    """A wrong setting in the environment is wrong usage, and named."""
    done = run("report", OTEL_VOICEBOT_COMMIT_INTERVAL="soon")
    assert done.returncode == 2
    assert "OTEL_VOICEBOT_COMMIT_INTERVAL" in done.stderr


def test_damaged_file(run: Run, data: Path) -> None:
    """A damaged file is named and left out; the rest is printed; the exit code is 4."""
    first = sorted(data.rglob("*.parquet"))[0]
    first.write_bytes(b"PAR1 no more")
    done = run("report", "--data", str(data), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 4
    assert found["kpis"]["sessions"]["value"] == 1
    assert [item["path"] for item in found["unreadable"]] == [str(first)]
    assert str(first) in done.stderr
    assert f"left out, can't be read: {first}" in run("report", "--data", str(data)).stdout


def test_file_damaged_inside(run: Run, data: Path) -> None:
    """Damage deep inside a file, which only reading it shows, is treated the same."""
    first = sorted(data.rglob("*.parquet"))[0]
    raw = bytearray(first.read_bytes())
    raw[4 : len(raw) // 2] = os.urandom(len(raw) // 2 - 4)
    first.write_bytes(raw)
    done = run("report", "--data", str(data), "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["kpis"]["sessions"]["value"] == 1


def test_all_damaged(run: Run, data: Path) -> None:
    """When nothing can be read, that is all that is said."""
    for path in data.rglob("*.parquet"):
        path.write_bytes(b"")
    done = run("report", "--data", str(data), "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["code"] == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(run: Run, data: Path, tmp_path: Path) -> None:
    """A file that may not be written is said so, with exit code 6."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = run("report", "--data", str(data), "--output", str(closed / "report.txt"))
    assert done.returncode == 6
    assert "Permission denied" in done.stderr


def test_reader_that_leaves(data: Path) -> None:
    """`otel-voicebot export … | head -1` ends quietly."""
    pipe = f"'{sys.executable}' -c '{PROGRAM}' export spans --format jsonl --data '{data}' | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", pipe], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, b"{")
    assert b"Error" not in done.stderr


FULL = "ulimit -f 0; exec 3>out; "
"""No file may grow: writing fails as it does on a full disk."""
TO_STDOUT = ("report", "report --json", "slow", "trace call-1", "trace call-1 --json", "export spans", "schema")


def shell(line: str, where: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which ``$V`` is the program."""
    script = f"V=(\"{sys.executable}\" -c '{PROGRAM}'); {line}"
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        encoding="utf-8",
        cwd=where,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "OTEL_VOICEBOT_DATA": "data"},
    )


@pytest.mark.parametrize("words", [*TO_STDOUT, "--help", "--version", "report --help"])
def test_stdout_that_is_full(data: Path, words: str) -> None:
    """Where standard output can't be written, one sentence says so, with exit code 6, also where JSON was asked for."""
    done = shell(f'{FULL}"${{V[@]}}" {words} >&3', data.parent)
    assert done.stderr.splitlines()[-1] == "otel-voicebot: standard output: File too large"
    assert done.returncode == 6
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", TO_STDOUT)
def test_stdout_that_is_closed(data: Path, words: str) -> None:
    """The same where standard output is closed."""
    done = shell(f'"${{V[@]}}" {words} >&-', data.parent)
    assert (done.returncode, done.stderr) == (6, "otel-voicebot: standard output: it is closed\n")


def test_error_that_stdout_does_not_take(data: Path) -> None:
    """A JSON error that can't be written to standard output is told on stderr, with its own code."""
    done = shell(f'{FULL}"${{V[@]}}" trace call-9 --json >&3', data.parent)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("otel-voicebot: no session or trace is called 'call-9'")


def test_output_that_is_full(data: Path) -> None:
    """`--output` to a full disk is refused, names the file and leaves nothing behind."""
    done = shell(f'{FULL}"${{V[@]}}" export spans --output spans.csv', data.parent)
    assert (done.returncode, done.stderr) == (6, "otel-voicebot: can't write spans.csv: File too large\n")
    assert sorted(path.name for path in data.parent.iterdir()) == ["data", "out"]


def test_output_to_what_is_no_file(data: Path) -> None:
    """`--output` to a pipe or a device writes into it; it is not replaced by a file."""
    done = shell('mkfifo pipe; cat pipe & "${V[@]}" export sessions --output pipe; wait; test -p pipe', data.parent)
    assert done.returncode == 0
    assert done.stdout.startswith("session_id,")


def test_odd_entry(run: Run, data: Path) -> None:
    """A link to nothing beside the data is named and left out, with exit code 4."""
    odd = sorted(data.rglob("*.parquet"))[0].with_name("dang.parquet")
    odd.symlink_to("nothing")
    done = run("report", "--data", str(data), "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["kpis"]["sessions"]["value"] == 2
    assert f"{odd} (there is no such file)" in done.stderr


def test_defect(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that we did not foresee is a defect: code 70, and how to get the traceback."""
    assert failures.explain(ZeroDivisionError("by zero"), ["report"]) == 70
    assert capsys.readouterr().err == (
        "otel-voicebot: ZeroDivisionError: by zero "
        "(a defect of otel-voicebot; the traceback: otel-voicebot --debug report)\n"
    )


def test_machine_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a missing permission is no defect: code 6."""
    assert failures.explain(OSError(28, "No space left on device", "/x"), []) == 6
    assert capsys.readouterr().err == "otel-voicebot: can't use /x: No space left on device\n"


def test_help_is_light() -> None:
    """`--help` lists every verb and imports nothing heavy, so that it answers at once."""
    code = (
        "import sys; from otel_voicebot.cli import main; code = main(['--help']);"
        "heavy = {'duckdb', 'pyarrow', 'pandas', 'numpy', 'matplotlib', 'pydantic', 'rich', 'opentelemetry', 'grpc'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name.split()[0]} " in done.stdout for name, _ in cli.VERBS)


@pytest.mark.parametrize("verb", [name for name, _ in cli.VERBS])
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    """Each verb has help with a meaning for every option."""
    done = run(*verb.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: otel-voicebot {verb} ")


def test_a_service_that_did_not_start_leaves_signals_as_they_were(tmp_path: Path) -> None:
    """Blocked they would be for every program that is started afterwards, too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    wrong = ["serve", "--data", str(tmp_path), "--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem"]
    assert cli.main(wrong) == 2
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_no_words(run: Run) -> None:
    """Without a verb the help is shown, and the exit code says that one is missing."""
    done = run()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_version(run: Run) -> None:
    """`--version` names program and version."""
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("otel-voicebot ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", "2026-03-01T11:45:00+00:00"),
        ("1.5 h", "2026-03-01T10:30:00+00:00"),
        ("7d", "2026-02-22T12:00:00+00:00"),
        ("2026-02-28", "2026-02-28T00:00:00+00:00"),
        ("2026-02-28T10:00+02:00", "2026-02-28T08:00:00+00:00"),
        ("20260228T100000Z", "2026-02-28T10:00:00+00:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    """Times are ISO 8601 (UTC without an offset) or so long ago."""
    from tests.reports.tables import NOON

    found = periods.moment(text, NOON, "--since")
    assert found is not None
    assert found.isoformat() == expected
