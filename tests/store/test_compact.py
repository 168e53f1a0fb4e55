"""Closed hours become history: the same rows, sorted, each once; whatever is killed, paused, late or damaged."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otel_voicebot.errors import LeaseError, UnreadableDataError
from otel_voicebot.spans.schema import SPANS, SPANS_READ
from otel_voicebot.store import SpanStore, disk, keys, marks, merge, snapshot
from otel_voicebot.store.compact import PART, Hour, closed_hours, compact, rewrite_hour
from otel_voicebot.store.layout import HISTORY, HOT, HOUR_NS
from otel_voicebot.store.lease import take
from otel_voicebot.store.verify import verify
from tests.store.hours import FILES, HOUR, LATER, ROWS, fill, maintain, once, rows_of, seen
from tests.store.rows import START, span_id, span_rows, trace_id

SPANS_HOUR = Hour(HOUR, "spans")


def part(data: Path, table: str = "spans") -> Path:
    """The merged file."""
    return Hour(HOUR, table).directory(data, HISTORY) / PART


def hot(data: Path, table: str = "spans") -> list[str]:
    """The hot files of the hour."""
    return disk.names(Hour(HOUR, table).directory(data, HOT))


@pytest.mark.parametrize("part_bytes", [96 << 20, 30_000], ids=["in memory", "in parts on disk"])
def test_an_hour_holds_the_same_rows_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    """One file with the rows of all, every value of every column, by bot, session and time, however it was merged."""
    monkeypatch.setattr(keys, "PART_BYTES", part_bytes)
    monkeypatch.setattr(merge, "PART_BYTES", part_bytes)
    for number in range(FILES):  # the order of ingest is not that of sessions
        fill(tmp_path, first=(FILES - number) * 300, files=1)
    before = snapshot(tmp_path).read()
    (done,), failed = maintain(tmp_path)
    after = snapshot(tmp_path)
    by_key = [("trace_id", "ascending"), ("span_id", "ascending")]
    assert not failed
    assert (done.files, done.merged.rows, done.merged.repeated) == (FILES, FILES * ROWS, 0)
    assert after.files == (part(tmp_path),)
    assert after.read().sort_by(by_key).equals(before.sort_by(by_key))
    order = [("bot", "ascending"), ("session_id", "ascending"), ("start_unix_nano", "ascending")]
    stored = pq.read_table(part(tmp_path), partitioning=None)
    assert stored["start_unix_nano"].equals(stored.sort_by(order)["start_unix_nano"])
    assert hot(tmp_path) == []
    assert not verify(tmp_path).findings


def test_history_is_ordinary_parquet_with_hex_ids(tmp_path: Path) -> None:
    """Any tool reads it as it is: ids are text, encodings are among those that Spark's reader knows."""
    spans = fill(tmp_path)
    maintain(tmp_path)
    glob = f"{tmp_path}/history/spans/**/*.parquet"
    rows = duckdb.sql(f"SELECT span_id, links, date, hour FROM read_parquet('{glob}')").fetchall()
    assert {row[0] for row in rows} == spans
    assert {item["span_id"] for row in rows for item in row[1]} <= spans
    group = pq.read_metadata(part(tmp_path)).row_group(0)
    used = {name for at in range(group.num_columns) for name in group.column(at).encodings}
    assert used <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "DELTA_BINARY_PACKED"}


def test_an_open_hour_stays_as_it_is(tmp_path: Path) -> None:
    """An hour is closed a minute after its end, not before."""
    fill(tmp_path)
    end = START - START % HOUR_NS + HOUR_NS
    assert closed_hours(tmp_path, end + 59_000_000_000) == []
    assert closed_hours(tmp_path, end + 60_000_000_000) == [SPANS_HOUR]


def test_a_repeated_span_is_kept_once_as_it_came_in_first(tmp_path: Path) -> None:
    """Copies of a span are dropped inside the hour, also where they differ."""
    fill(tmp_path)
    again = pa.Table.from_batches([span_rows(ROWS)])
    at = again.schema.get_field_index("bot")
    again = again.set_column(at, "bot", pa.array(["later"] * ROWS))
    times = again.schema.get_field_index("ingest_time")
    again = again.set_column(
        times, SPANS.field("ingest_time"), pa.array([START // 1000] * ROWS, SPANS.field("ingest_time").type)
    )
    first = again.set_column(at, "bot", pa.array(["first"] * ROWS)).set_column(
        times, SPANS.field("ingest_time"), pa.array([1] * ROWS, SPANS.field("ingest_time").type)
    )
    store = SpanStore(tmp_path, clock=lambda: START)
    for copy in (again, first):
        store.commit(copy.cast(SPANS).to_batches())
    (done,), _ = maintain(tmp_path)
    rows = snapshot(tmp_path).read(["span_id", "bot"])
    assert done.merged.repeated == 2 * ROWS
    assert rows.num_rows == FILES * ROWS
    bots = dict(zip(rows["span_id"].to_pylist(), rows["bot"].to_pylist(), strict=True))
    assert {bots[span_id(number).hex()] for number in range(ROWS)} == {"first"}


def test_a_span_without_session_gets_that_of_its_trace(tmp_path: Path) -> None:
    """Of several ids the smallest, as in the models; one that no span of the trace names stays unknown."""
    named = {3: "call-b", 4: "call-a", 10: None}
    rows = span_rows(20)
    sessions = pa.array([named.get(number) for number in range(20)], pa.string())
    columns = [sessions if field.name == "session_id" else rows[field.name] for field in rows.schema]
    SpanStore(tmp_path, clock=lambda: START).commit([pa.RecordBatch.from_arrays(columns, schema=rows.schema)])
    maintain(tmp_path)
    found = snapshot(tmp_path).read(["trace_id", "span_id", "session_id"]).to_pylist()
    by_trace = {trace_id(0).hex(): "call-a", trace_id(10).hex(): None}
    expected = {row["span_id"]: by_trace[row["trace_id"]] for row in found} | {span_id(3).hex(): "call-b"}
    assert {row["span_id"]: row["session_id"] for row in found} == expected


def test_the_highest_revision_of_a_turn_and_of_a_session_stays(tmp_path: Path) -> None:
    """Older revisions are dropped inside the hour."""
    store = SpanStore(tmp_path, clock=lambda: START)
    for revision in (1, 3, 2):
        turn = {"session_id": "a", "turn_index": 1, "revision": revision, "writer": f"w{revision}"}
        store.write_rows("turns", rows_of("turns", turn, {**turn, "turn_index": 2, "revision": 1}))
        store.write_rows("sessions", rows_of("sessions", {"session_id": "a", "revision": revision}))
    maintain(tmp_path)
    turns = snapshot(tmp_path, "turns").read(["turn_index", "revision"]).to_pylist()
    assert sorted((row["turn_index"], row["revision"]) for row in turns) == [(1, 3), (2, 1)]
    assert snapshot(tmp_path, "sessions").read(["revision"]).to_pylist() == [{"revision": 3}]


def test_log_records_are_all_kept_and_none_doubled_by_a_kill(tmp_path: Path) -> None:
    """Equal records are two records; a file that was merged and not yet removed isn't merged again."""
    store = SpanStore(tmp_path, clock=lambda: START)
    record = {"session_id": "a", "body": "hello", "time": START // 1000, "trace_id": trace_id(1), "span_id": None}
    commit = store.commit(rows_of("logs", record, record).to_batches(), "logs")
    assert commit.path is not None
    content = commit.path.read_bytes()
    maintain(tmp_path)
    commit.path.parent.mkdir()
    commit.path.write_bytes(content)  # as if it had been killed before it was removed
    inode = part(tmp_path, "logs").stat().st_ino
    assert maintain(tmp_path) == ([], [])
    assert part(tmp_path, "logs").stat().st_ino == inode
    assert hot(tmp_path, "logs") == []
    assert snapshot(tmp_path, "logs").read(["body"])["body"].to_pylist() == ["hello", "hello"]


def test_a_file_that_was_merged_is_only_removed(tmp_path: Path) -> None:
    """After a kill between publishing and removing the hour isn't merged a second time."""
    fill(tmp_path)
    (hour,) = {path.parent for path in tmp_path.glob("hot/**/*.parquet")}
    contents = {path: path.read_bytes() for path in hour.iterdir()}
    maintain(tmp_path)
    inode = part(tmp_path).stat().st_ino
    hour.mkdir()
    for path, content in contents.items():
        path.write_bytes(content)
    assert maintain(tmp_path) == ([], [])
    assert part(tmp_path).stat().st_ino == inode
    assert hot(tmp_path) == []


def test_erased_people_are_left_out(tmp_path: Path) -> None:
    """Tombstones are applied to what is merged, also to a span that names only the trace of an erased session."""
    fill(tmp_path)
    marks.bury(tmp_path, sessions=["call-0"], unnamed=[trace_id(0).hex()])
    (done,), _ = maintain(tmp_path)
    assert done.merged.erased == 100
    assert set(pq.read_table(part(tmp_path), partitioning=None)["session_id"].to_pylist()) == {"call-1"}


def killed_at(data: Path, step: int) -> bool:
    """Compact in a child that is killed just before its n-th effect on the file system; False when it got through."""
    child = os.fork()
    if child == 0:
        try:
            _arm(step)
            maintain(data)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _arm(step: int) -> None:
    left = [step]

    def wrap(effect: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return effect(*args, **options)

        return dying

    for name in (
        "write",
        "rename",
        "link",
        "remove",
        "remove_directory",
        "make",
        "make_one",
        "sync_file",
        "sync_directory",
    ):
        setattr(disk, name, wrap(getattr(disk, name)))


def test_a_kill_before_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Whichever step of a compaction is the last: readers see each span once then, and after the next compaction."""
    spans = fill(tmp_path)
    kills = 0
    while killed_at(tmp_path, 1 + kills % 60):
        kills += 1
        assert seen(tmp_path) == once(spans)
        if hot(tmp_path) == []:  # it got as far as removing everything: begin with a new hour of the same spans
            break
    assert kills >= 15
    maintain(tmp_path)
    assert seen(tmp_path) == once(spans)
    assert not verify(tmp_path).findings


def test_a_holder_that_was_paused_does_not_bring_erased_people_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has merged; its lease is taken, a session erased and the hour made anew; its rename fails."""
    fill(tmp_path)
    clock = [START]
    paused = take(tmp_path, clock=lambda: clock[0])
    sync_file = disk.sync_file

    def pause(path: Path) -> None:
        sync_file(path)
        monkeypatch.setattr(disk, "sync_file", sync_file)
        clock[0] += HOUR_NS
        marks.bury(tmp_path, sessions=["call-0"])
        with take(tmp_path, clock=lambda: clock[0]) as other:
            compact(other, closed_hours(tmp_path, LATER))

    monkeypatch.setattr(disk, "sync_file", pause)
    with pytest.raises(LeaseError, match="taken over"):
        compact(paused, closed_hours(tmp_path, LATER))
    assert set(pq.read_table(part(tmp_path), partitioning=None)["session_id"].to_pylist()) == {"call-1"}


@pytest.mark.parametrize("published", [False, True], ids=["before it is listed", "after it was published"])
def test_a_late_writer_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool) -> None:
    """A commit that hangs over its hour's end is seen whether or not the compactor saw its file."""
    spans = fill(tmp_path)
    rename = disk.rename

    def slow(source: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "rename", rename)
        if published:
            maintain(tmp_path)
        rename(source, target)
        if not published:
            maintain(tmp_path)

    store = SpanStore(tmp_path, clock=lambda: START)
    monkeypatch.setattr(disk, "rename", slow)
    if published:
        Hour(HOUR, "spans").directory(tmp_path, HOT).joinpath("keep").touch()  # or its directory is gone, and made anew
    late = {span for _, span in store.commit([span_rows(ROWS, first=5000)]).span_ids()}
    assert set(seen(tmp_path)) == spans | late
    maintain(tmp_path, LATER + 5 * HOUR_NS)
    assert set(seen(tmp_path)) == spans | late


def test_a_scan_goes_on_over_an_hour_that_is_replaced(tmp_path: Path) -> None:
    """DuckDB has begun to read a merged hour when it is made anew: it reads the former one to its end."""
    store = SpanStore(tmp_path, clock=lambda: START)
    store.commit([span_rows(30_000)])
    maintain(tmp_path)
    with duckdb.connect(config={"threads": 1}) as engine:
        scan = engine.execute(snapshot(tmp_path).sql(["span_id"]))
        first = scan.fetchmany(10)
        marks.bury(tmp_path, sessions=["call-0"])
        with take(tmp_path) as lease:
            rewrite_hour(lease, SPANS_HOUR, step=lease.keep)
        assert len(first) + len(scan.fetchall()) == 30_000
    assert snapshot(tmp_path).read(["span_id"]).num_rows == 29_900


def test_readers_beside_a_compactor_see_each_span_once(tmp_path: Path) -> None:
    """Four hours are merged one after the other while a reader counts: always all, always once."""
    spans: set[str] = set()
    for number in range(4):
        spans |= fill(tmp_path, first=number * 1000, at=START + number * HOUR_NS)
    ended = threading.Event()
    wrong: list[object] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        while not ended.is_set():
            looks += 1
            if (found := seen(tmp_path)) != once(spans):
                wrong.append(found)

    reader = threading.Thread(target=look)
    reader.start()
    maintain(tmp_path, START + 10 * HOUR_NS)
    ended.set()
    reader.join()
    assert looks
    assert wrong == []
    assert len(snapshot(tmp_path).history) == 4


def test_an_hour_with_a_damaged_file_stays_and_the_others_are_merged(tmp_path: Path) -> None:
    """Nothing is removed that isn't merged; the file is named."""
    fill(tmp_path)
    fill(tmp_path, first=1000, at=START + HOUR_NS)
    broken = Hour(HOUR, "spans").directory(tmp_path, HOT) / hot(tmp_path)[1]
    content = bytearray(broken.read_bytes())
    content[len(content) // 3] ^= 0xFF
    broken.write_bytes(content)
    done, failed = maintain(tmp_path, LATER + HOUR_NS)
    assert [one.hour for one in failed] == [SPANS_HOUR]
    assert isinstance(failed[0].error, UnreadableDataError)
    assert len(done) == 1
    assert len(hot(tmp_path)) == FILES
    assert not part(tmp_path).exists()


def test_a_torn_file_of_turns_is_left_out(tmp_path: Path) -> None:
    """Turns are written without fsync: what a power cut has torn is computed again, and doesn't hold up the hour."""
    Hour(HOUR, "sessions").directory(tmp_path, HOT).mkdir(parents=True)
    (Hour(HOUR, "sessions").directory(tmp_path, HOT) / "all-that-there-is.parquet").write_bytes(b"")
    store = SpanStore(tmp_path, clock=lambda: START)
    torn = store.write_rows("turns", rows_of("turns", {"session_id": "a", "turn_index": 1, "revision": 1}))
    store.write_rows("turns", rows_of("turns", {"session_id": "b", "turn_index": 1, "revision": 1}))
    assert torn is not None
    torn.write_bytes(b"")
    done, failed = maintain(tmp_path)
    assert [one.hour.table for one in done] == ["turns"]
    assert failed == []
    assert hot(tmp_path, "sessions") == []
    assert snapshot(tmp_path, "turns").read(["session_id"])["session_id"].to_pylist() == ["b"]


def test_files_of_an_older_version_are_merged_and_of_a_newer_one_left(tmp_path: Path) -> None:
    """A column that a file doesn't have is null; what a newer version means isn't known, and nothing of it is lost."""
    store = SpanStore(tmp_path, clock=lambda: START)
    paths = [store.commit([span_rows(ROWS, first=number * 100)]).path for number in range(2)]
    assert paths[0] is not None
    old = pq.read_table(paths[0], partitioning=None).drop_columns(["agent", "quality", "links"])
    pq.write_table(old, paths[0])
    maintain(tmp_path)
    rows = snapshot(tmp_path).read(["quality", "links"])
    assert rows.num_rows == 2 * ROWS
    assert rows["quality"].null_count == ROWS
    newer = store.commit([span_rows(ROWS, first=9000)]).path
    assert newer is not None
    table = pq.read_table(newer, partitioning=None).replace_schema_metadata({"otel_voicebot.schema_version": "99"})
    pq.write_table(table, newer)
    _, (failed,) = maintain(tmp_path, LATER + 5 * HOUR_NS)
    assert "schema version 99" in str(failed.error)
    assert newer.exists()


def test_a_merge_that_is_stopped_leaves_the_hour(tmp_path: Path) -> None:
    """Asked to stop inside an hour, it gives up: the hot files stay, nothing is published."""
    fill(tmp_path)
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 2

    with take(tmp_path) as lease:
        assert compact(lease, closed_hours(tmp_path, LATER), stop=stop) == ([], [])
    assert len(hot(tmp_path)) == FILES
    assert not part(tmp_path).exists()
    assert SPANS_READ.names == snapshot(tmp_path).schema.names
