"""Requests and an intake over a real store, for the tests of the service."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from bench import wire
from otel_voicebot.app.admission import Admission
from otel_voicebot.app.intake import Intake, SignalPath
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.receivers.answers import Answer
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import SpanBatch, decode
from otel_voicebot.store import SpanStore, snapshot
from otel_voicebot.store.window import Window
from tests.live.doors import RESOURCE, SCOPE_NAME


def request(spans: Iterable[wire.Span]) -> bytes:
    """The spans as one OTLP request."""
    return wire.request([(RESOURCE, SCOPE_NAME, map(wire.span, spans))])


@dataclass
class Taken:
    """An intake that works, and what it passed on."""

    data: Path
    memory_limit: int = 1 << 28
    min_free_disk: int = 0
    metrics: SelfMetrics = field(default_factory=SelfMetrics)
    passed: list[pa.RecordBatch] = field(default_factory=list)
    backlog: str | None = None

    def __post_init__(self) -> None:
        self.store = SpanStore(self.data, metrics=self.metrics)
        self.admission = Admission(self.data, self.memory_limit, self.min_free_disk, backlog=lambda: self.backlog)
        self.window = Window(3600.0)
        path = SignalPath(decode, self.prepare, self.commit, self.passed.append, self.window)
        self.intake = Intake({"traces": path}, self.admission, self.metrics, self.probe)
        self.intake.start()
        self.admission.open()

    def prepare(self, batch: SpanBatch) -> pa.RecordBatch:
        """A batch to rows."""
        return prepare(batch, Policy(), self.metrics, "test", 0)

    def commit(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rows to disk."""
        self.store.commit([rows])
        return rows

    def probe(self) -> None:
        """Try the disk."""
        self.store._probe()

    def ask(self, payload: bytes) -> Answer:
        """Offer a request and wait for its answer."""
        return self.intake.offer("traces", payload).result(30)

    def stored(self) -> int:
        """Spans on disk."""
        return snapshot(self.data).rows

    def close(self) -> None:
        """End."""
        self.admission.close("closed")
        assert self.intake.stop(30)
