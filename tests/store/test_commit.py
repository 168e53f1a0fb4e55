"""What a commit leaves on disk, and what it leaves when the disk refuses."""

import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from otel_voicebot.errors import CannotStartError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_COMMITTED, SELF_FAILURES
from otel_voicebot.spans.schema import SCHEMA_VERSION, SESSIONS, SPANS, TURNS
from otel_voicebot.store import Commit, SpanStore, snapshot
from otel_voicebot.store.layout import Names
from tests.store.rows import START, span_id, span_rows, trace_id

HOUR = 3_600_000_000_000


def in_child(action: Callable[[], object]) -> bool:
    """Run ``action`` in a forked child; True when it ended without an exception."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def test_a_committed_file_holds_the_rows_unchanged(tmp_path: Path) -> None:
    """What was committed is read back from the file column by column, type by type."""
    rows = span_rows(100)
    commit = SpanStore(tmp_path / "data").commit([rows.slice(0, 40), rows.slice(40)])
    assert pq.ParquetFile(commit.path).read().cast(SPANS).equals(pa.Table.from_batches([rows]))


def test_a_commit_tells_its_spans(tmp_path: Path) -> None:
    """A commit names its file, its number of rows and every span id as hex, and is counted."""
    metrics = SelfMetrics()
    seen: list[Commit] = []
    commit = SpanStore(tmp_path, metrics=metrics, on_commit=seen.append).commit([span_rows(3)])
    assert seen == [commit]
    assert commit.rows == 3
    assert commit.path.is_file()
    assert commit.span_ids() == [(trace_id(n).hex(), span_id(n).hex()) for n in range(3)]
    assert metrics.get(SELF_COMMITTED) == 3


def test_a_file_lies_in_the_hour_of_its_commit(tmp_path: Path) -> None:
    """The directory is the UTC hour of the commit, not of the spans."""
    now = START
    store = SpanStore(tmp_path, clock=lambda: now)
    first = store.commit([span_rows(1)])
    now += HOUR
    second = store.commit([span_rows(1, first=1)])
    assert first.path.parent == tmp_path / "hot/spans/date=2026-11-21/hour=00"
    assert second.path.parent == tmp_path / "hot/spans/date=2026-11-21/hour=01"


def test_files_carry_the_schema_version(tmp_path: Path) -> None:
    """A file says which table and version it is, for readers that come later."""
    metadata = pq.read_metadata(SpanStore(tmp_path).commit([span_rows(1)]).path).metadata
    assert metadata[b"otel_voicebot.schema_version"] == str(SCHEMA_VERSION).encode()
    assert metadata[b"otel_voicebot.table"] == b"spans"


def test_every_tool_reads_the_directory_as_it_is(tmp_path: Path) -> None:
    """pandas, pyarrow and DuckDB read hot/spans, also while half a file lies in tmp."""
    store = SpanStore(tmp_path)
    for number in range(3):
        store.commit([span_rows(10, first=10 * number)])
    (tmp_path / "tmp" / "spans-x.tmp").write_bytes(b"PAR1 half a file")
    spans = tmp_path / "hot" / "spans"
    assert len(pd.read_parquet(spans)) == 30
    assert pads.dataset(spans, format="parquet", partitioning="hive").count_rows() == 30
    for glob in (f"{spans}/**/*.parquet", f"{tmp_path}/**/*.parquet"):
        assert duckdb.sql(f"SELECT count(DISTINCT span_id) FROM '{glob}'").fetchall() == [(30,)]


def test_the_order_of_system_calls_is_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are synced before the rename, and the directory after it, before the commit is told to anyone."""
    calls: list[str] = []
    store = SpanStore(tmp_path, on_commit=lambda _: calls.append("told"))
    store.commit([span_rows(1)])
    calls.clear()
    sync, rename = os.fsync, os.rename

    def record_sync(descriptor: int) -> None:
        calls.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().suffix)
        sync(descriptor)

    def record_rename(source: Path, target: Path, **options: int) -> None:
        calls.append("rename")
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record_rename)
    store.commit([span_rows(1)])
    assert calls == ["sync .tmp", "rename", "sync ", "told"]


def test_new_directories_are_synced_up_to_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of every directory on the way to a file is durable before its first commit is told."""
    synced: set[Path] = set()
    sync = os.fsync

    def record(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    data = tmp_path / "new" / "data"
    commit = SpanStore(data).commit([span_rows(1)])
    assert {*commit.path.relative_to(tmp_path).parents} <= {
        path.relative_to(tmp_path) for path in synced if path.is_dir()
    }


def test_names_never_repeat(tmp_path: Path) -> None:
    """Two writers started in the same nanosecond, eight threads and a forked child all get names of their own."""
    one, other = Names(START), Names(START)
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.extend(one.next() for _ in range(200))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names += [other.next() for _ in range(200)]
    told = tmp_path / "child"
    assert in_child(lambda: told.write_text("\n".join(one.next() for _ in range(200))))
    names += told.read_text().split("\n")
    assert len(set(names)) == len(names) == 2000
    assert all(set(name) <= set("0123456789abcdefTZ-") for name in names)


def test_a_forked_child_commits_beside_its_parent(tmp_path: Path) -> None:
    """Parent and child go on with the same store object, and neither overwrites the other's file."""
    store = SpanStore(tmp_path)
    store.commit([span_rows(1)])
    assert in_child(lambda: store.commit([span_rows(1, first=1)]))
    store.commit([span_rows(1, first=2)])
    assert set(snapshot(tmp_path).read(["span_id"])["span_id"].to_pylist()) == {span_id(n).hex() for n in range(3)}


def test_threads_share_a_store(tmp_path: Path) -> None:
    """Eight threads commit into one store, and every row is there once."""
    store = SpanStore(tmp_path)
    threads = [
        threading.Thread(target=lambda k=k: [store.commit([span_rows(5, first=k * 100 + i * 5)]) for i in range(5)])
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = snapshot(tmp_path).read(["span_id"])["span_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 200


def test_a_callback_that_raises_does_not_undo_a_commit(tmp_path: Path) -> None:
    """The rows are durable, so the caller is not told to try again; the failure is counted."""

    def fail(_: Commit) -> None:
        raise RuntimeError

    metrics = SelfMetrics()
    assert SpanStore(tmp_path, metrics=metrics, on_commit=fail).commit([span_rows(2)]).rows == 2
    assert metrics.get(SELF_FAILURES, "on_commit") == 1


def test_turn_and_session_rows_are_written_whole(tmp_path: Path) -> None:
    """Rows of the derived tables appear under their own names, in the schema of the table."""
    store = SpanStore(tmp_path)
    turns = pa.Table.from_pylist([{"session_id": "call-1", "turn_index": 1, "response_gap_s": 0.8}], TURNS)
    sessions = pa.Table.from_pylist([{"session_id": "call-1", "outcome": "resolved"}], SESSIONS)
    assert store.write_rows("turns", turns).is_relative_to(tmp_path / "hot" / "turns")
    store.write_rows("sessions", sessions)
    assert snapshot(tmp_path, "turns").read().equals(turns)
    assert snapshot(tmp_path, "sessions").read().equals(sessions)


def test_leftovers_of_dead_writers_are_removed_at_start(tmp_path: Path) -> None:
    """A temporary file of an hour ago goes, a young one may be another writer's and stays."""
    SpanStore(tmp_path)
    old, young = tmp_path / "tmp" / "spans-old.tmp", tmp_path / "tmp" / "spans-young.tmp"
    old.write_bytes(b"PAR1")
    young.write_bytes(b"PAR1")
    overflow = tmp_path / "tmp" / "overflow-old.tmp"  # a directory, of one that was killed at its start
    overflow.mkdir()
    (overflow / "duckdb_temp_storage.tmp").write_bytes(b"rows")
    for leftover in (old, overflow):
        os.utime(leftover, (young.stat().st_mtime - 3700,) * 2)
    SpanStore(tmp_path)
    assert not old.exists()
    assert not overflow.exists()
    assert young.exists()


def test_a_data_directory_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """A user who deletes the directory under a running bot loses what was in it and nothing that comes later."""
    store = SpanStore(tmp_path / "data")
    store.commit([span_rows(1)])
    subprocess.run(["rm", "-r", str(tmp_path / "data")], check=True)
    store.commit([span_rows(1, first=1)])
    assert snapshot(tmp_path / "data").rows == 1


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that changes its working directory goes on writing to the same place."""
    monkeypatch.chdir(tmp_path)
    store = SpanStore(Path("data"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.commit([span_rows(1)]).path.is_relative_to(tmp_path / "data")


def test_a_file_in_the_way_is_one_clear_sentence(tmp_path: Path) -> None:
    """The message names the path, the reason and what to do."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(
        CannotStartError, match=r"^can't write .*/data: .*; remove the file that is in the way or "
    ) as caught:
        SpanStore(tmp_path / "data")
    assert caught.value.code == 6


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def test_a_directory_without_write_permission_is_one_clear_sentence(open_path: Path) -> None:
    """Whoever may not write is told so at start, not at the first commit."""
    data = open_path / "data"
    SpanStore(data)
    (data / "tmp").chmod(0o555)
    told = os.memfd_create("told")

    def start() -> None:
        if os.geteuid() == 0:  # nothing is forbidden to root
            os.setgid(65534)
            os.setuid(65534)
        with pytest.raises(CannotStartError) as caught:
            SpanStore(data)
        os.write(told, str(caught.value).encode())

    assert in_child(start)
    os.lseek(told, 0, os.SEEK_SET)
    message = os.read(told, 1000).decode()
    assert message == (
        f"can't write {data}: Permission denied; give this user write permission or choose another data directory"
    )


def test_a_disk_that_refuses_leaves_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """When a write fails midway the error says why, no file is left, and the same rows can be committed later."""
    store = SpanStore(tmp_path)
    rows = span_rows(2000)

    def refuse() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        with pytest.raises(
            CannotStartError, match=r"can't write .*File too large; raise the file size limit"
        ) as caught:
            store.commit([rows])
        assert caught.value.retryable
        assert not list(tmp_path.rglob("*.tmp"))
        assert not list(tmp_path.rglob("*.parquet"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.commit([rows])

    assert in_child(refuse)
    assert snapshot(tmp_path).rows == 2000


def test_a_failed_sync_of_the_directory_takes_the_file_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that could not be made durable is not visible, so that its repeat is not there twice."""
    store = SpanStore(tmp_path)
    store.commit([span_rows(1)])
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(CannotStartError, match="Input/output error; check the disk"):
            store.commit([span_rows(1, first=1)])
    assert snapshot(tmp_path).rows == 1
    store.commit([span_rows(1, first=1)])
    assert snapshot(tmp_path).rows == 2


def test_a_full_disk_is_one_clear_sentence(tmp_path: Path) -> None:
    """On a file system without space the message says so, and after space was made the same store goes on."""
    script = """
import ctypes, sys, pathlib, os
from tests.store.rows import span_rows
from otel_voicebot.errors import CannotStartError
from otel_voicebot.store import SpanStore, snapshot
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x4000 | 0x40000
if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
    sys.exit(77)
if libc.mount(b"tmpfs", sys.argv[1].encode(), b"tmpfs", 0, b"size=256k"):
    sys.exit(77)
data = pathlib.Path(sys.argv[1])
store = SpanStore(data)
ballast = data / "ballast"
ballast.write_bytes(bytes(230_000))
try:
    store.commit([span_rows(1000)])
except CannotStartError as error:
    print(str(error).partition(": ")[2])
assert not list(data.rglob("*.tmp")) and not list(data.rglob("*.parquet"))
ballast.unlink()
store.commit([span_rows(1000)])
print(snapshot(data).rows)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this user may not mount a small file system")
    assert (done.stdout, done.stderr) == ("No space left on device; free some space\n1000\n", "")
