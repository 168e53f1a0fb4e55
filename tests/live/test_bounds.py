"""What a sender makes up, or a computation that fails, must cost neither the other calls nor memory."""

import pytest

from bench import wire
from otel_voicebot import semconv as s
from tests.live.doors import Fed


def call(name: str, tokens: int) -> list[wire.Span]:
    """A call of one turn with two model calls."""
    trace, at = name.encode().ljust(16, b"-"), 1_770_000_000_000_000_000
    own: dict[str, wire.Value] = {s.SESSION_ID: name, s.BOT: "bank", s.TURN_INDEX: 1}
    asked: dict[str, wire.Value] = {**own, s.OPERATION_NAME: "chat", s.INPUT_TOKENS: tokens}
    return [
        *(wire.Span(trace, bytes([n]) * 8, b"t" * 8, "chat m", 3, at, at + 10, asked) for n in (1, 2)),
        wire.Span(trace, b"t" * 8, b"s" * 8, s.SPAN_TURN, 1, at, at + 20, own),
        wire.Span(trace, b"s" * 8, b"", s.SPAN_SESSION, 1, at, at + 30, {s.SESSION_ID: name, s.BOT: "bank"}),
    ]


def test_absurd_numbers_stop_no_other_call() -> None:
    """A count that no model call has is null in its turn; both calls are counted, and nothing is left in memory."""
    fed = Fed()
    fed.add([*call("absurd", 2**62 + 5), *call("sound", 7)])
    fed.after(6)
    tokens = {key[0]: row["input_tokens"] for key, row in fed.rows("turns").items()}
    assert tokens == {"absurd": None, "sound": 14}
    assert fed.total(s.SESSIONS) == 2
    assert fed.live._rows.held == 0


def test_what_can_not_be_computed_is_given_up_once() -> None:
    """The failure is raised, its calls are released and counted as evicted, and the next call is whole."""
    fed = Fed()
    take, fed.live._emit = fed.live._emit, _fails
    fed.add(call("lost", 7))
    with pytest.raises(RuntimeError):
        fed.after(6)
    assert (fed.live._rows.held, fed.live.active()["bank"]) == (0, 0)
    assert fed.metrics.get(s.SELF_EVICTED) == 1
    fed.live._emit = take
    fed.add(call("next", 7))
    fed.after(6)
    assert set(fed.rows("sessions")) == {("next",)}


def _fails(table: str, rows: object) -> None:
    raise RuntimeError(table)
