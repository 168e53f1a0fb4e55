"""Waits: the abandoned ones are censored, not left out, and the report says what that assumes."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from otel_voicebot.models import Engine
from otel_voicebot.models.catalog import MODELS
from otel_voicebot.reports import censored, report
from otel_voicebot.reports.scope import Scope
from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.models.calls import NOON, NOON_NANO, Row, engine, span

Floats = NDArray[np.float64]
PER_CALL = 10


def exchanges(gaps: Floats, patience: Floats) -> pa.RecordBatch:
    """The turn spans of callers who wait for ``gaps`` and give up after ``patience`` (both seconds), in columns."""
    rows = len(gaps)
    number = np.arange(rows)
    asked = NOON_NANO + number * 100_000_000_000
    wait = np.rint(np.minimum(gaps, patience) * 1e9).astype(np.int64)
    answered = pa.array(gaps <= patience)
    heard = pa.array(asked + wait)
    ends = pa.array(np.where(gaps <= patience, asked + wait + 1_000_000_000, asked + wait))
    columns: dict[str, pa.Array] = {
        "trace_id": pa.array([int(call).to_bytes(16) for call in number // PER_CALL + 1], pa.binary(16)),
        "span_id": pa.array([int(turn + 1).to_bytes(8) for turn in number], pa.binary(8)),
        "name": pa.array(["voicebot.turn"] * rows),
        "component": pa.array(["turn"] * rows),
        "dialect": pa.array(["native"] * rows),
        "session_id": pa.array([f"call-{call}" for call in number // PER_CALL]),
        "turn_index": pa.array(number % PER_CALL + 1),
        "start_unix_nano": pa.array(asked - 1_000_000_000),
        "start_time": pa.array((asked - 1_000_000_000) // 1000),
        "end_unix_nano": ends,
        "duration_ns": pa.array(np.asarray(ends) - asked + 1_000_000_000),
        "user_speech_end_unix_nano": pa.array(asked),
        "bot_speech_start_unix_nano": pa.array(
            [at if yes else None for at, yes in zip(heard.to_pylist(), answered.to_pylist(), strict=True)], pa.int64()
        ),
        "end_reason": pa.array([None if yes else "spoke_again" for yes in answered.to_pylist()], pa.string()),
        "ingest_time": pa.array(asked // 1000),
    }
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type) for field in SPANS
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SPANS)


def reported(data: Path, batch: pa.RecordBatch) -> report.Report:
    """What ``otel-voicebot report`` computes of these spans."""
    SpanStore(data).commit([batch])
    with Engine(snapshot(data), brief=True) as models:
        return report.compute(models, Scope(data="", as_of=NOON))


def test_kaplan_meier_finds_the_percentiles_that_abandoned_waits_hide(tmp_path: Path) -> None:
    """Callers give up independently of the delay: the answered p95 is 15 % low or more, Kaplan-Meier's within 2 %."""
    rng = np.random.default_rng(6)
    calls = 30_000
    gaps = 1.2 * np.exp(0.6 * rng.standard_normal(calls))
    patience = 3.0 * np.exp(0.7 * rng.standard_normal(calls))
    found = reported(tmp_path, exchanges(gaps, patience))
    answered, estimated = (found.value(f"{name}_p95_s") for name in ("response_gap", "wait_km"))
    assert answered is not None
    truth = 1.2 * float(np.exp(0.6 * stats.norm.ppf(0.95)))
    assert answered < 0.85 * truth
    assert estimated == pytest.approx(truth, rel=0.02)
    assert estimated == pytest.approx(np.quantile(gaps, 0.95), rel=0.02)
    assert found.value("wait_km_p50_s") == pytest.approx(1.2, rel=0.02)
    assert found.value("abandoned_wait_rate") == pytest.approx((patience < gaps).mean())
    told = report.document(found)["notes"]["waits"]  # type: ignore[index]
    given_up = int((patience < gaps).sum())
    assert told[0] == f"{given_up} of {calls} waits are censored: abandoned before an answer ({given_up} spoke_again)."
    assert told[-1] == censored.ASSUMPTION


def curve(lengths: Floats, answered: NDArray[np.bool_], model: str = "waits_km") -> list[dict[str, float]]:
    """Rows of the model over these waits."""
    turns = pa.table(
        {
            "kind": ["exchange"] * len(lengths),
            "response_gap_s": pa.array(lengths, mask=~answered),
            "wait_s": pa.array(lengths, mask=answered),
        }
    )
    with duckdb.connect() as connection:
        connection.register("turns", turns)
        rows: list[dict[str, float]] = connection.sql(MODELS[model].text).to_arrow_table().to_pylist()
        return rows


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=80))
def test_the_curve_is_that_of_scipy(found: list[tuple[int, bool]]) -> None:
    """With ties of every kind the share that still waits is SciPy's survival function, at every length."""
    lengths = np.array([length / 10 for length, _ in found])
    answered = np.array([yes for _, yes in found])
    rows = curve(lengths, answered)
    data = stats.CensoredData(uncensored=lengths[answered], right=lengths[~answered])
    expected = stats.ecdf(data).sf
    assert [row["wait_s"] for row in rows] == expected.quantiles.tolist()
    assert [row["waiting"] for row in rows] == pytest.approx(expected.probabilities.tolist(), abs=1e-12)
    assert sum(row["answered"] for row in rows) == answered.sum()
    assert sum(row["abandoned"] for row in rows) == (~answered).sum()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=120))
def test_the_percentiles_are_where_the_curve_falls_to_their_share(found: list[tuple[int, bool]]) -> None:
    """With ties of every kind they are the smallest lengths of the curve at which so few still wait, or null."""
    lengths = np.array([length / 10 for length, _ in found], np.float64)
    answered = np.array([yes for _, yes in found], np.bool_)
    rows = curve(lengths, answered)
    reached = {
        name: next((row["wait_s"] for row in rows if row["waiting"] <= share + 1e-9), None)
        for name, share in (("km_p50", 0.5), ("km_p95", 0.05), ("km_p99", 0.01))
    }
    assert curve(lengths, answered, "wait_percentiles") == [{"waits": len(found), **reached}]


def exchange(turn: int, wait: float | None, *, answered: bool = True, **columns: object) -> Row:
    """An exchange that began at 10 s times its number; without a wait nothing says when the caller stopped."""
    asked = 10.0 * turn
    marks = {} if wait is None else {"user_end": asked, **({"bot_start": asked + wait} if answered else {})}
    return span("turn", asked - 1, asked + (wait or 1) + (1 if answered else 0), turn, **marks, **columns)


MORNING = [
    exchange(1, 1.0),
    exchange(2, 2.0),
    exchange(3, 2.0, answered=False, end_reason="spoke_again"),  # at the moment of an answer: that came first
    exchange(4, 3.0, answered=False, end_reason="hung_up"),
    exchange(5, 4.0),
    exchange(6, 5.0, answered=False, end_reason="spoke_again"),
    exchange(7, None),
    span("stt", 69, 70, 7),
]


def test_a_curve_that_can_be_drawn_by_hand(tmp_path: Path) -> None:
    """At 1 s one of six is answered, at 2 s one of five, at 4 s one of two; the rest gave up or has no marks."""
    with engine(tmp_path, *MORNING) as models:
        rows = models.table("waits_km").to_pylist()
        found = report.compute(models, Scope(data="", as_of=NOON))
    assert [tuple(row.values()) for row in rows] == [
        (1.0, 6, 1, 0, pytest.approx(5 / 6)),
        (2.0, 5, 1, 1, pytest.approx(2 / 3)),
        (3.0, 3, 0, 1, pytest.approx(2 / 3)),
        (4.0, 2, 1, 0, pytest.approx(1 / 3)),
        (5.0, 1, 0, 1, pytest.approx(1 / 3)),
    ]
    km = {kpi.name: kpi for kpi in found.kpis if kpi.name.startswith("wait_km")}
    assert (km["wait_km_p50_s"].value, km["wait_km_p50_s"].denominator, km["wait_km_p50_s"].excluded) == (4.0, 6, 1)
    for name in ("wait_km_p95_s", "wait_km_p99_s"):
        assert (km[name].value, km[name].note) == (None, censored.NOT_REACHED)


def test_the_section_counts_the_waits_by_how_they_ended(tmp_path: Path) -> None:
    """Answered and abandoned waits stand apart, with the reasons; the notes say how many are censored or left out."""
    with engine(tmp_path, *MORNING) as models:
        found = report.compute(models, Scope(data="", as_of=NOON))
    shown = [
        tuple(row[name] for name in ("outcome", "abandon_reason", "timed", "untimed", "max_s")) for row in found.waits
    ]
    assert shown == [
        ("answered", None, 3, 0, 4.0),
        ("abandoned", "spoke_again", 2, 0, 5.0),
        ("abandoned", "hung_up", 1, 0, 3.0),
        ("abandoned", "session_ended", 0, 1, None),
    ]
    assert censored.notes(found.waits) == (
        "3 of 6 waits are censored: abandoned before an answer (2 spoke_again, 1 hung_up).",
        "Left out: 1 of unknown length, without speech marks.",
        censored.ASSUMPTION,
    )
    assert report.grids(found)["waits"].notes == censored.notes(found.waits)


def test_without_an_abandoned_wait_the_estimate_is_the_empirical_one(tmp_path: Path) -> None:
    """Of 100 answered gaps of 0.01 to 1 s the p95 is the 95th: that the product is rounded moves it by no step."""
    gaps = np.arange(1, 101) / 100
    found = reported(tmp_path, exchanges(gaps, np.full(100, 60.0)))
    assert [found.value(f"wait_km_{name}_s") for name in ("p50", "p95", "p99")] == [0.5, 0.95, 0.99]
    assert censored.notes(found.waits)[0] == "None of 100 waits is censored: all were answered."


def test_a_wait_of_which_only_a_bound_is_known_is_censored_there(tmp_path: Path) -> None:
    """Nobody knows when Pipecat's caller stopped, only the transcript's time: the wait from there on is censored."""
    call: Row = {"session_id": "call", "dialect": "pipecat", "turn_index": None}
    spans = (
        span("turn", 0, 9, None, id=1, **call),
        span("stt", 0.5, 2, None, parent=1, **call),
        span("llm", 2.5, 3, None, parent=1, status="error", error_type="timeout", **call),
        span("stt", 7.9, 8, None, parent=1, transcription_delay_s=0.5, **call),
        exchange(9, 1.0, session_id="other", trace=2),
    )
    with engine(tmp_path, *spans) as models:
        [bound] = models.sql("SELECT wait_s FROM turns WHERE list_contains(quality, 'lower_bound')").to_pylist()
        rows = models.table("waits_km").to_pylist()
    assert bound["wait_s"] == pytest.approx(5.5)
    assert [(row["wait_s"], row["answered"], row["abandoned"]) for row in rows if row["wait_s"] > 5] == [
        (bound["wait_s"], 0, 1)
    ]
