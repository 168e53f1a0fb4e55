"""What each call adds to a KPI: the same definitions as the KPIs' own."""

from pathlib import Path

import pytest

from otel_voicebot.models.pricing import Price
from otel_voicebot.reports.measures import MEASURES
from tests.models.calls import engine, span
from tests.models.test_kpis import A_DAY, FAILED, call
from tests.models.twelve import opened

OWN = {
    *("response_gap_mean_s", "input_tokens_per_session", "output_tokens_per_session"),
    "cost_per_priced_session_usd",
}
"""KPIs that a report has otherwise: as percentiles, as sums, over all calls."""
FCR = ("fcr_1d", "fcr_7d", "fcr_30d")


def test_calls_add_up_to_the_kpis(tmp_path: Path) -> None:
    """Over all calls of a day, numerators, denominators and what is left out sum to those of the report."""
    with engine(tmp_path, *A_DAY) as models:
        kpis = {row["name"]: row for row in models.table("kpis").to_pylist()}
        shared = [name for name, measure in MEASURES.items() if measure.quantile is None and name not in {*OWN, *FCR}]
        parts = [f"{name}{end}" for name in shared for end in ("", "_of", "_out")]
        sums = ", ".join(f"sum({part})::DOUBLE AS {part}" for part in parts)
        (found,) = models.sql(f"SELECT {sums} FROM per_call").to_pylist()
    assert len(shared) == 14
    for name in shared:
        expected = kpis[name]
        assert found[name] == pytest.approx(expected["numerator"]), name
        assert found[f"{name}_of"] == expected["denominator"], name
        assert found[f"{name}_out"] == expected["excluded"], name
        assert found[name] / found[f"{name}_of"] * MEASURES[name].factor == pytest.approx(expected["value"]), name


@pytest.mark.parametrize("brief", [True, False])
def test_first_calls_add_up_to_first_call_resolution(twelve: Path, brief: bool) -> None:
    """A16: of the twelve calls those that start an issue are the report's, window by window."""
    with opened(twelve, brief=brief) as models:
        kpis = {row["name"]: row for row in models.table("all_kpis").to_pylist()}
        sums = ", ".join(f"sum({name}{end})::DOUBLE AS {name}{end}" for name in FCR for end in ("", "_of", "_out"))
        (found,) = models.sql(f"SELECT {sums} FROM per_call").to_pylist()
    for name in FCR:
        expected = (kpis[name]["numerator"], kpis[name]["denominator"], kpis[name]["excluded"])
        assert (found[name], found[f"{name}_of"], found[f"{name}_out"]) == expected
        assert (MEASURES[name].unit, MEASURES[name].exclusion) == (kpis[name]["unit"], kpis[name]["exclusion"])


def test_units_and_exclusions_are_the_kpis_own(tmp_path: Path) -> None:
    """A comparison says the same of a KPI as a report: its unit, and what is left out."""
    with engine(tmp_path, *A_DAY) as models:
        kpis = {row["name"]: row for row in models.table("kpis").to_pylist()}
    for name, measure in MEASURES.items():
        if name not in {*OWN, *FCR}:
            assert (measure.unit, measure.exclusion) == (kpis[name]["unit"], kpis[name]["exclusion"]), name


def test_gaps_of_a_call(tmp_path: Path) -> None:
    """A call has its gaps in order, their sum, and how many exchanges have none; one without turns has nulls."""
    with engine(tmp_path, *A_DAY) as models:
        columns = "response_gaps_s, response_gap_mean_s, response_gap_mean_s_of, response_gap_mean_s_out"
        rows = models.sql(f"SELECT session_id, {columns} FROM per_call").to_pylist()
    found = {row["session_id"]: tuple(row.values())[1:] for row in rows}
    assert found["resolved"] == ([1.0, 3.0], 4.0, 2, 0)
    assert found["abandoned"] == (None, None, 0, 1)
    assert found["short"] == (None, None, None, None)
    assert len(found) == 7


def test_tokens_of_a_call_are_known_or_left_out(tmp_path: Path) -> None:
    """A call counts when each of its model calls says its tokens; without any model call it adds nothing and counts."""
    spans = [
        *call("known", 0, 10, span("llm", 1, 2, 1, input_tokens=100, output_tokens=10),
              span("llm", 3, 4, 2, input_tokens=50, output_tokens=5)),
        *call("half", 20, 30, span("llm", 21, 22, 1, input_tokens=70), span("llm", 23, 24, 2, input_tokens=1)),
        *call("unknown", 40, 50, span("llm", 41, 42, 1, **FAILED), span("llm", 43, 44, 1, input_tokens=5)),
        *call("none", 60, 70, span("stt", 61, 62, 1)),
    ]  # fmt: skip
    with engine(tmp_path, *spans) as models:
        columns = ", ".join(
            f"{way}_tokens_per_session{end}" for way in ("input", "output") for end in ("", "_of", "_out")
        )
        rows = models.sql(f"SELECT session_id, {columns} FROM per_call").to_pylist()
    assert {row["session_id"]: tuple(row.values())[1:] for row in rows} == {
        "known": (150, 1, 0, 15, 1, 0),
        "half": (71, 1, 0, None, None, 1),
        "unknown": (None, None, 1, None, None, 1),
        "none": (None, 1, 0, None, 1, 0),
    }


def test_cost_of_a_call_is_known_or_left_out(tmp_path: Path) -> None:
    """C2: a call counts when all that is paid for has a price, but for what failed; one without any counts."""
    used = {"provider": "p", "model": "m"}
    told = {**used, "input_tokens": 1000, "output_tokens": 100}
    spans = [
        *call("known", 0, 10, span("llm", 1, 2, 1, **told), span("llm", 3, 4, 2, **told)),
        *call("failed", 20, 30, span("llm", 21, 22, 1, **told), span("llm", 23, 24, 2, **used, **FAILED)),
        *call("unknown", 40, 50, span("llm", 41, 42, 1, **told), span("llm", 43, 44, 1, **{**told, "model": "x"})),
        *call("none", 60, 70, span("nlu", 61, 62, 1)),
    ]  # fmt: skip
    price = Price("llm", "p", "m", "test", input_usd=0.001, cached_usd=0.001, output_usd=0.01, request_usd=0.0)
    with engine(tmp_path, *spans) as models:
        models.give("prices", [price._asdict()])
        columns = ", ".join(f"cost_per_priced_session_usd{end}" for end in ("", "_of", "_out"))
        rows = models.sql(f"SELECT session_id, {columns} FROM per_call").to_pylist()
    assert {row["session_id"]: tuple(row.values())[1:] for row in rows} == {
        "known": (pytest.approx(4.0), 1, 0),
        "failed": (pytest.approx(2.0), 1, 0),
        "unknown": (None, None, 1),
        "none": (None, 1, 0),
    }
