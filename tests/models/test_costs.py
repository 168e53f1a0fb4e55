"""What turns and calls cost (C2, C5; FEATURES B2 of external services): by hand in the twelve calls."""

from pathlib import Path

import pytest

from otel_voicebot import semconv
from otel_voicebot.models.price_file import PriceFile
from otel_voicebot.models.pricing import Prices
from otel_voicebot.reports import export
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened
from otel_voicebot.spans.schema import PUBLISHED, TABLES
from otel_voicebot.store.reader import snapshot
from tests.models.calls import SERVED, engine, span
from tests.models.twelve import AS_OF, opened, tables, take_in

TURN = 0.002 + 0.001 + 0.0012
"""2 s heard at 0.001, 100 characters at 0.00001, 1000 tokens in at 1 and 100 out at 2 a million."""
CALLS = {
    # line of 0.01 a minute + turns
    "s01": 0.01 + 2 * TURN,
    "s02": 0.005 + TURN,
    "s03": 0.01 + TURN,
    "s04": 0.005 + TURN,
    "s05": 0.02 + 2 * TURN,
    "s06": 0.01 + TURN,
    "s07": 0.015 + TURN,
    "s08": 0.005 + TURN + 0.002,  # the second turn was heard; its model call doesn't tell its tokens
    "s09": 0.0005,
    "s10": 0.01 + TURN - 0.0012,  # nobody knows the price of its model
    "s11": TURN,  # on the web there is no line
    "s12": 0.005 + TURN,
}
UNPRICED = {"s08": 5 / 6, "s10": 3 / 4}


def test_every_call_costs_its_operations_and_its_line(twelve: Path) -> None:
    """C2: cost_usd and priced_share of each call are those of a pencil, and add up to the KPI."""
    with opened(twelve) as engine:
        rows = {row["session_id"]: row for row in engine.table("priced_sessions").to_pylist()}
        (kpi,) = engine.sql("SELECT value FROM all_kpis WHERE name = 'cost_usd'").to_pylist()
    assert {name: row["cost_usd"] for name, row in rows.items()} == pytest.approx(CALLS, rel=1e-12)
    assert {name: row["priced_share"] for name, row in rows.items()} == {
        name: pytest.approx(UNPRICED.get(name, 1.0)) for name in CALLS
    }
    assert sum(row["cost_usd"] for row in rows.values()) == pytest.approx(kpi["value"], rel=1e-12)


@pytest.mark.parametrize(
    ("key", "kind", "told", "absurd"),
    [
        (semconv.AUDIO_DURATION, "doubleValue", "2.0", "1e300"),
        (semconv.INPUT_TOKENS, "intValue", '"1000"', f'"{2**63 - 1}"'),
    ],
)
def test_one_absurd_number_does_not_take_the_costs_of_all(
    tmp_path: Path, key: str, kind: str, told: str, absurd: str
) -> None:
    """B2: an operation that says it heard 1e300 s, or took 2**63 tokens, has no price; everything else has its own."""
    lines = list(tables.lines())
    said = f'"{key}", "value": {{"{kind}": {told}}}'
    place = next(number for number, line in enumerate(lines) if said in line)
    lines[place] = lines[place].replace(said, said.replace(told, absurd), 1)
    with opened(take_in(tmp_path, lines)) as engine:
        cost, share = (
            engine.sql("SELECT value, excluded FROM all_kpis WHERE name = ?", [name]).to_pylist()[0]
            for name in ("cost_usd", "priced_share")
        )
        services = engine.table("services").to_pylist()
    left_out = 0.002 if key == semconv.AUDIO_DURATION else 0.0012
    assert cost == {"value": pytest.approx(sum(CALLS.values()) - left_out, rel=1e-9), "excluded": 3}
    assert share["value"] < 1
    assert {"deepgram", "openai", "telephony"} <= {row["service"] for row in services}


def test_every_turn_costs_its_operations(twelve: Path) -> None:
    """C2: a turn costs what was done in it; the line is the call's. What has no price isn't counted as free."""
    with opened(twelve) as engine:
        rows = {(row["session_id"], row["turn_index"]): row for row in engine.table("priced_turns").to_pylist()}
    usual = dict.fromkeys(rows, TURN)
    assert {key: row["cost_usd"] for key, row in rows.items()} == pytest.approx(
        {**usual, ("s08", 2): 0.002, ("s10", 1): 0.003}, rel=1e-12
    )


@pytest.mark.parametrize("table", ["turns", "sessions"])
def test_an_export_has_the_published_columns_and_files_hold_no_cost(twelve: Path, table: str) -> None:
    """DESIGN §10: ``export`` gives costs by the prices of now; files follow from spans alone, old ones as new ones."""
    with opened(twelve) as engine:
        rows = export.rows(Opened(snapshot(twelve), engine, Scope("data", AS_OF)), table)
    assert rows.schema.equals(PUBLISHED[table])
    assert rows["cost_usd"].null_count < rows.num_rows
    assert {"cost_usd", "priced_share"}.isdisjoint(TABLES[table].names)


def test_agents_and_decisions_are_ranked_by_themselves(twelve: Path) -> None:
    """C5: what each agent and each decision cost in all; what has no price makes nobody look cheap."""
    with opened(twelve, brief=True) as models:
        rows = models.table("agent_costs").to_pylist()
    names = ("kind", "name", "operations", "priced", "tokens", "cost_usd", "cost_per_success_usd", "efficiency_rank")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("agent", "lender", 3, 2, 3300, 0.0024, 0.0012, 1),  # as cheap as router, and quicker
        ("agent", "router", 2, 2, 2200, 0.0024, 0.0012, 2),
        ("decision", "approve", 2, 2, 2200, 0.0024, 0.0012, 1),
        ("decision", "escalate", 2, 2, 2200, 0.0024, 0.0012, 2),
        ("decision", "reject", 1, 0, 1100, None, None, None),
    ]


def test_what_failed_is_paid_for_by_what_did_not(tmp_path: Path) -> None:
    """C5: a success costs what it took, with the failed tries; free and unpriced operations are no successes of it."""
    one = {"agent": "a", "provider": "p", "model": "m", "input_tokens": 1_000_000, "output_tokens": 0}
    rows = [
        *(span("llm", 1, 2, 1, id=1, **one), span("llm", 2, 3, 1, id=2, status="error", **one)),
        span("llm", 3, 4, 1, id=3, **{**one, "model": "of unknown price"}),
        span("tool", 4, 5, 1, id=4, agent="a"),
    ]
    listed = {"date": "2026-03-01", "llm": [{"model": "m", "per_million_input": 3, "per_million_output": 1}]}
    with engine(tmp_path, *rows) as models:
        Prices(PriceFile.model_validate(listed)).give(models)
        found = [models.table(name).to_pylist()[0] for name in ("agent_costs", "agents")]
    assert [(row["cost_usd"], row["cost_per_success_usd"]) for row in found] == [(6.0, 6.0)] * 2
    assert [(row["operations"], row["errors"], row["priced"]) for row in found] == [(4, 1, 2)] * 2


def test_one_call_sums_up_use_and_cost(twelve: Path) -> None:
    """C2: cost per request, requests per minute, cache hit rate, cost of a model call, with what they are of."""
    with opened(twelve, brief=True) as models:
        rows = {row["name"]: row for row in models.table("summary").to_pylist()}
    minutes = (34 * 24 + 8) * 60 + 1  # from 1 March 10:00 to 4 April 18:00, both counted
    expected = {
        "sessions": (12, 12, None),
        "cost_per_request_usd": (0.1509 / 14, 0.1509, 14),
        "model_calls": (14, 14, None),
        "cost_per_model_call_usd": (0.0012, 0.0144, 12),
        "requests_per_minute": (14 / minutes, 14, minutes),
        "cache_hit_rate": (0.5, 2, 4),
        "priced_share": (50 / 52, 50, 52),
    }
    found = {name: tuple(rows[name][part] for part in ("value", "numerator", "denominator")) for name in expected}
    assert found == {name: (pytest.approx(value, rel=1e-12), *of) for name, (value, *of) in expected.items()}


def test_cache_entries_have_the_turns_and_calls_they_served(tmp_path: Path) -> None:
    """A19: an entry's lookups, the waits of its turns, what was given up, and how its calls ended."""
    with engine(tmp_path, *SERVED) as models:
        rows = models.table("cache_entries").to_pylist()
    names = ("cache", "entry", "lookups", "hits", "turns", "p50_s", "abandoned_rate", "sessions", "resolved_share")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("semantic", "faq-7", 2, 2, 2, 1.5, 0, 2, 0.5),
        ("semantic", "faq-9", 2, 1, 2, 4.0, 0.5, 2, 0.5),
    ]


def test_intent_schemas_have_the_turns_and_calls_that_used_them(tmp_path: Path) -> None:
    """A19: how sure each version is, and what became of its turns and calls."""
    with engine(tmp_path, *SERVED) as models:
        rows = models.table("intent_schemas").to_pylist()
    names = ("intent_schema", "classifications", "low_confidence_rate", "fallback_rate", "turns", "p50_s", "sessions")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("v2", 3, 0, 0, 3, 1.5, 3),
        ("v3", 2, 1, 1, 2, 6.0, 2),
    ]
    assert [row["resolved_share"] for row in rows] == [pytest.approx(1 / 3), 1]
