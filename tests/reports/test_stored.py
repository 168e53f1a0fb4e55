"""Turn rows that were stored are read where they are up to date; the rest is computed from spans."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otel_voicebot.cli import main
from otel_voicebot.models import Selection
from otel_voicebot.models.catalog import MODELS, NAMED, NAMED_ENDS
from otel_voicebot.reports import exchanges, source, stored
from otel_voicebot.reports.shares import shares
from otel_voicebot.reports.spent import of_turns
from otel_voicebot.reports.waits import COLUMNS
from otel_voicebot.spans.schema import TURNS
from otel_voicebot.store import SpanStore
from otel_voicebot.store.erase import erase
from otel_voicebot.store.layout import HOUR_NS
from otel_voicebot.store.reader import Snapshot
from tests.cli.conftest import call, commit
from tests.reports.captures import CAPTURES, capture, without
from tests.reports.tables import NOON
from tests.store.hours import maintain

LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
ALL = Selection()


def read(data: Path, selection: Selection = ALL) -> list[dict[str, object]]:
    """Every exchange, as questions about waits see it."""

    def rows(found: exchanges.Exchanges) -> list[dict[str, object]]:
        return (
            found.turns()
            .select(COLUMNS)
            .sort_by([("session_id", "ascending"), ("turn_index", "ascending")])
            .to_pylist()
        )

    return [row for row in exchanges.ask(data, selection, LATER, rows) if row["kind"] == "exchange"]


def computed(data: Path, selection: Selection = ALL) -> list[dict[str, object]]:
    """Every exchange, as the models compute it from the spans."""
    query = f"SELECT {', '.join(COLUMNS)} FROM turns WHERE kind = 'exchange' ORDER BY session_id, turn_index"
    return source.ask(data, selection, LATER, lambda opened: opened.engine.sql(query)).to_pylist()


def store_rows(data: Path, at: datetime = LATER, revision: int = 1, until: int = 1000, **changed: object) -> None:
    """Store the rows of all turns as if they had been computed at that time; ``changed`` shows where they are read.

    Turns after ``until`` have none.
    """
    table = source.ask(data, ALL, LATER, lambda opened: opened.engine.table("turns"))
    stored_so = {"revision": revision, "computed_at": at, "writer": "test", **changed}
    rows = [{**row, **stored_so} for row in table.to_pylist() if row["turn_index"] <= until]
    known = [{name: row.get(name) for name in TURNS.names} for row in rows]
    SpanStore(data).write_rows("turns", pa.Table.from_pylist(known, schema=TURNS))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two calls of one turn each, an hour apart; their spans came in at noon."""
    commit(tmp_path, *call("call-1", "a", 1.0, bot="bank"))
    commit(tmp_path, *call("call-2", "b", 3.0, timedelta(hours=1).total_seconds(), bot="shop"))
    return tmp_path


def gaps(data: Path, selection: Selection = ALL) -> dict[str, object]:
    """Response gap by call."""
    return {str(row["session_id"]): row["response_gap_s"] for row in read(data, selection)}


def test_nothing_stored(data: Path) -> None:
    """Without turn rows everything is computed."""
    assert gaps(data) == {"call-1": 1.0, "call-2": 3.0}
    assert read(data) == computed(data)


def test_stored_rows_are_read(data: Path) -> None:
    """Rows that were computed after the last span of work came in are read as they are."""
    store_rows(data, response_gap_s=7.0)
    assert gaps(data) == {"call-1": 7.0, "call-2": 7.0}


def test_late_span(data: Path) -> None:
    """A call of which a span came in after its rows were computed is computed again."""
    store_rows(data, NOON + timedelta(minutes=5), response_gap_s=7.0)
    late = call("call-1", "a", 1.0, bot="bank")[2] | {"span_id": "00000000000000ff"}
    commit(data, late | {"ingest_time": NOON + timedelta(minutes=6)})
    assert gaps(data) == {"call-1": 1.0, "call-2": 7.0}


def test_late_session_span(data: Path) -> None:
    """The call's own span, which comes last, makes no row out of date: it is no part of a turn."""
    store_rows(data, NOON + timedelta(minutes=5), response_gap_s=7.0)
    late = call("call-1", "a", 1.0, bot="bank")[0] | {"span_id": "00000000000000fe"}
    commit(data, late | {"ingest_time": NOON + timedelta(minutes=6)})
    assert gaps(data)["call-1"] == 7.0


def test_highest_revision_wins(data: Path) -> None:
    """Of a turn that was computed again the last row counts, in whatever order they were written."""
    store_rows(data, revision=2, response_gap_s=7.0)
    store_rows(data, revision=1, response_gap_s=8.0)
    assert gaps(data) == {"call-1": 7.0, "call-2": 7.0}


def test_rows_that_stand_twice(data: Path) -> None:
    """A call with two rows of one revision for a turn is computed: neither can be told to be right."""
    store_rows(data, response_gap_s=7.0)
    store_rows(data, response_gap_s=8.0)
    assert gaps(data) == {"call-1": 1.0, "call-2": 3.0}


def test_missing_row(tmp_path: Path) -> None:
    """A call that lacks the row of a turn in its middle (the disk refused it) is computed."""
    for turn in (1, 3, 2):
        spans = call("call-1", "a", 1.0, 20.0 * turn)[1:]
        own = {"turn_index": turn, "parent_span_id": None}
        commit(tmp_path, *({**row, **own, "span_id": f"{turn}{row['span_id'][1:]}"} for row in spans))
        if turn == 3:
            store_rows(tmp_path, response_gap_s=7.0)
    assert [row["turn_index"] for row in read(tmp_path)] == [1, 2, 3]
    assert read(tmp_path) == computed(tmp_path)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(since=NOON + timedelta(minutes=30)),
        Selection(until=NOON + timedelta(minutes=30)),
        Selection(bot="shop"),
        Selection(variant="A"),
        Selection(environment="nowhere"),
        Selection(since=NOON, bot="bank"),
    ],
)
def test_selection(data: Path, selection: Selection) -> None:
    """The same calls are chosen whether their rows are stored or computed."""
    expected = set(gaps(data, selection))
    store_rows(data, response_gap_s=7.0)
    assert set(gaps(data, selection)) == expected
    assert set(gaps(data, selection).values()) <= {7.0}


def test_erased(data: Path) -> None:
    """The rows of an erased call are gone."""
    store_rows(data, response_gap_s=7.0)
    erase(data, sessions=["call-1"])
    assert gaps(data) == {"call-2": 7.0}


def test_many_are_out_of_date(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many calls are out of date everything is computed: picking them out costs more."""
    store_rows(data, NOON - timedelta(minutes=5), response_gap_s=7.0)
    monkeypatch.setattr(stored, "_MOST_STALE", 1)
    assert gaps(data) == {"call-1": 1.0, "call-2": 3.0}


def test_damaged_rows(data: Path) -> None:
    """Turn rows that can't be read are computed from spans."""
    store_rows(data, response_gap_s=7.0)
    for file in data.rglob("turns/**/*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    assert gaps(data) == {"call-1": 1.0, "call-2": 3.0}


def overwrite_segments(data: Path) -> list[Path]:
    """Overwrite a page of the column ``segments`` in every file of turn rows; returns the files."""
    files = list(data.rglob("turns/**/*.parquet"))
    for file in files:
        group = pq.read_metadata(file).row_group(0)
        columns = [group.column(at) for at in range(group.num_columns)]
        page = next(
            one for one in columns if one.path_in_schema.startswith("segments") and "duration_s" in one.path_in_schema
        )
        start = page.dictionary_page_offset or page.data_page_offset
        content = bytearray(file.read_bytes())
        content[start : start + page.total_compressed_size] = b"\xff" * page.total_compressed_size
        file.write_bytes(content)
    return files


@pytest.mark.parametrize(
    "verb", [("slow",), ("why", "--since", "2026-03-01T12:30"), ("report", "--section", "segments")]
)
def test_damaged_segments(data: Path, verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Where a page of stored segments is damaged the answer is that of the spans, and the file is named."""
    words = [*verb, "--until", "2026-03-01T14:00", "--data", str(data), "--json"]
    assert main(words) == 0
    expected = json.loads(capsys.readouterr().out)
    store_rows(data)
    files = overwrite_segments(data)
    assert main(words) == 4
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert [one["path"] for one in found.pop("unreadable")] == [str(file) for file in files]
    assert found == {**{key: value for key, value in expected.items() if key != "unreadable"}, "as_of": found["as_of"]}
    assert "left out what can't be read" in told.err


def test_vanished_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file of turn rows moves before it is read the rows are listed once more; spans are not gone through."""
    store_rows(data, response_gap_s=7.0)
    asked: list[str] = []

    def moved(found: exchanges.Exchanges) -> list[object]:
        if not asked:
            for file in data.rglob("turns/**/*.parquet"):
                file.rename(file.with_name(f"merged-{file.name}"))
        asked.append("turns")
        return found.turns()["response_gap_s"].to_pylist()

    def in_full(_: object) -> None:
        asked.append("all files in full")

    monkeypatch.setattr(Snapshot, "without_unreadable", in_full)
    assert exchanges.ask(data, ALL, LATER, moved) == [7.0, 7.0]
    assert asked == ["turns", "turns"]


def test_rows_too_large_for_memory(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored rows that don't fit into memory are computed from spans, and nothing is called unreadable."""
    store_rows(data, response_gap_s=7.0)

    def too_large(self: stored.Stored, *_: object) -> None:
        raise stored.RowsError(duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"))

    monkeypatch.setattr(stored.Stored, "rows", too_large)
    assert gaps(data) == {"call-1": 1.0, "call-2": 3.0}
    assert exchanges.ask(data, ALL, LATER, lambda found: found.turns() and found.scope.unreadable) == ()


def test_sums_over_stored_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read some at a time, and beside them counts the call that has no row: as all of them at once."""
    store_rows(data, at=LATER)
    commit(data, *call("call-3", "c", 5.0, 60))
    monkeypatch.setattr(stored, "_BATCH", 1)

    def told(found: exchanges.Exchanges) -> tuple[object, object]:
        assert found.turns().num_rows == 3
        return shares(found.spent()), shares(of_turns(found.turns()))

    sums, expected = exchanges.ask(data, ALL, LATER, told)
    assert sums == expected
    assert sums


def test_rows_of_an_older_version(data: Path) -> None:
    """Of rows that were stored before their longest segment was a column, the segments tell it."""
    asked = ("session_id", "kind", "response_gap_s", "wait_s", "longest_segment", "longest_owner")

    def told(found: exchanges.Exchanges) -> list[dict[str, object]]:
        return found.turns(asked).sort_by("session_id").to_pylist()

    expected = exchanges.ask(data, ALL, LATER, told)
    assert all(row["longest_segment"] for row in expected)
    store_rows(data, longest_segment=None, longest_owner=None)
    assert exchanges.ask(data, ALL, LATER, told) == expected


def import_livekit(data: Path, names: frozenset[str], *, late: bool) -> None:
    """Import the spans of the capture that are called so (``late``), or all others."""
    file = data.parent / f"{late}.otlp.pb"
    file.write_bytes(without(capture("livekit"), lambda span: (span.name in names) != late).SerializeToString())
    assert main(["import", str(file), "--data", str(data)]) == 0


@pytest.mark.parametrize("names", [*((name,) for name in (*NAMED, *NAMED_ENDS)), NAMED])
def test_late_span_of_a_framework(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Rows of a LiveKit call are out of date when a span came late that the models read by its name."""
    data = tmp_path / "data"
    import_livekit(data, frozenset(names), late=False)
    store_rows(data, datetime.now(UTC), response_gap_s=7.0)
    assert {row["response_gap_s"] for row in read(data)} == {7.0}
    import_livekit(data, frozenset(names), late=True)
    assert read(data) == computed(data)


def test_late_span_that_is_part_of_no_turn(tmp_path: Path) -> None:
    """A late span of component other that no model reads makes no row out of date."""
    data, names = tmp_path / "data", frozenset({"drain_agent_activity", "on_exit"})
    import_livekit(data, names, late=False)
    store_rows(data, datetime.now(UTC), response_gap_s=7.0)
    import_livekit(data, names, late=True)
    assert {row["response_gap_s"] for row in read(data)} == {7.0}


def test_names_that_models_read() -> None:
    """The names of spans that the models of turns read are those whose arrival makes a row out of date."""
    needed, read_names = ["turns"], set[str]()
    for model in needed:
        needed += [one for one in MODELS[model].inputs if one in MODELS and one not in needed]
        for told in re.findall(r"(?<!\w)name (?:=|<>|IN) (\([^)]*\)|'[^']*')", MODELS[model].text):
            read_names |= set(re.findall(r"'([^']*)'", told))
    assert {"exchanges", "stages", "placed", "framed"} <= set(needed)
    assert read_names == {*NAMED, *NAMED_ENDS}


@pytest.mark.parametrize("name", ["livekit", "pipecat"])
def test_captures(tmp_path: Path, name: str) -> None:
    """Stored rows of a framework's call are what the models compute, and stay so beside a call that has no rows."""
    assert main(["import", str(CAPTURES / f"{name}.otlp.pb"), "--data", str(tmp_path)]) == 0
    expected = computed(tmp_path)
    assert len(expected) >= 8
    store_rows(tmp_path, datetime.now(UTC) + timedelta(hours=1))
    assert read(tmp_path) == expected
    commit(tmp_path, *call("call-1", "f", 1.0))  # a call without rows beside it
    assert read(tmp_path) == computed(tmp_path)


@pytest.mark.parametrize("name", ["livekit", "pipecat"])
def test_merged_calls_without_an_id(tmp_path: Path, name: str) -> None:
    """Calls that no span names stay apart when their hour is merged: each is its trace's, as its rows are."""
    assert main(["import", str(CAPTURES / f"{name}.otlp.pb"), "--data", str(tmp_path)]) == 0
    commit(tmp_path, *call("call-1", "f", 1.0))
    store_rows(tmp_path, datetime.now(UTC) + timedelta(hours=1))
    expected = computed(tmp_path)
    maintain(tmp_path, time.time_ns() + 2 * HOUR_NS)
    assert read(tmp_path) == expected
    assert main(["slow", "--data", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", ["native", "livekit", "pipecat"])
def test_the_last_row_is_missing(tmp_path: Path, name: str) -> None:
    """A call of which the last turn's row was lost, or isn't written yet, is computed: its spans tell of that turn."""
    if name == "native":
        first = call("call-1", "a", 1.0)
        commit(tmp_path, *first, *(next_turn(row) for row in first if row["turn_index"] is not None))
    else:
        assert main(["import", str(CAPTURES / f"{name}.otlp.pb"), "--data", str(tmp_path)]) == 0
    table = source.ask(tmp_path, ALL, LATER, lambda opened: opened.engine.table("turns"))
    last = max(table["turn_index"].to_pylist())
    assert last > 1
    store_rows(tmp_path, datetime.now(UTC) + timedelta(hours=1), until=last - 1)
    assert read(tmp_path) == computed(tmp_path)


def next_turn(row: dict[str, object]) -> dict[str, object]:
    """The same span a minute later, in the call's second turn."""
    moved = {key: value + 60 * 10**9 for key, value in row.items() if key.endswith("_nano") and isinstance(value, int)}
    ids = {key: f"{int(str(row[key]), 16) + 4096:016x}" for key in ("span_id", "parent_span_id") if row.get(key)}
    return {**row, **moved, **ids, "turn_index": 2}


def test_pandas_is_not_imported(data: Path) -> None:
    """`slow` answers from stored rows without pandas: importing it takes half a second."""
    store_rows(data)
    program = "import sys; from otel_voicebot.cli import main; main(sys.argv[1:]); sys.exit('pandas' in sys.modules)"
    words = [sys.executable, "-c", program, "slow", "--json", "--data", str(data)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["exchanges"] == 2
