"""Group commit: when it is due, and what happens while the disk refuses."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_voicebot.errors import CannotStartError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_COMMITTED, SELF_DROPPED
from otel_voicebot.store import Commit, GroupCommit, SpanStore, snapshot
from tests.store.rows import span_id, span_rows

SECOND = 1_000_000_000


class Moment:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """The time."""
        return self.now


class Disk(SpanStore):
    """A store whose disk can be made to refuse."""

    refuses = False

    def commit(self, rows: Sequence[pa.RecordBatch]) -> Commit:
        """Refuse, or commit for real."""
        if self.refuses:
            raise CannotStartError("no space")
        return super().commit(rows)


def test_a_commit_is_due_by_rows_or_by_age(tmp_path: Path) -> None:
    """Ten rows, or the oldest row's ten seconds, whichever is first; never when nothing waits."""
    clock = Moment()
    group = GroupCommit(SpanStore(tmp_path), SelfMetrics(), max_rows=10, max_age_s=10, clock=clock)
    assert not group.due()
    group.add(span_rows(9))
    assert not group.due()
    group.add(span_rows(1, first=9))
    assert group.due()
    assert group.flush() is not None
    group.add(span_rows(1, first=10))
    clock.now += 9 * SECOND
    group.add(span_rows(1, first=11))
    assert not group.due()
    clock.now += SECOND
    assert group.due()


def test_many_batches_become_one_file(tmp_path: Path) -> None:
    """A flush commits all that waits in one file, then nothing waits; empty batches and flushes leave no file."""
    group = GroupCommit(SpanStore(tmp_path), SelfMetrics())
    for number in range(100):
        group.add(span_rows(5, first=5 * number))
        group.add(span_rows(0))
    assert group.pending_rows == 500
    commit = group.flush()
    assert commit is not None
    assert commit.rows == 500
    assert (group.pending_rows, group.due(), group.flush()) == (0, False, None)
    found = snapshot(tmp_path)
    assert (len(found.files), found.rows) == (1, 500)


def test_rows_wait_while_the_disk_refuses(tmp_path: Path) -> None:
    """A refusal loses nothing; the next try is due a second later, and succeeds when the disk does."""
    clock = Moment()
    store = Disk(tmp_path)
    group = GroupCommit(store, SelfMetrics(), max_rows=10, clock=clock)
    store.refuses = True
    group.add(span_rows(10))
    with pytest.raises(CannotStartError):
        group.flush()
    assert (group.pending_rows, group.due()) == (10, False)
    clock.now += SECOND
    store.refuses = False
    assert group.due()
    group.flush()
    assert snapshot(tmp_path).rows == 10


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=30), cap=st.integers(1, 60))
def test_the_oldest_are_dropped_and_counted_at_the_cap(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cap: int
) -> None:
    """While the disk refuses at most ``cap`` rows wait: the newest. Each one dropped is counted."""
    data = tmp_path_factory.mktemp("data")
    metrics = SelfMetrics()
    store = Disk(data, metrics=metrics)
    group = GroupCommit(store, metrics, cap_rows=cap)
    store.refuses = True
    for size, end in zip(sizes, itertools.accumulate(sizes), strict=True):
        group.add(span_rows(size, first=end - size))
        with pytest.raises(CannotStartError):
            group.flush()
        assert group.pending_rows == min(end, cap)
    store.refuses = False
    group.flush()
    total = sum(sizes)
    kept = [span_id(number).hex() for number in range(max(0, total - cap), total)]
    assert snapshot(data).read(["span_id"])["span_id"].to_pylist() == kept
    assert metrics.get(SELF_DROPPED, "disk") == total - len(kept)
    assert metrics.get(SELF_COMMITTED) == len(kept)


def test_nothing_is_dropped_while_the_disk_takes_it(tmp_path: Path) -> None:
    """The cap is for a disk that refuses: a burst above it is committed whole."""
    metrics = SelfMetrics()
    group = GroupCommit(SpanStore(tmp_path), metrics, cap_rows=10)
    for number in range(5):
        group.add(span_rows(10, first=10 * number))
    group.flush()
    assert snapshot(tmp_path).rows == 50
    assert metrics.get(SELF_DROPPED, "disk") == 0
