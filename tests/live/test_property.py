"""The property that holds it together: live and batch, in any order and by any door, say the same of a call."""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import wire
from bench.generate import calls
from otel_voicebot import semconv as s
from otel_voicebot.models import Engine
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests import raw_counts
from tests.live.doors import Fed, rebuilt, rows_of

START = 1_770_000_000_000_000_000
HALF_A_SECOND = 500_000_000
OPERATIONS = (s.SPAN_STT, "chat m", s.SPAN_TTS, s.SPAN_NLU, s.SPAN_CACHE, "execute_tool t", s.SPAN_API, s.SPAN_RAG)
SPEECH = (s.USER_SPEECH_START, s.USER_SPEECH_END, s.BOT_SPEECH_START, s.BOT_SPEECH_END)

Stamps = dict[str, wire.Value]
Values = dict[str, Callable[[Random], wire.Value]]

VALUES: Values = {
    s.PROVIDER: lambda any_: any_.choice("ab"),
    s.REQUEST_MODEL: lambda any_: any_.choice("mn"),
    s.TIME_TO_FIRST_CHUNK: lambda any_: any_.random(),
    s.INPUT_TOKENS: lambda any_: any_.randrange(1000),
    s.WER_ERRORS: lambda any_: any_.randrange(5),
    s.WER_WORDS: lambda any_: any_.randrange(9),
    s.USER_WORDS: lambda any_: any_.randrange(9),
    s.BOT_WORDS: lambda any_: any_.randrange(9),
    s.AUDIO_DURATION: lambda any_: any_.random() * 60,
    s.MOS: lambda any_: 1 + any_.random() * 4,
    s.MOS_KIND: lambda any_: any_.choice(["dnsmos", "survey"]),
    s.INTENT_NAME: lambda any_: any_.choice(["loan", "balance"]),
    s.INTENT_CONFIDENCE: lambda any_: any_.random(),
    s.CACHE_HIT: lambda any_: any_.random() < 0.5,
    s.TTS_CHARACTERS: lambda any_: any_.randrange(99),
}
HANDOFF: Values = {
    s.HANDOFF_TARGET: lambda any_: any_.choice(["human", "loan-bot"]),
    s.HANDOFF_REQUESTED_BY: lambda any_: any_.choice(["caller", "bot"]),
    s.HANDOFF_PLANNED: lambda any_: any_.random() < 0.5,
    s.HANDOFF_BLOCKED: lambda any_: any_.random() < 0.2,
}
SESSION: Values = {
    s.SESSION_OUTCOME: lambda any_: any_.choice(s.OUTCOMES),
    s.SESSION_INTENT: lambda any_: any_.choice(["loan", "other"]),
    s.CSAT: lambda any_: any_.randint(1, 5),
    s.USER_HASH: lambda _: "h",
}
TURN: Values = {
    s.TURN_INTERRUPTED: lambda any_: any_.random() < 0.5,
    s.TURN_END_REASON: lambda any_: any_.choice(["hung_up", "spoke_again", "completed"]),
}


class Maker:
    """Makes the spans of calls: anything may be missing, operations may be nested, names may come late."""

    def __init__(self, seed: int) -> None:
        self.any = Random(seed)
        self.spans: list[wire.Span] = []

    def some(self, values: Values) -> Stamps:
        """Some of these attributes."""
        return {name: make(self.any) for name, make in values.items() if self.any.random() < 0.4}

    def span(self, trace: int, name: str, attributes: Stamps, parent: bytes = b"", events: Sequence[str] = ()) -> bytes:
        """One span at a time of its own; gives its id."""
        number = len(self.spans) + 1
        # No two spans start or end at the same nanosecond: which of two is the first must not depend on anything.
        start = START + self.any.randrange(60) * 1_000_000_000 + number
        end = start + self.any.randrange(20) * 1_000_000_000 + number * 1000
        marks = [(start + at * 100_000_000, event, {}) for at, event in enumerate(events)]
        failed: Stamps = {s.ERROR_TYPE: "timeout"} if self.any.random() < 0.2 else {}
        head = (trace.to_bytes(16), number.to_bytes(8), parent, name, 1, start, end)
        self.spans.append(wire.Span(*head, {**attributes, **failed}, marks, "it failed" if failed else None))
        return self.spans[-1].span_id

    def operation(self, trace: int, stamps: Stamps, parent: bytes) -> None:
        """One operation, sometimes with attempts of its own kind inside."""
        name = self.any.choice(OPERATIONS)
        for _ in range(self.any.choice((1, 1, 1, 2, 3))):
            parent = self.span(trace, name, {**stamps, **self.some(VALUES)}, parent)

    def turn(self, trace: int, named: Stamps, index: int) -> None:
        """A turn with or without a span of its own, whose parts may lack the session's id."""
        stamps = {**self.any.choice(({}, named)), s.TURN_INDEX: index}
        parent = b""
        if self.any.random() < 0.75:
            events = self.any.choices(SPEECH, k=self.any.randrange(6))
            parent = self.span(trace, s.SPAN_TURN, {**stamps, **self.some(TURN)}, events=events)
        for _ in range(self.any.randrange(4)):
            self.operation(trace, stamps, parent)
        if self.any.random() < 0.5:
            outcome = {s.ENDPOINTING_OUTCOME: self.any.choice(["committed", "resumed", "dropped"])}
            self.span(trace, s.SPAN_ENDPOINTING, {**stamps, **outcome}, parent)
        if self.any.random() < 0.2:
            self.span(trace, s.SPAN_HANDOFF, {**stamps, **self.some(HANDOFF)}, parent)

    def call(self, number: int) -> None:
        """A call of one or two traces; sometimes nothing names its session, sometimes only its own span does."""
        named: Stamps = self.any.choice(({}, {s.SESSION_ID: f"call-{number}"}))
        traces = [number * 2 + 1]
        if named and self.any.random() < 0.5:
            traces.append(number * 2 + 2)
            self.span(traces[-1], s.SPAN_API, named)
        for index in range(1, self.any.randint(1, 3) + 1):
            self.turn(self.any.choice(traces), named, index)
        for _ in range(self.any.randrange(3)):
            self.operation(traces[0], named, b"")
        if self.any.random() < 0.75:
            self.span(traces[0], s.SPAN_SESSION, {**named, s.BOT: "bank", **self.some(SESSION)})


def drawn_calls(seed: int) -> list[wire.Span]:
    """The spans of two calls."""
    maker = Maker(seed)
    for number in range(2):
        maker.call(number)
    return maker.spans


def feed(spans: Sequence[wire.Span], seed: int, batches: int, longest: float = 60.0) -> Fed:
    """The spans in shuffled batches through both doors, while time passes: never so long that a session is over.

    A pause that is longer than the idle timeout ends a session for now only, if its own span hasn't come.
    """
    fed, any_ = Fed(), Random(seed)
    shuffled = any_.sample(spans, len(spans))
    size = -(-len(shuffled) // (batches or len(shuffled)))
    left = 4.5  # seconds in which a call whose own span came stays open
    ended = False
    for first in range(0, len(shuffled), size):
        batch = shuffled[first : first + size]
        fed.add(batch, any_.choice(("sdk", "otlp")))
        ended |= any(span.name == s.SPAN_SESSION for span in batch)
        passes = min(any_.choice((0.0, 1.0, 2.0)), left) if ended else any_.choice((0.0, 1.0, 2.5, longest))
        left -= passes if ended else 0
        fed.after(passes)
    return fed.after(700)


def same_rows(fed: Fed, spans: Sequence[wire.Span]) -> tuple[dict[str, Any], set[str]]:
    """Demand the rows of a rebuild; gives these, and the traces whose session has another name than they."""
    with tempfile.TemporaryDirectory() as data:
        expected = rebuilt(Path(data), spans)
    renamed = {span.trace_id.hex() for span in spans if s.SESSION_ID in span.attributes}
    for table in ("turns", "sessions"):
        # A turn that was final before its trace had a name was written under the trace's id, too.
        found = {key: row for key, row in fed.rows(table).items() if key[0] not in renamed}
        assert found == expected[table]
    return expected, renamed


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=st.integers(0, 2**32), order=st.integers(0, 2**32), batches=st.sampled_from((1, 2, 5, 0)))
def test_any_order_door_and_batches_give_a_rebuild(call: int, order: int, batches: int) -> None:
    """Calls fed in 1, 2 or N shuffled batches by either door end in the rows that the engine computes from files.

    Nothing is counted twice, and where a metric differs from the rebuild ``restated`` has said so.
    """
    spans = drawn_calls(call)
    fed = feed(spans, order, batches)
    expected, _ = same_rows(fed, spans)
    assert fed.late == 0
    assert fed.after(3600).live._rows.held == 0
    assert fed.total(s.SESSIONS) == len(expected["sessions"])
    if not fed.restated:
        assert fed.total(s.TURNS) == sum(row["kind"] == "exchange" for row in expected["turns"].values())
        if not retried_outside_turns(spans):
            operations = sum(row["operations"] for row in expected["sessions"].values())
            assert fed.observations(s.OPERATION_DURATION) == operations


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=st.integers(0, 2**32), order=st.integers(0, 2**32), batches=st.sampled_from((2, 5, 0)))
def test_calls_with_long_silences_give_a_rebuild(call: int, order: int, batches: int) -> None:
    """Pauses beyond the idle timeout change no row, as long as the calls' own spans haven't come.

    A call is counted at its first silence, and once more only where nobody could know that two were one.
    """
    spans = drawn_calls(call)
    fed = feed(spans, order, batches, longest=700.0)
    expected, renamed = same_rows(fed, spans)
    assert fed.after(3600).live._rows.held == 0
    merged = {key for key in fed.rows("sessions") if key[0] in renamed}
    assert len(expected["sessions"]) <= fed.total(s.SESSIONS) <= len(expected["sessions"]) + len(merged)


def retried_outside_turns(spans: Sequence[wire.Span]) -> bool:
    """Attempts outside turns may be counted before what they are attempts of has come (after LOOSE_GRACE_S)."""
    loose = {(one.trace_id, one.span_id) for one in spans if s.TURN_INDEX not in one.attributes}
    return any((one.trace_id, one.parent_id) in loose for one in spans)


def test_operations_in_operations_are_what_plain_python_makes_of_them(tmp_path: Path) -> None:
    """Of random calls with up to three of a kind in each other: which count, and what they take from those in them."""
    maker = Maker(7)
    for number in range(60):
        maker.call(number)
    SpanStore(tmp_path).commit([rows_of(maker.spans)])
    told = ("provider", "model", "input_tokens", "audio_s", "characters")
    spans, _ = raw_counts.read_spans(tmp_path)
    expected = {
        row["span_id"].hex(): ([row[name] for name in told], row["error_type"] if row["status"] == "error" else None)
        for row in raw_counts.operations_of(spans)
    }
    with Engine(snapshot(tmp_path)) as engine:
        rows = engine.table("operations").to_pylist()
    assert {row["span_id"]: ([row[name] for name in told], row["error_type"]) for row in rows} == expected
    assert 200 < len(rows) < sum(one["component"] in raw_counts.OPERATIONS for one in spans) - 100


def test_generated_calls_are_counted_exactly(tmp_path: Path) -> None:
    """Realistic calls, fed span by span in the order they ended, give the rows of a rebuild and restate nothing."""
    spans = [span for call in calls(300, seed=3) for span in call.spans]
    fed = Fed()
    now = spans[0].start // HALF_A_SECOND
    ordered = sorted(spans, key=lambda span: span.end)
    for slot, batch in itertools.groupby(ordered, lambda span: span.end // HALF_A_SECOND):
        fed.after((slot - now) / 2)
        now = slot
        fed.add(list(batch), "sdk" if slot % 2 else "otlp")
    fed.after(700)
    expected = rebuilt(tmp_path, spans)
    assert {table: fed.rows(table) for table in expected} == expected
    exchanges = [row for row in expected["turns"].values() if row["kind"] == "exchange"]
    assert exchanges
    assert all(row["segments"] for row in exchanges)
    assert (fed.restated, fed.late) == (0, 0)
    assert fed.total(s.TURNS) == sum(row["kind"] == "exchange" for row in expected["turns"].values())
