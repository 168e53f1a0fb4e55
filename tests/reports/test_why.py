"""Why waits changed between two periods."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_voicebot.reports import changes, why
from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.waits import MOST_KEYS, OTHERS, Key, waits
from tests.reports.periods import FLASH, period
from tests.reports.tables import NOON, cut_turns, exchange, segment, turn

SCOPE = Scope("data", NOON)
SCOPES = (SCOPE, SCOPE)


def test_slower_voice_is_named() -> None:
    """Where one provider's voice became slower the split names its segment, provider and model, and adds up."""
    answer = why.compute(period("a", 1), period("b", 2, flash_s=1.1), SCOPES)
    first = answer.lines[0]
    assert first.key == Key("tts_first_audio", FLASH, "service", "acme", "flash")
    assert (first.noise, answer.change.noise) == (False, False)
    assert first.change_s > 0.3
    assert first.duration_s > 0.7 * first.change_s
    assert first.after_mean_s == pytest.approx(1.1, rel=0.1)
    assert all(line.noise for line in answer.lines[1:])
    assert_adds_up(answer)


def assert_adds_up(answer: why.Why) -> None:
    """The changes of all lines are the change of the gap; frequency and duration are the change of their line."""
    assert math.fsum(line.change_s for line in answer.lines) == pytest.approx(answer.change.change_s, abs=1e-9)
    assert math.fsum(line.before_s for line in answer.lines) == pytest.approx(answer.before.mean_s, abs=1e-9)
    assert math.fsum(line.after_s for line in answer.lines) == pytest.approx(answer.after.mean_s, abs=1e-9)
    for line in (*answer.lines, answer.change):
        assert line.frequency_s + line.duration_s == pytest.approx(line.change_s, abs=1e-9)


SEGMENTS = st.lists(
    st.builds(
        segment,
        st.sampled_from(["endpointing", "tool", "tts_first_audio", "unattributed"]),
        st.integers(1, 10**10).map(lambda ns: ns / 1e9),
        st.sampled_from([None, "a/b", "a/c"]),
    ),
    max_size=5,
)
PERIOD = st.lists(st.tuples(SEGMENTS, st.integers(-500_000, 10**9)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(PERIOD, PERIOD)
def test_any_split_adds_up(before: list, after: list) -> None:
    """Whatever the waits are made of, also where their segments leave some over, the parts add up to the change."""

    def table(name: str, drawn: list) -> object:
        rows = []
        for number, (segments, beyond) in enumerate(drawn):
            whole = sum(round(one["duration_s"] * 1e9) for one in segments) + beyond
            columns = {"response_gap_s": max(whole, 0) / 1e9} | ({} if segments else {"segments": None})
            rows.append(exchange(f"{name}-{number}", 1, *segments, **columns))
        return cut_turns(*rows)

    assert_adds_up(why.compute(table("a", before), table("b", after), SCOPES))


def test_more_tool_calls_are_frequency() -> None:
    """Where a tool is called more often and takes as long as ever, its line is all frequency and no duration."""
    wait = segment("endpointing", 0.5, "min_delay")
    tool = segment("tool", 2.0, "lookup", "tool")
    before = cut_turns(*(exchange(f"a-{n}", 1, wait, *([tool] if n < 10 else [])) for n in range(100)))
    after = cut_turns(*(exchange(f"b-{n}", 1, wait, *([tool] if n < 60 else [])) for n in range(100)))
    answer = why.compute(before, after, SCOPES)
    line = answer.lines[0]
    assert line.key == Key("tool", "lookup", "tool")
    assert (line.before_share, line.after_share) == (0.1, 0.6)
    assert line.frequency_s == pytest.approx(1.0)
    assert line.duration_s == pytest.approx(0.0)
    assert line.noise is False


def test_new_owner_is_frequency() -> None:
    """A provider that was exchanged for another is one line that went and one that came."""
    before = cut_turns(*(exchange(f"a-{n}", 1, segment("tts_first_audio", 0.3, "old/one")) for n in range(20)))
    after = cut_turns(*(exchange(f"b-{n}", 1, segment("tts_first_audio", 0.7, "new/two")) for n in range(20)))
    lines = {line.key.owner: line for line in why.compute(before, after, SCOPES).lines if line.key}
    assert lines["old/one"].change_s == lines["old/one"].frequency_s == pytest.approx(-0.3)
    assert lines["new/two"].change_s == lines["new/two"].frequency_s == pytest.approx(0.7)
    assert lines["old/one"].after_mean_s is None


def test_examples() -> None:
    """Each line names the three turns in which it took longest: of this period where it grew, else before."""
    answer = why.compute(period("a", 1), period("b", 2, flash_s=1.1), SCOPES)
    after = waits(period("b", 2, flash_s=1.1))
    place = next(at for at, key in enumerate(after.keys) if key.owner == FLASH)
    times = {
        f"{row['session_id']}/{row['turn_index']}": int(time)
        for (_, totals) in after.totals()
        for row, time in zip(after.table.to_pylist(), totals[:, place], strict=True)
    }
    assert list(answer.lines[0].examples) == sorted(times, key=lambda name: -times[name])[:3]
    shorter = why.compute(period("b", 2, flash_s=1.1), period("a", 1), SCOPES)
    assert shorter.lines[0].examples == answer.lines[0].examples


def test_equal_periods_are_noise() -> None:
    """Two periods drawn alike differ within noise: in 40 pairs a line is named about as often as 5 % allows."""
    named = sum(
        any(not line.noise for line in why.compute(period("a", seed), period("b", 1000 + seed), SCOPES).lines)
        for seed in range(40)
    )
    assert named <= 6


def test_same_seed_same_answer() -> None:
    """The same data and seed give the same intervals; another seed gives about the same."""
    tables = period("a", 1), period("b", 2)
    assert why.compute(*tables, SCOPES, 7) == why.compute(*tables, SCOPES, 7)
    one, other = (why.compute(*tables, SCOPES, seed).change for seed in (7, 8))
    assert one.low_s != other.low_s
    assert one.low_s == pytest.approx(other.low_s, abs=0.02)


def test_the_order_of_rows_says_nothing() -> None:
    """A store hands rows out in another order each time: intervals and examples are the same all the same."""
    tables = period("a", 1), period("b", 2, flash_s=1.1)
    mixed = [table.take(np.random.default_rng(place).permutation(table.num_rows)) for place, table in enumerate(tables)]
    assert why.compute(*mixed, SCOPES, 7) == why.compute(*tables, SCOPES, 7)


def test_few_calls() -> None:
    """Of a handful of calls the split is exact all the same; whether it is noise can't be told, and that is said."""
    answer = why.compute(period("a", 1, calls=3), period("b", 2, calls=3, flash_s=2), SCOPES)
    assert_adds_up(answer)
    assert {line.noise for line in answer.lines} == {None}
    assert "too few calls" in changes.head(answer)[0]


def test_many_calls_are_drawn_in_groups() -> None:
    """More calls than are drawn one by one give the same split, and an interval as narrow as so many calls allow."""
    few = why.compute(period("a", 1, calls=1000), period("b", 2, calls=1000, flash_s=0.4), SCOPES)
    many = why.compute(period("a", 1, calls=4000), period("b", 2, calls=4000, flash_s=0.4), SCOPES)
    assert_adds_up(many)
    widths = [float(answer.change.high_s or 0) - float(answer.change.low_s or 0) for answer in (few, many)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_abandoned_waits_are_told_apart() -> None:
    """A wait that was given up is in no mean; its share and its length, a lower bound, are told for both periods."""
    before = cut_turns(exchange("a", 1, segment("endpointing", 1.0)), turn("a", 2, wait_s=9.0))
    after = cut_turns(exchange("b", 1, segment("endpointing", 1.0)))
    answer = why.compute(before, after, SCOPES)
    assert (answer.before.mean_s, answer.change.change_s) == (1.0, 0.0)
    assert answer.before.abandoned == why.Abandoned(1, 2, 0.5, 9.0, 0)
    assert answer.after.abandoned == why.Abandoned(0, 1, 0.0, None, 0)


def test_abandoned_share_is_the_kpi() -> None:
    """The share of abandoned waits is the report's: of all exchanges, those of unknown length too, but no greeting."""
    unknown = [turn("a", 2), turn("a", 3, outcome="answered"), turn("a", 5, wait_s=4.0)]
    greeting = turn("a", 4, kind="greeting", outcome=None)
    before = cut_turns(exchange("a", 1, segment("endpointing", 1.0)), *unknown, greeting)
    answer = why.compute(before, cut_turns(exchange("b", 1, segment("endpointing", 1.0))), SCOPES)
    assert answer.before.abandoned == why.Abandoned(2, 4, 0.5, 4.0, 1)
    periods = as_text(changes.grids(answer)[1])
    assert "abandoned_wait_rate (abandoned / exchanges)" in periods
    assert "their mean wait is without 1 of unknown length" in periods


def test_many_owners() -> None:
    """Of more owners than are told apart the small ones are one line, and the parts still add up."""

    def named(name: str, seconds: float) -> pa.Table:
        rows = [
            exchange(
                f"{name}-{n}",
                1,
                segment("tool", seconds + n / 1e6, f"tool-{n % 700}", "tool"),
                segment("endpointing", 0.5),
            )
            for n in range(1400)
        ]
        return cut_turns(*rows)

    answer = why.compute(named("a", 0.1), named("b", 0.2), SCOPES)
    assert len(answer.lines) == MOST_KEYS + 1
    (others,) = (line for line in answer.lines if line.key == OTHERS)
    assert others.before_share == pytest.approx((701 - MOST_KEYS) / 700)
    assert_adds_up(answer)


def test_nothing_to_compare() -> None:
    """A period without an answered turn is refused, naming it."""
    with pytest.raises(ValueError, match="no answered turn"):
        why.compute(cut_turns(), period("b", 1), SCOPES)


def test_tables() -> None:
    """The tables show the split with its sum, both periods, and turns to look at; small changes are one line."""
    answer = why.compute(period("a", 1), period("b", 2, flash_s=1.1), SCOPES)
    split, periods, examples = (as_text(grid).splitlines() for grid in changes.grids(answer))
    assert split[2].split()[:2] == ["tts_first_audio", FLASH]
    assert any(line.split()[:2] == ["others", "(2)"] for line in split)
    assert split[-4].split()[0] == "response_gap"
    assert any("abandoned exchanges" in line for line in periods)
    assert [line.split()[-1] for line in examples[2:]] == list(answer.lines[0].examples)
    assert changes.head(answer)[0].startswith("callers wait ")
    assert f"tts_first_audio by {FLASH}" in changes.head(answer)[0]


def test_document() -> None:
    """The JSON document has every line, with its key, its numbers and whether it is noise."""
    answer = why.compute(period("a", 1), period("b", 2, flash_s=1.1), SCOPES)
    document = changes.document(answer)
    assert document["schema"] == "otel_voicebot.why/1"
    lines = document["lines"]
    assert isinstance(lines, list)
    assert len(lines) == len(answer.lines)
    assert lines[0]["provider"] == "acme"
    assert lines[0]["within_noise"] is False
    assert [row["segment"] for row in changes.table(answer).rows][-1] == "response_gap"
