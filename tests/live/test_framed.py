"""Calls of frameworks in a live state that takes up what a killed one has left."""

from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_voicebot import semconv as s
from otel_voicebot.live import KEY, Aggregator, Left, Resumable
from otel_voicebot.models.framed import PreparedCalls
from otel_voicebot.models.prepared import NARROW
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans.schema import TURNS
from tests.dialects.captured import rows_of, spans_of
from tests.live.doors import Clock

METRICS = (
    *(s.TURNS, s.OPERATION_DURATION, s.RESPONSE_GAP, s.INTERRUPTIONS, s.ERRORS, s.TOKENS, s.HANDOFFS, s.SESSIONS),
    s.RESTATED,
)


class Process:
    """A live state with what it counts and writes."""

    def __init__(self) -> None:
        self.clock, self.aggregator = Clock(), Aggregator()
        self.written: list[dict[str, Any]] = []
        self.noted: list[pa.Array] = []
        self.live = Resumable(self.aggregator, SelfMetrics(), self._write, clock=self.clock, note=self.noted.append)

    def _write(self, table: str, rows: pa.Table) -> None:
        if table == "turns":
            self.written += rows.select([name for name in TURNS.names if name in rows.column_names]).to_pylist()

    def take(self, rows: pa.RecordBatch) -> None:
        """Spans come in, one by one."""
        for number in range(rows.num_rows):
            self.live.add(rows.slice(number, 1))
            self.pass_(2.5)

    def pass_(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds
        if self.live.due():
            self.live.tick()

    def killed(self, spans: pa.RecordBatch, *, rewritten: bool) -> "Process":
        """The next process, which knows what this one wrote and noted; notes are rewritten when they are many."""
        notes = [self.live.counted()] if rewritten else self.noted
        kept = pa.RecordBatch.from_arrays([spans[name] for name in NARROW.names], schema=NARROW)
        rows = pa.Table.from_pylist(list({row["turn_index"]: row for row in self.written}.values()))
        after = Process()
        after.live.resume(Left(spans=kept, turns=rows, counted=pa.concat_arrays([pa.array([], KEY), *notes])))
        return after

    def counts(self) -> dict[str, float]:
        """What each metric sums to."""
        read = self.aggregator.read()
        return {
            metric.name: sum(one.total + one.counts.sum() for one in read.get(metric.name, {}).values())
            for metric in METRICS
        }


@pytest.mark.parametrize("name", ["pipecat", "livekit"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_killed_process_has_counted_what_it_wrote(name: str, share: float) -> None:
    """Two processes, the second of which takes up the call, count together what one that was never killed does."""
    (rows,) = pa.Table.from_batches([rows_of(spans_of(name))]).sort_by("end_unix_nano").combine_chunks().to_batches()
    cut = int(rows.num_rows * share)
    whole, first, second = Process(), Process(), Process()
    whole.take(rows)
    whole.pass_(700)
    first.take(rows.slice(0, cut))
    kept = pa.RecordBatch.from_arrays([rows[name] for name in NARROW.names], schema=NARROW)
    latest = {row["turn_index"]: row for row in first.written}
    turns = pa.Table.from_pylist(list(latest.values()))
    second.live.resume(Left(spans=kept.slice(0, cut), turns=turns))
    second.take(rows.slice(cut))
    second.pass_(700)
    sums = {name: first.counts()[name] + second.counts()[name] for name in whole.counts()}
    assert sums == pytest.approx(whole.counts())
    assert len(latest) > 1
    assert {row["turn_index"] for row in second.written} >= {*range(1, 11)} - set(latest)


def test_what_was_counted_before_the_framework_showed_is_not_counted_again() -> None:
    """A model call of the job, before LiveKit's first span comes, is counted after 5 s, and that once."""
    before = made("chat gpt-4.1", 5, parent=1, key=s.INPUT_TOKENS, scope="opentelemetry.util.genai.handler")
    turn = [made("agent_turn", 21, parent=2), made("llm_request", 22, parent=21, key=s.INPUT_TOKENS)]
    process = Process()
    for spans, seconds in (([before], 6), (turn, 3), ([made("agent_session", 2, parent=1)], 700)):
        process.live.add(rows_of(spans))
        process.pass_(seconds)
        if spans == [before]:
            assert process.counts()[s.TOKENS.name] == 100
    assert process.counts()[s.TOKENS.name] == 200
    assert process.counts()[s.OPERATION_DURATION.name] == pytest.approx(2 + 2)  # seconds, and how many


@pytest.mark.parametrize("rewritten", [False, True])
def test_what_was_noted_before_the_framework_showed_is_not_counted_after_kills(*, rewritten: bool) -> None:
    """A model call of the job is counted, LiveKit's spans come, and two processes are killed one after the other."""
    before = made("chat gpt-4.1", 5, parent=1, key=s.INPUT_TOKENS, scope="opentelemetry.util.genai.handler")
    turn = [made("agent_turn", 21, parent=2), made("llm_request", 22, parent=21, key=s.INPUT_TOKENS)]
    first = Process()
    first.live.add(rows_of([before]))
    first.pass_(6)
    first.live.add(rows_of(turn))
    second = first.killed(rows_of([before, *turn]), rewritten=rewritten)
    second.noted += [] if rewritten else first.noted
    second.pass_(3)
    third = second.killed(rows_of([before, *turn]), rewritten=rewritten)
    third.live.add(rows_of([made("agent_session", 2, parent=1)]))
    third.pass_(700)
    processes = (first, second, third)
    assert [process.counts()[s.TOKENS.name] for process in processes] == [100, 0, 100]
    assert third.counts()[s.SESSIONS.name] == 1
    assert not any(process.counts()[s.RESTATED.name] for process in processes)


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_native_turn_beside_a_framework_is_not_counted_after_a_kill(*, rewritten: bool) -> None:
    """A turn of our own with a model call and a handoff has a row; the next process finds LiveKit's spans beside it."""
    turn, call, handoff = (
        made(name, number, parent=parent, key=s.TURN_INDEX, value=1, scope=s.SCOPE_NAME)
        for name, number, parent in ((s.SPAN_TURN, 3, 1), ("chat", 4, 3), (s.SPAN_HANDOFF, 6, 3))
    )
    turn[1].events.add(name=s.USER_SPEECH_END, time_unix_nano=turn[1].start_time_unix_nano + 1)
    call[1].attributes.add(key=s.INPUT_TOKENS).value.int_value = 100
    first = Process()
    first.live.add(rows_of([turn, call, handoff]))
    first.pass_(3)
    assert [first.counts()[metric.name] for metric in (s.TURNS, s.TOKENS, s.HANDOFFS)] == [1, 100, 1]
    framework = [made("eou_detection", 14, parent=1), made("agent_session", 1)]
    first.live.add(rows_of(framework[:1]))
    second = first.killed(rows_of([turn, call, handoff, framework[0]]), rewritten=rewritten)
    second.live.add(rows_of(framework[1:]))
    second.pass_(700)
    found = {metric.name: second.counts()[metric.name] for metric in (s.TURNS, s.TOKENS, s.HANDOFFS, s.SESSIONS)}
    assert found == {s.TURNS.name: 0, s.TOKENS.name: 0, s.HANDOFFS.name: 0, s.SESSIONS.name: 1}


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_handoff_of_a_turn_without_a_row_is_not_counted_after_a_kill(*, rewritten: bool) -> None:
    """LiveKit's handoff is counted when it has come, its turn when it is over, which a process is killed between."""
    spans = [made("agent_turn", 21, parent=2), made("update_agent", 22, parent=2)]
    first = Process()
    first.live.add(rows_of(spans))
    first.pass_(3)
    assert (first.counts()[s.HANDOFFS.name], first.written) == (1, [])
    second = first.killed(rows_of(spans), rewritten=rewritten)
    second.live.add(rows_of([made("agent_session", 2)]))
    second.pass_(700)
    assert [second.counts()[metric.name] for metric in (s.HANDOFFS, s.SESSIONS)] == [0, 1]


def test_a_native_turn_that_was_counted_stays_one_turn_beside_a_framework() -> None:
    """A turn of our own is final, then LiveKit's spans come in the same call: no turn enters the metrics twice."""
    native = made(s.SPAN_TURN, 3, parent=1, key=s.TURN_INDEX, value=1, scope=s.SCOPE_NAME)
    native[1].events.add(name=s.USER_SPEECH_END, time_unix_nano=native[1].start_time_unix_nano + 1)
    process = Process()
    process.live.add(rows_of([native]))
    process.pass_(3)
    assert process.counts()[s.TURNS.name] == 1
    process.live.add(rows_of([made("update_agent", 4, parent=1), made("agent_session", 1)]))
    process.pass_(700)
    assert process.counts()[s.TURNS.name] == 1


def test_seconds_that_a_framework_made_up_stop_no_other_call() -> None:
    """Of one turn every delay is some 10**19 seconds; it is counted like the other, which is in the same tick."""
    process, keys = Process(), ("lk.e2e_latency", "lk.transcription_delay", "lk.end_of_turn_delay", "lk.response.ttfb")
    for trace in (1, 2):
        spans = [made(name, 20 + n) for n, name in enumerate(("user_turn", "agent_turn", "tts_request"))]
        spans[2][1].parent_span_id = spans[1][1].span_id
        for _, span in spans:
            span.trace_id = bytes(15) + bytes([trace])
            for key in keys:
                span.attributes.add(key=key).value.double_value = 1e19 if trace == 1 else 0.5
        process.live.add(rows_of(spans))
    process.pass_(700)
    assert {row["session_id"][-1] for row in process.written} == {"1", "2"}
    assert process.counts()[s.SESSIONS.name] == 2


@pytest.mark.timeout(120)
def test_a_call_of_4000_turns_is_computed_at_once() -> None:
    """In 0.8 s: joins are done as they are written. In an order chosen without counts of rows it took minutes."""
    spans = [made("agent_session", 1)]
    for first in range(10, 40_010, 10):
        spans += [made("user_turn", first, parent=1), made("agent_turn", first + 2, parent=1)]
        spans += [made("llm_node", first + 3, parent=first + 2), made("tts_request", first + 4, parent=first + 2)]
    models = PreparedCalls()
    models.load(pa.Table.from_batches([rows_of(spans)]).select(NARROW.names), [])
    assert [models.run(name).num_rows for name in ("turns", "calls", "operations")] == [4000, 1, 8000]
    models.close()


def made(
    name: str, number: int, *, parent: int = 0, key: str = "", value: int = 100, scope: str = "livekit-agents"
) -> tuple[str, Span]:
    """A span of one second, in one trace."""
    start = (1_700_000_000 + number) * 1_000_000_000
    span = Span(name=name, trace_id=bytes(15) + b"\1", span_id=number.to_bytes(8, "big"))
    span.start_time_unix_nano, span.end_time_unix_nano = start, start + 1_000_000_000
    span.parent_span_id = parent.to_bytes(8, "big") if parent else b""
    if key:
        span.attributes.add(key=key).value.int_value = value
        span.attributes.add(key=s.OPERATION_NAME).value.string_value = "chat"
    return scope, span
