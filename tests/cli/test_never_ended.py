"""``otel-voicebot doctor`` on captures of which spans never ended: they never come, or come without an end."""

import time
from collections.abc import Callable

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.cli.conftest import run
from tests.cli.test_doctor import Examine, examine, of_kind, troubles
from tests.reports.captures import another, capture, spans, without

__all__ = ["examine", "run"]

ROOTS = ("agent_session", "conversation")
TURNS = [("livekit", "agent_turn"), ("pipecat", "turn"), ("pipecat_1_0_0", "turn")]


def some(name: str, turn: str, chosen: slice) -> Callable[[Span], bool]:
    """Whether a span is one of these turns, in the order of their starts."""
    found = sorted((one for one in spans(capture(name)) if one.name == turn), key=lambda one: one.start_time_unix_nano)
    ids = {one.span_id for one in found[chosen]}
    assert ids
    return lambda one: one.span_id in ids


@pytest.mark.parametrize(("name", "turn"), TURNS)
@pytest.mark.parametrize("others", [(), ROOTS])
def test_a_turn_that_never_comes_in_any_call_is_missing(
    examine: Examine, name: str, turn: str, others: tuple[str, ...]
) -> None:
    """It is always written, so its absence is trouble and named; so are its parts, which name a parent."""
    code, document = examine(without(capture(name), lambda one: one.name in (turn, *others)))
    assert (code, troubles(document)) == (1, {"missing", "sampled"})
    assert f"span {turn} is missing" in of_kind(document, "missing")[0]["text"]


@pytest.mark.parametrize("chosen", [slice(-1, None), slice(-3, None), slice(1), slice(4, 5), slice(None, None, 2)])
@pytest.mark.parametrize(("name", "turn"), TURNS)
def test_some_turns_that_never_come_leave_parts_without_a_parent(
    examine: Examine, name: str, turn: str, chosen: slice
) -> None:
    """The last, some, or every other one: spans name a parent that never came, which may never have ended."""
    code, document = examine(without(capture(name), some(name, turn, chosen)))
    assert (code, troubles(document)) == (1, {"sampled"})
    (found,) = of_kind(document, "sampled")
    assert "name a parent that never came" in found["text"]
    assert "never ended" in found["advice"]


@pytest.mark.parametrize(("name", "turn"), TURNS)
def test_one_call_without_turns_beside_a_whole_one_is_trouble(examine: Examine, name: str, turn: str) -> None:
    """The framework writes them, so they aren't missing: the parts of the one call say it."""
    hollow = without(another(capture(name), b"2" * 16), lambda one: one.name == turn)
    code, document = examine(capture(name), hollow)
    assert (code, troubles(document)) == (1, {"sampled"})
    assert "of 1 of 2 ended calls name a parent that never came" in of_kind(document, "sampled")[0]["text"]


@pytest.mark.parametrize(
    ("name", "names"), [*((name, (turn,)) for name, turn in TURNS), ("livekit", ROOTS), ("pipecat", ROOTS)]
)
def test_spans_that_come_without_an_end_are_named(examine: Examine, name: str, names: tuple[str, ...]) -> None:
    """Their calls are over, and nobody knows how long they took."""
    request = capture(name)
    open_ = [one for one in spans(request) if one.name in names]
    for one in open_:
        one.end_time_unix_nano = 0
    code, document = examine(request)
    assert (code, troubles(document)) == (1, {"never_ended"})
    (found,) = of_kind(document, "never_ended")
    assert found["names"] == sorted({one.name for one in open_})
    number = f"{len(open_)} span" + "s" * (len(open_) > 1)
    assert found["text"].startswith(f"{number} never ended, in 1 of 1 ended call: ")


def test_a_call_without_its_own_span_only_is_no_trouble(examine: Examine) -> None:
    """What stands around LiveKit's turns has no parent then, and that is told by itself."""
    code, document = examine(without(capture("livekit"), lambda one: one.name in ROOTS))
    assert (code, troubles(document)) == (0, set())
    assert of_kind(document, "no_root")


@pytest.mark.parametrize(("name", "turn"), TURNS)
def test_a_call_of_which_no_span_ended_is_told_by_when_its_spans_began(examine: Examine, name: str, turn: str) -> None:
    """Long ago, and without the call's own span."""
    request = without(capture(name), lambda one: one.name in ROOTS)
    for one in spans(request):
        one.end_time_unix_nano = 0
    code, document = examine(request)
    assert code == 1
    assert turn in of_kind(document, "never_ended")[0]["names"]


def test_a_call_under_way_whose_own_span_was_sent_open_is_no_trouble(examine: Examine) -> None:
    """Somebody exports spans as they start: the call isn't over for that."""
    request = another(capture("pipecat"), b"3" * 16, time.time_ns() - 60 * 10**9)
    for one in spans(request):
        if one.name == "conversation":
            one.end_time_unix_nano = 0
    _, document = examine(request)
    assert of_kind(document, "never_ended") == []
