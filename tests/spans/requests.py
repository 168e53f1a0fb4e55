"""Generated OTLP requests and SDK spans, odd ones included."""

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel_voicebot import semconv

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", 'say "yes"\\no', "tab\tline\n\x00\x1f", "ünïcödé 🎤", "\u2028", "a" * 127, "b" * 128]),
    st.sampled_from(["long " * 60, "ü" * 9_000]),
)
INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-3, 300), st.sampled_from([0, 127, 128, 2**31, -(2**63), 2**63 - 1])
)
DOUBLES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e16, 1e300, 5e-324, 100000.0, 1e21, 0.1]))
KEYS = st.one_of(
    st.sampled_from(["", "a", "b", "c", "key", *semconv.ATTRIBUTES, "exception.type", "deployment.environment"]),
    st.text(max_size=5),
    st.just("k" * 200),
)
BYTES = st.binary(max_size=6)


def any_values() -> st.SearchStrategy[AnyValue]:
    """Values of every type, nested ones included."""
    leaves = st.one_of(
        st.just(AnyValue()),
        st.builds(AnyValue, string_value=TEXTS),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.builds(AnyValue, int_value=INTEGERS),
        st.builds(AnyValue, double_value=DOUBLES),
        st.builds(AnyValue, bytes_value=BYTES),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda values: AnyValue(array_value=ArrayValue(values=values)), st.lists(inner, max_size=3)),
            st.builds(
                lambda pairs: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=k, value=v) for k, v in pairs])),
                st.lists(st.tuples(st.sampled_from(["", "x", "y", '"']), inner), max_size=3),
            ),
        ),
        max_leaves=5,
    )


ATTRIBUTES = st.lists(
    st.one_of(st.builds(KeyValue, key=KEYS, value=any_values()), st.builds(KeyValue, key=KEYS)), max_size=8
)


def ids(width: int) -> st.SearchStrategy[bytes]:
    """Ids, one in four of them no id."""
    usual = st.binary(min_size=width, max_size=width)
    odd = st.sampled_from([b"", b"\0" * width, b"\1" * (width - 1), b"\1" * (width + 1)])
    return st.one_of(usual, usual, usual, odd)


TIMES = st.one_of(
    st.integers(1_700_000_000 * 10**9, 1_800_000_000 * 10**9),
    st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]),
)
EVENT_NAMES = st.one_of(st.sampled_from([*semconv.EVENTS]), TEXTS)
EVENTS = st.lists(st.builds(Span.Event, name=EVENT_NAMES, time_unix_nano=TIMES, attributes=ATTRIBUTES), max_size=5)
LINKS = st.lists(
    st.builds(Span.Link, trace_id=ids(16), span_id=ids(8), trace_state=st.text(max_size=3), attributes=ATTRIBUTES),
    max_size=2,
)
NAMES = st.one_of(st.sampled_from([*semconv.SPANS, "chat gpt-4", "execute_tool lookup", "GET"]), TEXTS)
SPANS = st.builds(
    Span,
    trace_id=ids(16),
    span_id=ids(8),
    parent_span_id=st.one_of(st.just(b""), ids(8)),
    trace_state=st.sampled_from(["", "a=b,c=d"]),
    name=NAMES,
    kind=st.sampled_from([0, 1, 2, 3, 4, 5, 9]),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    attributes=ATTRIBUTES,
    dropped_attributes_count=st.integers(0, 3),
    events=EVENTS,
    links=LINKS,
    status=st.one_of(st.none(), st.builds(Status, code=st.sampled_from([0, 1, 2, 7]), message=TEXTS)),
    flags=st.sampled_from([0, 1, 256, 768]),
)
SCOPES = st.one_of(
    st.none(),
    st.builds(
        InstrumentationScope,
        name=st.sampled_from(["", semconv.SCOPE_NAME, "other"]),
        version=st.sampled_from(["", "1.0"]),
        attributes=ATTRIBUTES,
    ),
)
REQUESTS = st.builds(
    ExportTraceServiceRequest,
    resource_spans=st.lists(
        st.builds(
            ResourceSpans,
            resource=st.one_of(st.none(), st.builds(Resource, attributes=ATTRIBUTES)),
            scope_spans=st.lists(st.builds(ScopeSpans, scope=SCOPES, spans=st.lists(SPANS, max_size=4)), max_size=3),
            schema_url=st.sampled_from(["", "https://opentelemetry.io/schemas/1.30.0"]),
        ),
        max_size=3,
    ),
)

# ---- log records --------------------------------------------------------------------------------------------------

RECORDS = st.builds(
    LogRecord,
    time_unix_nano=TIMES,
    observed_time_unix_nano=TIMES,
    severity_number=st.sampled_from([0, 1, 9, 13, 17, 24, 25, 1000]),
    severity_text=st.sampled_from(["", "WARN", "a word that goes on"]),
    body=st.one_of(st.none(), any_values()),
    attributes=ATTRIBUTES,
    dropped_attributes_count=st.integers(0, 3),
    flags=st.sampled_from([0, 1, 256]),
    trace_id=ids(16),
    span_id=ids(8),
    event_name=st.one_of(st.just(""), EVENT_NAMES),
)
LOG_REQUESTS = st.builds(
    ExportLogsServiceRequest,
    resource_logs=st.lists(
        st.builds(
            ResourceLogs,
            resource=st.one_of(st.none(), st.builds(Resource, attributes=ATTRIBUTES)),
            scope_logs=st.lists(
                st.builds(ScopeLogs, scope=SCOPES, log_records=st.lists(RECORDS, max_size=4)), max_size=3
            ),
        ),
        max_size=3,
    ),
)

# ---- SDK spans ----------------------------------------------------------------------------------------------------

SDK_VALUES = st.recursive(
    st.one_of(st.none(), TEXTS, st.booleans(), INTEGERS, DOUBLES, BYTES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["x", "y", '"']), inner, max_size=3),
    ),
    max_leaves=5,
)
SDK_ATTRIBUTES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS.filter(bool), SDK_VALUES, max_size=8)


def damaged(made: ExportTraceServiceRequest | ExportLogsServiceRequest, data: st.DataObject) -> bytes:
    """The request cut short, or with a byte changed."""
    payload = bytearray(made.SerializeToString())
    if payload:
        place = data.draw(st.integers(0, len(payload) - 1))
        if data.draw(st.booleans()):
            payload[place] ^= data.draw(st.integers(1, 255))
        else:
            del payload[place:]
    return bytes(payload)
