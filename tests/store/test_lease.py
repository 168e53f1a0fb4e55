"""The lease: one maintainer at a time, and a fence for whoever lost it."""

import contextlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from otel_voicebot.errors import LeaseError
from otel_voicebot.store import disk
from otel_voicebot.store.lease import WORK, Holder, holder, take

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds since 1970 that move only when told."""

    def __init__(self) -> None:
        self.now = 1_795_219_367 * SECOND

    def __call__(self) -> int:
        """The time now."""
        return self.now


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def test_a_second_maintainer_is_told_who_holds_it_until_it_is_given_back(data: Path) -> None:
    """While one holds the lease nobody else gets it; the next one does after it was released."""
    clock = Clock()
    with take(data, clock=clock), pytest.raises(LeaseError, match=f"process {os.getpid()}"):
        take(data, clock=clock)
    with take(data, clock=clock) as later:
        assert holder(data) is not None
        later.keep()


def test_of_many_that_try_at_once_one_gets_it(data: Path) -> None:
    """Twenty threads take an unheld lease together: exactly one succeeds."""
    barrier, won = threading.Barrier(20), []

    def attempt() -> None:
        barrier.wait()
        with contextlib.suppress(LeaseError):
            won.append(take(data))

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert disk.names(data / WORK) == [won[0].work.name]


def test_a_lease_that_was_taken_while_it_was_looked_at_is_held(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two find the same lease over; the slower one does not take that of the quicker one."""
    take(data).release()
    follow = Holder.may_be_followed

    def slow(self: Holder, now: int) -> bool:
        found = follow(self, now)
        monkeypatch.setattr(Holder, "may_be_followed", follow)
        take(data)
        return found

    monkeypatch.setattr(Holder, "may_be_followed", slow)
    with pytest.raises(LeaseError, match="just begun"):
        take(data)


def test_a_renewed_lease_stays_and_one_that_is_over_is_taken(data: Path) -> None:
    """Renewal moves the end; after the end another takes it, and the former holder's work directory is gone."""
    clock = Clock()
    first = take(data, term_s=60, clock=clock)
    clock.now += 50 * SECOND
    first.keep()
    clock.now += 50 * SECOND
    with pytest.raises(LeaseError):
        take(data, clock=clock)
    clock.now += 11 * SECOND
    second = take(data, term_s=60, clock=clock)
    assert not first.work.exists()
    with pytest.raises(LeaseError, match="taken over"):
        first.keep()
    second.keep()


def test_who_lost_the_lease_can_neither_publish_nor_remove(data: Path) -> None:
    """A paused holder that has merged already fails at its rename, both ways, and nothing of it appears."""
    clock = Clock()
    paused = take(data, term_s=60, clock=clock)
    made = paused.name(".parquet")
    made.write_bytes(b"merged before an erasure")
    kept = data / "hot.parquet"
    kept.write_bytes(b"acked")
    clock.now += 61 * SECOND
    take(data, clock=clock)
    with pytest.raises(LeaseError, match="taken over"):
        paused.publish(made, data / "history" / "part-0.parquet")
    with pytest.raises(LeaseError, match="taken over"):
        paused.discard(kept)
    assert kept.read_bytes() == b"acked"
    assert not (data / "history" / "part-0.parquet").exists()
    paused.release()
    assert disk.names(data / "lease") == ["00000002.json"]


def test_one_paused_before_it_had_the_lease_does_not_pass_the_fence(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who makes its directory, is paused, and links its lease after a successor's fence, finds that it has lost."""
    clock = Clock()
    link = disk.link

    def paused(source: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "link", link)
        link(source, target)
        clock.now += 600 * SECOND  # it has the lease and is paused before it looks again: a successor comes and goes
        take(data, clock=clock)

    monkeypatch.setattr(disk, "link", paused)
    with pytest.raises(LeaseError):
        take(data, term_s=60, clock=clock)
    assert [name[:8] for name in disk.names(data / WORK)] == ["00000002"]


def test_what_is_discarded_is_gone_in_one_step_and_counted(data: Path) -> None:
    """A directory goes with all it holds; the bytes are told; what is gone already is no error."""
    with take(data) as lease:
        hour = data / "hot" / "spans" / "hour"
        hour.mkdir(parents=True)
        (hour / "a.parquet").write_bytes(b"12345")
        (hour / "b.parquet").write_bytes(b"678")
        assert lease.discard(hour) == 8
        assert not hour.exists()
        assert lease.discard(hour) == 0
        assert disk.names(lease.work) == []


def test_the_lease_of_a_killed_process_is_taken_at_once(data: Path) -> None:
    """SIGKILL leaves lease and work directory; the next on the same machine needn't wait for the end of the term."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            held = take(data)
            held.name(".parquet").write_bytes(b"half")
            os.write(writer, b"x")
            time.sleep(60)
        finally:
            os._exit(1)
    os.read(reader, 1)
    with pytest.raises(LeaseError):
        take(data)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with take(data) as lease:
        assert disk.names(data / WORK) == [lease.work.name]


def test_a_damaged_lease_holds_nothing(data: Path) -> None:
    """Garbage in the lease file doesn't lock the directory for ever."""
    take(data).release()
    (data / "lease" / "00000007.json").write_text("{")
    with take(data) as lease:
        assert lease.work.name.startswith("00000008")


def test_a_work_directory_that_was_swept_before_the_lease_was_taken_is_a_lost_race(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is held up between the two finds that another one took the lease and cleared away: that is no full disk."""
    link = disk.link

    def held_up(source: Path, target: Path) -> None:
        shutil.rmtree(source.parent)
        link(source, target)

    monkeypatch.setattr(disk, "link", held_up)
    with pytest.raises(LeaseError, match="another maintainer has just begun"):
        take(data)
    monkeypatch.undo()
    with take(data) as lease:
        assert lease.work.is_dir()
