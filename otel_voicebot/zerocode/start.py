"""Start in this process as the environment says: compute here, or send to a service."""

import logging
import threading
from multiprocessing import parent_process, util
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_voicebot.errors import UsageError
from otel_voicebot.settings import load

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from otel_voicebot.app.configuring import Handle

__all__ = ["start"]

_log = logging.getLogger("otel_voicebot")

_QUEUE: Final = 16_384
"""Spans that may wait to be sent; OpenTelemetry's 2,048 are a second of a busy process."""
_DELAY_MS: Final = 1000
"""Milliseconds until spans are sent: metrics at the service should follow the call."""
_END_S: Final = 5.0
"""Seconds that we may hold up the end of a job process. LiveKit kills it after 10."""


class _Started:
    """What runs in this process: started once, however many hooks ask."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = False


_started = _Started()


def start() -> "Handle | None":
    """Compute in this process (``configure()``), or send its spans to a service where ``send_to`` names one.

    It stands beside what is there: a tracer provider is made only where the process has none. A second call changes
    nothing.

    Returns:
        what computes here; None where spans are sent, and for a second call.

    Raises:
        UsageError: a setting is wrong, or the library that sends is missing.
    """
    with _started.lock:
        if _started.done:
            return None
        handle = None
        settings = load()
        if settings.send_to:
            _send(settings.send_to)
        else:
            from otel_voicebot.app.configuring import configure  # noqa: PLC0415 - who sends needs no query engine

            handle = configure(settings, create_provider=True)
        _end_jobs()
        _started.done = True
        return handle


def _send(url: str) -> None:
    exporter = _exporter(url)
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=_DELAY_MS),
    )
    _log.info("otel_voicebot: spans are sent to %s", url)


def _exporter(url: str) -> SpanExporter:
    """What speaks OTLP to this address: gRPC for ``grpc://``, else HTTP.

    Raises:
        UsageError: OpenTelemetry's exporter is not installed.
    """
    try:
        if url.startswith("grpc://"):
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - optional
                OTLPSpanExporter as Grpc,
            )

            return Grpc(endpoint=url.removeprefix("grpc://"), insecure=True)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter as Http,
        )

        return Http(endpoint=url.rstrip("/") + "/v1/traces")
    except ImportError as error:
        msg = f"setting send_to needs OpenTelemetry's exporter: pip install opentelemetry-exporter-otlp ({error})"
        raise UsageError(msg) from None


def _end_jobs() -> None:
    """Shut down at the end of processes that multiprocessing starts, as LiveKit's jobs: they end without atexit.

    What is here already is such a process, or their parent, or the server that forks them.
    """
    util.register_after_fork(_started, _end_with_process)
    parent: BaseProcess | None = parent_process()
    if parent is not None:
        _end_with_process(_started)


def _end_with_process(_: object) -> None:
    util.Finalize(None, _end, exitpriority=100)


def _end() -> None:
    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        ending = threading.Thread(target=provider.shutdown, name="otel-voicebot-end", daemon=True)
        ending.start()  # a service that can't be reached would hold up the process for half a minute
        ending.join(_END_S)
