"""Operations: what the bot's parts did, each once."""

from pathlib import Path

import pytest

from otel_voicebot.spans.schema import SPANS
from tests import raw_counts
from tests.models.calls import NOON, NOON_NANO, Row, rows, span

FAILED = {"status": "error", "error_type": "timeout"}
BRIEF = "component, turn_index, failed, error_type, round(duration_s, 3) AS s"


def test_an_operation_has_its_numbers_and_its_session_and_turn(tmp_path: Path) -> None:
    """One model call is one row: whose it is, how long it took, what it used; what it doesn't say is null."""
    call = span(
        "llm", 1, 3.5, 2, id=7, provider="local", model="rules", time_to_first_chunk_s=0.5, input_tokens=12, intent="x"
    )
    assert rows(tmp_path, "operations", call) == [
        {
            **dict.fromkeys(("channel", "variant", "environment", "operation", "agent", "decision", "adapter")),
            **dict.fromkeys(("error_type", "output_tokens", "cached_input_tokens", "audio_s", "characters")),
            **dict.fromkeys(("confidence", "intent_fallback", "cache_name", "cache_level", "cache_hit")),
            **dict.fromkeys(("wer_errors", "wer_words", "mos", "mos_kind")),
            "session_id": "call",
            "turn_index": 2,
            "trace_id": "0" * 31 + "1",
            "span_id": "0" * 15 + "7",
            "component": "llm",
            "bot": "bank",
            "provider": "local",
            "model": "rules",
            "intent": "x",
            "start_unix_nano": NOON_NANO + 1_000_000_000,
            "start_time": NOON.replace(second=1),
            "duration_s": 2.5,
            "time_to_first_chunk_s": 0.5,
            "failed": False,
            "input_tokens": 12,
        }
    ]


def test_of_a_retry_the_outermost_span_counts_once(tmp_path: Path) -> None:
    """Two failed attempts inside a model call that succeeded are one operation that didn't fail."""
    found = rows(
        tmp_path,
        "operations",
        span("llm", 0, 5, 1, id=1),
        span("llm", 0, 1, 1, id=2, parent=1, **FAILED),
        span("llm", 1, 5, 1, id=3, parent=1),
        span("llm", 2, 4, 1, id=4, parent=3, **FAILED),
        span("llm", 4, 5, 1, id=5, parent=3),
        columns=BRIEF,
    )
    assert found == [{"component": "llm", "turn_index": 1, "failed": False, "error_type": None, "s": 5.0}]


NUMBERS = "provider, model, input_tokens, output_tokens, cached_input_tokens, characters, audio_s"


def test_an_operation_takes_what_it_does_not_tell_from_the_calls_in_it(tmp_path: Path) -> None:
    """Each number by itself, of the outermost that tell it; what an operation tells itself stands."""
    (found,) = rows(
        tmp_path,
        "operations",
        span("llm", 0, 9, 1, id=1, provider="own", input_tokens=100),
        span("llm", 0, 2, 1, id=2, parent=1, provider="a", model="early", input_tokens=7, output_tokens=20),
        span("llm", 0, 2, 1, id=3, parent=2, input_tokens=7, output_tokens=20, cached_input_tokens=5),
        span("other", 2, 9, 1, id=4, parent=1),
        span("llm", 3, 5, 1, id=5, parent=4, provider="b", model="late", output_tokens=3),
        span("llm", 6, 8, 1, id=6, parent=1, cached_input_tokens=1, characters=4, audio_s=0.5),
        span("tool", 6, 7, 1, id=7, parent=6, provider="c"),
        columns=f"{NUMBERS}, failed",
    )[:1]
    told = {"provider": "own", "model": "late", "input_tokens": 100, "output_tokens": 23, "cached_input_tokens": 6}
    assert found == {**told, "characters": 4, "audio_s": 0.5, "failed": False}


@pytest.mark.parametrize(
    ("own", "calls", "found"),
    [
        ({}, [("openai", "gpt-4o"), ("compatible", None)], ("openai", "gpt-4o")),
        ({}, [("openai", "gpt-4o"), (None, "rules"), ("compatible", None)], (None, "rules")),
        ({}, [("openai", None), ("compatible", None), (None, None)], ("compatible", None)),
        ({"provider": "own"}, [("openai", "gpt-4o"), ("compatible", None)], ("own", "gpt-4o")),
        ({"model": "own"}, [("openai", "gpt-4o"), ("compatible", None)], ("compatible", "own")),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_provider_and_a_model_are_of_the_same_call(
    own: Row,
    calls: list[tuple[str | None, str | None]],
    found: tuple[str | None, str | None],
    *,
    deep: bool,
    tmp_path: Path,
) -> None:
    """The last that tells a model, also where it tells no provider; what the operation tells itself stands."""
    outer = [span("llm", 0, 9, 1, id=1)] if deep else []
    inner = [span("llm", n, n + 1, 1, id=3 + n, parent=2, provider=p, model=m) for n, (p, m) in enumerate(calls)]
    spans = [*outer, span("llm", 0, 9, 1, id=2, parent=1, **own), *inner]
    assert rows(tmp_path, "operations", *spans, columns="provider, model") == [
        {"provider": found[0], "model": found[1]}
    ]
    ours = [{**dict.fromkeys(SPANS.names), **one} for one in spans]
    assert [(one["provider"], one["model"]) for one in raw_counts.operations_of(ours)] == [found]


def test_of_copies_and_of_an_outer_span_that_never_came_numbers_count_once(tmp_path: Path) -> None:
    """An inner span that comes twice is added once; below a span that is lost the inner one is the operation."""
    inner = span("llm", 0, 2, 1, id=2, parent=1, input_tokens=7)
    lost = span("llm", 3, 4, 1, id=4, parent=3, input_tokens=9)
    found = rows(
        tmp_path, "operations", span("llm", 0, 2, 1, id=1), inner, inner, lost, columns="span_id, input_tokens"
    )
    assert {(int(row["span_id"], 16), row["input_tokens"]) for row in found} == {(1, 7), (4, 9)}


OK = {"status": "ok"}
CANCELLED = "CancelledError", "asyncio.exceptions.CancelledError", "GeneratorExit"


@pytest.mark.parametrize(
    ("own", "attempts", "error"),
    [
        ({}, [FAILED], "timeout"),
        ({}, [{}, FAILED], "timeout"),
        ({}, [FAILED, {}], None),
        *(({}, [FAILED, {"status": "error", "error_type": one}], None) for one in CANCELLED),
        ({"output_tokens": 4}, [FAILED], None),
        (OK, [FAILED], None),
        ({"status": "error", "error_type": "own"}, [FAILED], "own"),
        ({"status": "error", "error_type": "own"}, [OK], "own"),
    ],
)
def test_an_error_inside_is_the_operations_unless_it_recovered(
    own: Row, attempts: list[Row], error: str | None, tmp_path: Path
) -> None:
    """One that doesn't say how it went, went as the last call in it; a cancelled call is no failure."""
    inner = [span("llm", n, n + 1, 1, id=2 + n, parent=1, **one) for n, one in enumerate(attempts)]
    spans = (span("llm", 0, 5, 1, id=1, **own), *inner)
    (found,) = rows(tmp_path / "a", "operations", *spans, columns="failed, error_type")
    assert found == {"failed": error is not None, "error_type": error}
    (turn,) = rows(tmp_path / "b", "turns", *spans, columns="errors, error_type")
    assert turn == {"errors": int(error is not None), "error_type": error}


def test_a_client_below_spans_of_no_component_is_the_same_operation(tmp_path: Path) -> None:
    """A framework's model call, a chain in it and the client's call in that are one; the tool beside it is its own."""
    found = rows(
        tmp_path,
        "operations",
        span("llm", 0, 5, 1, id=1),
        span("other", 1, 5, 1, id=2, parent=1),
        span("llm", 1, 2, 1, id=3, parent=2, **FAILED),
        *(span("other", 2, 5, 1, id=3 + n, parent=2 + n * (n > 1)) for n in range(1, 8)),
        span("llm", 2, 5, 1, id=20, parent=10),
        span("tool", 3, 4, 1, id=21, parent=10),
        span("llm", 3, 4, 1, id=22, parent=21),
        columns="span_id",
    )
    assert {int(row["span_id"], 16) for row in found} == {1, 21, 22}


@pytest.mark.parametrize("between", [span("turn", 0, 5, 1), span("tool", 0, 5, 1), span("other", 0, 5, 2)])
def test_only_spans_of_no_component_in_the_same_turn_are_looked_through(tmp_path: Path, between: Row) -> None:
    """A turn, another operation or another turn's span between two model calls makes them two."""
    middle = {**between, "span_id": (2).to_bytes(8), "parent_span_id": (1).to_bytes(8)}
    found = rows(tmp_path, "operations", span("llm", 0, 5, 1, id=1), middle, span("llm", 1, 2, 1, id=3, parent=2))
    assert sum(row["component"] == "llm" for row in found) == 2


def test_copies_and_circles_of_spans_of_no_component_stop_nothing(tmp_path: Path) -> None:
    """What a sender made up, each copy with another parent, takes no time: some operations count, each once."""
    copies = [span("other", 1, 5, 1, id=10 + n, parent=10 + (n + m) % 8) for n in range(8) for m in range(200)]
    ends = [span("llm", 0, 5, 1, id=1, parent=13), span("llm", 1, 2, 1, id=2, parent=10), span("llm", 0, 1, 1, id=3)]
    found = rows(tmp_path, "operations", *ends, *copies, span("llm", 0, 1, 1, id=4, parent=3), columns="span_id")
    assert {int(row["span_id"], 16) for row in found} == {1, 2, 3}


def test_an_operation_inside_another_component_counts(tmp_path: Path) -> None:
    """A tool that a model call runs is an operation of its own, also when a span of no component lies between."""
    found = rows(
        tmp_path,
        "operations",
        span("llm", 0, 5, 1, id=1),
        span("other", 1, 4, 1, id=2, parent=1),
        span("tool", 1, 2, 1, id=3, parent=2, **FAILED),
        columns=f"{BRIEF}",
    )
    assert sorted(found, key=lambda row: row["component"]) == [
        {"component": "llm", "turn_index": 1, "failed": False, "error_type": None, "s": 5.0},
        {"component": "tool", "turn_index": 1, "failed": True, "error_type": "timeout", "s": 1.0},
    ]


def test_a_span_that_was_delivered_twice_counts_once(tmp_path: Path) -> None:
    """Of a repeated delivery the copy that came in first counts; the same span id in another trace is another span."""
    first = span("stt", 0, 1, 1, id=1)
    found = rows(
        tmp_path,
        "operations",
        {**first, "ingest_time": first["ingest_time"] + 5_000_000, "duration_ns": 9_000_000_000},
        first,
        first,
        span("stt", 0, 2, 1, id=1, trace=2),
        columns="trace_id[32] AS trace, duration_s",
    )
    assert sorted(map(tuple, (row.values() for row in found))) == [("1", 1.0), ("2", 2.0)]


def test_a_broken_duration_is_null_and_the_operation_still_counts(tmp_path: Path) -> None:
    """A span that ends before it starts has no duration; that it happened is known."""
    broken = {**span("stt", 2, 1, 1), "duration_ns": None}
    assert rows(tmp_path, "operations", broken, columns=BRIEF) == [
        {"component": "stt", "turn_index": 1, "failed": False, "error_type": None, "s": None}
    ]


def test_what_is_no_operation_is_left_out(tmp_path: Path) -> None:
    """Sessions, turns, endpointing, playout, handoffs and other spans are no operations."""
    kinds = ("session", "turn", "endpointing", "playout", "handoff", "other")
    assert rows(tmp_path, "operations", *(span(kind, 0, 1, 1) for kind in kinds)) == []
