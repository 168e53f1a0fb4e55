"""Retention: the horizon first, then the files; by age or by the cap; never the open hour."""

import os
import signal
import time
from pathlib import Path

import pytest

from otel_voicebot.errors import LeaseError, NoDataError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_FAILURES, SELF_MERGED, SELF_REMOVED
from otel_voicebot.store import disk, marks, snapshot
from otel_voicebot.store.compact import hours_of
from otel_voicebot.store.layout import HISTORY, HOT, HOUR_NS, hour_of
from otel_voicebot.store.lease import take
from otel_voicebot.store.maintain import Care, Maintainer
from otel_voicebot.store.retain import older_than, over_cap, preview, retain, used_bytes
from tests.store.hours import fill, maintain, once, seen
from tests.store.rows import START

HOURS = 4
NOW = START + HOURS * HOUR_NS
"""In the hour after the last one that is filled."""


def hours(data: Path) -> list[set[str]]:
    """Fill four hours one after the other; the first two are merged."""
    spans = [fill(data, first=number * 1000, at=START + number * HOUR_NS) for number in range(HOURS)]
    maintain(data, START + 2 * HOUR_NS + 61_000_000_000 - (START % HOUR_NS))
    return spans


def test_hours_older_than_the_age_go_and_the_rest_stays(tmp_path: Path) -> None:
    """An hour goes when all of it is older; its seal goes too, and a later writer doesn't put anything there."""
    spans = hours(tmp_path)
    with take(tmp_path) as lease:
        done = retain(lease, older_than(NOW, 2 * 3600), NOW)
    assert seen(tmp_path) == once(spans[2] | spans[3])
    assert {hour.name for hour in done.hours} == {hour_of(START), hour_of(START + HOUR_NS)}
    assert done.bytes > 0
    assert {hour.name for hour in hours_of(tmp_path, HISTORY)} == set()
    assert hours_of(tmp_path, HOT, suffix=".sealed") == []
    late = fill(tmp_path, first=9000, files=1)
    assert seen(tmp_path) == once(spans[2] | spans[3] | late)


def test_the_horizon_is_durable_before_the_first_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed at its first removal has dropped all: no reader sees a part of an hour."""
    spans = hours(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            with take(tmp_path) as lease:
                disk.rename = lambda source, target: (  # type: ignore[assignment]
                    os.kill(os.getpid(), signal.SIGKILL) if "date=" in str(source) else source.rename(target)
                )
                retain(lease, NOW, NOW)
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert len(hours_of(tmp_path, HOT)) + len(hours_of(tmp_path, HISTORY)) == HOURS
    with pytest.raises(NoDataError):
        snapshot(tmp_path)
    with take(tmp_path) as lease:
        assert len(retain(lease, 0, NOW).hours) == HOURS
    assert used_bytes(tmp_path) == 0
    assert spans


def test_the_open_hour_stays_whatever_is_asked(tmp_path: Path) -> None:
    """Neither an age of nothing nor a cap of nothing removes what is being written."""
    hours(tmp_path)
    open_spans = fill(tmp_path, first=5000, at=NOW)
    assert over_cap(tmp_path, 0, NOW) == START - START % HOUR_NS + HOURS * HOUR_NS
    with take(tmp_path) as lease:
        retain(lease, NOW + 10 * HOUR_NS, NOW)
    assert seen(tmp_path) == once(open_spans)


def test_the_cap_takes_the_oldest_hours_and_no_more_than_needed(tmp_path: Path) -> None:
    """What is left is below the cap, and would not be with one hour more."""
    spans = hours(tmp_path)
    used = used_bytes(tmp_path)
    horizon = over_cap(tmp_path, used - 1, NOW)
    expected = preview(tmp_path, horizon, NOW)
    with take(tmp_path) as lease:
        done = retain(lease, horizon, NOW)
    assert done == expected
    assert [hour.name for hour in done.hours] == [hour_of(START)]
    assert used_bytes(tmp_path) == used - done.bytes
    assert over_cap(tmp_path, used - 1, NOW) == 0
    assert seen(tmp_path) == once(spans[1] | spans[2] | spans[3])


def test_a_maintainer_merges_removes_and_counts(tmp_path: Path) -> None:
    """A round merges the closed hours, then applies age and cap; each is counted with its reason."""
    spans = hours(tmp_path)
    metrics = SelfMetrics()
    Maintainer(tmp_path, metrics, Care(retention_s=3 * 3600), clock=lambda: NOW + 120_000_000_000).round()
    assert seen(tmp_path) == once(spans[1] | spans[2] | spans[3])
    assert metrics.get(SELF_MERGED, "spans") == len(spans[2] | spans[3])
    assert metrics.get(SELF_REMOVED, "retention") == 1
    cap = used_bytes(tmp_path) - 1
    Maintainer(tmp_path, metrics, Care(disk_cap=cap), clock=lambda: NOW).round()
    assert metrics.get(SELF_REMOVED, "disk_cap") == 1
    assert seen(tmp_path) == once(spans[2] | spans[3])
    assert metrics.get(SELF_FAILURES, "maintain") == 0


def test_a_maintainer_purges_who_was_erased(tmp_path: Path) -> None:
    """A tombstone that somebody else made is seen to in the next round."""
    hours(tmp_path)
    marks.bury(tmp_path, sessions=["call-0"])
    Maintainer(tmp_path, SelfMetrics(), clock=lambda: NOW + 120_000_000_000).round()
    rows = [path.read_bytes() for path in sorted((tmp_path / "history").rglob("*.parquet"))]
    assert len(rows) == HOURS
    assert not any(b"call-0" in row for row in rows)


def test_a_maintainer_in_the_background_stops_in_time_and_never_raises(tmp_path: Path) -> None:
    """It works on its own thread; a directory that refuses is counted, and the next round tries again."""
    (tmp_path / "lease").write_text("in the way")
    fill(tmp_path)
    metrics = SelfMetrics()
    keeper = Maintainer(tmp_path, metrics, Care(interval_s=0.01))
    assert keeper.stop()
    keeper = Maintainer(tmp_path, metrics, Care(interval_s=0.01), clock=lambda: NOW)
    keeper.start()
    while not metrics.get(SELF_FAILURES, "maintain"):
        time.sleep(0.01)
    (tmp_path / "lease").unlink()
    while not metrics.get(SELF_MERGED, "spans"):
        time.sleep(0.01)
    assert keeper.stop(30)
    assert keeper.stop()


def test_a_maintainer_leaves_the_directory_to_another(tmp_path: Path) -> None:
    """While another holds the lease a round does nothing, and that is no failure."""
    fill(tmp_path)
    metrics = SelfMetrics()
    with take(tmp_path):
        Maintainer(tmp_path, metrics, clock=lambda: NOW).round()
    assert metrics.read() == {}
    assert hours_of(tmp_path, HISTORY) == []


def test_a_horizon_worked_out_before_a_pause_does_not_move_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that is paused between reading the horizon and moving it fails; its successor's stays."""
    hours(tmp_path)
    now = [NOW]
    paused = take(tmp_path, term_s=60, clock=lambda: now[0])
    look, looks = marks.horizon, []

    def look_and_pause(data: Path) -> int:
        found = look(data)
        looks.append(found)
        if len(looks) == 2:  # the one whose answer is compared and written
            now[0] += 61_000_000_000
            with take(tmp_path, term_s=60, clock=lambda: now[0]) as successor:
                retain(successor, START + 3 * HOUR_NS, NOW)
        return found

    monkeypatch.setattr(marks, "horizon", look_and_pause)
    with pytest.raises(LeaseError):
        retain(paused, START + HOUR_NS, NOW)
    assert look(tmp_path) == (START + 3 * HOUR_NS) // HOUR_NS * HOUR_NS
