"""compact, retain and verify, as somebody types them."""

import json
import time
from pathlib import Path

import pytest

from otel_voicebot.store.lease import take
from tests.cli.conftest import Run
from tests.store.hours import FILES, ROWS, fill, seen
from tests.store.rows import START

LONG_AGO = START - START % 3_600_000_000_000 - 40 * 24 * 3_600_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An old hour and the hour that is open now."""
    directory = tmp_path / "store"
    fill(directory, at=LONG_AGO)
    fill(directory, first=1000, files=1, at=time.time_ns())
    return directory


def test_compact_merges_closed_hours(run: Run, store: Path) -> None:
    """One JSON document says what was merged; progress goes to stderr; a second time there is nothing to do."""
    before = seen(store)
    done = run("compact", "--data", str(store), "--json")
    document = json.loads(done.stdout)
    (hour,) = document["hours"]
    assert done.returncode == 0
    assert document["schema"] == "otel_voicebot.compact/1"
    assert (hour["table"], hour["files"], hour["rows"], hour["repeated"]) == ("spans", FILES, FILES * ROWS, 0)
    assert hour["bytes_after"] < hour["bytes_before"]
    assert f"merging spans {hour['hour']} (1 of 1)" in done.stderr
    assert seen(store) == before
    assert run("compact", "--data", str(store)).stdout == "0 hours merged: 0 rows, 0 repeated\n"


def test_compact_names_a_file_that_cannot_be_read(run: Run, store: Path) -> None:
    """Exit code 4, and the hour stays."""
    broken = sorted(store.glob("hot/spans/*/*/*.parquet"))[0]
    broken.write_bytes(broken.read_bytes()[:-20])
    done = run("compact", "--data", str(store))
    assert done.returncode == 4
    assert str(broken) in done.stderr
    assert broken.exists()
    assert done.stdout.startswith("0 hours merged")


def test_who_comes_second_is_told_who_works(run: Run, store: Path) -> None:
    """Exit code 6 and one sentence, as JSON where JSON is asked for."""
    with take(store):
        for words in (["compact"], ["retain", "--older-than", "30d"]):
            done = run(*words, "--data", str(store), "--json")
            assert done.returncode == 6
            assert "another maintainer works on" in json.loads(done.stdout)["error"]["message"]


def test_retain_removes_by_age(run: Run, store: Path) -> None:
    """A dry run says what would go and removes nothing; then it goes."""
    before = seen(store)
    words = ("retain", "--data", str(store), "--older-than", "30d")
    dry = json.loads(run(*words, "--dry-run", "--json").stdout)
    assert seen(store) == before
    done = json.loads(run(*words, "--json").stdout)
    assert (dry.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert dry == done
    assert [hour["table"] for hour in done["hours"]] == ["spans"]
    assert seen(store) < before
    assert len(seen(store)) == ROWS
    assert run(*words).stdout.startswith("0 hours removed, 0.0 MB")


def test_retain_takes_its_limits_from_the_environment(run: Run, store: Path) -> None:
    """Without options the settings of the service hold; without those it is wrong usage."""
    words = ("retain", "--data", str(store), "--dry-run")
    assert run(*words).returncode == 2
    assert "--older-than 30d" in run(*words).stderr
    assert run(*words, OTEL_VOICEBOT_RETENTION="30d").stdout.startswith("1 hour would be removed")
    assert run(*words, OTEL_VOICEBOT_DISK_CAP="1GB").stdout.startswith("0 hours would be removed")
    assert run("retain", "--data", str(store), "--older-than", "soon").returncode == 2


def test_verify_says_whether_all_is_well(run: Run, store: Path) -> None:
    """Exit code 0 when it is, 1 with the file named when it isn't."""
    run("compact", "--data", str(store))
    well = run("verify", "--data", str(store), "--json")
    document = json.loads(well.stdout)
    assert (well.returncode, document["ok"], document["findings"]) == (0, True, [])
    assert document["rows"] == (FILES + 1) * ROWS
    (part,) = store.glob("history/spans/*/*/*.parquet")
    content = bytearray(part.read_bytes())
    content[len(content) // 4] ^= 1
    part.write_bytes(content)
    broken = run("verify", "--data", str(store))
    assert broken.returncode == 1
    assert f"TROUBLE: damaged: {part}" in broken.stdout
    found = json.loads(run("verify", "--data", str(store), "--json").stdout)
    assert [(one["kind"], one["trouble"]) for one in found["findings"]] == [("damaged", True)]


@pytest.mark.parametrize("verb", [["compact"], ["retain", "--older-than", "1d"], ["verify"]])
def test_no_directory_is_no_data(run: Run, tmp_path: Path, verb: list[str]) -> None:
    """Exit code 3 and a sentence, and no directory is made."""
    done = run(*verb, "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert "is not a directory" in done.stderr
    assert not (tmp_path / "nowhere").exists()
