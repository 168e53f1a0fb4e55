"""The report's section on where the waits went."""

import math

import pytest

from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.shares import grid, shares
from otel_voicebot.reports.spent import of_turns
from tests.reports.periods import period
from tests.reports.tables import cut_turns, exchange, segment, turn

TURNS = cut_turns(
    exchange("call-1", 1, segment("endpointing", 0.5, "min_delay"), segment("tool", 0.25, "lookup", "tool"),
             segment("llm_first_token", 0.5, "openai/gpt"), segment("tool", 0.25, "lookup", "tool")),
    exchange("call-1", 2, segment("endpointing", 0.7, "min_delay"), segment("unattributed", 0.8)),
    turn("call-2", 1, response_gap_s=1.0),
    turn("call-2", 2, wait_s=9.0, abandon_reason="hung_up", segments=[segment("endpointing", 9.0, "min_delay")]),
)  # fmt: skip


def test_shares() -> None:
    """Each segment and owner has its turns, its time, and its share of the answered waits."""
    found = {row["segment"]: row for row in shares(of_turns(TURNS))}
    assert list(found) == ["endpointing", "not_cut", "unattributed", "tool", "llm_first_token"]
    assert found["endpointing"] == {
        "segment": "endpointing", "owner": "min_delay", "owner_kind": "setting", "provider": None, "model": None,
        "turns": 2, "total_s": 1.2, "share": 0.3, "mean_s": 0.6, "p50_s": 0.6, "p95_s": pytest.approx(0.69),
    }  # fmt: skip
    assert (found["tool"]["turns"], found["tool"]["total_s"]) == (1, 0.5)
    assert (found["not_cut"]["turns"], found["not_cut"]["total_s"]) == (1, 1.0)
    assert found["llm_first_token"]["provider"] == "openai"


def test_shares_add_up() -> None:
    """The shares of all lines are the whole."""
    assert math.fsum(float(str(row["share"])) for row in shares(of_turns(period("a", 3)))) == pytest.approx(
        1, abs=1e-12
    )


def test_table_names_what_is_unknown() -> None:
    """The table says which share of the waits nothing explains, and which could not be cut."""
    lines = as_text(grid(shares(of_turns(TURNS)))).splitlines()
    assert lines[-2:] == [
        "  unattributed: 20.0 % of all waits, which no span explains",
        "  not_cut: 25.0 %, waits whose beginning is not known",
    ]


def test_no_waits() -> None:
    """Without an answered turn there are no lines, and the table says so."""
    assert shares(of_turns(cut_turns())) == ()
    assert as_text(grid(())) == "Where the waits went\n  no answered turn has a wait"
