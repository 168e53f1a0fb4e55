"""What turns and calls cost (C2, C5; FEATURES B2 of external services): by hand in the twelve calls."""

from pathlib import Path

import pytest

from otel_voicebot.reports import export
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened
from otel_voicebot.spans.schema import PUBLISHED, TABLES
from otel_voicebot.store.reader import snapshot
from tests.models.twelve import AS_OF, opened

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
