"""Erasing people: hidden at once, then in no file; whoever holds the lease, whatever comes late."""

from pathlib import Path

import pyarrow as pa
import pytest

from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore, disk, marks, snapshot
from otel_voicebot.store.compact import compact
from otel_voicebot.store.erase import erase, holding, purge
from otel_voicebot.store.layout import HOUR_NS
from otel_voicebot.store.lease import take
from tests.store.hours import LATER, fill, maintain, rows_of
from tests.store.rows import START, span_id, span_rows, trace_id


def loose(number: int) -> pa.RecordBatch:
    """Ten spans of one trace of which only the first names a session, the last a caller."""
    rows = span_rows(10, first=number).to_pylist()
    for index, row in enumerate(rows):
        row["session_id"] = f"loose-{number}" if index == 0 else None
        row["user_hash"] = f"caller-{number}" if index == 9 else None
    return pa.RecordBatch.from_pylist(rows, schema=SPANS)


def held(data: Path) -> set[str]:
    """Every span id that some file holds, hidden or not."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in data.glob("h*/spans/**/*.parquet"):
        ids = pq.read_table(path, columns=["span_id"], partitioning=None)["span_id"].to_pylist()
        found |= {one if isinstance(one, str) else one.hex() for one in ids}
    return found


def spans(*numbers: int) -> set[str]:
    """The ids of these spans."""
    return {span_id(number).hex() for number in numbers}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three hours: merged, closed and open; each holds half a loose call, some spans of others and session rows."""
    for hour in range(3):
        store = SpanStore(tmp_path, clock=lambda at=START + hour * HOUR_NS: at)  # type: ignore[misc]
        batch = loose(7000)
        store.commit([batch.slice(hour * 3, 4 if hour == 2 else 3)])
        store.commit([span_rows(10, first=8000 + hour * 100)])
        store.write_rows("sessions", rows_of("sessions", {"session_id": "loose-7000", "revision": hour}))
        if hour == 0:
            maintain(tmp_path, START + HOUR_NS + HOUR_NS // 2)
    return tmp_path


OTHERS = {number for hour in range(3) for number in range(8000 + hour * 100, 8010 + hour * 100)}
OPEN = START + 2 * HOUR_NS + 60_000_000_000


@pytest.mark.parametrize("who", [{"sessions": ["loose-7000"]}, {"callers": ["caller-7000"]}], ids=["session", "caller"])
def test_a_call_is_hidden_at_once_and_then_in_no_closed_hour(data: Path, who: dict[str, list[str]]) -> None:
    """All its spans go, also those that name only the trace; the open hour loses its part when it is merged."""
    done = erase(data, clock=lambda: OPEN, **who)
    assert set(snapshot(data).read(["span_id"])["span_id"].to_pylist()) == spans(*OTHERS)
    assert snapshot(data, "sessions").read().num_rows == 0
    assert not done.complete
    assert {hour.name for hour in done.remaining} == {hour.name for hour in holding(data)}
    assert held(data) & spans(*range(7000, 7010)) == spans(*range(7006, 7010))
    maintain(data, OPEN + HOUR_NS)
    assert held(data) == spans(*OTHERS)
    assert holding(data) == []


def test_a_trace_can_be_erased_alone(data: Path) -> None:
    """Rows of the trace go, whatever session they name; the session's other rows stay."""
    done = erase(data, traces=[trace_id(8000).hex()], clock=lambda: OPEN)
    assert done.complete
    assert held(data) & spans(*range(8000, 8010)) == set()
    assert held(data) >= spans(*range(7000, 7010))


def test_while_another_maintainer_works_the_call_is_hidden_and_it_purges(data: Path) -> None:
    """The tombstone needs no lease; whoever has it rewrites the hours."""
    with take(data, clock=lambda: OPEN) as lease:
        done = erase(data, sessions=["loose-7000"], clock=lambda: OPEN)
        assert done.rewritten == ()
        assert not done.complete
        assert set(snapshot(data).read(["span_id"])["span_id"].to_pylist()) == spans(*OTHERS)
        purge(lease, OPEN, step=lease.keep)
    assert held(data) & spans(*range(7000, 7010)) == spans(*range(7006, 7010))


def test_what_comes_late_does_not_come_back(data: Path) -> None:
    """A repeat of an erased span, delivered after the erasure, is neither stored nor merged."""
    erase(data, sessions=["loose-7000"], clock=lambda: OPEN)
    SpanStore(data, clock=lambda: OPEN).commit([loose(7000)])
    maintain(data, OPEN + HOUR_NS)
    assert held(data) == spans(*OTHERS)


def test_the_tombstone_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is rewritten before it is durable: an erasure that dies at its first step has hidden the call."""
    fill(tmp_path)
    with take(tmp_path) as lease:
        compact(lease, [])
    steps: list[str] = []
    for name in ("write_durable", "rename"):
        effect = getattr(disk, name)

        def noted(source: Path, *rest: object, effect: object = effect, name: str = name) -> None:
            steps.append(f"{name} {'tombstone' if 'tombstones' in str(source) else source.name[-8:]}")
            effect(source, *rest)  # type: ignore[operator]

        monkeypatch.setattr(disk, name, noted)
    erase(tmp_path, sessions=["call-0"], clock=lambda: LATER)
    assert steps[0] == "write_durable tombstone"
    assert any(step == "rename .parquet" for step in steps)
    assert next(one.erased.sessions for one in marks.tombstones(tmp_path)) == {"call-0"}
