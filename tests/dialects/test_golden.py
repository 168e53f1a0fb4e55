"""What the package derives from the captures is what was worked out by hand."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from otel_voicebot import semconv as s
from otel_voicebot.models.framed import PreparedCalls
from tests.dialects.captured import batches, copied, derived, rows_of, spans_of
from tests.dialects.golden import CAPTURES, read_golden
from tests.live.doors import Fed, latest

CALLS = [name for name in CAPTURES if read_golden(name)["turns"]]
CLIENTS = [name for name in CAPTURES if not read_golden(name)["turns"]]
_ROUNDED = 2e-6
"""What the golden tables calculated is rounded to the microsecond."""


def shown(row: dict[str, Any], column: str) -> Any:
    """A golden column of a derived row."""
    texts = {"transcript_present": "user_text", "bot_text_present": "bot_text"}
    return row[texts[column]] is not None if column in texts else row[column]


def check(rows: list[dict[str, Any]], golden: list[dict[str, Any]], *, but: tuple[str, ...] = ()) -> None:
    """Assert that the derived rows are the golden ones, all columns of these but some."""
    assert [row["turn_index"] for row in rows] == [row["index"] for row in golden]
    for row, wanted in zip(rows, golden, strict=True):
        for column, value in wanted["values"].items():
            if column not in but:
                found = shown(row, column)
                expected = pytest.approx(value, abs=_ROUNDED) if isinstance(value, float) else value
                assert found == expected, (wanted["index"], column)


@pytest.mark.parametrize("name", CALLS)
def test_the_derived_turns_are_those_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    """Each column of each turn of a capture has the golden value."""
    golden = read_golden(name)["turns"]
    rows = derived(tmp_path, rows_of(spans_of(name)))
    assert {row["session_id"] for row in rows} == {row["session"] for row in golden}
    check(rows, golden)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_gives_the_same_table(name: str, seed: int, tmp_path: Path) -> None:
    """New ids, shuffled spans and clocks shifted by up to three years change no turn.

    All turns of a copy are of one session, and those of another copy beside it of another.
    """
    spans = copied(spans_of(name), seed) + copied(spans_of(name), seed + 100)
    Random(seed).shuffle(spans)
    rows = derived(tmp_path, *(rows_of(part) for part in batches(spans, 1 + seed * 3)))
    sessions = {row["session_id"] for row in rows}
    assert len(sessions) == 2
    assert not sessions & {wanted["session"] for wanted in read_golden(name)["turns"]}
    for session in sessions:
        check([row for row in rows if row["session_id"] == session], read_golden(name)["turns"], but=("trace_id",))


@pytest.mark.parametrize("name", CALLS)
def test_without_content_only_the_texts_are_missing(name: str, tmp_path: Path) -> None:
    """With content capture off every number, count and rule is the same."""
    texts = ("user_text", "bot_text", "transcript_present", "bot_text_present")
    rows = derived(tmp_path, rows_of(spans_of(name), capture_content=False))
    check(rows, read_golden(name)["turns"], but=texts)
    assert {row[text] for row in rows for text in texts[:2]} == {None}


@pytest.mark.parametrize("name", CALLS)
def test_response_gaps_are_the_frameworks_own(name: str, tmp_path: Path) -> None:
    """A gap that the framework reports is taken as it is; the derived one agrees within 25 ms."""
    reported = {"turn.user_bot_latency_seconds", "lk.e2e_latency"}
    spans = spans_of(name)
    own = [pair.value.double_value for _, span in spans for pair in span.attributes if pair.key in reported]
    rows = [row for row in derived(tmp_path, rows_of(spans)) if row["response_gap_s"] is not None]
    assert sorted(row["response_gap_s"] for row in rows) == sorted(own)
    assert len(own) > 5
    assert max(abs(row["response_gap_s"] - row["response_gap_derived_s"]) for row in rows) < 0.025


_NAMES = {"otel_genai": "genai"}
"""What the golden tables call a dialect, and what it is called."""


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("seed", [None, 0, 1, 2], ids=lambda seed: "itself" if seed is None else f"copy {seed}")
def test_operations_of_a_client_library_are_those_worked_out_by_hand(
    name: str, seed: int | None, tmp_path: Path
) -> None:
    """Each operation of a capture, and of copies, has the golden values; there are no turns."""
    spans = spans_of(name)
    golden = {wanted["from"]["index"].split("{")[1][:16]: wanted for wanted in read_golden(name)["operations"]}
    order = [span.span_id.hex() for _, span in sorted(spans, key=start_of) if span.span_id.hex() in golden]
    batch = rows_of(spans if seed is None else copied(spans, seed))
    whole = {row["span_id"].hex(): row for row in batch.to_pylist()}
    found = sorted(derived(tmp_path, batch, model="operations"), key=lambda row: int(row["start_unix_nano"]))
    assert len(found) == len(order)
    pairs = {(golden[span]["session"], row["session_id"]) for span, row in zip(order, found, strict=True)}
    assert len(pairs) == len({own for own, _ in pairs}) == len({ours for _, ours in pairs})
    for span, row in zip(order, found, strict=True):
        wanted = golden[span]
        if seed is None:
            assert (row["span_id"], row["session_id"]) == (span, wanted["session"])
        texts = whole[row["span_id"]]
        own = {
            "errors": int(row["failed"]),
            "session_source": "trace" if row["session_id"] == row["trace_id"] else "explicit",
            **{column: texts[column] for column in ("dialect", "interrupted", "user_text", "bot_text")},
        }
        for column, value in wanted["values"].items():
            known = _NAMES.get(value, value) if column == "dialect" else value
            expected = pytest.approx(known, abs=_ROUNDED) if isinstance(known, float) else known
            assert {**row, **own}[column] == expected, (span, column)


def start_of(one: tuple[str, Any]) -> int:
    """Nanoseconds since 1970."""
    return int(one[1].start_time_unix_nano)


@pytest.mark.parametrize("name", CALLS)
def test_live_in_the_order_of_ends_counts_each_turn_once(name: str, tmp_path: Path) -> None:
    """Span by span as they ended, a call is counted as the rebuild says, and nothing is restated."""
    spans = sorted(spans_of(name), key=lambda one: one[1].end_time_unix_nano)
    fed, before = Fed(), spans[0][1].end_time_unix_nano
    for one in spans:
        fed.after((one[1].end_time_unix_nano - before) / 1e9)
        before = one[1].end_time_unix_nano
        fed.live.add(rows_of([one]))
    fed.after(700)
    rows = derived(tmp_path, rows_of(spans))
    assert fed.rows("turns") == latest(rows, "turns")
    assert (fed.restated, fed.late, fed.live._rows.held) == (0, 0, 0)
    check_counts(fed, rows)


def check_counts(fed: Fed, rows: list[dict[str, Any]]) -> None:
    """Assert that the metrics say what the rows do."""
    assert fed.total(s.TURNS) == sum(row["kind"] == "exchange" for row in rows)
    assert fed.observations(s.RESPONSE_GAP) == sum(row["response_gap_s"] is not None for row in rows)
    assert fed.total(s.INTERRUPTIONS) == sum(row["interrupted"] is True for row in rows)
    assert fed.total(s.BROKEN_RULES) == sum(len(row["quality"]) for row in rows)
    spoken = [row for row in rows if row["kind"] == "greeting" or row["outcome"] == "answered"]
    assert fed.total(s.REPLIES) == sum(row["interrupted"] is not None for row in spoken)
    assert fed.total(s.ERRORS) == sum(row["errors"] for row in rows)
    assert fed.total(s.SESSIONS) == 1


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("seed", range(6))
def test_live_in_any_order_ends_in_a_rebuild(name: str, seed: int, tmp_path: Path) -> None:
    """A call in shuffled batches, with pauses, ends in the rows and counts each operation as the rebuild does."""
    any_ = Random(seed)
    spans = copied(spans_of(name), seed)
    root = next(one for one in spans if one[1].name in ("conversation", "agent_session"))
    spans.remove(root)
    fed = Fed()
    for part in [*batches(spans, any_.choice((1, 2, 7, 20))), [root]]:
        fed.live.add(rows_of(part))
        fed.after(any_.choice((0.0, 1.0, 2.5, 60.0)) if part != [root] else 5)
    fed.after(700)
    rows = derived(tmp_path, rows_of([*spans, root]))
    assert {key: row for key, row in fed.rows("turns").items() if key[0] == rows[0]["session_id"]} == latest(
        rows, "turns"
    )
    assert fed.rows("sessions") == latest(derived(tmp_path, model="sessions"), "sessions")
    assert (fed.late, fed.live._rows.held) == (0, 0)
    if not fed.restated:
        check_counts(fed, rows)


def test_no_engine_is_made_for_calls_that_carry_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no span is a framework's, nothing of the placing is ever set up."""
    monkeypatch.setattr(PreparedCalls, "__init__", lambda _: pytest.fail("made"))
    fed = Fed()
    fed.live.add(rows_of(spans_of("openai_otel")))
    fed.after(700)
    assert fed.total(s.SESSIONS) == 5
