"""The slowest turns, and what they have in common."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from otel_voicebot.reports import slow
from otel_voicebot.reports.common import hypergeometric_tail
from otel_voicebot.reports.exchanges import InMemory
from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.waits import COLUMNS, LONGEST, Spent, combined, longest, waits, with_longest
from tests.reports.periods import FLASH, period
from tests.reports.tables import NOON, cut_turns, exchange, segment, turn

SCOPE = Scope("data", NOON)
TURNS = cut_turns(
    exchange("call-1", 1, segment("endpointing", 0.5, "min_delay"), segment("llm_first_token", 0.3, "local/rules"),
             llm_provider="local", llm_model="rules", endpointing_s=0.5),
    exchange("call-1", 2, segment("llm_first_token", 0.7, "openai/big"), segment("tool", 0.8, "lookup", "tool"),
             segment("llm_first_token", 0.8, "openai/big"), segment("unattributed", 0.1),
             llm_provider="openai", llm_model="big", llm_first_token_s=0.7, error_type="timeout", errors=1),
    turn("call-2", 1, wait_s=4.0, abandon_reason="hung_up",
         segments=[segment("endpointing", 1.0, "min_delay"), segment("unattributed", 3.0)]),
    turn("call-2", 2, kind="greeting", outcome=None, response_gap_s=None),
    turn("call-3", 1),
    turn("call-3", 2, response_gap_s=0.2, stt_provider="deepgram"),
)  # fmt: skip


def found(**choice: object) -> slow.Slow:
    """The slowest of ``TURNS``."""
    return slow.compute(InMemory(TURNS, SCOPE), slow.Choice(**choice))  # type: ignore[arg-type]


def test_longest_wait_first() -> None:
    """Turns stand by how long the caller waited; an abandoned one counts with the wait until it was given up."""
    turns = found().turns
    assert [(row["turn"], row["waited_s"]) for row in turns] == [
        ("call-2/1", 4.0),
        ("call-1/2", 2.4),
        ("call-1/1", 0.8),
        ("call-3/2", 0.2),
    ]
    assert found().exchanges == 4


def test_largest_segment_is_a_sum() -> None:
    """A turn's largest segment is the one with the most time in all, with its owner; one that wasn't cut has none."""
    largest = [row["largest_segment"] for row in found().turns]
    assert largest[0] == {
        "segment": "unattributed", "owner": None, "owner_kind": None, "provider": None, "model": None,
        "duration_s": 3.0, "share": 0.75,
    }  # fmt: skip
    assert largest[1] == {
        "segment": "llm_first_token", "owner": "openai/big", "owner_kind": "service", "provider": "openai",
        "model": "big", "duration_s": 1.5, "share": 0.625,
    }  # fmt: skip
    assert largest[3] is None


class Recorded:
    """Turns that note what they are asked for."""

    def __init__(self) -> None:
        self.turns_ = InMemory(TURNS, SCOPE)
        self.scope = SCOPE
        self.asked: list[object] = []

    def turns(self, columns: Sequence[str] = COLUMNS, one_in: int = 1) -> pa.Table:
        """As ``InMemory``."""
        self.asked.append("segments" in columns)
        return self.turns_.turns(columns, one_in)

    def of(self, sessions: Sequence[str], columns: Sequence[str] = COLUMNS) -> pa.Table:
        """As ``InMemory``."""
        self.asked.append(sessions)
        return self.turns_.of(sessions, columns)

    def spent(self) -> Spent:
        """As ``InMemory``."""
        self.asked.append("spent")
        return self.turns_.spent()


@pytest.mark.parametrize("choice", [{}, {"component": "llm"}, {"cause": "min_delay"}, {"threshold_s": 1.0}])
def test_segments_are_read_of_shown_calls_only(choice: dict[str, object]) -> None:
    """Turns are ranked, chosen and compared by few columns; segments are read of the calls that are shown."""
    recorded = Recorded()
    answer = slow.compute(recorded, slow.Choice(**choice))  # type: ignore[arg-type]
    assert answer == found(**choice)
    assert recorded.asked == [False, False, sorted({str(row["session_id"]) for row in answer.turns})]


def test_many_turns_are_compared_in_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many turns a sample of the calls is compared, the same finding comes out, and the table says so."""
    turns = InMemory(period("a", 1, calls=240, flash_s=1.1), SCOPE)
    whole = slow.compute(turns, slow.Choice(threshold_s=1.7))
    monkeypatch.setattr(slow, "_COMPARED", 400)
    sampled = slow.compute(turns, slow.Choice(threshold_s=1.7))
    assert sampled.turns == whole.turns
    assert sampled.common is not None
    assert whole.common is not None
    assert (sampled.common.turns, sampled.common.slow + sampled.common.rest) == (1235, 313)
    assert {one.value for one in sampled.common.features} == {one.value for one in whole.common.features}
    assert "in a sample of calls: 313 of 1235 turns" in slow.grids(sampled)[1].title


@pytest.mark.parametrize(
    ("choice", "turns"),
    [
        ({"limit": 1}, ["call-2/1"]),
        ({"threshold_s": 0.8}, ["call-2/1", "call-1/2"]),
        ({"threshold_s": 9.0}, []),
        ({"component": "llm"}, ["call-1/2"]),
        ({"component": "llm_first_token"}, ["call-1/2"]),
        ({"component": "endpointing"}, ["call-1/1"]),
        ({"component": "tool"}, []),
        ({"provider": "openai"}, ["call-1/2"]),
        ({"provider": "deepgram"}, ["call-3/2"]),
        ({"model": "rules"}, ["call-1/1"]),
        ({"cause": "openai/big"}, ["call-1/2"]),
        ({"cause": "timeout"}, ["call-1/2"]),
        ({"cause": "hung_up"}, ["call-2/1"]),
        ({"cause": "min_delay"}, ["call-1/1"]),
    ],
)
def test_filters(choice: dict[str, object], turns: list[str]) -> None:
    """Each filter keeps the turns that it names: by what took longest, by what was used, by how it went wrong."""
    assert [row["turn"] for row in found(**choice).turns] == turns


def test_filters_stand_in_the_head() -> None:
    """The head and the JSON document say which turns were looked at."""
    answer = found(component="llm", threshold_s=1.0)
    assert "only component llm, threshold 1 s" in slow.head(answer)
    assert slow.document(answer)["filters"] == {"component": "llm", "threshold": "1 s"}


def test_table() -> None:
    """The table names the longest segment and its owner; a wait that was given up is a lower bound."""
    turns, _ = slow.grids(found())
    assert as_text(turns).splitlines() == [
        "Slowest 4 of 4 turns",
        "  turn         waited  longest segment    took   share  owner       outcome            error",
        "  call-2/1  >= 4.00 s  unattributed     3.00 s  75.0 %  -           abandoned hung_up",
        "  call-1/2     2.40 s  llm_first_token  1.50 s  62.5 %  openai/big  answered           timeout",
        "  call-1/1     800 ms  endpointing      500 ms  62.5 %  min_delay   answered",
        "  call-3/2     200 ms  -                     -       -  -           answered",
        "  >= the caller gave up before the bot answered: the wait was at least this long",
        "  - the wait could not be cut: its beginning is not known",
    ]


def test_nothing_to_show() -> None:
    """Without a turn that has a wait the table says so, and nothing is compared."""
    (grid,) = slow.grids(slow.compute(InMemory(cut_turns(), SCOPE)))
    assert as_text(grid) == "Slowest 0 of 0 turns\n  no turn has a wait"


def test_turns_of_an_older_version() -> None:
    """Turns that were stored before there were segments are ranked all the same."""
    old = TURNS.drop_columns(["segments"])
    assert [row["turn"] for row in slow.compute(InMemory(old, SCOPE)).turns][:2] == ["call-2/1", "call-1/2"]


def test_ids_that_begin_alike() -> None:
    """Ids that differ far behind only are told apart by as many characters as that takes, and no more."""
    rows = [turn(f"{'x' * 500}{n:03d}{'y' * 20}", 1, response_gap_s=1.0) for n in range(120)]
    assert slow.compute(InMemory(cut_turns(*rows), SCOPE)).id_length == 503
    assert slow.compute(InMemory(cut_turns(*rows[:10]), SCOPE)).id_length == 503
    assert slow.compute(InMemory(cut_turns(*rows[::100]), SCOPE)).id_length == 501


def test_made_up_names_take_no_memory() -> None:
    """30,000 names of each of two kinds are numbered without a place for every pair, which would take gigabytes."""
    count = 30_000
    names = pa.array([f"name-{n}" for n in range(count)])
    code, values = combined([names, names.take(pa.array(range(count - 1, -1, -1)))])
    assert sorted(code.tolist()) == list(range(count))
    assert all(values[code[n]] == (f"name-{n}", f"name-{count - 1 - n}") for n in (0, 1, count - 1))


def test_longest_segment_is_that_of_the_models() -> None:
    """Where the column of the longest segment is missing it is found in the segments: sums count, then the first."""
    rows = [
        [segment("tool", 0.4, "a/b"), segment("rag", 0.5), segment("tool", 0.4, "a/b")],
        [segment("tool", 0.5, "a/b"), segment("rag", 0.5)],
        [segment("rag", 0.5), segment("tool", 0.5, "a/b")],
        [],
        None,
    ]
    table = cut_turns(*(turn("call", n, segments=one) for n, one in enumerate(rows)))
    told = with_longest(table).sort_by("turn_index").select(LONGEST).to_pylist()
    expected = [("tool", "a/b"), ("tool", "a/b"), ("rag", None), (None, None), (None, None)]
    assert [tuple(row.values()) for row in told] == expected
    assert [one and one[0][:2] for one in (longest(row or ()) for row in rows)] == [*expected[:3], None, None]


def test_long_ids_are_shortened() -> None:
    """For people an id is as long as it takes to tell sessions apart (`trace` needs no more); JSON has all of it."""
    first, second = "0123456789" + "a" * 22, "0123456789" + "b" * 22
    found = slow.compute(
        InMemory(cut_turns(turn(first, 1, response_gap_s=2.0), turn(second, 1, response_gap_s=1.0)), SCOPE)
    )
    assert [row["_turn"] for row in slow.grids(found)[0].rows] == ["0123456789a/1", "0123456789b/1"]
    assert [row["turn"] for row in found.turns] == [f"{first}/1", f"{second}/1"]


def test_equal_waits_by_name() -> None:
    """Of turns that waited equally long the first by name are shown, whatever the order they came in."""
    rows = [turn(f"call-{number:03}", 1, response_gap_s=1.0) for number in range(200)]
    shuffled = np.random.default_rng(3).permutation(200)
    turns = slow.compute(InMemory(cut_turns(*(rows[at] for at in shuffled)), SCOPE), slow.Choice(limit=3)).turns
    assert [row["turn"] for row in turns] == ["call-000/1", "call-001/1", "call-002/1"]


def test_what_slow_turns_have_in_common() -> None:
    """Where one provider's voice is slow, its name, its segment and the two together stand out; nothing else does."""
    answer = slow.compute(InMemory(period("a", 1, flash_s=1.1), SCOPE), slow.Choice(threshold_s=1.7))
    assert answer.common is not None
    named = {(one.kind, one.value) for one in answer.common.features}
    assert named == {("tts", FLASH), ("owner", f"tts_first_audio by {FLASH}"), ("segment", "tts_first_audio")}
    (tts,) = [one for one in answer.common.features if one.kind == "tts"]
    assert (tts.slow, tts.slow + tts.rest) == (tts.slow_share * answer.common.slow, FLASH_TURNS)
    assert tts.lift == tts.slow_share / tts.rest_share
    assert tts.slow_share > 0.8
    assert tts.rest_share < 0.1
    text = as_text(slow.grids(answer)[1])
    assert FLASH in text
    assert "segment, owner: of the longest segment; what goes together need not be the cause" in text


FLASH_TURNS = int(pc.sum(pc.equal(period("a", 1, flash_s=1.1)["tts_provider"], "acme")).as_py())


def test_nothing_stands_out_by_chance() -> None:
    """Where providers are equally fast nothing is named: in 40 draws of 60 calls at most as often as 5 % allows."""
    named = [
        seed
        for seed in range(40)
        if any(
            feature.kind == "tts"
            for feature in slow.compute(InMemory(period("a", seed), SCOPE), slow.Choice(limit=20)).common.features  # type: ignore[union-attr]
        )
    ]
    assert len(named) <= 4, named
    text = as_text(slow.grids(slow.compute(InMemory(period("a", 0), SCOPE), slow.Choice(limit=20)))[1])
    assert "nothing stands out beyond chance among" in text


def test_turns_of_one_call_are_one_observation() -> None:
    """A bot that had one bad call of many turns isn't named: its turns are no independent evidence."""
    rows = [turn("bad", index, response_gap_s=5.0, variant="B") for index in range(1, 31)]
    rows += [turn(f"b-{n}", 1, response_gap_s=1.0, variant="B") for n in range(10)]
    rows += [turn(f"a-{n}", 1, response_gap_s=1.0 + n / 100, variant="A") for n in range(200)]
    answer = slow.compute(InMemory(cut_turns(*rows), SCOPE), slow.Choice(threshold_s=2.5))
    assert answer.common is not None
    assert answer.common.slow > 30
    assert "variant" not in {feature.kind for feature in answer.common.features}


def test_all_are_slow() -> None:
    """Where every turn is slow there is nothing to compare with, and the table says that."""
    grid = slow.grids(slow.compute(InMemory(TURNS, SCOPE), slow.Choice(threshold_s=0.1)))[1]
    assert "all turns are slow" in as_text(grid)


@pytest.mark.parametrize(("both", "chosen", "having", "of"), [(3, 4, 5, 9), (1, 3, 2, 8), (4, 4, 6, 7), (0, 3, 3, 6)])
def test_tail_is_what_counting_gives(both: int, chosen: int, having: int, of: int) -> None:
    """The hypergeometric tail is the share of all draws in which so many, or more, have it."""
    draws = list(combinations(range(of), chosen))
    expected = sum(sum(one < having for one in draw) >= both for draw in draws) / len(draws)
    assert math.isclose(hypergeometric_tail(both, chosen, having, of), expected, rel_tol=1e-12)


def test_tail_of_large_numbers() -> None:
    """Among a million turns the tail is still a number between 0 and 1, and falls as more are seen."""
    tails = [hypergeometric_tail(both, 50_000, 200_000, 1_000_000) for both in (9_000, 10_000, 10_300, 12_000, 50_000)]
    assert tails == sorted(tails, reverse=True)
    assert tails[0] == pytest.approx(1, abs=1e-9)
    assert tails[1] == pytest.approx(0.5, abs=0.01)
    assert 0 <= tails[-1] < 1e-300


def test_segments_make_up_the_wait() -> None:
    """What ``waits`` holds of an answered turn adds up to its response gap, to the nanosecond."""
    held = waits(period("a", 5))
    answered = held.answered & held.has()
    assert answered.sum() == 300
    assert (held.cut_ns()[answered] == held.waited_ns[answered]).all()
