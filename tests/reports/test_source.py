"""A question to a data directory, beside those who change it."""

from datetime import UTC, datetime
from pathlib import Path

from otel_voicebot.models import Selection
from otel_voicebot.reports.source import Opened, ask
from otel_voicebot.store.layout import HOUR_NS
from tests.store.hours import FILES, ROWS, fill, maintain
from tests.store.rows import START

HOURS = 6


def test_an_answer_survives_the_merging_of_several_hours_in_a_row(tmp_path: Path) -> None:
    """Each attempt loses its files to a compaction; the one that is left alone has every span once."""
    wanted: set[str] = set()
    for hour in range(HOURS):
        wanted |= fill(tmp_path, first=hour * FILES * ROWS, at=START + hour * HOUR_NS)
    attempts: list[tuple[Path, ...]] = []

    def compute(opened: Opened) -> list[str]:
        attempts.append(opened.snapshot.files)
        if len(attempts) <= HOURS:
            done, _ = maintain(tmp_path, START + len(attempts) * HOUR_NS)
            assert len(done) == 1
        found: list[str] = opened.spans().column("span_id").to_pylist()
        return found

    found = ask(tmp_path, Selection(), datetime.now(UTC), compute)
    assert len(attempts) == HOURS + 1
    assert len(set(attempts)) == HOURS + 1
    assert sorted(found) == sorted(wanted)
