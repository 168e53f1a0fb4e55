"""Which spans the dedupe window knows: exactly those that were added lately, and after a restart those that count."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore, disk, marks, overflow, snapshot
from otel_voicebot.store.layout import HOUR_NS, hour_of
from otel_voicebot.store.window import Window
from tests.store.rows import START, span_rows

SECOND = 1_000_000_000
KEYS = pa.schema([("trace_id", pa.binary(16)), ("span_id", pa.binary(8))])


class Moment:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """The time."""
        return self.now


def keys(pairs: list[tuple[int, int]]) -> pa.RecordBatch:
    """Rows of these (trace, span) numbers, most of whose ids' bytes are equal."""
    traces = pa.array([trace.to_bytes(16) for trace, _ in pairs], pa.binary(16))
    return pa.RecordBatch.from_arrays([traces, pa.array([s.to_bytes(8) for _, s in pairs], pa.binary(8))], schema=KEYS)


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60), max_size=12))
def test_it_knows_exactly_what_was_added(batches: list[list[tuple[int, int]]]) -> None:
    """Against a plain set: a row is repeated when its pair was added before, or is earlier in the same rows."""
    window, known = Window(60, 100_000, clock=Moment()), set()
    for pairs in batches:
        expected = []
        for number, pair in enumerate(pairs):
            expected.append(pair in known or pair in pairs[:number])
        rows = keys(pairs)
        mask = window.repeated(rows)
        assert mask.tolist() == expected
        window.add(rows.filter(pa.array(~mask)))
        known.update(pairs)
        assert len(window) == len(known)


def test_many_keys_are_told_apart(tmp_path: Path) -> None:
    """Of 300,000 spans in batches each is new once and known ever after, and ids one bit apart are others."""
    window = Window(60, 1_000_000)
    random = np.random.default_rng(1)
    every = [(int(t), int(s)) for t, s in random.integers(1, 1 << 62, (30_000, 2))]
    for start in range(0, len(every), 3000):
        rows = keys(every[start : start + 3000])
        assert not window.repeated(rows).any()
        window.add(rows)
    assert window.repeated(keys(every)).all()
    assert not window.repeated(keys([(trace ^ 1, span) for trace, span in every])).any()
    assert not window.repeated(keys([(trace, span ^ 1 << 61) for trace, span in every])).any()


def test_looking_remembers_nothing() -> None:
    """A span that is only asked for is new again: it enters when its commit is through."""
    window = Window(60)
    rows = span_rows(10)
    assert not window.repeated(rows).any()
    assert not window.repeated(rows).any()
    window.add(rows)
    assert window.repeated(rows).all()


def test_slices_and_tables_are_taken_as_they_are() -> None:
    """Rows may be part of a batch, or in several pieces, or none."""
    window = Window(60)
    rows = span_rows(30)
    window.add(rows.slice(10, 10))
    assert window.repeated(rows).tolist() == [10 <= number < 20 for number in range(30)]
    table = pa.Table.from_batches([rows.slice(5, 10), rows.slice(15)])
    assert window.repeated(table).tolist() == [10 <= number < 20 for number in range(5, 30)]
    assert window.repeated(rows.slice(0, 0)).tolist() == []
    window.add(pa.Table.from_batches([], rows.schema))


def test_a_span_is_remembered_for_its_time_and_no_longer_than_twice() -> None:
    """Within the span of the window it is known, after two of them it is forgotten."""
    clock = Moment()
    window = Window(60, clock=clock)
    first = keys([(1, 1)])
    window.add(first)
    seen = []
    for step in range(6):
        clock.now += 30 * SECOND
        seen.append(bool(window.repeated(first).all()))
        window.add(keys([(2, step)]))
    assert seen == [True, True, True, True, False, False]
    assert window.repeated(keys([(2, 4), (2, 5)])).all()


def test_it_is_bounded() -> None:
    """Beyond its size the oldest go, the newest half stays."""
    window = Window(3600, 1000, clock=Moment())
    for start in range(0, 10_000, 100):
        window.add(keys([(1, number) for number in range(start, start + 100)]))
        assert len(window) <= 1000
    assert window.repeated(keys([(1, number) for number in range(9_500, 10_000)])).all()


def store_at(data: Path, when: list[int]) -> SpanStore:
    """A store whose clock shows ``when[0]``."""
    return SpanStore(data, clock=lambda: when[0])


def known(data: Path, count: int = 60, span_s: float = 3600) -> set[int]:
    """Which of the first spans a window knows that is rebuilt from ``data``."""
    window = Window(span_s)
    taken = window.rebuild(data)
    found = {int(number) for number in np.flatnonzero(window.repeated(span_rows(count)))}
    assert taken == len(found)
    return found


def test_it_is_rebuilt_from_the_hours_that_count(tmp_path: Path) -> None:
    """Hot files of open hours and history are known again; hot files of a sealed hour are not."""
    when = [START]
    store = store_at(tmp_path, when)
    assert known(tmp_path) == set()
    store.commit([span_rows(10)])
    when[0] += HOUR_NS
    store.commit([span_rows(10, first=10)])
    store.commit([span_rows(10, first=20)])
    assert known(tmp_path) == {*range(30)}
    marks.seal(tmp_path, "spans", hour_of(START))
    assert known(tmp_path) == {*range(10, 30)}
    history = tmp_path / "history/spans" / hour_of(START) / "part-0.parquet"
    history.parent.mkdir(parents=True)
    SpanStore(tmp_path / "merged").commit([span_rows(5)])
    pa.parquet.write_table(snapshot(tmp_path / "merged").read(), history)
    assert known(tmp_path) == {*range(5), *range(10, 30)}


def test_what_is_older_than_the_window_is_not_read(tmp_path: Path) -> None:
    """Hours that ended a window's span before the newest commit are left out."""
    when = [START]
    store = store_at(tmp_path, when)
    for number in range(4):
        store.commit([span_rows(10, first=10 * number)])
        when[0] += HOUR_NS
    assert known(tmp_path, span_s=3600) == {*range(20, 40)}
    assert known(tmp_path, span_s=7300) == {*range(40)}


def test_a_damaged_file_does_not_keep_a_service_from_starting(tmp_path: Path) -> None:
    """What can be read is known; a file with garbage in a page, or in all of it, is left out."""
    store = store_at(tmp_path, [START])
    paths = [store.commit([span_rows(10, first=first)]).path for first in (0, 10, 20)]
    assert paths[0] is not None
    assert paths[1] is not None
    paths[0].write_bytes(b"")
    content = bytearray(paths[1].read_bytes())
    content[-1500:-20] = bytes(1480)
    paths[1].write_bytes(content)
    assert known(tmp_path) == {*range(20, 30)}


def test_what_it_relies_upon_is_made_durable_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory on the way to a file that counts is synced: its writer may have been killed before it did."""
    path = store_at(tmp_path, [START]).commit([span_rows(10)]).path
    assert path is not None
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    assert known(tmp_path) == {*range(10)}
    assert {*synced} == {path.parents[number] for number in range(5)}
    assert path.parents[4] == tmp_path


def test_a_rebuild_needs_neither_memory_for_all_nor_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its memory it uses the data directory, and leaves nothing there: a service may write nowhere else."""
    count, random = 200_000, np.random.default_rng(0)
    ids = {"trace_id": 16, "span_id": 8}
    known = {
        name: pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), count, [None, pa.py_buffer(random.bytes(width * count))]
        )
        for name, width in ids.items()
    }
    known["ingest_time"] = pa.array(random.integers(0, 10**6, count) + START // 1000).cast(
        SPANS.field("ingest_time").type
    )
    arrays = [known.get(field.name, pa.nulls(count, field.type)) for field in SPANS]
    SpanStore(tmp_path, clock=lambda: START).commit([pa.RecordBatch.from_arrays(arrays, schema=SPANS)])
    monkeypatch.setattr(overflow, "_MEMORY", "30MB")
    monkeypatch.chdir("/proc")  # where nobody can make a file
    assert Window(3600).rebuild(tmp_path) == count
    assert list((tmp_path / "tmp").iterdir()) == []
