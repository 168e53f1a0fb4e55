"""Pictures of turn latencies."""

from pathlib import Path

import pytest

from otel_voicebot.errors import CannotStartError, NoDataError
from otel_voicebot.reports import charts
from tests.reports.tables import turn, turns

ANSWERED = [turn("a", index, response_gap_s=index / 4) for index in range(1, 9)]
ABANDONED = [turn("b", 1, wait_s=5.0, abandon_reason="hung_up")]


@pytest.mark.parametrize(
    "rows", [ANSWERED, ABANDONED, ANSWERED + ABANDONED, ANSWERED * 20], ids=["answered", "abandoned", "both", "many"]
)
def test_picture(rows: list[dict[str, object]], tmp_path: Path) -> None:
    """A PNG is drawn of answered turns, of abandoned ones, of both and of more than fit."""
    path = charts.turn_latencies(turns(*rows), tmp_path / "new" / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000


def test_nothing_to_draw(tmp_path: Path) -> None:
    """Without a turn that has a wait there is no picture, and one sentence."""
    with pytest.raises(NoDataError, match="no turn has a wait"):
        charts.turn_latencies(turns(turn("a", 1, kind="greeting")), tmp_path / "picture.png")


def test_unwritable(tmp_path: Path) -> None:
    """A picture that can't be written is said so, with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStartError, match="can't write the picture"):
        charts.turn_latencies(turns(*ANSWERED), tmp_path / "file" / "picture.png")
