"""The span processor that feeds the pipeline."""

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_voicebot import semconv
from otel_voicebot.embedded.worker import Worker

__all__ = ["PipelineProcessor"]


class PipelineProcessor(SpanProcessor):
    """Hands every span that ends to a worker. O(1); never raises.

    Args:
        worker: does the work, on its own thread.
        shutdown_s: seconds that ``shutdown`` may take.
    """

    def __init__(self, worker: Worker[Any], shutdown_s: float = 10.0) -> None:
        self._worker = worker
        self._shutdown_s = shutdown_s

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Note sessions that begin, so that they count as active before any of their spans ends."""
        if span.name == semconv.SPAN_SESSION:
            attributes = span.attributes or {}
            session_id = attributes.get(semconv.SESSION_ID)
            if isinstance(session_id, str):
                self._worker.session_started(session_id, str(attributes.get(semconv.BOT) or ""))

    def on_end(self, span: ReadableSpan) -> None:
        """Take the span."""
        self._worker.put(span)

    def shutdown(self) -> None:
        """Work off what waits, within the deadline. Idempotent."""
        self._worker.close(self._shutdown_s)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Work off what waits; False when that took longer."""
        return self._worker.flush(timeout_millis / 1000)
