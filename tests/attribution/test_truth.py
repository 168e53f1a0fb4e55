"""The cut of generated exchanges, whose causes are known, beside the truth."""

import pytest

from bench.truth.draws import Draw, draws
from bench.truth.exchange import INCOMPLETE, build
from bench.truth.faults import CULPRITS, STAGES
from bench.truth.frameworks import livekit, pipecat
from bench.truth.frameworks import plain as plain_ones
from bench.truth.measure import Judged, blamed, cut, judged, largest, shares, spent, summary
from bench.truth.native import OWNERS, world
from tests.attribution.conftest import SKEW_MS, Seen

MS = 1_000_000
LEFT_OUT = {
    "endpointing": ("voicebot.endpointing", ("endpointing",)),
    "llm": ("chat", ("llm_first_token", "llm_speakable")),
    "tool": ("execute_tool", ("tool",)),
    "rag": ("voicebot.rag", ("rag",)),
    "nlu": ("voicebot.nlu", ("nlu",)),
    # how long the text took to be speakable can't be told then
    "tts": ("voicebot.tts", ("tts_first_audio", "llm_speakable", "playout_start")),
}
"""A component: how its spans' names begin, and the segments that can't be known without them."""


def complete(of: list[Judged]) -> list[Judged]:
    """Answered, with a full set of marks."""
    return [one for one in of if one.exchange.complete]


def told(one: Judged) -> str:
    """An exchange that failed, for the reader of the failure."""
    lines = [f"{sorted(one.exchange.traits)}, {one.misplaced / MS:.1f} ms misplaced"]
    for title, parts in (("truth", one.exchange.truth), ("cut", one.parts)):
        lines += [f"  {title}: {p.start / MS:.1f}-{p.end / MS:.1f} {p.segment} {p.stage}" for p in parts]
    return "\n".join(lines)


def test_the_generator_makes_all_that_may_happen(plain: Seen) -> None:
    """Every complication is there, answered and abandoned, and the truth of each exchange is all of its wait."""
    traits = {trait for one in plain.judged for trait in one.exchange.traits}
    assert traits == {
        *("resumed", "discarded", "preemptive", "filler", "retry", "hedge", "moderation", "tts_fails", "early_tts"),
        *("no_token", "background", "marked_background", "barge_in", "fixed_filler"),
    }
    assert {one.exchange.reason for one in plain.judged} == {"", "error", "spoke_again", "hung_up", "session_ended"}
    for one in plain.judged:
        truth = one.exchange.truth
        edges = [0, *(part.end for part in truth)]
        assert [part.start for part in truth] == edges[:-1]
        assert edges[-1] == one.exchange.end


def test_with_full_marks_every_exchange_is_cut_right(plain: Seen) -> None:
    """At most 15 ms of any wait are given to a wrong cause, and 0.15 % of all waits."""
    of = complete(plain.judged)
    assert len(of) > 2000
    worst = max(of, key=lambda one: one.misplaced)
    assert worst.misplaced <= 15 * MS, told(worst)
    assert sum(one.misplaced for one in of) <= 0.0015 * sum(one.exchange.end for one in of)


def test_with_clocks_apart_boundaries_move_but_a_little(skewed: Seen) -> None:
    """Clocks 50 ms off move at most 150 ms of a wait in 95 of 100 exchanges with full marks, 250 ms in 99."""
    of = summary(complete(skewed.judged))
    assert of.p95 <= 150
    assert of.p99 <= 250


def test_little_is_misplaced_in_all(plain: Seen, skewed: Seen) -> None:
    """Marks or not, abandoned or not: at most 1.5 % of all waits is misplaced, 4.5 % with clocks 50 ms off."""
    assert summary(plain.judged).share <= 0.015
    assert summary(skewed.judged).share <= 0.045


def test_little_is_nobodys(plain: Seen) -> None:
    """Of answered exchanges whose marks are complete next to nothing is unattributed; orchestration stays small."""
    found = shares(complete(plain.judged))
    assert found.get("unattributed", 0.0) <= 0.001
    assert found["orchestration"] <= 0.03


def test_what_still_runs_is_not_blamed(plain: Seen) -> None:
    """Work that nobody waits for, though no span says so, takes no stage's time if it ran on when the model began."""
    found = 0
    for one in plain.judged:
        stages = {stage.key: stage for stage in one.exchange.stages}
        if one.exchange.reason or "background" not in stages or "llm 2" not in stages:
            continue
        calls = [stage.start for stage in stages.values() if stage.component == "llm"]
        if stages["background"].end > max(calls) + 2 * SKEW_MS * MS:
            its = sum(part.end - part.start for part in one.parts if part.stage == "background")
            pauses = spent(one.exchange.truth).get(("orchestration", None), 0)
            assert its <= pauses, told(one)  # it may have the pauses: they lay within it
            found += 1
    assert found > 10


def test_the_spans_of_frameworks_are_cut_right_too(drawn: list[Draw]) -> None:
    """Exchanges as Pipecat's and LiveKit's spans tell them: at most 15 ms of any wait, and 0.25 % of all, misplaced."""
    some = plain_ones(drawn[:1000])
    for made in (pipecat(some), livekit(some)):
        of = judged(made, cut(made))
        worst = max(of, key=lambda one: one.misplaced)
        assert worst.misplaced <= 15 * MS, told(worst)
        assert sum(one.misplaced for one in of) <= 0.0025 * sum(one.exchange.end for one in of)


def test_every_stage_has_its_owner(plain: Seen) -> None:
    """A segment that a stage was spent in names who ran it, kind and name, and a hole names nobody."""
    checked = set()
    for exchange in plain.world.told:
        for row in plain.rows[exchange.session, exchange.turn]:
            stage = exchange.stages.get(row["span_id"])
            if stage is None or stage.component not in OWNERS:
                continue
            kind = {"tool": "tool", "api": None}.get(stage.component, "service")
            owner = OWNERS[stage.component]
            if stage.second_choice:
                owner = {"llm": "spare/tiny", "tts": "spare/cold"}[stage.component]
            assert row["owner"] == owner, row
            assert kind is None or row["owner_kind"] == kind, row
            checked.add(stage.component)
        for row in plain.rows[exchange.session, exchange.turn]:
            if row["segment"] == "unattributed":
                assert (row["owner"], row["owner_kind"], row["span_id"]) == (None, None, None)
                assert row["detail"]
            elif row["segment"] in ("endpointing", "playout_start"):
                assert row["owner_kind"] == {"endpointing": "setting", "playout_start": "transport"}[row["segment"]]
                assert row["owner"]
    assert checked == set(OWNERS)


@pytest.mark.parametrize("culprit", CULPRITS)
def test_what_is_slower_is_the_largest(culprits: dict[str, list[Judged]], culprit: str) -> None:
    """What takes two seconds longer has the most time whenever that is true, and its own time in 95 of 100."""
    _named(culprits[culprit], culprit, 15 * MS)


@pytest.mark.parametrize("culprit", CULPRITS)
def test_what_is_slower_is_the_largest_by_clocks_apart(skewed_culprits: dict[str, list[Judged]], culprit: str) -> None:
    """The same with clocks 50 ms off: its own time but for twice that."""
    _named(skewed_culprits[culprit], culprit, 2 * SKEW_MS * MS)


def _named(of: list[Judged], name: str, tolerance: int) -> None:
    culprit = CULPRITS[name]
    full = complete(of)
    right = 0
    for one in full:
        true, ours = spent(one.exchange.truth), spent(one.parts)
        if culprit.stage is None:
            causes = [cause for cause in true if cause[0] == culprit.segment]
        else:
            causes = [(culprit.segment, culprit.stage)]
        main = largest(one.exchange.truth)
        if main in causes:
            assert largest(one.parts) == main, told(one)
        right += sum(abs(ours.get(cause, 0) - true.get(cause, 0)) for cause in causes) <= tolerance
    so = [one for one in of if (main := largest(one.exchange.truth)) and main[0] == culprit.segment]
    assert len(so) > 100
    assert sum(largest(one.parts) == largest(one.exchange.truth) for one in so) >= 0.85 * len(so)
    assert right >= 0.95 * len(full)


def test_no_stage_could_save_more_than_its_segment(plain: Seen, drawn: list[Draw]) -> None:
    """Had a stage taken no time, the caller would have waited shorter by at most what was put down to it."""
    compared = 0
    for draw, one in zip(drawn, plain.judged, strict=True):
        if not one.exchange.complete or one.exchange.traits & {"preemptive", "hedge"}:
            continue
        for time, causes in STAGES.items():
            instead = build(draw.but({time: 0}))
            if "preemptive" in instead.traits:
                continue
            saved = one.exchange.end - instead.end
            its = blamed(one, causes)
            assert saved <= its + MS, f"{time}: {saved / MS} ms saved, {its / MS} its segment's\n{told(one)}"
            compared += saved > 0
    assert compared > 10_000


@pytest.mark.parametrize("component", LEFT_OUT)
def test_a_component_without_spans_is_nobodys(plain: Seen, component: str) -> None:
    """Without one component's spans its share becomes unattributed, and no other owner's share grows with it."""
    name, own = LEFT_OUT[component]
    without = judged(plain.world, cut(plain.world, lambda span: not span.name.startswith(name)))
    before, after = ({**shares(of)} for of in (plain.judged, without))
    lost = sum(before.get(segment, 0) - after.get(segment, 0) for segment in own)
    assert lost > 0.5 * sum(before.get(segment, 0) for segment in own)
    assert after.get("unattributed", 0) - before.get("unattributed", 0) >= 0.6 * lost
    for segment in before.keys() - {"unattributed", "orchestration", *own}:
        assert after.get(segment, 0) - before[segment] <= 0.02, segment


def test_work_that_is_marked_as_not_waited_for_changes_nothing() -> None:
    """The same exchanges with and without background work and thrown-away speculation are cut alike."""
    some = [draw.but({}, without=("background", "abandoned")) for draw in draws(400, seed=15)]
    marked = [draw.but({}, ("discarded", "marked_background"), ("preemptive",)) for draw in some]
    none = [draw.but({}, (), ("discarded", "marked_background", "preemptive", "resumed")) for draw in some]
    marked = [draw.but({}, (), ("resumed",)) for draw in marked]
    made = [world(of) for of in (marked, none)]
    with_them, without = ([one.parts for one in judged(of, cut(of))] for of in made)
    assert len(made[0].spans) >= len(made[1].spans) + 2 * len(some)
    assert with_them == without


def test_abandoned_waits_are_cut_like_the_others(plain: Seen) -> None:
    """Up to the moment in which the caller gave up, with the error or what was under way named."""
    of = [one for one in plain.judged if one.exchange.reason]
    assert len(of) > 150
    full = [one for one in of if not one.exchange.traits & INCOMPLETE]
    assert summary(full).share <= 0.02
    for one in of:
        assert one.parts, told(one)
        assert one.parts[-1].end == one.exchange.end, told(one)
