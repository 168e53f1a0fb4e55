"""SessionProcessor: where it looks, what it leaves alone, what bounds it."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.embedded import session_processor
from otel_voicebot.embedded.session_processor import SessionProcessor
from otel_voicebot.instrument.context import Scope, enter
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.testing import DeterministicClock, Recording, recording

STAMP = {"session.id": "s", "voicebot.bot": "bank", "voicebot.channel": "phone", "voicebot.variant": "B"}


class Bench:
    """A processor with its counters and clock, recording."""

    def __init__(self, **options: Any) -> None:
        self.metrics = SelfMetrics()
        self.clock = DeterministicClock()
        self.processor = SessionProcessor(self.metrics, monotonic=lambda: self.clock() / 1e9, **options)


@pytest.fixture
def bench() -> Bench:
    """Three sessions at most, kept for a minute."""
    return Bench(max_sessions=3, kept_s=60.0)


@pytest.fixture
def record(bench: Bench) -> Iterator[Recording]:
    """Spans in memory, stamped."""
    with recording(processors=[bench.processor], clock=bench.clock) as made:
        yield made


def call() -> Any:
    """The call that the tests hold."""
    return vb.session(bot="bank", channel="phone", variant="B", session_id="s")


def remote(span: trace.Span) -> Context:
    """What another process, or a plain thread, knows of a span: its ids."""
    ids = span.get_span_context()
    far = SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(far), Context())


def test_spans_of_others_are_stamped_from_the_context(record: Recording) -> None:
    """A span that another library starts in a session says so, with the turn when one is open."""
    tracer = record.provider.get_tracer("other")
    with call():
        tracer.start_span("before").end()
        with vb.turn():
            tracer.start_span("during", attributes={"mine": 1}).end()
    tracer.start_span("after").end()
    assert record.sink.attributes("before") == STAMP
    assert record.sink.attributes("during") == {"mine": 1, **STAMP, "voicebot.turn.index": 1}
    assert record.sink.attributes("after") == {}


def test_a_parent_is_enough_where_the_context_is_lost(record: Recording) -> None:
    """A plain thread that was only handed the parent span, or its ids, stays in the session and its turn."""
    tracer = record.provider.get_tracer("other")

    def work(name: str, parent: Context) -> None:
        tracer.start_span(name, context=parent).end()

    with call() as session, vb.turn() as turn:
        parents = {
            "of the turn": trace.set_span_in_context(turn.span, Context()),
            "of the session": trace.set_span_in_context(session.span, Context()),
            "of the turn's ids": remote(turn.span),
        }
        for name, parent in parents.items():
            thread = threading.Thread(target=work, args=(name, parent))
            thread.start()
            thread.join()
    for name in parents:
        assert record.sink.attributes(name) == {**STAMP, "voicebot.turn.index": 1}, name


def test_our_own_spans_are_stamped_also_by_parent(record: Recording) -> None:
    """A component entered in a thread that knows only the ids of the turn is stamped by the processor."""
    with call(), vb.turn() as turn:
        token = context.attach(remote(turn.span))
        with vb.stt():
            pass
        context.detach(token)
    assert record.sink.attributes("voicebot.stt") == {**STAMP, "voicebot.turn.index": 1}


def test_sessions_made_by_hand_are_inherited(record: Recording) -> None:
    """A local parent that carries session.id by itself gives it on to its children and theirs."""
    tracer = record.provider.get_tracer("other")
    by_hand = {"session.id": "hand", "voicebot.turn.index": 4, "unrelated": True}
    with tracer.start_as_current_span("root", attributes=by_hand), tracer.start_as_current_span("child"):
        tracer.start_span("grandchild").end()
    for name in ("child", "grandchild"):
        assert record.sink.attributes(name) == {"session.id": "hand", "voicebot.turn.index": 4}


def test_the_parents_call_wins_over_the_call_around(record: Recording) -> None:
    """Work for another call, done while this one is current, is booked on the other: by span, ids, our own blocks."""
    tracer = record.provider.get_tracer("other")
    with vb.session(bot="bank", session_id="theirs") as theirs:
        pass
    with call(), vb.turn():
        tracer.start_span("by span", context=trace.set_span_in_context(theirs.span)).end()
        ids = theirs.span.get_span_context()
        tracer.start_span("by ids", context=trace.set_span_in_context(NonRecordingSpan(ids))).end()
        with trace.use_span(NonRecordingSpan(ids)), vb.stt():
            pass
        stranger = SpanContext(77, 77, is_remote=True, trace_flags=TraceFlags(1))
        tracer.start_span("stranger", context=trace.set_span_in_context(NonRecordingSpan(stranger))).end()
    for name in ("by span", "by ids"):
        assert record.sink.attributes(name) == {"session.id": "theirs", "voicebot.bot": "bank"}, name
    assert record.sink.attributes("stranger") == {**STAMP, "voicebot.turn.index": 1}
    assert record.sink.attributes("voicebot.stt") == {"session.id": "theirs", "voicebot.bot": "bank"}


def test_an_explicit_session_id_is_left_alone(record: Recording) -> None:
    """What someone set himself is not overwritten, and not mixed with ours."""
    tracer = record.provider.get_tracer("other")
    with call(), vb.turn():
        tracer.start_span("explicit", attributes={"session.id": "mine"}).end()
    vb.feedback("late", csat=3)
    assert record.sink.attributes("explicit") == {"session.id": "mine"}
    assert record.sink.attributes("voicebot.feedback") == {"session.id": "late", "voicebot.csat": 3}


def test_a_trace_is_forgotten_a_minute_after_its_session(record: Recording, bench: Bench) -> None:
    """Work that outlives the call is still booked on it for a while; then the entry is gone."""
    tracer = record.provider.get_tracer("other")
    with call() as first:
        pass
    bench.clock.advance(59)
    tracer.start_span("soon", context=remote(first.span)).end()
    bench.clock.advance(2)
    with call():
        assert len(bench.processor) == 1
    tracer.start_span("late", context=remote(first.span)).end()
    assert record.sink.attributes("soon") == STAMP
    assert record.sink.attributes("late") == {}


def test_the_map_is_bounded_and_drops_the_one_unused_longest(record: Recording, bench: Bench) -> None:
    """Beyond its cap the processor forgets one trace, counts that, and keeps those that are in use."""
    tracer = record.provider.get_tracer("other")
    calls = [vb.session(bot="b", session_id=str(number)).start() for number in range(3)]
    tracer.start_span("used", context=remote(calls[0].span)).end()
    calls.append(vb.session(bot="b", session_id="3").start())
    assert len(bench.processor) == 3
    for number, open_call in enumerate(calls):
        tracer.start_span(f"of {number}", context=remote(open_call.span)).end()
        open_call.end()
    known = [record.sink.attributes(f"of {number}").get("session.id") for number in range(4)]
    assert known == ["0", None, "2", "3"]
    assert bench.metrics.get(semconv.SELF_FAILURES, "stamp_forgotten") == 1


def test_a_failure_is_counted_and_never_reaches_the_bot(record: Recording, bench: Bench) -> None:
    """When stamping itself breaks, the span is started without a stamp and the failure counted."""
    broken: Any = object()
    tracer = record.provider.get_tracer("other")
    tracer.start_span("x", context=enter(Scope(broken, broken, broken), remote(tracer.start_span("y")))).end()
    assert record.sink.attributes("x") == {}
    assert bench.metrics.get(semconv.SELF_FAILURES, "stamp") == 1


class Public:
    """A span that shows what the SDK documents, and nothing else."""

    def __init__(self, span: Any) -> None:
        self.name, self.parent, self.instrumentation_scope = span.name, span.parent, span.instrumentation_scope
        self.attributes, self.set_attributes = span.attributes, span.set_attributes


class ByPublicWay(SpanProcessor):
    """Lets a processor see no more than that."""

    def __init__(self, processor: SpanProcessor) -> None:
        self.processor = processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp."""
        shown: Any = Public(span)
        self.processor.on_start(shown, parent_context)


def test_the_fast_way_and_the_public_way_give_the_same_span(bench: Bench) -> None:
    """Writing into the SDK's own dict gives what ``set_attributes`` gives, also at the SDK's limits."""
    results = []
    limits = (SpanLimits(), SpanLimits(max_span_attributes=4), SpanLimits(max_span_attribute_length=2))
    for way in (bench.processor, ByPublicWay(bench.processor)):
        for limit in limits:
            provider = TracerProvider(span_limits=limit, shutdown_on_exit=False)
            provider.add_span_processor(way)
            with recording(processors=[bench.processor]), call(), vb.turn():
                span: Any = provider.get_tracer("other").start_span("x", attributes={"a": 1, "b": "xyz"})
                results.append((dict(span.attributes), span.dropped_attributes))
    assert results[:3] == results[3:]
    assert results[0][0] == {"a": 1, "b": "xyz", **STAMP, "voicebot.turn.index": 1}
    assert bench.metrics.get(semconv.SELF_FAILURES, "stamp") == 0


def test_the_sdk_still_keeps_attributes_where_the_fast_way_looks() -> None:
    """An SDK that keeps them otherwise is still right, but slower: this tells us."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("x")
    span: Any = tracer.start_span("x")
    child: Any = tracer.start_span("y", context=trace.set_span_in_context(span))
    assert session_processor._held(span) == {}
    assert child._parent[0] == span.get_span_context().trace_id


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_stamp_although_the_lock_was_held(record: Recording, bench: Bench) -> None:
    """A child made while another thread held the lock starts sessions without waiting for ever."""
    with bench.processor._lock:
        child = os.fork()
        if child == 0:
            with call():
                os._exit(0 if len(bench.processor) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
