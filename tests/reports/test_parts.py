"""Waits of many spans are cut part by part, and are what they are when all spans are looked at together."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from bench.day import HOUR_NS, START, fill
from otel_voicebot.models import Engine, Selection
from otel_voicebot.reports import exchanges, parts
from otel_voicebot.reports.parts import InParts
from otel_voicebot.reports.shares import shares
from otel_voicebot.reports.spent import of_turns
from otel_voicebot.reports.waits import COLUMNS
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore, snapshot
from tests.cli.conftest import _stored, call
from tests.reports.test_stored import LATER

ALL = Selection()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three hours of calls without rows; each hour is a part, and one call lies in two."""
    monkeypatch.setattr(parts, "_SPANS", 1)
    fill(tmp_path, 2000, hours=3)
    first, second = (START + hour * HOUR_NS for hour in (1, 2))
    spans = call("astride", "a", 1.0)
    for at, some in ((first, spans[2:]), (second, spans[:2])):
        batch = pa.RecordBatch.from_pylist([_stored(row) for row in some], schema=SPANS)
        SpanStore(tmp_path, clock=lambda at=at: at).commit([batch])  # type: ignore[misc]
    for kind in ("hot", "history"):
        shutil.rmtree(tmp_path / kind / "turns")
    return tmp_path


def rows(table: pa.Table) -> list[dict[str, object]]:
    """Turns in their order."""
    return table.select(COLUMNS).sort_by([("session_id", "ascending"), ("turn_index", "ascending")]).to_pylist()


def in_parts(data: Path, selection: Selection) -> tuple[int, list[dict[str, object]]]:
    """How many parts there were, and the turns."""

    def told(found: exchanges.Exchanges) -> tuple[int, list[dict[str, object]]]:
        assert isinstance(found, InParts)
        return len(found.several), rows(found.turns())

    return exchanges.ask(data, selection, LATER, told)


@pytest.mark.parametrize("selection", [ALL, Selection(bot="bank"), Selection(variant="A")])
def test_parts_give_the_turns_of_the_whole(data: Path, selection: Selection) -> None:
    """Segments, causes and owners of every wait are the same; a call in two hours is looked at as one."""
    number, found = in_parts(data, selection)
    with Engine(snapshot(data), selection) as engine:
        expected = rows(engine.sql(f"SELECT {', '.join(COLUMNS)} FROM turns"))
    assert number == 4
    assert found == expected
    assert [row["session_id"] for row in found].count("astride") == 1


@pytest.mark.parametrize("selection", [ALL, Selection(bot="bank"), Selection(variant="A"), Selection(intent="loan")])
def test_sums_need_no_rows(data: Path, selection: Selection) -> None:
    """What the answered waits were spent on is the same, whether or not turns are put together first."""
    found = exchanges.ask(data, selection, LATER, lambda of: shares(of.spent()))
    with Engine(snapshot(data), selection) as engine:
        assert found == shares(of_turns(engine.table("turns")))


def test_waits_that_are_not_cut(data: Path) -> None:
    """An answered wait of which nobody knows when it began counts as such among the sums."""
    turn = {"component": "turn", "turn_index": 1, "reported_gap_s": 1.5}
    rows = [{**row, **(turn if row["component"] == "turn" else {})} for row in call("uncut", "d", 1.0)]
    rows = [{**row, "user_speech_end_unix_nano": None, "bot_speech_start_unix_nano": None} for row in rows]
    SpanStore(data).commit([pa.RecordBatch.from_pylist([_stored(row) for row in rows], schema=SPANS)])
    found = exchanges.ask(data, ALL, LATER, lambda of: shares(of.spent()))
    assert [(row["turns"], row["total_s"]) for row in found if row["segment"] == "not_cut"] == [(1, 1.5)]


def test_turns_of_some_calls(data: Path) -> None:
    """They are those of all turns."""
    wanted = ["astride"]
    found = exchanges.ask(data, ALL, LATER, lambda of: (rows(of.turns()), rows(of.of(wanted))))
    assert found[1] == [row for row in found[0] if row["session_id"] in wanted]


def test_a_span_without_a_session(data: Path) -> None:
    """Whose it is its trace tells: nothing is divided, and sums are those of the turns."""
    loose = [{**row, "session_id": None} for row in call("", "c", 1.0)]
    SpanStore(data).commit([pa.RecordBatch.from_pylist([_stored(row) for row in loose], schema=SPANS)])
    assert parts.parts(snapshot(data)) == ()
    assert not exchanges.ask(data, ALL, LATER, lambda found: isinstance(found, InParts))
    sums, expected = exchanges.ask(
        data, ALL, LATER, lambda found: (shares(found.spent()), shares(of_turns(found.turns())))
    )
    assert sums == expected
    assert sums


def test_few_spans_are_not_divided(tmp_path: Path) -> None:
    """A part has hundreds of thousands of spans."""
    fill(tmp_path, 2000, hours=3)
    assert parts.parts(snapshot(tmp_path)) == ()
