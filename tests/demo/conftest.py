import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_voicebot.demo import DemoResult, Progress, run
from otel_voicebot.demo.recogniser import Recogniser
from otel_voicebot.demo.recordings import Recording, load
from otel_voicebot.instrument.runtime import runtime


@dataclass(frozen=True)
class Run:
    """A run of the demo: what it gave back, what it told, its spans."""

    result: DemoResult
    progress: list[Progress]
    spans: tuple[ReadableSpan, ...]

    def of(self, plan: str, name: str = "") -> list[ReadableSpan]:
        """Spans of a call, in order of their starts, whose name begins with ``name``."""
        session = next(call.session_id for call in self.result.calls if call.plan == plan)
        found = [s for s in self.spans if s.attributes["session.id"] == session and s.name.startswith(name)]
        return sorted(found, key=lambda span: span.start_time)


@pytest.fixture(scope="session")
def fast_run() -> Run:
    """The first seven calls, eight times as fast as real time; two at once, so that a busy machine keeps up."""
    exporter, provider, told = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with runtime.using(provider, time.time_ns, capture_content=False):
        result = run(calls=7, concurrency=2, real_time=False, on_progress=told.append)
    return Run(result, told, exporter.get_finished_spans())


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """The callers' voices."""
    return load()


@pytest.fixture(scope="session")
def recogniser() -> Iterator[Recogniser]:
    """One decoder process."""
    with Recogniser(1) as one:
        yield one
