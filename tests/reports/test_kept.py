"""A report over rows as they were stored says what it says when all is computed from the spans."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bench.generate import EPOCH, requests
from otel_voicebot.cli import main
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.reports import kept
from otel_voicebot.reports.kept import Kept
from otel_voicebot.spans.schema import TABLES
from otel_voicebot.store import SpanStore, snapshot
from tests.cli.conftest import call, commit
from tests.reports.captures import CAPTURES
from tests.reports.tables import NOON

LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
ALL = Selection()
SECTIONS = ("all_kpis", "wait_ends", "components", "outcomes", "errors")
DAY = datetime.fromtimestamp(EPOCH / 1e9, UTC)
HALF = Selection(since=DAY + timedelta(hours=6), until=DAY + timedelta(hours=18))


def tables(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """What a report is made of; sums of seconds to ten digits, as they depend on the order of rows."""
    found = {name: engine.table(name).to_pylist() for name in SECTIONS}
    return {
        name: [{key: _rounded(value) for key, value in row.items()} for row in rows] for name, rows in found.items()
    }


def _rounded(value: object) -> object:
    return float(f"{value:.10g}") if isinstance(value, float) else value


def both(data: Path, selection: Selection = ALL) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """How many calls' rows were taken as stored; the report with them, and without."""
    source, terms = snapshot(data), Terms(as_of=LATER)
    with Kept(source, selection, terms) as engine:
        number, with_rows = engine.kept, tables(engine)
    with Engine(source, selection, brief=True, terms=terms) as engine:
        return number, with_rows, tables(engine)


def store(
    data: Path,
    at: datetime,
    revision: int = 1,
    changed: Mapping[str, Mapping[str, object]] | None = None,
    lacking: tuple[str, str] = ("", ""),
) -> None:
    """Store the rows of all calls as if they had been computed at that time; ``changed`` shows where they are read.

    ``lacking``: the table that has no row of a call, and the call.
    """
    with Engine(snapshot(data)) as engine:
        computed = {name: engine.table(name).to_pylist() for name in ("turns", "sessions")}
    for name, rows in computed.items():
        so = {"revision": revision, "computed_at": at, "writer": "test", **(changed or {}).get(name, {})}
        kept_rows = [row | so for row in rows if (name, row["session_id"]) != lacking]
        known = [{column: row.get(column) for column in TABLES[name].names} for row in kept_rows]
        SpanStore(data).write_rows(name, pa.Table.from_pylist(known, schema=TABLES[name]))  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two calls of one turn each, an hour apart; their spans came in at noon."""
    commit(tmp_path, *call("call-1", "a", 1.0, bot="bank"))
    commit(tmp_path, *call("call-2", "b", 3.0, timedelta(hours=1).total_seconds(), bot="shop"))
    return tmp_path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred generated calls and their rows: all kinds of endings, failures, surveys, prices."""
    data = tmp_path_factory.mktemp("kept")
    for number, body in enumerate(requests(20_000, seed=3)):
        (data / f"{number}.pb").write_bytes(body)
    files = sorted(str(file) for file in data.glob("*.pb"))
    assert main(["import", *files, "--data", str(data)]) == 0
    store(data, datetime.now(UTC) + timedelta(hours=1))
    return data


@pytest.mark.parametrize("selection", [ALL, HALF, Selection(bot="bank"), Selection(channel="web", variant="A")])
def test_stored_rows_give_the_same_report(many: Path, selection: Selection) -> None:
    """Every KPI, wait, component, outcome and error is the same, whatever is selected; no turn was computed."""
    number, with_rows, without = both(many, selection)
    assert number > 300
    assert with_rows == without
    assert sum(row["sessions"] for row in with_rows["outcomes"]) > 20


def test_stored_rows_are_taken(data: Path) -> None:
    """Rows that were computed after the last span came in are taken as they are."""
    store(data, LATER, changed={"turns": {"response_gap_s": 7.0}, "sessions": {"csat": 4}})
    number, with_rows, _ = both(data)
    kpis = {row["name"]: row["value"] for row in with_rows["all_kpis"]}
    assert (number, kpis["response_gap_p50_s"], kpis["csat_mean"]) == (2, 7.0, 4.0)


def test_a_span_that_came_late(data: Path) -> None:
    """A call of which any span came in after its row was computed is computed: a survey restates the call."""
    store(data, NOON + timedelta(minutes=5))
    survey = {"name": "voicebot.feedback", "component": "other", "span_id": "00000000000000fe", "csat": 2}
    commit(data, call("call-1", "a", 1.0, bot="bank")[0] | survey | {"ingest_time": NOON + timedelta(minutes=6)})
    number, with_rows, without = both(data)
    assert (number, with_rows) == (1, without)
    assert {row["name"]: row["value"] for row in with_rows["all_kpis"]}["csat_mean"] == 2


FACTS: Mapping[str, dict[str, object]] = {
    "survey": {"csat": 2},
    "nps": {"nps": 0},
    "correction": {"outcome": "unresolved"},
    "transfer": {"component": "handoff", "name": "voicebot.handoff", "handoff_target": "human", "status": "unset"},
    "planned transfer": {"component": "handoff", "name": "voicebot.handoff", "handoff_planned": True},
}


@pytest.mark.parametrize("kind", FACTS)
def test_a_fact_that_the_row_does_not_hold(data: Path, kind: str) -> None:
    """An import beside a service tells it before the service, which doesn't know, computes the row: it counts."""
    store(data, LATER)
    assert both(data)[0] == 2
    fact = {"name": "voicebot.feedback", "component": "other", "span_id": "00000000000000fe", **FACTS[kind]}
    own = call("call-1", "a", 1.0, bot="bank")[0]
    commit(data, own | {"turn_index": None, "end_unix_nano": own["end_unix_nano"] + 10**9} | fact)
    number, with_rows, without = both(data)
    assert number == 1
    assert with_rows == without


@pytest.mark.parametrize("parent", [None, "llm"])
def test_a_repeated_or_nested_operation(data: Path, parent: str | None) -> None:
    """A call with more operations among its spans than in its row is computed: some may not count."""
    operation = next(row for row in call("call-1", "a", 1.0, bot="bank") if row["component"] == "llm")
    nested = {"span_id": "00000000000000fd", "parent_span_id": operation["span_id"]}
    commit(data, operation | (nested if parent else {}))
    store(data, LATER)
    number, with_rows, without = both(data)
    assert (number, with_rows) == (1, without)


@pytest.mark.parametrize("table", ["turns", "sessions"])
def test_a_row_that_is_missing(data: Path, table: str) -> None:
    """A call without its row, or the row of a turn, is computed: the disk may have refused it."""
    store(data, LATER, lacking=(table, "call-1"))
    number, with_rows, without = both(data)
    assert (number, with_rows) == (1, without)


def test_rows_that_stand_twice(data: Path) -> None:
    """Of a call with two rows of one revision neither can be told to be right: it is computed."""
    store(data, LATER)
    store(data, LATER, changed={"sessions": {"csat": 1}})
    number, with_rows, without = both(data)
    assert (number, with_rows) == (0, without)


def test_the_highest_revision_counts(data: Path) -> None:
    """In whatever order rows were written."""
    store(data, LATER, revision=2)
    store(data, LATER, revision=1, changed={"turns": {"response_gap_s": 7.0}, "sessions": {"csat": 1}})
    number, with_rows, without = both(data)
    assert (number, with_rows) == (2, without)


def test_a_turn_that_was_computed_again(data: Path) -> None:
    """Its later row counts, and the earlier one doesn't; the turns of other calls have one row each."""
    store(data, LATER, changed={"turns": {"response_gap_s": 7.0}})
    with Engine(snapshot(data)) as engine:
        rows = engine.sql("SELECT * FROM turns WHERE session_id = 'call-1'").to_pylist()
    again = {"response_gap_s": 2.0, "revision": 2, "computed_at": LATER, "writer": "test"}
    known = [{name: (row | again).get(name) for name in TABLES["turns"].names} for row in rows]
    SpanStore(data).write_rows("turns", pa.Table.from_pylist(known, schema=TABLES["turns"]))  # type: ignore[arg-type]
    for selection, turns, gap in ((ALL, 2, 4.5), (Selection(bot="bank"), 1, 2.0), (Selection(bot="shop"), 1, 7.0)):
        number, with_rows, _ = both(data, selection)
        kpis = {row["name"]: row["value"] for row in with_rows["all_kpis"]}
        assert (number, kpis["turns"], kpis["response_gap_p50_s"]) == (2, turns, gap)


def test_scores_are_read_from_the_spans(data: Path) -> None:
    """A call's opinion score counts once, whether its row is taken or, as its span was delivered twice, is not."""
    score = {"component": "other", "span_id": "00000000000000fe", "mos": 4.0, "mos_kind": "survey", "turn_index": None}
    commit(data, call("call-1", "a", 1.0, bot="bank")[0] | score)
    store(data, LATER)
    number, with_rows, without = both(data)
    assert (number, with_rows) == (2, without)
    assert {row["name"]: row["value"] for row in with_rows["all_kpis"]}["mos"] == 4.0
    commit(data, call("call-1", "a", 1.0, bot="bank")[0] | score)
    number, with_rows, without = both(data)
    assert (number, with_rows) == (1, without)


def test_too_many_are_out_of_date(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all calls are computed: to pick them out costs more."""
    store(data, NOON - timedelta(minutes=5))
    monkeypatch.setattr(kept, "_MOST_STALE", 1)
    number, with_rows, without = both(data)
    assert (number, with_rows) == (0, without)


@pytest.mark.parametrize("table", ["turns", "sessions"])
def test_rows_that_cannot_be_read(data: Path, table: str) -> None:
    """They are computed."""
    store(data, LATER)
    for file in (data / "hot" / table).rglob("*.parquet"):
        content = bytearray(file.read_bytes())
        content[4:-400] = b"\xff" * (len(content) - 404)
        file.write_bytes(content)
    number, with_rows, without = both(data)
    assert (number, with_rows) == (0, without)


@pytest.mark.parametrize("name", ["livekit", "pipecat"])
def test_calls_of_frameworks(tmp_path: Path, name: str) -> None:
    """Spans without a session's id are computed, beside a call whose rows are taken."""
    assert main(["import", str(CAPTURES / f"{name}.otlp.pb"), "--data", str(tmp_path)]) == 0
    commit(tmp_path, *call("call-1", "f", 1.0))
    store(tmp_path, datetime.now(UTC) + timedelta(hours=1))
    number, with_rows, without = both(tmp_path)
    assert number >= 1
    assert with_rows == without


def test_many_spans_get_more_memory(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact percentiles of very many values have to fit in; a usual question stays below a gigabyte."""
    limits = []
    for most in (10**9, 1):
        monkeypatch.setattr(kept, "_MANY_BYTES", most)
        with Kept(snapshot(data), ALL, Terms(as_of=LATER)) as engine:
            limits += engine.sql("SELECT current_setting('memory_limit') AS limit").column(0).to_pylist()
    assert limits == ["667.5 MiB", "2.7 GiB"]
