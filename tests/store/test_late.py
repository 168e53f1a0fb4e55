"""What a writer does about an hour that was closed, and about people who were erased."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from otel_voicebot.errors import CannotStartError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_COMMITTED, SELF_DROPPED, SELF_LOGS_COMMITTED
from otel_voicebot.spans.schema import LOGS, SESSIONS, SPANS, TABLES_READ
from otel_voicebot.store import SpanStore, disk, marks, snapshot
from otel_voicebot.store.layout import HOUR_NS, hour_of, table_directory
from tests.store.rows import START, span_id, span_rows, trace_id


def files(data: Path, hour: int, table: str = "spans") -> list[Path]:
    """The hot files of the hour that is so many after the first."""
    directory = table_directory(data, "hot", table) / hour_of(START + hour * HOUR_NS)
    return sorted(directory.glob("*.parquet"))


def seal_at_rename(data: Path, patch: pytest.MonkeyPatch, hours: int = 1) -> None:
    """A compactor that seals each of the first hours just before a file is renamed into it."""
    rename = disk.rename

    def sealing(source: Path, target: Path) -> None:
        for number in range(hours):
            if target.parent.match(hour_of(START + number * HOUR_NS)):
                marks.seal(data, "spans", hour_of(START + number * HOUR_NS))
        rename(source, target)

    patch.setattr(disk, "rename", sealing)


def numbers(data: Path) -> list[int]:
    """Which of the first spans a read shows, each as often as it shows it."""
    by_id = {span_id(number).hex(): number for number in range(200)}
    return sorted(by_id[one] for one in snapshot(data).read(["span_id"])["span_id"].to_pylist())


@pytest.mark.parametrize("hours", [1, 3])
def test_a_commit_into_an_hour_that_was_sealed_meanwhile_leaves_a_copy_in_an_open_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The first file stays, the copy is under a name of its own, and the commit tells where the rows count."""
    store = SpanStore(tmp_path, clock=lambda: START)
    seal_at_rename(tmp_path, monkeypatch, hours)
    commit = store.commit([span_rows(10)])
    assert [len(files(tmp_path, hour)) for hour in range(5)] == [*[1] * (hours + 1), *[0] * (4 - hours)]
    assert commit.path == files(tmp_path, hours)[0]
    assert len({path.name for hour in range(4) for path in files(tmp_path, hour)}) == hours + 1
    assert commit.rows == 10


def test_an_hour_that_is_known_to_be_sealed_is_not_written_to(tmp_path: Path) -> None:
    """While a compactor's clock is ahead, commits go straight to the first open hour; each table has its own seals."""
    store = SpanStore(tmp_path, clock=lambda: START)
    marks.seal(tmp_path, "spans", hour_of(START))
    marks.seal(tmp_path, "spans", hour_of(START + HOUR_NS))
    store.commit([span_rows(10)])
    store.write_rows("sessions", pa.Table.from_pylist([{"session_id": "call-1"}], SESSIONS))
    assert [len(files(tmp_path, hour)) for hour in range(4)] == [0, 0, 1, 0]
    assert len(files(tmp_path, 0, "sessions")) == 1


def test_a_commit_into_an_hour_that_was_dropped_meanwhile_goes_to_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that was stopped for as long as retention keeps hours still acknowledges only what is seen."""
    store = SpanStore(tmp_path, clock=lambda: START)
    store.commit([span_rows(10)])
    rename = disk.rename

    def drop(source: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "rename", rename)
        marks.move_horizon(tmp_path, START + 2 * HOUR_NS)
        rename(source, target)

    monkeypatch.setattr(disk, "rename", drop)
    commit = store.commit([span_rows(10, first=10)])
    assert commit.path == files(tmp_path, 2)[0]
    assert numbers(tmp_path) == [*range(10, 20)]


def test_spans_of_the_erased_are_not_written_and_counted(tmp_path: Path) -> None:
    """Of two sessions in a batch one is erased: the other is written, and only it is told to the callback."""
    metrics = SelfMetrics()
    store = SpanStore(tmp_path, metrics=metrics)
    marks.bury(tmp_path, sessions=["call-0"])
    commit = store.commit([span_rows(20, first=90)])
    assert commit.rows == commit.table.num_rows == 10
    assert numbers(tmp_path) == [*range(100, 110)]
    assert metrics.get(SELF_DROPPED, "erased") == 10
    assert metrics.get(SELF_COMMITTED) == 10


def test_nothing_is_written_when_all_are_erased(tmp_path: Path) -> None:
    """The sender is told that its spans are taken, as it must not send them again; there is no file."""
    store = SpanStore(tmp_path)
    marks.bury(tmp_path, sessions=["call-0"])
    commit = store.commit([span_rows(20)])
    assert (commit.path, commit.rows) == (None, 0)
    sessions = pa.Table.from_pylist([{"session_id": "call-0"}], SESSIONS)
    assert store.write_rows("sessions", sessions) is None
    assert not list(tmp_path.rglob("*.parquet"))


def test_who_is_erased_while_a_commit_is_made_twice_is_not_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tombstones are applied again to the copy that goes into an open hour."""
    store = SpanStore(tmp_path, clock=lambda: START)
    rename = disk.rename

    def erase(source: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "rename", rename)
        marks.seal(tmp_path, "spans", hour_of(START))
        marks.bury(tmp_path, sessions=["call-0"])
        rename(source, target)

    monkeypatch.setattr(disk, "rename", erase)
    assert store.commit([span_rows(20, first=90)]).rows == 10
    assert pa.parquet.read_metadata(files(tmp_path, 1)[0]).num_rows == 10


def test_a_trace_that_turns_out_to_be_of_an_erased_session_is_hidden_as_a_whole(tmp_path: Path) -> None:
    """Spans without a session id came first; then one of their trace names the session: all of them are gone."""
    store = SpanStore(tmp_path)
    marks.bury(tmp_path, sessions=["call-0"])
    rows = pa.Table.from_batches([span_rows(20)])
    at = rows.column_names.index("session_id")
    unnamed = rows.set_column(at, "session_id", pa.nulls(20, pa.string()))
    store.commit(unnamed.slice(0, 9).to_batches())
    assert numbers(tmp_path) == [*range(9)]
    store.commit(rows.slice(9, 1).to_batches())
    assert numbers(tmp_path) == []
    store.commit(unnamed.slice(10).to_batches())
    assert numbers(tmp_path) == [*range(10, 20)]
    assert marks.erased(tmp_path).unnamed == {trace_id(0).hex()}


def test_a_damaged_tombstone_stops_writing_until_it_is_repaired(tmp_path: Path) -> None:
    """Who is erased can't be told, so the sender is asked to come again."""
    store = SpanStore(tmp_path)
    marks.bury(tmp_path, sessions=["call-0"])
    (stone,) = (tmp_path / "tombstones").iterdir()
    stone.write_bytes(b"")
    with pytest.raises(CannotStartError, match="can't be read") as caught:
        store.commit([span_rows(1)])
    assert caught.value.retryable
    stone.unlink()
    assert store.commit([span_rows(1)]).rows == 1


def test_logs_are_as_durable_as_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of log records syncs file and directory, lies beside spans, and is read back."""
    values = {"session_id": ["call-1"] * 3, "trace_id": [trace_id(1)] * 3, "severity_number": [9] * 3}
    rows = pa.RecordBatch.from_arrays([pa.array(values.get(f.name, [None] * 3), f.type) for f in LOGS], schema=LOGS)
    metrics = SelfMetrics()
    store = SpanStore(tmp_path, metrics=metrics)
    steps: list[str] = []
    for name in ("write", "rename", "sync_directory"):
        real = getattr(disk, name)

        def note(*args: object, name: str = name, real: object = real, **options: object) -> object:
            steps.append(f"{name} durable" if options.get("durable") else name)
            return real(*args, **options)  # type: ignore[operator]

        monkeypatch.setattr(disk, name, note)
    commit = store.commit([rows], "logs")
    assert steps[-3:] == ["write durable", "rename", "sync_directory"]
    assert commit.path is not None
    assert commit.path.is_relative_to(tmp_path / "hot" / "logs")
    found = snapshot(tmp_path, "logs").read()
    assert found.schema.equals(TABLES_READ["logs"])
    assert found["trace_id"].to_pylist() == [trace_id(1).hex()] * 3
    assert metrics.get(SELF_LOGS_COMMITTED) == 3
    assert metrics.get(SELF_COMMITTED) == 0


@pytest.mark.parametrize("raw_ids", [False, True])
@pytest.mark.parametrize(
    "names", [{"sessions": ["call-0"]}, {"traces": [trace_id(n).hex() for n in range(0, 100, 10)]}]
)
def test_a_query_hides_the_erased_whatever_columns_it_asks_for(
    tmp_path: Path, names: dict[str, list[str]], raw_ids: bool
) -> None:
    """In hot files and in history, with ids in either form, rows of the erased are not in the result."""
    store = SpanStore(tmp_path, clock=lambda: START)
    store.commit([span_rows(20, first=90)])
    closed = table_directory(tmp_path, "history", "spans") / hour_of(START - HOUR_NS) / "part-0.parquet"
    closed.parent.mkdir(parents=True)
    pa.parquet.write_table(snapshot(tmp_path).read(), closed)
    assert snapshot(tmp_path).read().num_rows == 40
    marks.bury(tmp_path, **names)
    found = snapshot(tmp_path)
    for columns in (["name"], ["trace_id", "span_id"], SPANS.names):
        assert duckdb.sql(found.sql(columns, raw_ids=raw_ids)).to_arrow_table().num_rows == 20


def test_nobody_erased_adds_nothing_to_a_query(tmp_path: Path) -> None:
    """The query is what it was before there were tombstones."""
    SpanStore(tmp_path).commit([span_rows(1)])
    assert "WHERE" not in snapshot(tmp_path).sql()


def test_dropped_hours_are_hidden_before_they_are_removed(tmp_path: Path) -> None:
    """From the moment the horizon has moved no read shows an hour before it, though its files are still there."""
    now = [START]
    store = SpanStore(tmp_path, clock=lambda: now[0])
    for number in range(3):
        store.commit([span_rows(10, first=10 * number)])
        now[0] += HOUR_NS
    marks.move_horizon(tmp_path, START + HOUR_NS)
    assert numbers(tmp_path) == [*range(10, 30)]


def test_seals_are_no_data_to_other_tools(tmp_path: Path) -> None:
    """With pandas one reads hot/spans as it is, while some of its hours are sealed."""
    SpanStore(tmp_path, clock=lambda: START).commit([span_rows(10)])
    marks.seal(tmp_path, "spans", hour_of(START))
    assert len(pd.read_parquet(tmp_path / "hot" / "spans")) == 10
