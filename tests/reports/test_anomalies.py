"""A7, C5: anomalies in stored calls: what is put in is found, with its rows; a quiet day has none."""

import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from otel_voicebot import frames
from otel_voicebot.models import Engine, Selection
from otel_voicebot.reports import anomalies
from otel_voicebot.reports.anomalies import Found, Incident, Series, find
from otel_voicebot.reports.anomaly_rows import Rows
from otel_voicebot.reports.detector import Rule
from otel_voicebot.reports.incidents import document, grids
from otel_voicebot.reports.scope import Scope
from otel_voicebot.store.reader import snapshot
from tests.reports.anomalous import Change, at, calls, costlier, failing, slower, stored
from tests.reports.tables import NOON

TWENTY = (4.0, 4 + 1 / 3)
"""Twenty minutes, in hours after the first call."""
HIT = {"bot": "bank", "component": "llm", "provider": "openai", "model": "gpt-4o-mini"}


@pytest.fixture(scope="module")
def spans() -> pa.Table:
    """Five hours of 2,100 calls of three bots with five language models."""
    return calls(120_000)


def chosen(data: Path, incident: Incident) -> list[dict[str, object]]:
    """The operations of the incident's series that began in it, from the engine."""
    with Engine(snapshot(data), cut=False) as engine:
        return engine.sql(
            "SELECT session_id, turn_index, time_to_first_chunk_s, failed, error_type FROM operations "
            "WHERE bot = ? AND component = ? AND model = ? AND start_time >= ? AND start_time < ?",
            [incident.series.bot, incident.series.component, incident.series.model, incident.start, incident.end],
        ).to_pylist()


def test_a_quiet_day_gives_none(spans: pa.Table, tmp_path: Path) -> None:
    """Where nothing was put in nothing is found, though hundreds of bins were judged."""
    found = find(stored(tmp_path, spans))
    assert found.incidents == ()
    assert found.bins > 300
    assert grids(found)[0].rows == ()


@pytest.mark.parametrize(
    ("measure", "change"),
    [("first_chunk_s", slower(2)), ("error_rate", failing(0.15)), ("cost_usd", costlier(2))],
    ids=["latency", "errors", "cost"],
)
def test_what_is_put_in_is_found(spans: pa.Table, tmp_path: Path, measure: str, change: Change) -> None:
    """Twenty minutes of twice the latency, of 15 % errors, of twice the cost: its series alone, edges within a bin."""
    data = stored(tmp_path, spans, change, TWENTY)
    found = find(data)
    (incident,) = found.incidents
    assert incident.series == Series(measure, **HIT)
    bin_ = timedelta(minutes=incident.minutes)
    assert abs(incident.start - at(TWENTY[0])) <= bin_
    assert abs(incident.end - at(TWENTY[1])) <= bin_
    assert incident.z > 4
    assert not incident.ongoing
    if measure == "error_rate":
        assert incident.usual == pytest.approx(0.02, abs=0.01)
        assert incident.observed > 0.1
    else:
        assert 1.5 < incident.change < 2.3
    assert {one["anomalies"][0]["measure"] for one in (document(found),)} == {measure}
    assert frames.anomalies(data, bot="bank").loc[0, "model"] == "gpt-4o-mini"
    assert frames.anomalies(data, bot="shop").empty


def test_slow_rows_are_named(spans: pa.Table, tmp_path: Path) -> None:
    """The worst turns are those with the longest first chunk in it, and what it added is a share of their waits."""
    data = stored(tmp_path, spans, slower(2), TWENTY)
    found = find(data)
    (incident,) = found.incidents
    there = chosen(data, incident)
    worst = sorted((row["time_to_first_chunk_s"] or 0 for row in there), reverse=True)[:5]
    assert [row["value"] for row in incident.rows.worst] == worst
    assert {(row["session_id"], row["turn_index"]) for row in incident.rows.worst} <= {
        (row["session_id"], row["turn_index"]) for row in there
    }
    assert incident.rows.spent == pytest.approx(sum(row["time_to_first_chunk_s"] or 0 for row in there))
    assert incident.added == pytest.approx(incident.rows.spent * (1 - incident.usual / incident.observed))
    assert incident.added_wait_share is not None
    assert 0.1 < incident.added_wait_share < 0.6
    (row, *_) = grids(found)[1].rows
    worst_row = incident.rows.worst[0]
    assert row["command"] == f"otel-voicebot trace {worst_row['session_id']}/{worst_row['turn_index']}"


def test_failures_are_named(spans: pa.Table, tmp_path: Path) -> None:
    """The rows of an error burst failed in it, and the types of its errors are counted."""
    data = stored(tmp_path, spans, failing(0.3), TWENTY)
    (incident,) = find(data).incidents
    failed = [row for row in chosen(data, incident) if row["failed"]]
    assert sum(incident.rows.errors.values()) == len(failed)
    assert incident.rows.errors["overloaded"] == sum(row["error_type"] == "overloaded" for row in failed)
    assert next(iter(incident.rows.errors)) == "overloaded"
    assert incident.added == pytest.approx(len(failed) - incident.usual * incident.n)
    assert {row["session_id"] for row in incident.rows.worst} <= {row["session_id"] for row in failed}


def test_a_shift_that_lasts(spans: pa.Table, tmp_path: Path) -> None:
    """What goes on until the last call is one anomaly that says so."""
    (incident,) = find(stored(tmp_path, spans, slower(2), (4.0, 6.0))).incidents
    assert incident.ongoing
    assert incident.end - incident.start > timedelta(minutes=45)


def test_a_clock_that_is_years_ahead_is_not_the_end_of_the_data(spans: pa.Table, tmp_path: Path) -> None:
    """One call of ten years on: what goes on until the last of the others still does."""
    changed = pc.and_(pc.equal(spans["model"], HIT["model"]), pc.equal(spans["bot"], HIT["bot"]))
    one = spans.filter(pc.and_(changed, pc.is_valid(spans["time_to_first_chunk_s"]))).slice(0, 1)
    for name in ("start_unix_nano", "end_unix_nano"):
        later = pc.add(one[name], 10 * 365 * 86_400 * 10**9)
        one = one.set_column(one.schema.get_field_index(name), one.schema.field(name), later)
    for name, width in (("trace_id", 16), ("span_id", 8)):
        own = pa.chunked_array([pa.array([b"later".ljust(width)], pa.binary(width))])
        one = one.set_column(one.schema.get_field_index(name), one.schema.field(name), own)
    one = one.set_column(one.schema.get_field_index("session_id"), one.schema.field("session_id"), [["later"]])
    (incident,) = find(stored(tmp_path, pa.concat_tables([spans, one]), slower(2), (4.0, 6.0))).incidents
    assert incident.ongoing


def test_a_window_has_its_past_before_it(spans: pa.Table, tmp_path: Path) -> None:
    """`since` judges bins from then on by what was before; an anomaly before it is past."""
    data = stored(tmp_path, spans, slower(2), TWENTY)
    earlier, later = (find(data, Selection(since=at(hour))) for hour in (3.5, 4.6))
    assert [one.series for one in earlier.incidents] == [Series("first_chunk_s", **HIT)]
    assert later.incidents == ()
    assert later.bins < earlier.bins
    with pytest.raises(anomalies.NoDataError, match="needs 12 bins"):
        find(data, Selection(since=at(4.0)), Rule(history_s=1800))


def test_few_calls_are_no_history(spans: pa.Table, tmp_path: Path) -> None:
    """A hundred calls say nothing of what is usual: that is an error that says what is needed."""
    with pytest.raises(anomalies.NoDataError, match="8 calls or more"):
        find(stored(tmp_path, spans.slice(0, 6000)))


def test_agents_and_sessions_have_costs(spans: pa.Table, tmp_path: Path) -> None:
    """C5: cost has a series for each agent and decision, and for calls, each with its z-score."""
    names = pa.array(["triage" if model == "gpt-4o-mini" else None for model in spans["model"].to_pylist()])
    spans = spans.set_column(spans.schema.get_field_index("agent"), spans.schema.field("agent"), names)
    found = find(stored(tmp_path, spans, costlier(4), (4.0, 4.5)))
    measures = {one.series.measure: one for one in found.incidents}
    assert measures["agent_cost_usd"].series == Series("agent_cost_usd", "bank", agent="triage")
    assert measures["agent_cost_usd"].z > 4
    assert "session_cost_usd" in {row["measure"] for row in _bins(tmp_path)}


def _bins(data: Path) -> list[dict[str, object]]:
    from otel_voicebot.models.pricing import Prices

    with Engine(snapshot(data), cut=False) as engine:
        Prices().give(engine)
        return engine.table("anomaly_bins").to_pylist()


def test_bins_by_hand(spans: pa.Table, tmp_path: Path) -> None:
    """The sums of bins are those of calls: every width holds each operation once, with its failures."""
    stored(tmp_path, spans)
    rows = [row for row in _bins(tmp_path) if row["measure"] == "error_rate" and row["component"] == "llm"]
    with Engine(snapshot(tmp_path), cut=False) as engine:
        expected = engine.sql("SELECT count(*) AS n, count(CASE WHEN failed THEN 1 END) AS failed FROM operations "
                              "WHERE component = 'llm'").to_pylist()[0]  # fmt: skip
    for minutes in (5, 10, 15, 30, 60):
        mine = [row for row in rows if row["minutes"] == minutes]
        assert sum(row["observations"] for row in mine) == expected["n"]
        assert sum(row["total"] for row in mine) == expected["failed"]
    assert all(row["sizes"] >= row["observations"] ** 2 / row["calls"] - 1e-6 for row in rows)


def test_a_clock_that_is_years_off_costs_nothing() -> None:
    """A bin of 1970 is one bin more, not every bin since then."""
    row = {**dict.fromkeys(("bot", "component", "provider", "model", "agent", "decision")), "measure": "duration_s"}
    sums = dict.fromkeys(("observations", "total", "squares", "products", "sizes"), 1.0)
    rows = pa.Table.from_pylist(
        [{**row, **sums, "minutes": 5, "bin": at, "calls": 30} for at in (0, 5_891_000, 5_891_001)]
    )
    for name in ("bot", "component", "provider", "model", "agent", "decision"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(pa.string()))
    ((series, bins),) = anomalies._groups(rows)
    assert series == (Series("duration_s"),)
    assert bins.start_s.tolist() == [0, 5_891_000 * 300, 5_891_001 * 300]


def incident(measure: str = "first_chunk_s", **keys: str) -> Incident:
    """An hour from noon on."""
    series = Series(measure, **keys)
    return Incident(series, 1, NOON, NOON + timedelta(hours=1), False, 15, 80, 500, 0.5, 1.0, 6.0, 1e-9, False, 40)


def test_what_was_hit_has_something_in_common() -> None:
    """All of a provider, all there are, or only one: said in words."""
    one = [Series("first_chunk_s", bot, "llm", "openai", "a") for bot in ("bank", "shop")]
    other = [Series("first_chunk_s", bot, "llm", "groq", "b") for bot in ("bank", "shop")]
    every = {*one, *other}
    assert anomalies._spread(set(one), every) == "all 2 of provider openai"
    assert anomalies._spread({one[0], other[0]}, every) == "all 2 of bot bank"
    assert anomalies._spread(every, every) == "all 4"
    assert anomalies._spread({one[0]}, every) == "1 of 4"
    assert anomalies._spread({one[0]}, {one[0]}) == "the only one"
    assert anomalies._spread({one[0], other[1]}, every) == "2 of 4"


def test_commands_are_safe_to_paste() -> None:
    """A7: senders name sessions: one that holds a command is one word of ours."""
    row = {"session_id": "a; rm -rf ~ #", "turn_index": 2, "trace_id": "t", "value": 1.0, "error_type": None}
    one = replace(incident(bot="bank"), rows=Rows(worst=(row,)))
    (told,) = grids(Found(Scope("data", NOON), Rule(), (one,), 1, 1, 1))[1].rows
    assert shlex.split(str(told["command"])) == ["otel-voicebot", "trace", "a; rm -rf ~ #/2"]


def test_what_nobody_waits_for_has_no_share_of_waits() -> None:
    """Cost and the length of speech are no wait: there is no share, not a share of 0."""
    cost = replace(incident("cost_usd"), rows=Rows(spent=8.0))
    assert (cost.added, cost.added_wait_share) == (4.0, None)
    assert replace(incident(), rows=Rows(spent=8.0, waited_s=16.0)).added_wait_share == 0.25
