"""What the charts of a report show (A8), where the sections don't say it."""

from pathlib import Path

import pytest

from otel_voicebot.reports import pictures
from tests.models.calls import engine, served


@pytest.mark.parametrize("gap", [0.3, 0.6, 0.7, 1.2, 2.3])
def test_a_gap_on_an_edge_is_in_the_bar_that_begins_there(tmp_path: Path, gap: float) -> None:
    """0.3 s is from 0.3 to 0.4 s, though 0.3 / 0.1 is less than 3 in a computer's numbers."""
    calls = [*served("a", None, True, gap, "resolved"), *served("b", None, True, 3.0, "resolved")]
    with engine(tmp_path, *calls) as models:
        spread = pictures.compute(models).spread
    assert spread is not None
    assert spread.step_s == 0.1
    assert [place for place, turns in enumerate(spread.counts) if turns] == [round(gap * 10), 30]
