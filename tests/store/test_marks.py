"""Seals, tombstones and the horizon: durable, seen at once, and what they name."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.store import disk, marks
from otel_voicebot.store.layout import hour_of
from tests.store.rows import START, span_rows, trace_id

HOUR = hour_of(START)


def test_a_seal_holds_for_one_hour_of_one_table(tmp_path: Path) -> None:
    """An hour is sealed once it was said so, twice is as good as once, and it can be taken off."""
    assert not marks.is_sealed(tmp_path, "spans", HOUR)
    marks.seal(tmp_path, "spans", HOUR)
    marks.seal(tmp_path, "spans", HOUR)
    assert marks.is_sealed(tmp_path, "spans", HOUR)
    assert not marks.is_sealed(tmp_path, "logs", HOUR)
    assert not marks.is_sealed(tmp_path, "spans", hour_of(START + 3_600_000_000_000))
    marks.unseal(tmp_path, "spans", HOUR)
    marks.unseal(tmp_path, "spans", HOUR)
    assert not marks.is_sealed(tmp_path, "spans", HOUR)


def test_marks_are_durable_when_they_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of each mark is the fsync of the directory that holds it."""
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    marks.seal(tmp_path, "spans", HOUR)
    marks.bury(tmp_path, sessions=["call-1"])
    marks.move_horizon(tmp_path, START)
    expected = [tmp_path / "hot/spans/date=2026-11-21", tmp_path / "tombstones", tmp_path]
    assert [path for path in synced if path in expected][-1:] == expected[-1:]
    assert {*expected} <= {*synced}


def test_a_seal_that_somebody_else_made_is_synced_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever relies on an entry fsyncs its directory, whoever made the entry."""
    marks.seal(tmp_path, "spans", HOUR)
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    marks.seal(tmp_path, "spans", HOUR)
    assert synced == [tmp_path / "hot/spans/date=2026-11-21"]


def test_the_horizon_moves_forward_only(tmp_path: Path) -> None:
    """It is the start of an hour, and an older time than the present one changes nothing."""
    assert marks.horizon(tmp_path) == 0
    assert not marks.is_dropped("date=1970-01-01/hour=00", 0)
    first = marks.move_horizon(tmp_path, START)
    assert hour_of(first) == HOUR
    assert first <= START
    assert marks.move_horizon(tmp_path, START - 10**15) == first == marks.horizon(tmp_path)
    assert marks.is_dropped(hour_of(first - 1), first)
    assert not marks.is_dropped(HOUR, first)


def test_who_looks_often_sees_each_change(tmp_path: Path) -> None:
    """A cached view shows a tombstone and a horizon as soon as they are made, and reads no file twice."""
    view = marks.Marks(tmp_path)
    assert not view.erased()
    assert view.horizon() == 0
    made = marks.bury(tmp_path, sessions=["a"])
    assert view.erased().sessions == {"a"}
    assert view.erased() is view.erased()
    marks.bury(tmp_path, callers=["b"])
    assert view.erased().callers == {"b"}
    marks.forget(tmp_path, made)
    assert view.erased().sessions == frozenset()
    marks.move_horizon(tmp_path, START)
    assert view.horizon() == marks.horizon(tmp_path) > 0


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ({"sessions": ["call-0"]}, set(range(100))),
        ({"sessions": ["it's", "call-9"]}, set()),
        ({"callers": ["hash"]}, {3}),
        ({"traces": [trace_id(10).hex()]}, set(range(10, 20))),
        ({"unnamed": [trace_id(100).hex(), trace_id(110).hex()]}, {105}),
        ({"sessions": [trace_id(100).hex()]}, {105}),
        ({"sessions": ["call-1"]}, set(range(100, 120))),
    ],
)
def test_rows_and_queries_agree_on_who_is_erased(
    tmp_path: Path, names: dict[str, list[str]], gone: set[int], readable: bool
) -> None:
    """By session, caller or trace, the same rows go from Arrow and from a query, in both forms of ids."""
    rows = pa.Table.from_batches([span_rows(120)]).append_column("number", pa.array(range(120)))
    sessions = [None if number == 105 else f"call-{number // 100}" for number in range(120)]
    callers = ["hash" if number == 3 else None for number in range(120)]
    for name, values in (("session_id", sessions), ("user_hash", callers)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))
    if readable:
        ids = pa.array([one.hex() for one in rows["trace_id"].to_pylist()])
        rows = rows.set_column(rows.column_names.index("trace_id"), "trace_id", ids)
    traces = [trace_id(100).hex()] if names == {"sessions": ["call-1"]} else []  # as whoever buries a session does
    marks.bury(tmp_path, **{"unnamed": traces, **names})
    found = marks.erased(tmp_path)
    mask = found.find(rows)
    assert (set(rows.filter(mask)["number"].to_pylist()) if mask is not None else set()) == gone
    kept = duckdb.sql(f"SELECT number FROM rows WHERE {found.condition(rows.schema)}").fetchall()
    assert {number for (number,) in kept} == set(range(120)) - gone


def test_a_span_without_session_goes_with_its_trace_in_one_batch(tmp_path: Path) -> None:
    """Where another row of its trace names an erased session, nobody needs to have named the trace."""
    rows = pa.Table.from_batches([span_rows(20)])
    sessions = ["erased" if number == 0 else None for number in range(20)]
    rows = rows.set_column(rows.column_names.index("session_id"), "session_id", pa.array(sessions))
    mask = marks.Erased(sessions=frozenset({"erased"})).find(rows)
    assert mask is not None
    assert mask.to_pylist() == [number < 10 for number in range(20)]


def test_nobody_erased_adds_nothing_to_a_query(tmp_path: Path) -> None:
    """Without tombstones there is no condition and no mask."""
    rows = pa.Table.from_batches([span_rows(1)])
    assert marks.erased(tmp_path).condition(rows.schema) == ""
    assert marks.erased(tmp_path).find(rows) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"unix_nano": "never"}'])
def test_a_damaged_mark_is_named_and_hides_everything(tmp_path: Path, content: bytes) -> None:
    """Who is erased can't be told then, so nothing is shown."""
    marks.bury(tmp_path, sessions=["a"])
    (path,) = (tmp_path / "tombstones").iterdir()
    path.write_bytes(content)
    with pytest.raises(UnreadableDataError, match=f"{path.name} can't be read"):
        marks.erased(tmp_path)
    (tmp_path / "horizon.json").write_bytes(content)
    with pytest.raises(UnreadableDataError, match=r"horizon\.json can't be read"):
        marks.horizon(tmp_path)
