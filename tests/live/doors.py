"""The same spans through either door, and a pipeline's live state with a clock that tests move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bench import wire
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.models import Engine
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import RESTATED, SCOPE_NAME, SELF_LATE, Metric
from otel_voicebot.spans import collect, decode
from otel_voicebot.spans.schema import SESSIONS, TURNS
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot

Door = Literal["sdk", "otlp"]
RESOURCE = {"service.name": "voicebot", "deployment.environment.name": "test"}
_SCOPE = InstrumentationScope(SCOPE_NAME)
_SDK_RESOURCE = Resource(RESOURCE)


def sdk_span(row: wire.Span) -> ReadableSpan:
    """As the SDK hands it to a processor when it has ended."""
    trace = int.from_bytes(row.trace_id)

    def context(span_id: bytes) -> SpanContext:
        return SpanContext(trace, int.from_bytes(span_id), is_remote=False, trace_flags=TraceFlags(1))

    return ReadableSpan(
        row.name,
        context(row.span_id),
        context(row.parent_id) if row.parent_id else None,
        _SDK_RESOURCE,
        row.attributes,
        [Event(name, attributes, time) for time, name, attributes in row.events],
        (),
        SpanKind(row.kind - 1),
        None,
        Status(StatusCode.ERROR, row.error) if row.error is not None else Status(),
        row.start,
        row.end,
        _SCOPE,
    )


def rows_of(spans: Sequence[wire.Span], door: Door = "otlp", ingest_time: int = 0) -> pa.RecordBatch:
    """The spans as rows, by one of the doors and all processors."""
    if door == "sdk":
        batch = collect([sdk_span(one) for one in spans])
    else:
        batch = decode(wire.request([(RESOURCE, SCOPE_NAME, map(wire.span, spans))]))
    return prepare(batch, Policy(), SelfMetrics(), door, ingest_time)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@dataclass
class Fed:
    """A live state, its clock, its metrics, and the rows that it gave."""

    bounds: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    metrics: SelfMetrics = field(default_factory=SelfMetrics)
    aggregator: Aggregator = field(default_factory=Aggregator)
    given: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"turns": [], "sessions": []})

    def __post_init__(self) -> None:
        self.live = Live(self.aggregator, self.metrics, self._take, clock=self.clock, **self.bounds)

    def _take(self, table: str, rows: pa.Table) -> None:
        self.given[table] += rows.to_pylist()

    def add(self, spans: Sequence[wire.Span], door: Door = "otlp") -> None:
        """Spans come in."""
        self.live.add(rows_of(spans, door))

    def after(self, seconds: float) -> "Fed":
        """Time passes, and the pipeline looks what is final."""
        self.clock.now += seconds
        if self.live.due():
            self.live.tick()
        return self

    def total(self, metric: Metric, *labels: str) -> float:
        """Sum over a metric's series that have all these label values."""
        series = self.aggregator.read().get(metric.name, {})
        return sum(one.total for key, one in series.items() if set(labels) <= set(key))

    def observations(self, metric: Metric) -> int:
        """Values in a histogram."""
        return sum(int(one.counts.sum()) for one in self.aggregator.read().get(metric.name, {}).values())

    @property
    def late(self) -> float:
        """Spans that came after their session was closed."""
        return self.metrics.get(SELF_LATE)

    @property
    def restated(self) -> float:
        """Rows that changed after they were counted."""
        return self.total(RESTATED)

    def rows(self, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The rows given, by key: of several revisions the highest."""
        return latest(self.given[table], table)


def latest(rows: Sequence[Mapping[str, Any]], table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by key in the published columns, the highest revision of each; sums of seconds to the picosecond."""
    key = ("session_id", "turn_index") if table == "turns" else ("session_id",)
    names = [name for name in (TURNS if table == "turns" else SESSIONS).names if name in rows[0]] if rows else []
    found = {}
    for row in sorted(rows, key=lambda row: row.get("revision", 0)):
        shown = {name: round(v, 12) if isinstance(v := row[name], float) else v for name in names if name != "revision"}
        found[tuple(row[name] for name in key)] = shown
    return found


def rebuilt(data: Path, spans: Sequence[wire.Span]) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """Turns and sessions as the engine computes them from Parquet."""
    SpanStore(data).commit([rows_of(spans)])
    with Engine(snapshot(data)) as engine:
        return {name: latest(engine.table(name).to_pylist(), name) for name in ("turns", "sessions")}
