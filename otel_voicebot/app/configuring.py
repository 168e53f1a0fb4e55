"""``configure()``: the pipeline inside a bot's process, attached to the tracer provider that is there."""

import atexit
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY, CollectorRegistry

from otel_voicebot.app.call_log import CallLog
from otel_voicebot.app.pipeline import Pipeline, look_interval
from otel_voicebot.app.policy import prices_of
from otel_voicebot.app.warming import warm_up
from otel_voicebot.embedded import PipelineProcessor, SessionProcessor, Worker
from otel_voicebot.exporters import MetricsServer, VoicebotCollector
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.live import Engines
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings, load
from otel_voicebot.store import Commit

__all__ = ["Handle", "configure"]

_log = logging.getLogger("otel_voicebot")
_PROVIDER_LOOK_S: Final = 0.5
"""Seconds between two looks for a tracer provider that is set up after us."""
_WARM_S: Final = 10.0
"""Seconds that a bot's start waits for warming up, at most; then it goes on beside."""


class Handle:
    """A pipeline that runs in this process.

    Attributes:
        settings: what it runs with.
        metrics: the package's own counters.
    """

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, on_commit: Callable[[Commit], None] | None
    ) -> None:
        self.settings = settings
        self.metrics = SelfMetrics()
        self._on_commit = on_commit
        self._warm: bool | None = None  # asked for, and then whether for calls of frameworks only
        self._registry = registry
        self._worker = Worker(
            self._pipeline,
            self.metrics,
            size=settings.queue_size,
            interval_s=look_interval(settings),
        )
        self._sessions = SessionProcessor(self.metrics)
        self._attached: weakref.ref[TracerProvider] | None = None
        self._attaching = threading.Lock()
        self._stopped = threading.Event()
        self._server: MetricsServer | None = None
        self._collector = VoicebotCollector(self._series, self.metrics.read, self._active)
        self._registered = False

    @property
    def metrics_url(self) -> str | None:
        """Where Prometheus scrapes; None when nothing is served, as in a forked child."""
        return self._server.url if self._server is not None and self._server.serving else None

    def _pipeline(self) -> Pipeline:
        """On the worker's thread, which also warms it up: a fork waits until that has come to its end."""
        warm, self._warm = self._warm, None  # a forked child makes another one, with its first spans
        engines = Engines(self.settings.short_session_s, framed=bool(warm))
        if warm is not None:
            self._contain("warm_up", partial(warm_up, self.settings, engines, framed=warm))
        return Pipeline(self.settings, self.metrics, self._on_commit, CallLog(), engines)

    def _series(self) -> Mapping[str, Any]:
        pipeline = self._worker.consumer
        return pipeline.aggregator.read() if pipeline else {}

    def _active(self) -> Mapping[str, int]:
        pipeline = self._worker.consumer
        return pipeline.active() if pipeline else {}

    def attach(self) -> bool:
        """Add our processors to the global tracer provider, once; False while there is none."""
        provider = trace.get_tracer_provider()
        if self._attached is not None:
            return True
        if not isinstance(provider, TracerProvider):
            return False
        with self._attaching:
            if self._attached is None:
                provider.add_span_processor(PipelineProcessor(self._worker, self._sessions))
                self._attached = weakref.ref(provider)
        return True

    def _attach_now(self) -> None:
        if self._attached is None:
            self.attach()

    def _attach_later(self) -> None:
        while not self._stopped.wait(_PROVIDER_LOOK_S) and not self.attach():
            pass

    def start(self, create_provider: Callable[[], None] | None = None) -> None:
        """Attach, now or as soon as there is a provider, and serve metrics. Never raises."""
        runtime.configure(
            capture_content=self.settings.capture_content,
            hash_key=self.settings.hash_key.get_secret_value().encode() if self.settings.hash_key else None,
            on_session_start=self._attach_now,
        )
        atexit.register(self.shutdown)
        if create_provider is not None:
            self._contain("create_provider", create_provider)
        self._contain("attach", self._attach_or_wait)
        self._contain("metrics", self._register)
        if self.settings.metrics_addr:
            self._contain("metrics_port", self._serve)

    def _attach_or_wait(self) -> None:
        if not self.attach():
            _log.info("otel_voicebot: no tracer provider yet; waiting for one (or use configure(create_provider=True))")
            threading.Thread(target=self._attach_later, name="otel-voicebot-attach", daemon=True).start()

    def _register(self) -> None:
        self._registry.register(self._collector)
        self._registered = True

    def _serve(self) -> None:
        self._server = MetricsServer(self._registry, self.settings.metrics_addr)

    def _contain(self, stage: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a bot without telemetry beats no bot
            self.metrics.contained(stage, error)

    def warm(self, *, framed: bool = False) -> None:
        """Have all ready before the first call, and not with its first spans.

        Blocks until it is done: half a second to two by the machine, ten at most. Does nothing once a span has come.
        Never raises. Not where the process forks workers later: they would not have it.

        Args:
            framed: all calls will be those of frameworks, such as Pipecat: what computes others is made when one comes.
        """
        self._warm = framed
        self._worker.start()
        self._worker.flush(_WARM_S)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Put on disk all that ended before; False when it isn't there after ``timeout_s`` seconds."""
        return self._worker.flush(timeout_s)

    def drain(self, timeout_s: float = 30.0) -> bool:
        """As ``flush``, and count ended turns and sessions at once instead of waiting for late spans."""
        return self._worker.flush(timeout_s, drain=True)

    def shutdown(self, timeout_s: float = 10.0) -> bool:
        """Work off what waits within ``timeout_s`` seconds, stop serving. Idempotent; False when something was lost.

        In a forked child it only ends the child's own pipeline.
        """
        atexit.unregister(self.shutdown)
        self._stopped.set()
        done = self._worker.close(timeout_s)
        if self._server is not None:
            self._server.close()
        if self._registered:
            self._registered = False
            self._registry.unregister(self._collector)
        _running.forget(self)
        return done


class _Running:
    """The pipeline of this process, if any: a second ``configure`` must not count everything twice."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.handle: Handle | None = None

    def forget(self, handle: Handle) -> None:
        with self.lock:
            if self.handle is handle:
                self.handle = None


_running = _Running()


def configure(
    settings: Settings | None = None,
    *,
    create_provider: bool = False,
    resource_attributes: Mapping[str, str] | None = None,
    on_commit: Callable[[Commit], None] | None = None,
    registry: CollectorRegistry = REGISTRY,
    **overrides: Any,
) -> Handle:
    """Start the pipeline in this process: spans to Parquet, turns, sessions and metrics at ``/metrics``.

    It attaches to the global tracer provider; one that is set up later is found too. What the bot has of its own
    (providers, processors, exporters) stays as it is. A second call changes nothing and gives the first one's handle.

    Args:
        settings: all settings; by default those of the environment (``OTEL_VOICEBOT_*``).
        create_provider: the bot has no tracer provider of its own: make one (and a meter provider whose instruments are
            served at ``/metrics`` too), and set it globally. Leave it off when anything else sets one up.
        resource_attributes: of the provider that is made, such as ``service.name``.
        on_commit: called with each durable commit, on the worker's thread.
        registry: Prometheus registry to serve; the default one, so that what the bot registers there is served as well.
        overrides: single settings, such as ``data="/var/lib/voicebot"``.

    Raises:
        UsageError: a setting is wrong. Nothing else is ever raised: a taken port or a full disk is a warning.
    """
    chosen = load(**(settings.model_dump() if settings else {}) | overrides)
    prices_of(chosen)  # a wrong file is told here, and not on the worker's thread
    with _running.lock:
        if _running.handle is not None:
            if _running.handle.settings != chosen:
                _log.warning("otel_voicebot: configure() was called before; its settings stay, these are not used")
            return _running.handle
        handle = _running.handle = Handle(chosen, registry, on_commit)
        handle.start(partial(_create, dict(resource_attributes or {}), registry) if create_provider else None)
    return handle


def _create(resource_attributes: dict[str, str], registry: CollectorRegistry) -> None:
    """Set a tracer and a meter provider, where the process has none."""
    resource = Resource.create(resource_attributes)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=resource))
    if not isinstance(otel_metrics.get_meter_provider(), MeterProvider):
        reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
        otel_metrics.set_meter_provider(MeterProvider([reader], resource=resource))
