"""A16: controlled calls to the bank bot (loans, payment plans, a compliance prompt) give the KPIs that they should.

Callers, recogniser, dialogue and voice are real; the calls run faster than real time, so nothing is said of waits.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_voicebot.demo.caller import Plan
from otel_voicebot.demo.center import CallCenter
from otel_voicebot.demo.run import FAST
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.models.pricing import Prices
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.reports import compare, source
from otel_voicebot.reports.compare import Comparison
from otel_voicebot.reports.sides import Sides
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import collect
from otel_voicebot.store import SpanStore, snapshot

_LOAN = {"need": ("loan",), "consent": ("yes",), "amount": ("amount",), "more": ("bye",)}
_REFUSED = {**_LOAN, "consent": ("no",)}
_PARTS = {"need": ("payment_plan",), "months": ("months",), "more": ("bye",)}
_HUMAN = {**_PARTS, "months": ("agent",)}


def plan(name: str, voice: str, says: Any, ends: str, **more: Any) -> Plan:
    """A call; who isn't told apart calls once."""
    return Plan(**{"name": name, "channel": "phone", "variant": name[0], "caller": name, "voice": voice,
                   "says": says, "ends": ends, **more})  # fmt: skip


TOGETHER = (
    plan("A loan", "rms", _LOAN, "resolved", csat=5, caller="Ann"),
    plan("A refuses the terms", "rms", _REFUSED, "unresolved", csat=2),
    plan("A hangs up before the terms", "slt", _LOAN, "abandoned", slow_model=(12,), patience=4.0),
    plan("A plan", "awb", _PARTS, "resolved", csat=4),
    plan("A plan, wants a human", "rms", _HUMAN, "escalated", csat=1),
    plan("B loan", "slt", _LOAN, "resolved", csat=5),
    plan("B another loan", "awb", _LOAN, "resolved", csat=4),
    plan("B plan", "slt", _PARTS, "resolved", csat=5),
    plan("B another plan", "rms", _PARTS, "resolved", csat=5),
)
AFTERWARDS = (plan("A loan again", "slt", _LOAN, "resolved", caller="Ann"),)
"""The caller of the first loan has to call again."""


@dataclass(frozen=True)
class Held:
    """The calls, how they ended, and where their spans lie."""

    data: Path
    endings: dict[str, str]
    over: datetime

    def engine(self) -> Engine:
        """The models two days later; at eight times the speed every call is short, so none counts as such."""
        terms = Terms(as_of=self.over + timedelta(days=2), short_session_s=0.0)
        return Engine(snapshot(self.data), brief=False, cut=False, terms=terms)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Both variants at the same time, then the caller who calls again."""
    exporter, provider, data = InMemorySpanExporter(), TracerProvider(), tmp_path_factory.mktemp("bank")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with (
        pytest.MonkeyPatch.context() as patch,
        runtime.using(provider, time.time_ns, capture_content=False),
        CallCenter(5, snr=None, seed=1, speed=FAST, on_progress=lambda _: None) as center,
        ThreadPoolExecutor(5) as pool,
    ):
        patch.setattr(runtime, "_hash_key", b"a key of the test")  # callers are told apart
        first = list(pool.map(center.hold, range(1, len(TOGETHER) + 1), TOGETHER))
        again = [center.hold(len(TOGETHER) + 1, one) for one in AFTERWARDS]
    SpanStore(data).commit([prepare(collect(exporter.get_finished_spans()), Policy(), SelfMetrics(), "sdk", 0)])
    return Held(data, {one.plan: one.ending for one in (*first, *again)}, datetime.now(UTC))


def test_the_calls_went_as_planned(held: Held) -> None:
    """What follows is of calls that were understood."""
    assert held.endings == {one.name: one.ends for one in (*TOGETHER, *AFTERWARDS)}


def test_loans_and_payment_plans(held: Held) -> None:
    """A18: four of six loan applications were completed, three of four payment plans; each with its denominator."""
    with held.engine() as engine:
        rows = engine.table("workflows").to_pylist()
        kpis = {row["name"]: row for row in engine.table("all_kpis").to_pylist()}
    found = {row["workflow"]: (row["completed"], row["started"], row["failed"], row["completion_rate"]) for row in rows}
    assert found == {"loan_application": (4, 6, 1, 4 / 6), "payment_plan": (3, 4, 1, 3 / 4)}
    assert (kpis["completion_rate"]["numerator"], kpis["completion_rate"]["denominator"]) == (7, 10)


def test_compliance_prompts(held: Held) -> None:
    """A18: the terms of a loan were heard in five of six calls about one; who hung up before them did not hear them."""
    with held.engine() as engine:
        (row,) = engine.table("compliance").to_pylist()
    assert (row["prompt"], row["intent"]) == ("loan-disclosure-1", "loan")
    assert (row["delivered_sessions"], row["sessions"], row["delivered_rate"]) == (5, 6, 5 / 6)


def compared(held: Held) -> Comparison:
    """Variant B beside A, two days later."""
    now = held.over + timedelta(days=2)
    wanted = compare.Plan(kpis=("csat_mean", "csat_share", "fcr_1d", "fcr_7d"), primary="csat_mean", fewest=10)
    return source.ask(
        held.data, Selection(), now, lambda opened: compare.of(opened, Sides("A", "B", "variant"), wanted, Prices()),
        cut=False, terms=Terms(short_session_s=0.0),
    )  # fmt: skip


def test_two_variants_in_parallel(held: Held) -> None:
    """CSAT and first call resolution of both, side by side; of so few calls nothing is said to be better."""
    found = compared(held)
    assert (found.a.sessions, found.b.sessions) == (6, 4)
    assert found.a.first < found.b.last
    assert found.b.first < found.a.last
    csat = found.kpi("csat_mean")
    assert (csat.a.value, csat.a.denominator, csat.b.value, csat.b.denominator) == (3.0, 4, 4.75, 4)
    fcr = found.kpi("fcr_1d")
    # of A: Ann's loan was not solved at once, the refused, abandoned and escalated ones weren't, one plan was
    assert (fcr.a.numerator, fcr.a.denominator, fcr.b.numerator, fcr.b.denominator) == (1, 5, 4, 4)
    assert (found.kpi("fcr_7d").a.denominator, found.verdict) == (0, "too few")


def test_a_prompt_that_is_owed_to_nobody_has_no_share(held: Held) -> None:
    """Calls about a payment plan owe no terms of a loan: they are in no denominator."""
    with held.engine() as engine:
        rows = engine.sql("SELECT DISTINCT intent FROM compliance").to_pylist()
        intents = engine.sql("SELECT intent, count(*) AS n FROM sessions GROUP BY 1").to_pylist()
    assert {row["intent"] for row in rows} == {"loan"}
    assert {row["intent"]: row["n"] for row in intents} == {"loan": 6, "payment_plan": 4}
