"""`report --group-by`, `--change` (D7, D9, A19): groups are what a filter leaves, changes what both periods say."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otel_voicebot.errors import UsageError
from otel_voicebot.models import Selection, Terms
from otel_voicebot.models.groups import GROUPINGS
from otel_voicebot.reports import groups, source
from otel_voicebot.reports.answer import Wanted, against, answer
from otel_voicebot.reports.report import Report
from tests.cli.conftest import call, commit
from tests.models.twelve import AS_OF, HERE, answers, opened, tables

TERMS = Terms(as_of=AS_OF)
PRICES = HERE / "prices.yaml"
CALLS = [line.split() for line in tables.CALLS.splitlines() if line.split()[:1] not in ([], ["#"])]
MONDAY, SUNDAY = datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC)


def asked(store: Path, selection: Selection | None = None, **wanted: object) -> Report:
    """The report of the twelve calls."""
    return answer(store, selection or Selection(), TERMS, Wanted(prices=PRICES, **wanted))  # type: ignore[arg-type]


def named(column: int) -> dict[str | None, int]:
    """How many of the twelve calls have each value in a column of the pencil's table."""
    values = [None if row[column] == "-" else row[column] for row in CALLS]
    return {value: values.count(value) for value in values}


WANTED = {
    "channel": named(3),
    "intent": named(2),
    "end_reason": named(7),
    "day": {day: [row[4][:10] for row in CALLS].count(day) for day in {row[4][:10] for row in CALLS}},
    "hour": dict.fromkeys({f"{row[4][:13]}:00Z" for row in CALLS}, 1),
    "month": {"2026-03": 11, "2026-04": 1},
    "week": {"2026-02-23": 2, "2026-03-02": 9, "2026-03-30": 1},
    "bot": {"bank": 12},
    "agent": {None: 9, "lender": 2, "router": 1},
    "cache": {None: 8, "semantic": 3, "audio": 1},
    "tenant": {None: 12},
}


def test_groups_have_the_calls_that_the_pencil_gives_them(twelve: Path) -> None:
    """Each group has its calls; of what isn't known there is a group of its own; none loses a call."""
    with opened(twelve) as engine:
        found = {by: {values[0]: sessions for sessions, values in engine.group([by])} for by in GROUPINGS}
    assert {by: found[by] for by in WANTED} == WANTED
    assert [by for by in found if sum(found[by].values()) < 12] == []


@pytest.mark.parametrize("by", ["channel", "intent", "bot"])
def test_a_groups_kpis_are_those_of_a_report_with_that_filter(twelve: Path, by: str) -> None:
    """Every number of every KPI is equal, whether the calls are grouped or selected."""
    found = asked(twelve, group_by=(by,)).grouped
    assert found is not None
    for group in found.groups:
        if group.values[0] is not None:
            alone = asked(twelve, Selection(**{by: group.values[0]}))  # type: ignore[arg-type]
            assert group.kpis == alone.kpis


@pytest.mark.parametrize("brief", [True, False])
def test_after_groups_the_engine_has_all_calls_again(twelve: Path, *, brief: bool) -> None:
    """Groups leave no trace in the KPIs of all, and may be asked for again."""
    with opened(twelve, brief=brief) as engine:
        before = answers(engine)
        first = groups.compute(engine, ["intent"])
        assert answers(engine) == before
        groups.compute(engine, ["channel", "outcome"])
        assert groups.compute(engine, ["intent"]) == first


def test_two_groupings_at_once(twelve: Path) -> None:
    """Every pair of values that occurs is a group, and the groups hold all calls."""
    found = asked(twelve, group_by=("channel", "intent")).grouped
    assert found is not None
    assert {group.values for group in found.groups} == {(row[3], None if row[2] == "-" else row[2]) for row in CALLS}
    assert sum(group.sessions for group in found.groups) == 12


def test_a_call_that_used_two_agents_is_in_both_groups(tmp_path: Path) -> None:
    """It counts whole in each of them, and a sentence says so."""
    rows = call("one", "a", 1.0)
    rows.append({**rows[2], "span_id": f"{9:016x}", "agent": "router"})
    rows[2]["agent"] = "lender"
    commit(tmp_path, *rows)
    found = answer(tmp_path, Selection(), TERMS, Wanted(group_by=("agent",))).grouped
    assert found is not None
    assert {group.values[0]: group.sessions for group in found.groups} == {"lender": 1, "router": 1}
    assert "counts whole in each" in found.notes()[0]


def test_an_attribute_of_the_session_groups(tmp_path: Path) -> None:
    """Tenants (D9) are told apart, also where only one span of the call names its tenant."""
    for name, trace, tenant in (("one", "a", "north"), ("two", "b", "south")):
        rows = call(name, trace, 1.0)
        rows[0]["attributes"] = [("voicebot.tenant", tenant)]
        commit(tmp_path, *rows)
    found = answer(tmp_path, Selection(), TERMS, Wanted(group_by=("tenant",))).grouped
    assert found is not None
    assert {group.values[0]: group.sessions for group in found.groups} == {"north": 1, "south": 1}


def test_too_many_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest are computed and a sentence counts the rest; days would have holes, so they are refused."""
    monkeypatch.setattr(groups, "MOST", 2)
    for place, (name, trace) in enumerate((("one", "a"), ("two", "b"), ("three", "c"), ("four", "d"))):
        commit(tmp_path, *call(name, trace, 1.0, 86400.0 * place, intent=f"thing {max(place, 1)}"))
    found = answer(tmp_path, Selection(), TERMS, Wanted(group_by=("intent",))).grouped
    assert found is not None
    assert [group.sessions for group in found.groups] == [2, 1]
    assert (found.left_groups, found.left_sessions) == (1, 1)
    assert found.notes()[0].startswith("Left out: 1 smaller groups with 1 sessions.")
    with pytest.raises(UsageError, match=r"--group-by day makes 4 groups, and 2 are computed: .* or group by week"):
        answer(tmp_path, Selection(), TERMS, Wanted(group_by=("day",)))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(group_by=("mood",)), "nothing can be grouped by 'mood': choose bot, channel"),
        (Wanted(group_by=("bot", "bot")), "names bot twice"),
        (Wanted(group_by=("day",), change=True), "a day of this period isn't in the one before"),
        (Wanted(change=True), "has no beginning, so there is none before it"),
    ],
)
def test_what_makes_no_sense_is_said(twelve: Path, wanted: Wanted, says: str) -> None:
    """One sentence, before anything is read."""
    with pytest.raises(UsageError, match=says):
        answer(twelve, Selection(), TERMS, wanted)


def test_change_is_this_period_less_the_one_before(twelve: Path) -> None:
    """Each KPI has the value that a report of the three days before has, and the difference, also relative (D7)."""
    found = against(twelve, Selection(since=MONDAY, until=SUNDAY), TERMS, PRICES)
    before = asked(twelve, Selection(since=datetime(2026, 3, 1, tzinfo=UTC), until=MONDAY))
    assert found.before is not None
    assert (found.before.period.since, found.before.sessions) == (datetime(2026, 3, 1, tzinfo=UTC), 4)
    assert [kpi.previous for kpi in found.kpis] == list(before.kpis)
    gap = next(kpi for kpi in found.kpis if kpi.name == "response_gap_p50_s")
    assert (gap.value, gap.change, gap.relative) == (1.0, -0.75, -0.75 / 1.75)
    assert gap.shown_change == "-750 ms (-42.9 %)"
    contained = next(kpi for kpi in found.kpis if kpi.name == "containment")
    assert contained.shown_change == "-41.7 pp (-55.6 %)"
    errors = next(kpi for kpi in found.kpis if kpi.name == "error_rate")
    assert (errors.change, errors.relative) == (0, None)


def test_a_period_that_goes_on_is_compared_with_as_long_a_time(twelve: Path) -> None:
    """Half of a week isn't compared with a whole one (D7): the period before is as long as what has passed."""
    terms = replace(TERMS, as_of=SUNDAY)
    whole, clipped = (
        against(twelve, Selection(since=MONDAY, until=until), terms) for until in (SUNDAY + 9 * (SUNDAY - MONDAY), None)
    )
    assert whole.before == clipped.before
    assert [kpi.previous for kpi in whole.kpis] == [kpi.previous for kpi in clipped.kpis]
    with pytest.raises(UsageError, match="has not begun yet"):
        against(twelve, Selection(since=SUNDAY, until=SUNDAY + (SUNDAY - MONDAY)), terms)


def test_what_was_missing_before_is_missing(twelve: Path) -> None:
    """Without a call in the period before nothing is compared with 0, and the head says so."""
    found = against(twelve, Selection(since=datetime(2026, 3, 1, tzinfo=UTC), until=SUNDAY), TERMS)
    assert found.before is not None
    assert found.before.sessions == 0
    assert "of which there is no session" in found.before.line()
    assert {(kpi.previous, kpi.change) for kpi in found.kpis} == {(None, None)}


def test_groups_change(twelve: Path) -> None:
    """A group is compared with the same group of the period before; a new one with nothing."""
    found = asked(twelve, Selection(since=MONDAY, until=SUNDAY), group_by=("intent",), change=True).grouped
    assert found is not None
    turns = {group.values[0]: next(kpi for kpi in group.kpis if kpi.name == "turns") for group in found.groups}
    assert {name: (kpi.value, kpi.change) for name, kpi in turns.items()} == {
        "balance": (3, 2),
        "complaint": (1, -1),
        "loan": (1, -2),
        None: (0, None),
    }


def test_intent_selects_calls(twelve: Path) -> None:
    """`--intent` (a filter of every verb) leaves the calls about it, in KPIs and in the turns with their segments."""
    loans = sum(row[2] == "loan" for row in CALLS)
    assert asked(twelve, Selection(intent="loan")).value("sessions") == loans
    found = asked(twelve, Selection(intent="loan"), sections=("segments",))
    whole = replace(found, segments=None)
    assert whole.value("sessions") == loans
    assert found.segments
    turns = source.ask(twelve, Selection(intent="loan"), AS_OF, lambda one: one.engine.table("turns").num_rows)
    assert turns == sum(line.split()[0] in {row[0] for row in CALLS if row[2] == "loan"}
                        for line in tables.TURNS.splitlines() if line.split())  # fmt: skip
