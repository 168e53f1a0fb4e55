"""Comparisons: what is said of two groups of calls, and when nothing is said."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from otel_voicebot.errors import UsageError
from otel_voicebot.reports import compare
from otel_voicebot.reports.compare import Comparison, Plan
from otel_voicebot.reports.comparison import document, frame, grid, head
from otel_voicebot.reports.grid import as_arrow, as_csv, as_markdown, as_text
from otel_voicebot.reports.measures import MEASURES
from otel_voicebot.reports.periods import Period
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.sides import PERIOD, Sides
from tests.reports.tables import NOON

SCOPE = Scope("data", NOON)
VARIANTS = Sides("blue", "green")

Column = Sequence[float | None]
Rows = dict[str, Column | Sequence[Sequence[float] | None]]


def side(count: int, **columns: Column | Sequence[Sequence[float] | None]) -> Rows:
    """So many calls of one side, as `per_call` has them. What isn't given is null, what is given alone is of one."""
    rows: Rows = {}
    for name, measure in MEASURES.items():
        if measure.quantile is None:
            rows[name] = columns.pop(name, [None] * count)
            rows[f"{name}_of"] = columns.pop(f"{name}_of", [None if x is None else 1.0 for x in rows[name]])
            rows[f"{name}_out"] = columns.pop(f"{name}_out", [0.0] * count)
    rows["response_gaps_s"] = columns.pop("response_gaps_s", [None] * count)
    assert not columns
    assert {len(column) for column in rows.values()} == {count}
    return rows


def spoken(gaps: Sequence[Sequence[float]]) -> Rows:
    """Calls with these response gaps."""
    return side(
        len(gaps),
        response_gaps_s=[sorted(call) for call in gaps],
        response_gap_mean_s=[sum(call) for call in gaps],
        response_gap_mean_s_of=[float(len(call)) for call in gaps],
    )


def table(a: Rows, b: Rows) -> pa.Table:
    """The calls of both sides; B's begin an hour later."""
    whole = {}
    for name in a:
        kind = pa.list_(pa.float64()) if name == "response_gaps_s" else pa.float64()
        whole[name] = pa.array([*a[name], *b[name]], kind)
    counts = [len(rows["nps"]) for rows in (a, b)]
    starts = [NOON] * counts[0] + [NOON + timedelta(hours=1)] * counts[1]
    names = ["a"] * counts[0] + ["b"] * counts[1]
    return pa.table({"side": names, "start_time": pa.array(starts, pa.timestamp("us", "UTC")), **whole})


def compared(a: Rows, b: Rows, *kpis: str, sides: Sides = VARIANTS, **plan: object) -> Comparison:
    """The comparison of these calls."""
    return compare.compute(table(a, b), SCOPE, sides, replace(Plan(kpis), **plan))


def shares(hits: int, of: int) -> list[float]:
    """So many calls in which it happened, of all."""
    return [1.0] * hits + [0.0] * (of - hits)


def drawn(calls: int, scale: float, seed: int) -> list[list[float]]:
    """Gaps of calls of five turns, lognormal."""
    generator = np.random.default_rng(seed)
    return (scale * generator.lognormal(0, 0.4, (calls, 5))).tolist()


def test_a_share_by_hand() -> None:
    """20 of 100 against 40 of 100: +20 points, standard error sqrt((0.16 + 0.24) / 99), 95 % from 0.075 to 0.325."""
    found = compared(side(100, escalation_rate=shares(20, 100)), side(100, escalation_rate=shares(40, 100)),
                     "escalation_rate")  # fmt: skip
    kpi = found.kpi("escalation_rate")
    assert (kpi.a.value, kpi.a.numerator, kpi.a.denominator, kpi.a.calls) == (0.2, 20, 100, 100)
    assert (kpi.b.value, kpi.difference, kpi.relative) == (0.4, 0.2, 1.0)
    assert kpi.effect is not None
    assert (kpi.effect.low, kpi.effect.high) == pytest.approx((0.0746, 0.3254), abs=1e-4)
    assert kpi.effect.p == pytest.approx(0.00191, abs=1e-5)
    # (1.9721 + 0.8433) standard errors of 0.06356
    assert kpi.effect.detectable == pytest.approx(0.1791, abs=1e-3)
    assert kpi.p_adjusted == kpi.effect.p
    assert (found.verdict, found.reason) == ("worse", "worse in escalation_rate")


def test_gaps_by_hand() -> None:
    """The mean is over exchanges, not over calls; percentiles interpolate as the report's do."""
    found = compared(
        spoken([[1.0, 2.0, 3.0], [4.0]] * 5), spoken([[1.0], [2.0]] * 5), "response_gap_mean_s", "response_gap_p50_s"
    )
    mean, median = found.kpi("response_gap_mean_s"), found.kpi("response_gap_p50_s")
    assert (mean.a.value, mean.a.numerator, mean.a.denominator, mean.a.calls) == (2.5, 50.0, 20, 10)
    assert (mean.b.value, median.a.value, median.b.value) == (1.5, 2.5, 1.5)
    assert (found.verdict, mean.verdict, mean.note) == (
        "too few",
        "too few",
        "10 calls have it on one side, 30 are needed",
    )


@pytest.mark.parametrize(
    ("name", "a", "b", "verdict"),
    [
        ("escalation_rate", shares(20, 100), shares(60, 100), "worse"),
        ("escalation_rate", shares(60, 100), shares(20, 100), "better"),
        ("fcr_7d", shares(60, 100), shares(20, 100), "worse"),
        ("fcr_7d", shares(20, 100), shares(60, 100), "better"),
        ("containment", shares(60, 100), shares(20, 100), "worse"),
        ("containment", shares(20, 100), shares(60, 100), "better"),
        ("containment", shares(50, 100), shares(52, 100), "no evidence"),
        ("aht_s", [60.0, 70.0] * 50, [30.0, 40.0] * 50, "different"),
        ("nps", [1.0] * 50 + [0.0] * 50, [-1.0] * 50 + [0.0] * 50, "worse"),
        ("csat_mean", [2.0, 3.0] * 50, [4.0, 5.0] * 50, "better"),
    ],
)
def test_each_kpi_knows_which_direction_is_bad(name: str, a: Column, b: Column, verdict: str) -> None:
    """More escalations are worse, more containment is better, a shorter call is neither."""
    found = compared(side(100, **{name: a}), side(100, **{name: b}), name)
    assert found.verdict == found.kpi(name).verdict == verdict


def test_nps_is_in_points() -> None:
    """Half promoters, half detractors beside them: 50 and -50, the difference -100."""
    kpi = compared(side(100, nps=[1.0] * 50 + [0.0] * 50), side(100, nps=[-1.0] * 50 + [0.0] * 50), "nps").kpi("nps")
    assert (kpi.a.value, kpi.a.numerator, kpi.b.value, kpi.difference) == (50.0, 50, -50.0, -100.0)


def test_a_slower_bot_is_worse_in_mean_and_percentiles() -> None:
    """Gaps half as long again are found in each of them, and those of the same bot in none."""
    slower = compared(spoken(drawn(300, 1.0, 1)), spoken(drawn(300, 1.5, 2)))
    names = [name for name in MEASURES if name.startswith("response_gap")]
    assert [slower.kpi(name).verdict for name in names] == ["worse"] * 4
    assert slower.reason == f"worse in {', '.join(names)}"
    same = compared(spoken(drawn(300, 1.0, 1)), spoken(drawn(300, 1.0, 2)))
    assert [same.kpi(name).verdict for name in names] == ["no evidence"] * 4
    assert same.verdict == "no evidence"


def test_turns_that_resemble_each_other_count_as_their_call() -> None:
    """Eight copies of each call's turn make a comparison no surer."""
    a, b = drawn(150, 1.0, 3), drawn(150, 1.1, 4)
    once = compared(spoken([call[:1] for call in a]), spoken([call[:1] for call in b]), "response_gap_mean_s")
    copied = compared(spoken([call[:1] * 8 for call in a]), spoken([call[:1] * 8 for call in b]), "response_gap_mean_s")
    (one,), (eight,) = once.kpis, copied.kpis
    assert one.effect is not None
    assert eight.effect is not None
    assert eight.effect.p == pytest.approx(one.effect.p)
    assert 0.001 < one.effect.p < 0.9


def test_the_primary_kpi_stands_by_itself_and_the_others_share() -> None:
    """The primary's p value is its own; those of three others are adjusted by Holm over these three."""
    a = side(200, escalation_rate=shares(60, 200), containment=shares(90, 200), csat_share=shares(100, 200),
             abandonment_rate=shares(50, 200))  # fmt: skip
    b = side(200, escalation_rate=shares(80, 200), containment=shares(115, 200), csat_share=shares(101, 200),
             abandonment_rate=shares(70, 200))  # fmt: skip
    names = ("escalation_rate", "containment", "csat_share", "abandonment_rate")
    found = compared(a, b, *names, primary="escalation_rate")
    p = {kpi.measure.name: (kpi.effect.p, kpi.p_adjusted) for kpi in found.kpis if kpi.effect}
    assert p["escalation_rate"][0] == p["escalation_rate"][1] == pytest.approx(0.0356, abs=1e-3)
    assert p["containment"][1] == pytest.approx(3 * p["containment"][0])
    assert p["abandonment_rate"][1] == pytest.approx(2 * p["abandonment_rate"][0])
    assert p["csat_share"][1] == p["csat_share"][0] > 0.9
    assert [found.kpi(name).verdict for name in names] == ["worse", "better", "no evidence", "no evidence"]
    assert found.kpi("abandonment_rate").effect.p < 0.05 < p["abandonment_rate"][1]  # type: ignore[union-attr]
    assert (found.verdict, found.reason) == ("worse", "worse in escalation_rate")
    other = compared(a, b, *names, primary="csat_share")
    assert other.kpi("escalation_rate").verdict == "no evidence"
    assert other.reason.endswith("; better in containment, which do not decide")


def test_what_is_worse_elsewhere_outweighs_a_better_primary() -> None:
    """A bot that answers sooner by hanging up on callers is worse."""
    a, b = spoken(drawn(200, 1.5, 1)), spoken(drawn(200, 1.0, 2))
    for rows, abandoned in ((a, 10), (b, 60)):
        rows |= {"abandonment_rate": shares(abandoned, 200), "abandonment_rate_of": [1.0] * 200}
    found = compared(a, b)
    assert found.kpi("response_gap_mean_s").verdict == "better"
    assert (found.verdict, found.reason) == ("worse", "worse in abandonment_rate")


def test_a_better_primary_is_better() -> None:
    """And the reason says that nothing is worse."""
    found = compared(spoken(drawn(200, 1.5, 1)), spoken(drawn(200, 1.0, 2)))
    assert (found.verdict, found.reason) == (
        "better",
        "better in response_gap_mean_s, which decides, and worse in nothing",
    )


def test_another_split_than_intended_refuses_a_verdict() -> None:
    """600 to 400 calls don't come from 50:50: no verdict, no p value; the values stand, and the reason is given."""
    a, b = side(600, escalation_rate=shares(100, 600)), side(400, escalation_rate=shares(200, 400))
    found = compared(a, b, "escalation_rate")
    assert found.split_p is not None
    assert found.split_p < 1e-6
    assert found.verdict == "refused"
    assert found.reason.startswith("600 to 400 calls is no 50:50 split (p = 3e-10): ")
    kpi = found.kpi("escalation_rate")
    assert (kpi.verdict, kpi.effect, kpi.p_adjusted, kpi.b.value) == ("refused", None, None, 0.5)


@pytest.mark.parametrize(("a", "b", "split", "refused"), [
    (600, 400, (60, 40), False),
    (600, 400, (6, 4), False),
    (500, 500, (60, 40), True),
    (540, 460, None, False),
    (560, 440, None, True),
])  # fmt: skip
def test_the_intended_split_counts(a: int, b: int, split: tuple[float, float] | None, refused: bool) -> None:
    """Sizes are judged beside the split that was planned, at p < 0.001."""
    found = compared(side(a, nps=[0.0] * a), side(b, nps=[0.0] * b), "nps", split=split)
    assert (found.verdict == "refused") is refused


@pytest.mark.parametrize("sides", [
    Sides("bank", "shop", "bot"),
    Sides(Period(None, NOON), Period(NOON, None), PERIOD),
])  # fmt: skip
def test_what_nobody_split_is_not_checked(sides: Sides) -> None:
    """Bots and periods have as many calls as they have, unless a split is named."""
    a, b = side(900, nps=[0.0] * 900), side(100, nps=[0.0] * 100)
    found = compared(a, b, "nps", sides=sides)
    assert (found.split_p, found.verdict) == (None, "no evidence")
    assert compared(a, b, "nps", sides=sides, split=(50, 50)).verdict == "refused"


def test_too_few_calls() -> None:
    """With fewer calls than asked for on one side there is no verdict, however large the difference."""
    a, b = side(60, containment=shares(60, 60)), side(60, containment=shares(5, 60))
    found = compared(a, b, "containment")
    assert (found.verdict, found.reason) == ("too few", "one side has 60 calls, 100 are needed")
    assert compared(a, b, "containment", fewest=60).verdict == "worse"


def test_what_was_not_measured_is_missing() -> None:
    """A KPI without any value on one side has no difference, no verdict, and no part in the correction."""
    a = side(100, containment=shares(50, 100), csat_mean=[4.0, 5.0] * 50)
    found = compared(a, side(100, containment=shares(80, 100)))
    kpi = found.kpi("csat_mean")
    assert (kpi.a.value, kpi.b.value, kpi.b.numerator, kpi.difference, kpi.effect) == (4.5, None, None, None, None)
    assert (kpi.verdict, kpi.note) == ("not measured", "nothing was measured on B")
    assert found.kpi("wer").note == "nothing was measured on A and B"
    alone = found.kpi("containment")
    assert alone.effect is not None
    assert alone.p_adjusted == alone.effect.p
    primary = "response_gap_mean_s, which decides, can't be judged: nothing was measured on A and B"
    assert compared(a, side(100, containment=shares(49, 100))).reason == primary


@pytest.mark.parametrize(("a", "b", "verdict"), [(0, 0, "too few"), (2, 4, "too few"), (3, 8, "no evidence"),
                                                 (100, 99, "too few"), (2, 30, "worse")])  # fmt: skip
def test_a_share_needs_calls_with_and_without(a: int, b: int, verdict: str) -> None:
    """Where less than five calls are to be expected with it, or without it, the difference is not normal enough."""
    sides = [side(100, escalation_rate=shares(n, 100)) for n in (a, b)]
    assert compared(sides[0], sides[1], "escalation_rate").verdict == verdict


def test_a_percentile_needs_exchanges_beyond_it() -> None:
    """100 calls of 5 exchanges have 5 beyond p99: it is hardly more than the longest."""
    found = compared(spoken(drawn(100, 1.0, 1)), spoken(drawn(100, 1.0, 2)))
    kpi = found.kpi("response_gap_p99_s")
    assert (kpi.verdict, kpi.note) == ("too few", "5 exchanges lie beyond it on one side, 10 are needed")
    assert found.kpi("response_gap_p95_s").effect is not None


def test_plans_are_checked() -> None:
    """A KPI that doesn't exist, a primary that wasn't asked for, and groups of nothing are refused with a sentence."""
    with pytest.raises(UsageError, match="there is no KPI 'speed' to compare by; there are response_gap_mean_s, "):
        Plan(("speed",))
    with pytest.raises(UsageError, match="the primary KPI wer is not among those asked: nps"):
        Plan(("nps",), "wer")
    with pytest.raises(UsageError, match="a split of 1:0 leaves a side without calls"):
        Plan(split=(1, 0))
    with pytest.raises(UsageError, match="3 calls a side are too few"):
        Plan(fewest=3)
    assert Plan().deciding == "response_gap_mean_s"
    assert Plan(("wer", "nps")).deciding == "wer"


def test_sides_are_checked() -> None:
    """A side can't be compared with itself, nor periods that share calls."""
    hour = timedelta(hours=1)
    with pytest.raises(UsageError, match="both sides are blue"):
        Sides("blue", "blue")
    with pytest.raises(UsageError, match="overlap: a call would be on both sides"):
        Sides(Period(NOON, NOON + 2 * hour), Period(NOON + hour, None), PERIOD)
    with pytest.raises(UsageError, match="is empty: it ends before it begins"):
        Period(NOON, NOON)
    with pytest.raises(UsageError, match="two names or two periods"):
        Sides("blue", Period(NOON, None))
    assert Sides(Period(NOON, NOON + hour), Period(NOON + hour, None), PERIOD).window == Period(NOON, None)
    assert Sides(Period(NOON + hour, NOON + 2 * hour), Period(NOON, NOON + hour), PERIOD).window == Period(
        NOON, NOON + 2 * hour
    )


HOSTILE = "a|b<script>\x1b[2J\u202e\n" + "x" * 500


def test_hostile_names_stay_text() -> None:
    """A variant's name moves no cursor, opens no tag, ends no cell, and is cut where it is very long."""
    rows = side(100, containment=shares(50, 100)), side(100, containment=shares(55, 100))
    found = compare.compute(table(*rows), SCOPE, Sides(HOSTILE, "b"), Plan(("containment",)))
    text = "\n".join(head(found)) + as_text(grid(found)) + as_markdown(grid(found)) + as_csv(grid(found))
    assert not set(text) & {"\x1b", "\u202e"}
    assert max(map(len, head(found))) < 200
    assert json.loads(json.dumps(document(found)))["a"]["name"] == HOSTILE
    assert found.a.name.startswith("a|b<script>?[2J??xxx")


def test_text() -> None:
    """The table says values, difference, interval, p value, what could have been found, and the verdict."""
    a = side(100, escalation_rate=shares(20, 100), escalation_rate_out=shares(3, 100))
    found = compared(a, side(100, escalation_rate=shares(40, 100)), "escalation_rate")
    assert head(found) == [
        "100 and 100 sessions, all time",
        "data data, as of 2026-03-01T12:00:00.000Z",
        "A: variant blue, 100 sessions, from 2026-03-01T12:00:00.000Z to 2026-03-01T12:00:00.000Z",
        "B: variant green, 100 sessions, from 2026-03-01T13:00:00.000Z to 2026-03-01T13:00:00.000Z",
        "sample ratio: p = 1.000",
        "the sides did not run at the same time: what differs may be the time",
        "B is worse: worse in escalation_rate",
    ]
    assert as_text(grid(found)) == (
        "B beside A\n"
        "  KPI                     A       B     B - A        95 % interval      p  detectable  verdict"
        "  note\n"
        "  escalation_rate *  20.0 %  40.0 %  +20.0 pp  +7.5 pp to +32.5 pp  0.002     17.9 pp  worse  "
        "  left out 3 and 0 (short, or planned handoff)\n"
        "  * decides; its p value is its own, those of the others are adjusted for their number (Holm)\n"
        "  detectable: a difference so large is found in 80 % of experiments of this size"
    )


def test_small_shares_keep_their_digits() -> None:
    """A difference below one percentage point is told with two decimals."""
    found = compared(side(1000, error_rate=shares(20, 1000)), side(1000, error_rate=shares(24, 1000)), "error_rate")
    assert "+0.40 pp  -0.89 pp to +1.7 pp" in as_text(grid(found))


def test_document() -> None:
    """The JSON document has the published keys; what is unknown is null."""
    a = side(100, escalation_rate=shares(20, 100))
    found = compared(a, side(100, escalation_rate=shares(40, 100)), "escalation_rate", "nps", primary="escalation_rate")
    said = json.loads(json.dumps(document(found), allow_nan=False))
    assert said["schema"] == "otel_voicebot.compare/1"
    assert {key: said[key] for key in ("by", "alpha", "power", "primary", "verdict", "reason", "split_p")} == {
        "by": "variant", "alpha": 0.05, "power": 0.8, "primary": "escalation_rate", "verdict": "worse",
        "reason": "worse in escalation_rate", "split_p": 1.0,
    }  # fmt: skip
    assert said["a"] == {
        "name": "blue", "sessions": 100,
        "first": "2026-03-01T12:00:00.000000Z", "last": "2026-03-01T12:00:00.000000Z",
    }  # fmt: skip
    kpi = said["kpis"]["escalation_rate"]
    assert kpi["a"] == {"value": 0.2, "numerator": 20.0, "denominator": 100.0, "excluded": 0.0, "sessions": 100}
    assert (kpi["bad"], kpi["difference"], kpi["verdict"]) == ("up", 0.2, "worse")
    assert kpi["interval"] == pytest.approx([0.0746, 0.3254], abs=1e-4)
    assert list(said["kpis"]["nps"]) == list(kpi)
    assert said["kpis"]["nps"]["interval"] is said["kpis"]["nps"]["p"] is said["kpis"]["nps"]["difference"] is None


def test_frame() -> None:
    """A data frame has a row a KPI with unrounded values, and the same columns as CSV and Parquet."""
    found = compared(spoken(drawn(120, 1.0, 1)), spoken(drawn(120, 1.5, 2)))
    data = frame(found)
    assert list(data["kpi"]) == list(MEASURES)
    assert data.loc[data["kpi"] == "response_gap_p95_s", "b_value"].item() == found.kpi("response_gap_p95_s").b.value
    assert list(data.columns) == as_arrow(grid(found)).column_names == as_csv(grid(found)).splitlines()[0].split(",")
    assert data["p"].isna().sum() == len(MEASURES) - 3
