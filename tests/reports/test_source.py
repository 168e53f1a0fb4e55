"""A question to a data directory, beside those who change it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from otel_voicebot.errors import NoDataError, TooSlowError
from otel_voicebot.models import Engine, Selection
from otel_voicebot.reports import source
from otel_voicebot.reports.source import Opened, ask, ask_about, names
from otel_voicebot.store import SpanStore, snapshot
from otel_voicebot.store.layout import HOUR_NS
from tests.store.hours import FILES, ROWS, fill, maintain, rows_of
from tests.store.rows import START, span_rows, trace_id

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


def test_an_unknown_name_is_told_as_such(tmp_path: Path) -> None:
    """Where there is data the sentence says that the name isn't in it, and not that there is none."""
    with pytest.raises(NoDataError, match="is not a directory"):
        ask_about("f" * 32, tmp_path / "none", datetime.now(UTC), lambda _: None)
    with pytest.raises(NoDataError, match="holds no spans"):
        ask_about("f" * 32, tmp_path, datetime.now(UTC), lambda _: None)
    fill(tmp_path)
    with pytest.raises(NoDataError, match=f"called '{'f' * 32}': it was never stored in .*, or retention"):
        ask_about("f" * 32, tmp_path, datetime.now(UTC), lambda _: None)


def test_names_are_those_of_the_models(tmp_path: Path) -> None:
    """Also of traces without a session, with one in some spans, and with several."""
    fill(tmp_path, files=1)
    rows = [("a", None), ("b", None), ("b", "one"), ("c", "two"), ("c", "three"), ("d", "one")]
    spans = span_rows(len(rows), first=900).to_pylist()
    own = [
        {**row, "trace_id": 16 * trace.encode(), "session_id": name}
        for row, (trace, name) in zip(spans, rows, strict=True)
    ]
    SpanStore(tmp_path).commit(rows_of("spans", *own).to_batches())
    listed = names(tmp_path)
    assert (b"a".hex() * 16, b"a".hex() * 16) in listed
    assert sorted(listed) == sorted(ask(tmp_path, Selection(), datetime.now(UTC), lambda opened: opened.ids()))
    assert len(listed) > 6


def test_names_that_need_too_much_memory_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is suspected for it, and nothing is written beside the user."""
    fill(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source, "_MEMORY", "20MB")
    endless = "SELECT DISTINCT range, range FROM range(20_000_000)"
    with pytest.raises(TooSlowError, match="in full"):
        source._rows(snapshot(tmp_path / "data"), endless)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_answer_that_needs_too_much_memory_is_given_up(tmp_path: Path) -> None:
    """Spans of which nothing is wrong aren't called unreadable: it says how much it may take, and what to do."""
    fill(tmp_path)
    with pytest.raises(TooSlowError, match="more than 2MB of memory: ask about less time"):
        Engine(snapshot(tmp_path), memory="2MB")
