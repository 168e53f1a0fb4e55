"""A clock and ids that don't vary, and spans kept in memory."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_voicebot import semconv
from otel_voicebot.instrument.runtime import runtime

__all__ = ["DeterministicClock", "DeterministicIds", "MemorySink", "Recording", "recording"]


class DeterministicClock:
    """A clock that moves only when told; it counts nanoseconds since 1970. Safe to use from any thread."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now = start_ns
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Now, in nanoseconds."""
        return self._now

    @property
    def seconds(self) -> float:
        """Now, in unix seconds, as ``at=`` and ``start=`` take it."""
        return self._now / 1e9

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += round(seconds * 1e9)


class DeterministicIds(IdGenerator):
    """Trace ids and span ids 1, 2, 3, ... in the order in which spans start."""

    def __init__(self) -> None:
        self._traces = 0
        self._spans = 0
        self._lock = threading.Lock()

    def generate_trace_id(self) -> int:
        """The next trace id."""
        with self._lock:
            self._traces += 1
            return self._traces

    def generate_span_id(self) -> int:
        """The next span id."""
        with self._lock:
            self._spans += 1
            return self._spans


class MemorySink(SpanExporter):
    """Keeps the spans that ended, in the order of their ends."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them."""
        with self._lock:
            self._spans.extend(spans)
        return SpanExportResult.SUCCESS

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All that ended so far."""
        with self._lock:
            return tuple(self._spans)

    def named(self, name: str) -> tuple[ReadableSpan, ...]:
        """Those of a name."""
        return tuple(span for span in self.spans if span.name == name)

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name.

        Raises:
            LookupError: there is none, or there are several.
        """
        found = self.named(name)
        if len(found) != 1:
            names = ", ".join(span.name for span in self.spans) or "none"
            raise LookupError(f"{len(found)} spans are named {name!r}; the spans that ended are: {names}")
        return found[0]

    def attributes(self, name: str) -> dict[str, Any]:
        """Attributes of the only span of a name."""
        return dict(self.one(name).attributes or {})

    def of_session(self, session_id: str) -> tuple[ReadableSpan, ...]:
        """Those that carry a session's id."""
        return tuple(span for span in self.spans if (span.attributes or {}).get(semconv.SESSION_ID) == session_id)

    def outline(self) -> str:
        """The spans as an indented tree in order of start, with durations in seconds: compares a whole call at once."""
        spans = sorted(self.spans, key=lambda span: (span.start_time or 0, _span_id(span)))
        known = {_span_id(span) for span in spans}
        children: dict[int, list[ReadableSpan]] = {}
        for span in spans:
            parent = span.parent.span_id if span.parent is not None and span.parent.span_id in known else 0
            children.setdefault(parent, []).append(span)

        def lines(parent: int, depth: int) -> Iterator[str]:
            for span in children.get(parent, []):
                duration = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
                yield f"{'  ' * depth}{span.name} {duration:g}s"
                yield from lines(_span_id(span), depth + 1)

        return "\n".join(lines(0, 0))

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._spans.clear()


@dataclass(frozen=True, slots=True)
class Recording:
    """What ``recording`` set up.

    Attributes:
        provider: for tracers of other libraries; ours use it already.
        sink: the spans that ended.
        clock: the clock of our spans; spans of other libraries run on real time unless they are given theirs.
    """

    provider: TracerProvider
    sink: MemorySink
    clock: DeterministicClock


@contextmanager
def recording(
    *,
    clock: DeterministicClock | None = None,
    processors: Sequence[SpanProcessor] = (),
    capture_content: bool = False,
    resource: Mapping[str, "str | int | float | bool"] | None = None,
) -> Iterator[Recording]:
    """Record our spans in memory for the length of the block, in the whole process; the global provider is not touched.

    Args:
        clock: of our spans; a fresh ``DeterministicClock`` by default.
        processors: run before the sink, e.g. a ``SessionProcessor``.
        capture_content: whether texts stand on spans.
        resource: attributes of the spans' resource.
    """
    clock = clock or DeterministicClock()
    sink = MemorySink()
    provider = TracerProvider(
        id_generator=DeterministicIds(), resource=Resource(dict(resource or {})), shutdown_on_exit=False
    )
    for processor in (*processors, SimpleSpanProcessor(sink)):
        provider.add_span_processor(processor)
    try:
        with runtime.using(provider, clock, capture_content=capture_content):
            yield Recording(provider, sink, clock)
    finally:
        provider.shutdown()


def _span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context is not None else 0
