"""The span processor that feeds the pipeline."""

from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_voicebot.embedded.ended import kept
from otel_voicebot.embedded.session_processor import SessionProcessor, stamped_at_once
from otel_voicebot.embedded.worker import Worker
from otel_voicebot.semconv import BOT, SESSION_ID, SPAN_SESSION

__all__ = ["PipelineProcessor"]

_SHUTDOWN_S: Final = 10.0


class PipelineProcessor(SpanProcessor):
    """Hands what is worth keeping of every span that ends to a worker. O(1); never raises.

    Args:
        worker: does the work, on its own thread.
        sessions: stamps spans as they start; one processor costs the bot less than two. None when it is added by
            itself, or not wanted.
        shutdown_s: seconds that ``shutdown`` may take.
    """

    def __init__(
        self, worker: Worker[Any], sessions: SessionProcessor | None = None, shutdown_s: float = _SHUTDOWN_S
    ) -> None:
        self._worker = worker
        self._put = worker.put
        self._sessions = sessions
        self._shutdown_s = shutdown_s

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp the span, and note sessions that begin: they are active before any of their spans ends."""
        if self._sessions is not None:
            if stamped_at_once(span, parent_context):
                return  # a child of its session: no session itself
            self._sessions.on_start(span, parent_context)
        if span.name == SPAN_SESSION:
            try:
                attributes = span.attributes or {}
                session_id = attributes.get(SESSION_ID)
                if isinstance(session_id, str):
                    self._worker.session_started(session_id, str(attributes.get(BOT) or ""))
            except Exception as error:  # noqa: BLE001 - a gauge that lags must not end a call
                self._worker.contained("session start", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Take the span."""
        parent = span.parent
        self._put(kept(span))
        if parent is None and self._sessions is not None:
            self._sessions.on_end(span)

    def shutdown(self) -> None:
        """Work off what waits, within the deadline. Idempotent."""
        self._worker.close(self._shutdown_s)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Work off what waits; False when that took longer."""
        return self._worker.flush(timeout_millis / 1000)
