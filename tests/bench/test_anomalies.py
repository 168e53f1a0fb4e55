"""A7: quiet and disturbed days: `python -m bench anomalies`, made smaller."""

import pytest

from bench.anomalies import DAY_S, FIRST, Effect, Rate, day
from otel_voicebot.reports.anomalies import Found

FEWER = 2_500
"""Calls a day."""


@pytest.fixture(scope="module")
def quiet() -> list[Found]:
    """Days on which nothing happens but chance."""
    return [day(number, calls=FEWER) for number in range(30)]


def test_a_quiet_day_gives_none(quiet: list[Found]) -> None:
    """Of 30 days with drift, weather, heavy tails and clustered failures, as few alarm as 1 % would give."""
    alarms = Rate(sum(bool(found.incidents) for found in quiet), len(quiet))
    assert alarms.interval[0] <= 0.01
    assert alarms.found <= 1
    assert min(found.bins for found in quiet) > 400


@pytest.mark.parametrize(
    ("measure", "size"), [("first_chunk_s", 2.5), ("error_rate", 0.25), ("cost_usd", 2.5)], ids=str
)
def test_what_is_injected_is_found(measure: str, size: float) -> None:
    """An hour of it is found in its series, its edges within a bin, and nothing on that day before it."""
    effect = Effect(measure, size, minutes=60)
    begin = FIRST.timestamp() + DAY_S + effect.start_s
    for number in range(3):
        found = day(500 + number, effect, FEWER)
        mine = [one for one in found.incidents if one.series.measure == measure and one.series.provider == "openai"]
        assert {one.series.bot for one in mine} >= {"bank"}
        for one in mine:
            assert abs(one.start.timestamp() - begin) <= 60 * one.minutes
            assert abs(one.end.timestamp() - begin - 3600) <= 60 * one.minutes
        assert not [one for one in found.incidents if one.end.timestamp() < begin]


def test_days_are_seeded(quiet: list[Found]) -> None:
    """The same seed draws the same day, another one another."""
    assert day(0, calls=FEWER).bins == quiet[0].bins != quiet[1].bins
