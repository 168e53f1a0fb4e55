"""The fault bench in short: every fault once, some dozens of kills. What was acknowledged is there, counted once."""

import random
from pathlib import Path

import pytest

from bench import faults_points
from bench.faults_child import keys, ledger_numbers
from bench.faults_kill import kill_stores
from bench.faults_points import POINTS, Zygote, point_of
from bench.faults_race import race
from bench.faults_rig import count
from bench.faults_service import FAULTS, Length, kill_service
from bench.faults_tally import Tally
from bench.generate import EPOCH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the Collector may have to be built first

SHORT = Length(down_s=3.0, stopped_s=2.0, slow_s=4.0, fsync_s=1.0, full_s=2.0, terms=2)


@pytest.fixture
def traced() -> None:
    """Skips where nothing can be traced."""
    if reason := faults_points.why_not():
        pytest.skip(reason)


def kept(tally: Tally) -> bool:
    """Whether something was promised and every promise was kept, with the row as the message."""
    assert tally.acked, tally
    assert tally.kept, tally
    return True


@pytest.mark.usefixtures("traced")
def test_killed_at_every_named_point_a_store_keeps_its_promise() -> None:
    """Each named point of writer, compactor and retention is hit twice by seeded kills."""
    done = kill_stores(40, 2, seed=random.Random(11).randrange(1_000), tell=lambda _: None)
    assert all(done.points[point] >= 2 for point in POINTS)
    assert kept(done.tally)


@pytest.mark.usefixtures("traced")
def test_replicas_and_compactors_may_race() -> None:
    """Two writers and two compactors on one directory, killed now and then: each look of a reader finds all acked."""
    assert kept(race(6.0, seed=2))


@pytest.mark.usefixtures("traced")
def test_a_kill_leaves_the_call_undone(tmp_path: Path) -> None:
    """Killed as it enters its first rename, a writer has renamed nothing and acknowledged nothing."""
    order = {"data": str(tmp_path / "data"), "ledger": str(tmp_path / "ledger"), "now": EPOCH, "window_s": 60.0}
    with Zygote() as zygote:
        killed = zygote.run({**order, "work": "commit", "numbers": [1, 2]}, "rename", 1)
        assert killed.point == "before rename"
        assert ledger_numbers(tmp_path / "ledger") == ([1], set())
        assert not list((tmp_path / "data").rglob("*.parquet"))
        assert zygote.run({**order, "work": "commit", "numbers": [1, 2]}).point is None
    assert ledger_numbers(tmp_path / "ledger")[1] == {1, 2}


def test_a_lost_file_would_be_told(tmp_path: Path) -> None:
    """The bench sees what is missing, what is repeated and what was never sent: it can fail."""
    order = {"data": str(tmp_path / "data"), "ledger": str(tmp_path / "ledger"), "now": EPOCH, "window_s": 60.0}
    with Zygote() as zygote:
        zygote.run({**order, "work": "commit", "numbers": [1, 2, 3]})
    acked = {key for number in (1, 2, 3) for key in keys(number)}
    next((tmp_path / "data").rglob("*.parquet")).unlink()
    tally = count("a file is removed", tmp_path / "data", acked, acked)
    assert tally.missing == len(keys(1))
    assert not tally.kept
    assert count("never sent", tmp_path / "data", set(), set()).unexpected == len(acked) - len(keys(1))


def test_points_are_read_from_the_last_call() -> None:
    """A trace's last call says where a kill stood, whatever the calls before."""
    renamed = ("rename", '"/d/tmp/a.tmp", "/d/hot/spans/h/a.parquet") = 0')
    published = ("rename", '"/d/work/1/a.parquet", "/d/history/spans/h/part-0.parquet") = 0')
    for expected, work, calls in (
        ("before fsync", "commit", [("fsync", "5</d/tmp/a.tmp>) = ?")]),
        ("after rename", "commit", [renamed, ("fsync", "5</d/hot/spans/h>) = ?")]),
        ("elsewhere", "commit", [("fsync", "5</d/hot/spans/h>) = ?")]),
        ("compaction, before publish", "compact", [published]),
        ("compaction, after publish", "compact", [published, ("fsync", "5</d/history/spans/h>) = ?")]),
    ):
        assert point_of(work, calls) == expected


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_by(name: str, collector_binary: Path) -> None:
    """SIGTERM, a full disk, a slow one, SIGSTOP, an outage, a killed Collector, repeats: each under load."""
    fault = FAULTS[name]
    if reason := fault.why_not():
        pytest.skip(reason)
    assert kept(fault.run(5, SHORT))


@pytest.mark.usefixtures("traced", "collector_binary")
def test_the_service_may_be_killed_at_any_call() -> None:
    """Killed at system calls under load and started again: nothing acknowledged is missing, nothing counted twice."""
    tally, points = kill_service(4, 5, lambda _: None)
    assert points.total() == 4
    assert kept(tally)
