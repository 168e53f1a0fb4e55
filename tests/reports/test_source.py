"""A question to a data directory, beside those who change it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from otel_voicebot.errors import NoDataError
from otel_voicebot.models import Selection
from otel_voicebot.reports.source import Opened, ask, ask_about
from otel_voicebot.store.layout import HOUR_NS
from tests.store.hours import FILES, ROWS, fill, maintain
from tests.store.rows import START, trace_id

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


@pytest.mark.parametrize("merged", [False, True], ids=["hot", "history"])
def test_a_question_about_one_session_opens_few_files(tmp_path: Path, merged: bool) -> None:
    """By its id or by that of one of its traces: all its spans, as from the whole store; and no other session's."""
    for hour in range(HOURS):
        fill(tmp_path, first=hour * FILES * ROWS, at=START + hour * HOUR_NS)
        if merged:
            maintain(tmp_path, START + (hour + 2) * HOUR_NS)
    now, opened_files = datetime.now(UTC), []

    def compute(opened: Opened) -> list[dict[str, object]]:
        opened_files.append(len(opened.snapshot.files))
        assert {session for session, _ in opened.ids()} == {"call-3"} or len(opened_files) == 1
        rows: list[dict[str, object]] = opened.spans_of("call-3").to_pylist()
        return sorted(rows, key=lambda row: str(row["span_id"]))

    whole = ask(tmp_path, Selection(), now, compute, brief=True)
    assert len(whole) == 100  # spans 300 to 399
    for name in ("call-3", trace_id(310).hex(), trace_id(399).hex().upper()):
        assert ask_about(name, tmp_path, now, compute) == whole
    assert opened_files[1:] == [opened_files[1]] * 3
    assert opened_files[1] < opened_files[0]


def test_a_question_about_nobody_has_no_answer(tmp_path: Path) -> None:
    """A name that nobody has, or the beginning of one."""
    fill(tmp_path)
    for name in ("nobody", "call", trace_id(0).hex()[:20], "f" * 32, ""):
        with pytest.raises(NoDataError):
            ask_about(name, tmp_path, datetime.now(UTC), lambda _: None)
