"""The Prometheus endpoint: the derived metrics, rendered when scraped, beside what else is in the registry."""

import os
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from otel_voicebot import conventions, semconv
from otel_voicebot.conventions import prometheus_name
from otel_voicebot.errors import CannotStartError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["MetricsServer", "SeriesLike", "VoicebotCollector"]


class ExemplarLike(Protocol):
    """One observation, and the trace it comes of; ``at`` is in unix seconds."""

    trace_id: str
    value: float
    at: float


class SeriesLike(Protocol):
    """One series, as the aggregator keeps it; exemplars by the bucket's number."""

    created: float
    total: float
    counts: "object"
    exemplars: "Mapping[int, ExemplarLike]"


Read = Callable[[], Mapping[str, Mapping[tuple[str, ...], SeriesLike]]]


class VoicebotCollector(Collector):
    """Renders the derived metrics and the package's own.

    Args:
        series: a copy of the aggregator's series.
        own: the package's own counters and gauges, by (metric name, label value).
        active: sessions under way, by bot.
    """

    def __init__(
        self, series: Read, own: Callable[[], Mapping[tuple[str, str], float]], active: Callable[[], Mapping[str, int]]
    ) -> None:
        self._series = series
        self._own = own
        self._active = active

    def describe(self) -> Iterator[Metric]:
        """Names only: registering must not compute anything."""
        for metric in semconv.METRICS.values():
            yield _family(metric)

    def collect(self) -> Iterator[Metric]:
        """Every metric of ``semconv``; one without a series is given by its name, type and help."""
        series = self._series()
        own: dict[str, dict[tuple[str, ...], float]] = {}
        for (name, label), value in self._own().items():
            own.setdefault(name, {})[(label,) if semconv.METRICS[name].labels else ()] = value
        own[semconv.SESSIONS_ACTIVE.name] = {(bot,): float(count) for bot, count in self._active().items()}
        for metric in semconv.METRICS.values():
            family = _family(metric)
            for labels, one in series.get(metric.name, {}).items():
                _add(family, metric, labels, one)
            for labels, value in own.get(metric.name, {}).items():
                family.add_metric(labels, value)  # type: ignore[attr-defined]
            yield family


def _family(metric: conventions.Metric) -> Metric:
    name, labels = prometheus_name(metric), metric.labels
    if metric.kind == "counter":
        return CounterMetricFamily(name, metric.meaning, labels=labels)
    if metric.kind == "gauge":
        return GaugeMetricFamily(name, metric.meaning, labels=labels)
    return HistogramMetricFamily(name, metric.meaning, labels=labels)


def _add(family: Metric, metric: conventions.Metric, labels: tuple[str, ...], series: SeriesLike) -> None:
    if isinstance(family, HistogramMetricFamily):
        cumulative: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        total = 0
        counts = zip((*metric.buckets, float("inf")), series.counts, strict=True)  # type: ignore[call-overload]
        for bucket, (edge, count) in enumerate(counts):
            total += int(count)
            shown = "+Inf" if edge == float("inf") else repr(float(edge))
            found = series.exemplars.get(bucket)
            cumulative.append((shown, total, _exemplar(found)) if found else (shown, total))
        family.add_metric(labels, cumulative, series.total)
        name = family.name
        family.add_sample(f"{name}_created", dict(zip(metric.labels, labels, strict=True)), series.created)
    elif isinstance(family, CounterMetricFamily):
        family.add_metric(labels, series.total, created=series.created)
    elif isinstance(family, GaugeMetricFamily):
        family.add_metric(labels, series.total)


def _exemplar(found: ExemplarLike) -> Exemplar:
    """40 of the 128 characters that OpenMetrics allows. The plain text format has no exemplars and leaves it out."""
    return Exemplar({"trace_id": found.trace_id}, found.value, found.at)


class MetricsServer:
    """An HTTP server for one registry, in a thread of its own.

    Args:
        registry: what it serves.
        address: HOST:PORT; port 0 picks a free one.
        pages: path to what a probe is told there: why not all is well (503), None when it is (200).

    Raises:
        CannotStartError: the address can't be used; the message says which and what to do.
    """

    def __init__(
        self, registry: CollectorRegistry, address: str, pages: Mapping[str, Callable[[], str | None]] | None = None
    ) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            self._server, self._thread = start_http_server(int(port), host, registry)
            metrics = self._server.get_app()
            if pages and metrics is not None:
                self._server.set_app(_with_pages(metrics, pages))
        except (OSError, UnicodeError) as error:  # a port in use; a host that no resolver takes
            msg = (
                f"metrics can't be served at {address}: {getattr(error, 'strerror', None) or 'no such host'}; "
                "set OTEL_VOICEBOT_METRICS_ADDR to another HOST:PORT (port 0 picks a free one)"
            )
            raise CannotStartError(msg) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"
        self._owner = os.getpid()
        _close_in_children(self._server.socket)

    @property
    def serving(self) -> bool:
        """Whether it answers: not after ``close``, and not in a forked child, as the server is the parent's."""
        return os.getpid() == self._owner and self._thread.is_alive()

    def close(self) -> None:
        """Stop serving. Idempotent; in a forked child it does nothing."""
        if self.serving:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=2)


def _with_pages(metrics: "WSGIApplication", pages: Mapping[str, Callable[[], str | None]]) -> "WSGIApplication":
    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        asked = pages.get(environ["PATH_INFO"])
        if asked is None:
            return metrics(environ, start_response)
        try:
            reason = asked()
        except Exception:  # noqa: BLE001 - a probe gets an answer
            reason = "failed"
        status = "200 OK" if reason is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{reason or 'ok'}\n".encode()]

    return answer


_inherited: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_in_children(listening: socket.socket) -> None:
    """A forked child must not answer at, or hold on to, its parent's port."""
    _inherited.add(listening)


def _after_fork() -> None:
    for listening in _inherited:
        listening.close()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
