"""What a snapshot shows: whole files, of every version, each hour once, damage named."""

import itertools
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.spans.schema import SPANS, SPANS_READ, TABLES
from otel_voicebot.store import Commit, Snapshot, SpanStore, reader, reading, snapshot
from tests.store.rows import START, span_id, span_rows, trace_id

HOUR = 3_600_000_000_000
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "only 7 bytes": lambda content: content[:7],
    "not a Parquet file": lambda _: b"garbage" * 1000,
    "the end is missing": lambda content: content[: len(content) // 2],
}


def fill(data: Path, files: int = 3) -> list[Commit]:
    """``files`` commits of ten rows each."""
    store = SpanStore(data, clock=lambda: START)
    return [store.commit([span_rows(10, first=10 * number)]) for number in range(files)]


def history(data: Path, hour: str, rows: pa.Table) -> Path:
    """A closed hour, as compaction leaves it: ids as hex."""
    path = data / "history" / "spans" / hour / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, compression="zstd")
    return path


def numbers(data: Path) -> list[int]:
    """Which spans a read shows, by their numbers, sorted."""
    by_id = {span_id(number).hex(): number for number in range(1000)}
    return sorted(by_id[found] for found in snapshot(data).read(["span_id"])["span_id"].to_pylist())


def test_rows_come_back_in_the_form_for_readers(tmp_path: Path) -> None:
    """Every column is as it was written, with the ids of spans, parents and links as lowercase hex."""
    fill(tmp_path, files=1)
    rows = span_rows(10).to_pylist()
    for row in rows:
        for holder in (row, *row["links"]):
            for key in ("trace_id", "span_id", "parent_span_id"):
                if holder.get(key) is not None:
                    holder[key] = holder[key].hex()
    found = snapshot(tmp_path).read()
    assert found.schema.equals(SPANS_READ)
    assert found.to_pylist() == rows


def test_only_the_columns_asked_for_are_read_in_the_order_asked(tmp_path: Path) -> None:
    """Columns come in the order in which they are named."""
    fill(tmp_path, files=1)
    assert snapshot(tmp_path).read(["component", "trace_id"]).column_names == ["component", "trace_id"]
    assert snapshot(tmp_path).read(["trace_id"])["trace_id"][0].as_py() == trace_id(0).hex()


def test_files_of_older_and_newer_versions_read_together(tmp_path: Path) -> None:
    """A column that a file lacks is null, one that we don't know is ignored, a narrower type is widened."""
    path = fill(tmp_path, files=2)[0].path
    rows = pa.Table.from_batches([span_rows(5, first=500)])
    older = rows.select(["trace_id", "span_id", "name"]).append_column("duration_ns", pa.array([7] * 5, pa.int32()))
    newer = rows.append_column("from_the_future", pa.array([[1]] * 5))
    pq.write_table(older, path.with_name("older.parquet"))
    pq.write_table(newer, path.with_name("newer.parquet"))
    found = snapshot(tmp_path).read()
    assert found.schema.equals(SPANS_READ)
    assert found.num_rows == 30
    old = [row for row in found.to_pylist() if row["duration_ns"] == 7]
    assert len(old) == 5
    assert all(row["component"] is None and row["links"] is None and row["schema_version"] is None for row in old)


def test_an_old_file_alone_has_all_columns(tmp_path: Path) -> None:
    """Columns that no file has are null too, with their type."""
    path = fill(tmp_path, files=1)[0].path
    pq.write_table(pa.Table.from_batches([span_rows(5)]).select(["span_id"]), path)
    found = snapshot(tmp_path).read()
    assert found.schema.equals(SPANS_READ)
    assert found["links"].null_count == 5


@pytest.mark.parametrize("reason", DAMAGE)
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path, reason: str) -> None:
    """A file that is empty, cut short or something else is left out, with the reason, before any query fails on it."""
    commits = fill(tmp_path)
    broken = commits[1].path
    broken.write_bytes(DAMAGE[reason](broken.read_bytes()))
    found = snapshot(tmp_path)
    assert found.damaged == ((broken, reason),)
    assert found.damage() == f"1 of 3 files can't be read: {broken} ({reason})"
    assert found.rows == 20
    assert numbers(tmp_path) == [*range(10), *range(20, 30)]


@pytest.mark.parametrize("where", ["page", "footer"])
def test_damage_inside_a_file_is_found_by_reading_it_in_full(tmp_path: Path, where: str) -> None:
    """Flipped bytes in a page or in the footer pass the first look and are found, and named, by the full one."""
    broken = fill(tmp_path)[1].path
    content = bytearray(broken.read_bytes())
    start = 40 if where == "page" else len(content) - 1500
    for position in range(start, start + 24):
        content[position] ^= 0xFF
    broken.write_bytes(content)
    found = snapshot(tmp_path)
    assert not found.damaged
    good = found.without_unreadable()
    assert [path for path, _ in good.damaged] == [broken]
    assert good.read(["name"]).num_rows == 20


def test_a_query_that_meets_damage_says_so(tmp_path: Path) -> None:
    """Reading over a broken footer is an error of the data, not of ours."""
    broken = fill(tmp_path)[1].path
    content = bytearray(broken.read_bytes())
    content[-1500:-20] = bytes(1480)
    broken.write_bytes(content)
    with pytest.raises(UnreadableDataError, match=f"^reading spans in {tmp_path} failed: ") as caught:
        snapshot(tmp_path).read()
    assert caught.value.code == 4


def test_no_directory_and_no_files_are_told_apart_from_damage(tmp_path: Path) -> None:
    """Nothing there is no data (3); something there that can't be read is unreadable data (4)."""
    with pytest.raises(NoDataError, match="missing is not a directory"):
        snapshot(tmp_path / "missing")
    SpanStore(tmp_path)
    with pytest.raises(NoDataError, match="holds no spans"):
        snapshot(tmp_path)
    for commit in fill(tmp_path):
        commit.path.write_bytes(b"")
    with pytest.raises(UnreadableDataError, match=r"3 of 3 files can't be read: .* \(empty\)") as caught:
        snapshot(tmp_path)
    assert len(caught.value.paths) == 3


def test_an_hour_in_history_wins_over_its_hot_files(tmp_path: Path) -> None:
    """Of an hour that is in history the hot files are ignored; other hours and tables keep theirs."""
    now = START
    store = SpanStore(tmp_path, clock=lambda: now)
    store.commit([span_rows(10)])
    now += HOUR
    store.commit([span_rows(10, first=10)])
    fill(tmp_path / "merged", files=1)
    history(tmp_path, "date=2026-11-21/hour=00", snapshot(tmp_path / "merged").read())
    assert numbers(tmp_path) == [*range(20)]
    found = snapshot(tmp_path)
    assert (len(found.hot), len(found.history)) == (1, 1)
    assert found.read().schema.equals(SPANS_READ)


def test_ids_come_as_bytes_where_asked_for(tmp_path: Path) -> None:
    """With raw ids a query gives the bytes of spans and links, from hot files and from history alike."""
    fill(tmp_path / "merged", files=1)
    fill(tmp_path, files=1)
    history(tmp_path, "date=2026-11-20/hour=00", snapshot(tmp_path / "merged").read())
    query = snapshot(tmp_path).sql(["trace_id", "span_id", "parent_span_id", "links"], raw_ids=True)
    rows = duckdb.sql(query).fetchall()
    expected = [
        (row["trace_id"], row["span_id"], row["parent_span_id"], row["links"]) for row in span_rows(10).to_pylist()
    ]
    assert rows == expected * 2


def test_an_hour_that_moves_to_history_meanwhile_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hot is listed before history: an hour that is published and cleared between the two listings is still there."""
    commits = fill(tmp_path / "data", files=1)
    merged = snapshot(tmp_path / "data").read()
    listed = reader._hours

    def compact_meanwhile(directory: Path, first: str) -> object:
        yield from listed(directory, first)
        if directory.parent.name == "hot":
            history(tmp_path / "data", "date=2026-11-21/hour=00", merged)
            commits[0].path.unlink(missing_ok=True)

    monkeypatch.setattr(reader, "_hours", compact_meanwhile)
    assert snapshot(tmp_path / "data").rows == 10


def test_a_file_that_vanished_after_the_listing_makes_it_list_again(tmp_path: Path) -> None:
    """A file that is gone when it is opened is no error: what replaced it is read."""
    removed = fill(tmp_path)[1].path

    def check_while_compacting(path: Path) -> str | None:
        removed.unlink(missing_ok=True)
        return reader._check_ends(path)

    assert reader._take(tmp_path, "spans", None, check_while_compacting).rows == 20


def test_a_question_is_asked_again_where_an_hour_was_merged_meanwhile(tmp_path: Path) -> None:
    """Three times the files are gone when the query opens them: the answer is that of what replaced them."""
    fill(tmp_path, files=1)
    asked = []

    def count(found: Snapshot) -> int:
        asked.append(found.files)
        for path in found.hot if len(asked) < 4 else ():
            path.rename(path.with_name(f"{len(asked)}.parquet"))
        return found.read(["span_id"]).num_rows

    assert reading(tmp_path, count) == 10
    assert len({*asked}) == 4


def test_a_question_is_asked_again_without_what_is_damaged(tmp_path: Path) -> None:
    """Damage that only the query meets is left out of the second attempt; where that fails too the error is told."""
    path = fill(tmp_path)[1].path
    assert path is not None
    content = bytearray(path.read_bytes())
    content[-1500:-20] = bytes(1480)
    path.write_bytes(content)
    assert reading(tmp_path, lambda found: found.read(["span_id"]).num_rows) == 20

    def refuse(_: Snapshot) -> int:
        raise UnreadableDataError("no")

    with pytest.raises(UnreadableDataError, match=r"^no$"):
        reading(tmp_path, refuse)


def test_files_that_vanish_for_ever_end_in_an_error(tmp_path: Path) -> None:
    """Listing again is bounded, where at every listing another file is there and gone when it is opened."""
    fill(tmp_path, files=1)
    numbers = itertools.count()

    def gone(path: Path) -> str | None:
        path.rename(path.with_name(f"{next(numbers)}.parquet"))
        raise FileNotFoundError(path)

    with pytest.raises(UnreadableDataError, match="vanish while they are read"):
        reader._take(tmp_path, "spans", None, gone)


@pytest.mark.parametrize("links", [1, 20])
def test_a_link_to_nothing_is_damaged_and_the_rest_is_read(tmp_path: Path, links: int) -> None:
    """What is listed again and still can't be opened has not vanished: it is named, however many there are."""
    hour = fill(tmp_path)[0].path.parent
    odd = [hour / f"dangling-{number:02}.parquet" for number in range(links)]
    for path in odd:
        path.symlink_to("nothing")
    found = snapshot(tmp_path)
    assert found.damaged == tuple((path, "there is no such file") for path in odd)
    assert found.read().num_rows == found.without_unreadable().read().num_rows == 30


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_damaged_and_not_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe or a directory with the name of a data file is named, without waiting for a writer."""
    odd = fill(tmp_path)[0].path.with_name("odd.parquet")
    make(odd)
    found = snapshot(tmp_path)
    assert found.damaged == ((odd, "not a file"),)
    assert found.read().num_rows == 30


@pytest.mark.parametrize(("year", "rows"), [(1, 30), (9999, None)])
def test_since_may_be_any_time(tmp_path: Path, year: int, rows: int | None) -> None:
    """The first day of all and the last are times like others."""
    fill(tmp_path)
    since = datetime(year, 1, 1, tzinfo=UTC) if rows else datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    if rows:
        assert snapshot(tmp_path, since=since).rows == rows
    else:
        with pytest.raises(NoDataError):
            snapshot(tmp_path, since=since)


def test_since_leaves_out_old_hours_with_a_day_of_slack(tmp_path: Path) -> None:
    """Hours that came in more than a day before ``since`` are not listed."""
    now = START
    store = SpanStore(tmp_path, clock=lambda: now)
    for day in range(4):
        now = START + day * 24 * HOUR
        store.commit([span_rows(10, first=10 * day)])
    since = datetime.fromtimestamp(now / 1e9, UTC) - timedelta(hours=1)
    assert len(snapshot(tmp_path, since=since).files) == 2
    with pytest.raises(NoDataError, match="holds no spans since 2027-01-01 00:00"):
        snapshot(tmp_path, since=datetime(2027, 1, 1, tzinfo=UTC))


def test_files_of_others_are_not_looked_at(tmp_path: Path) -> None:
    """Only ``.parquet`` files in hour directories count."""
    path = fill(tmp_path, files=1)[0].path
    path.with_suffix(".parquet.bak").write_bytes(b"")
    (path.parents[1] / "notes.txt").write_text("x")
    assert len(snapshot(tmp_path).files) == 1
    assert not snapshot(tmp_path).damaged


def test_a_path_with_quotes_is_read(tmp_path: Path) -> None:
    """A data directory may have any name."""
    data = tmp_path / "the bank's [hot] *data"
    fill(data)
    assert snapshot(data).read().num_rows == 30


def test_readers_beside_writers_see_whole_commits_only(tmp_path: Path) -> None:
    """While a thread commits, every read finds whole commits, and never fewer than before."""
    store = SpanStore(tmp_path)
    store.commit([span_rows(10)])
    done = threading.Event()

    def write() -> None:
        for number in range(1, 60):
            store.commit([span_rows(10, first=10 * number)])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    before = 0
    while not done.is_set():
        found = snapshot(tmp_path)
        assert not found.damaged
        rows = found.read(["span_id"]).num_rows
        assert rows % 10 == 0
        assert rows >= before
        before = rows
    writer.join()
    assert snapshot(tmp_path).rows == 600


def test_a_thousand_files_are_listed_fast(tmp_path: Path) -> None:
    """Listing and checking 1,000 files takes far less than a second."""
    path = fill(tmp_path, files=1)[0].path
    content = path.read_bytes()
    for number in range(999):
        path.with_name(f"copy-{number}.parquet").write_bytes(content)
    started = datetime.now(UTC)
    found = snapshot(tmp_path)
    assert (datetime.now(UTC) - started).total_seconds() < 1
    assert len(found.files) == 1000


def test_every_column_type_has_an_sql_name() -> None:
    """A column of a new type in any table is known to the reader, or this test fails."""
    for schema in (*TABLES.values(), SPANS, SPANS_READ):
        for column in schema:
            assert reader._type(column.type)
