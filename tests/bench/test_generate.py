"""The benchmark's generator, read back with the plain protobuf classes."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from bench import generate, wire
from otel_voicebot import semconv

SPANS = 40_000


def decode(payloads: list[bytes]) -> list[trace_pb2.Span]:
    """Every span of the requests, by protobuf's own classes."""
    return [
        span
        for payload in payloads
        for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def values(span: trace_pb2.Span) -> dict[str, object]:
    """The attributes of a span."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes}


@pytest.fixture(scope="module")
def payloads() -> list[bytes]:
    """Requests of one seed."""
    return list(generate.requests(SPANS, seed=7))


@pytest.fixture(scope="module")
def spans(payloads: list[bytes]) -> list[trace_pb2.Span]:
    """Their spans."""
    return decode(payloads)


def test_same_seed_same_bytes(payloads: list[bytes]) -> None:
    """The same seed gives the same bytes, another seed others."""
    assert list(generate.requests(SPANS, seed=7)) == payloads
    assert next(generate.requests(SPANS, seed=8)) != payloads[0]


def test_wire_keeps_every_kind_of_value() -> None:
    """What is written by hand is what protobuf reads: every type of value, small and huge, events, status."""
    attributes: dict[str, wire.Value] = {"s": "äö" * 99, "b": True, "i": 0, "one": 1, "big": 2**62, "neg": -5, "d": 1.0}
    row = wire.Span(
        b"t" * 16, b"s" * 8, b"p" * 8, "n" * 200, 3, 5, 2**62, attributes, [(9, "e", attributes)], error="broken"
    )
    (span,) = decode([wire.request([({"service.name": "x"}, "scope", [wire.span(row)])])])
    assert (span.trace_id, span.span_id, span.parent_span_id) == (row.trace_id, row.span_id, row.parent_id)
    assert (span.name, span.kind, span.start_time_unix_nano, span.end_time_unix_nano) == row[3:7]
    assert values(span) == attributes
    assert [type(value) for value in values(span).values()] == [type(value) for value in attributes.values()]
    assert (span.events[0].time_unix_nano, span.events[0].name) == (9, "e")
    assert [pair.key for pair in span.events[0].attributes] == list(attributes)
    assert (span.status.code, span.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "broken")


def test_requests_are_full_and_whole_calls(payloads: list[bytes], spans: list[trace_pb2.Span]) -> None:
    """Requests hold 8,192 spans each but the last, spans come by their end, ids are unique, parents are there."""
    assert {len(decode([payload])) for payload in payloads[:-1]} == {8192}
    assert SPANS <= len(spans) < SPANS + 110
    keys = {(span.trace_id, span.span_id) for span in spans}
    assert len(keys) == len(spans)
    assert all((span.trace_id, span.parent_span_id) in keys for span in spans if span.parent_span_id)
    assert sum(span.name == semconv.SPAN_SESSION for span in spans) == len({span.trace_id for span in spans})
    ends = [max(span.end_time_unix_nano for span in decode([payload])) for payload in payloads]
    assert all(before <= after for before, after in pairwise(ends))


def test_shape(spans: list[trace_pb2.Span]) -> None:
    """4 to 12 turns a call, 7 to 9 spans a turn, about 6.5 attributes a span, calls over a day."""
    turns = Counter(span.trace_id for span in spans if span.name == semconv.SPAN_TURN)
    assert set(turns.values()) == set(range(4, 13))
    assert 7 <= len(spans) / turns.total() <= 9
    assert 6 <= sum(len(span.attributes) for span in spans) / len(spans) <= 7
    starts = [span.start_time_unix_nano for span in spans]
    assert 0 <= min(starts) - generate.EPOCH < 3600e9
    assert 22 < (max(starts) - generate.EPOCH) / 3600e9 < 26
    known = set(semconv.ATTRIBUTES)
    assert {pair.key for span in spans for pair in span.attributes} <= known


def test_rates(spans: list[trace_pb2.Span]) -> None:
    """2 % of the operations fail, 5 % of the exchanges are abandoned, 8 % of the answered ones interrupted."""
    turns = [values(span) for span in spans if span.name == semconv.SPAN_TURN]
    failed = [span.status.code == trace_pb2.Status.STATUS_CODE_ERROR for span in spans if span.name == semconv.SPAN_STT]
    assert np.mean(failed) == pytest.approx(generate.ERROR_RATE, abs=0.006)
    abandoned = np.mean([semconv.TURN_END_REASON in turn for turn in turns])
    assert abandoned == pytest.approx(generate.ABANDON_RATE, abs=0.01)
    interrupted = np.mean([semconv.TURN_INTERRUPTED in turn for turn in turns])
    assert interrupted == pytest.approx(generate.INTERRUPT_RATE * (1 - generate.ABANDON_RATE), abs=0.012)


def test_gaps_of_turns_are_those_of_their_model(spans: list[trace_pb2.Span]) -> None:
    """The speech events of the turns give each model's median and spread."""
    model_of = {
        (span.trace_id, span.parent_span_id): values(span)[semconv.REQUEST_MODEL]
        for span in spans
        if span.name.startswith(semconv.SPAN_LLM)
    }
    gaps = defaultdict(list)
    for span in spans:
        if span.name == semconv.SPAN_TURN and (span.trace_id, span.span_id) in model_of:
            times = {event.name: event.time_unix_nano for event in span.events}
            if semconv.BOT_SPEECH_START in times:
                gap = (times[semconv.BOT_SPEECH_START] - times[semconv.USER_SPEECH_END]) / 1e9
                gaps[model_of[span.trace_id, span.span_id]].append(gap)
    for _, model, _, median, sigma in generate.LLMS:
        assert len(gaps[model]) > 100
        logs = np.log(gaps[model])
        error = 4 / len(logs) ** 0.5  # four standard errors
        assert np.median(logs) == pytest.approx(np.log(median), abs=sigma * error * 1.26)
        assert np.std(logs) == pytest.approx(sigma, rel=error)


def test_gaps_are_lognormal_and_seeded() -> None:
    """`gaps` has the quantiles of the lognormal distribution and depends on the seed only."""
    sample = generate.gaps(100_000, median=1.2, sigma=0.6, seed=3)
    expected = 1.2 * np.exp(0.6 * np.array([-1.6449, 0.0, 1.6449, 2.3263]))
    assert np.quantile(sample, [0.05, 0.5, 0.95, 0.99]) == pytest.approx(expected, rel=0.02)
    assert np.array_equal(sample, generate.gaps(100_000, median=1.2, sigma=0.6, seed=3))
    assert not np.array_equal(sample, generate.gaps(100_000, median=1.2, sigma=0.6, seed=4))
