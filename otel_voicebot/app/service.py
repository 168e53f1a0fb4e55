"""The service: OTLP comes in, is answered when it is on disk, and becomes turns, sessions and metrics."""

import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import pyarrow as pa
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from otel_voicebot.app.admission import Admission
from otel_voicebot.app.intake import Intake, SignalPath
from otel_voicebot.app.live_thread import LiveThread
from otel_voicebot.app.notes import Notes
from otel_voicebot.app.policy import policy_of
from otel_voicebot.app.restore import left_behind
from otel_voicebot.app.seat import Seat
from otel_voicebot.app.stored_kpis import StoredKpis
from otel_voicebot.errors import CannotStartError
from otel_voicebot.exporters import MetricsServer, VoicebotCollector
from otel_voicebot.exporters.otlp_logs import LogForwarder
from otel_voicebot.processors import Policy, prepare, prepare_logs
from otel_voicebot.processors.sending import without_content
from otel_voicebot.receivers import answers
from otel_voicebot.receivers.answers import Signal
from otel_voicebot.receivers.grpc import GrpcReceiver
from otel_voicebot.receivers.http import HttpReceiver
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.reports.answer import Wanted
from otel_voicebot.reports.snapshot import Basis
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import Settings
from otel_voicebot.spans import LogBatch, SpanBatch, decode, decode_logs
from otel_voicebot.store import SpanStore, disk
from otel_voicebot.store.layout import tmp_directory
from otel_voicebot.store.maintain import Care, Maintainer
from otel_voicebot.store.window import Window

__all__ = ["Addresses", "Service"]

_DOOR: Final = "otlp"


class _Door(Protocol):
    @property
    def alive(self) -> bool: ...
    def start(self) -> int: ...
    def stop(self, grace_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service can be reached, each HOST:PORT; None for what is switched off."""

    grpc: str | None = None
    http: str | None = None
    metrics: str | None = None
    web: str | None = None


Web = Callable[[Path, str, Security, SelfMetrics, answers.Intake, Basis], _Door]
"""Makes the web port, which stands above this layer: of the data directory, its address, who may ask, counters, what
takes scores, and what KPIs depend on."""


class Service:
    """One running service. Several may share a data directory.

    Args:
        settings: everything.
        web: makes the web port; without it there is none.

    Raises:
        CannotStartError: the data directory can't be written to.
        UsageError: a certificate, key or token can't be used.
    """

    def __init__(self, settings: Settings, web: Web | None = None) -> None:
        self.settings = settings
        self._web = web
        self.metrics = SelfMetrics()
        self.addresses = Addresses()
        self._security = _security(settings)
        self._store = SpanStore(settings.data, metrics=self.metrics)
        self._seat = Seat.take(self._store.data, _address(settings), self._store.writer)
        self._notes = Notes(self._seat.directory / "counted")
        self._live = LiveThread(settings, self.metrics, self._store, self._store.writer, self._notes)
        self._admission = Admission(
            settings.data, settings.memory_limit, settings.min_free_disk, backlog=self._live.backlog
        )
        self._window = Window(settings.dedupe_window) if settings.dedupe_window else None
        self._forwarder = _forwarder(settings, self.metrics) if settings.logs_endpoint else None
        self._doors: dict[str, _Door] = {}
        self._intake = Intake(self._paths(), self._admission, self.metrics, self._probe, self._ended)
        self._maintainer = Maintainer(settings.data, self.metrics, Care(settings.retention, settings.disk_cap))
        self._kpis = StoredKpis(settings, self.metrics)
        self._open = ExitStack()
        """What has to be closed, in the reverse order of its start."""
        self._stopped = False

    def _paths(self) -> dict[Signal, SignalPath]:
        policy = policy_of(self.settings)
        return {
            "traces": SignalPath(
                decode,
                partial(_prepare, policy, self.metrics),
                partial(self._commit, "spans"),
                self._live.put,
                self._window,
            ),
            "logs": SignalPath(
                decode_logs,
                partial(_prepare_logs, policy, self.metrics),
                partial(self._commit, "logs"),
                _nobody,
                sent_on=self._forwarder.offer if self._forwarder else None,
            ),
        }

    def _commit(self, table: Literal["spans", "logs"], rows: pa.RecordBatch) -> pa.RecordBatch:
        kept = self._store.commit([rows], table).table.to_batches()
        return kept[0] if kept else rows.slice(0, 0)  # it has no other chunks

    def _probe(self) -> None:
        """Raises OSError while nothing can be written."""
        path = tmp_directory(self._store.data) / f"probe-{secrets.token_hex(8)}.tmp"
        try:
            disk.write(path, b"PAR1", durable=True)
        finally:
            disk.remove(path)

    def _ended(self) -> str | None:
        """A thread without which the service serves nobody, and which has ended by itself."""
        if self._stopped:
            return None
        if not self._live.alive:
            return "live"
        return next((name for name, door in list(self._doors.items()) if not door.alive), None)

    def start(self) -> None:
        """Open the doors, take up what the process before left, and begin to take requests.

        Raises:
            CannotStartError: an address is taken; the message names it.
            UnreadableDataError: what was left can't be read.
        """
        try:
            self.addresses = Addresses(
                grpc=self._start_door(GrpcReceiver, self.settings.grpc_addr),
                http=self._start_door(HttpReceiver, self.settings.http_addr),
                metrics=self._serve_metrics(),
                web=self._start_web(self.settings.web_addr),
            )
            self._take_up()
            if self._forwarder is not None:
                self._forwarder.start()
                self._open.callback(self._forwarder.close, _GRACE_S)
            self._live.start()
            self._intake.start()
            self._maintainer.start()
            self._kpis.start()
        except BaseException:
            self.stop(1.0)
            raise
        self._admission.open()

    def _take_up(self) -> None:
        """Know what the process before knew."""
        data, settings = self._store.data, self.settings
        try:
            if self._window is not None:
                self._window.rebuild(data)
            idle, most = settings.session_idle_timeout, settings.max_spans
            self._live.resume(left_behind(data, self._seat, idle, most, self._notes.read()))
        except OSError as error:
            raise CannotStartError(f"can't take up what is in {data}: {error.strerror or error}") from error

    def _start_door(self, kind: type[GrpcReceiver] | type[HttpReceiver], address: str) -> str | None:
        if not address:
            return None
        limits = Limits(
            self.settings.max_body, self.settings.max_decompressed, in_flight_bytes=self.settings.memory_limit
        )
        return self._start(kind(self._intake, address, self._security, limits, self.metrics), address)

    def _start_web(self, address: str) -> str | None:
        if not address or self._web is None:
            return None
        settings = self.settings
        basis = Basis(settings.terms(datetime.now(UTC)), Wanted().filled(settings))
        made = self._web(self._store.data, address, self._security, self.metrics, self._intake, basis)
        return self._start(made, address)

    def _start(self, door: _Door, address: str) -> str:
        self._open.callback(door.stop, _GRACE_S)
        port = door.start()
        self._doors[type(door).__name__] = door
        return f"{address.rpartition(':')[0]}:{port}"

    def _serve_metrics(self) -> str | None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(VoicebotCollector(self._series, self.metrics.read, self._live.derived.active))
        if not self.settings.metrics_addr:
            return None
        pages = {"/healthz": self._intake.broken, "/readyz": self._intake.unready}
        server = MetricsServer(registry, self.settings.metrics_addr, pages)
        self._open.callback(server.close)
        return server.url.removeprefix("http://").removesuffix("/metrics")

    def _series(self) -> Mapping[str, Any]:
        return {**self._live.aggregator.read(), **self._kpis.read()}

    def stop(self, timeout_s: float) -> bool:
        """Take no more, answer what was taken, end. Idempotent; False when that took longer than so many seconds.

        Nothing that was acknowledged is lost in either case: it is on disk.
        """
        if self._stopped:
            return True
        self._stopped = True
        deadline = time.monotonic() + timeout_s
        self._admission.close("shutting down")
        self._maintainer.stop(0.0)  # it gives up what it does; waited for below
        self._kpis.stop(0.0)
        done = self._intake.stop(0.6 * timeout_s)
        done &= self._live.stop(max(deadline - time.monotonic() - _GRACE_S, 0.1))
        self._open.close()
        self._maintainer.stop(max(deadline - time.monotonic(), 0.1))
        done &= self._kpis.stop(max(deadline - time.monotonic(), 0.1))
        self._seat.leave()
        return done


_GRACE_S: Final = 1.0
"""Seconds that a door gives to answers on their way, once all are known."""


def _prepare(policy: Policy, metrics: SelfMetrics, batch: SpanBatch) -> pa.RecordBatch:
    return prepare(batch, policy, metrics, _DOOR, time.time_ns() // 1000)


def _prepare_logs(policy: Policy, metrics: SelfMetrics, batch: LogBatch) -> pa.RecordBatch:
    return prepare_logs(batch, policy, metrics, _DOOR, time.time_ns() // 1000)


def _address(settings: Settings) -> str:
    """What tells this service from others that share its data, before and after a restart."""
    return " ".join((socket.gethostname(), settings.grpc_addr, settings.http_addr))


def _nobody(_rows: pa.RecordBatch) -> None:
    pass


def _forwarder(settings: Settings, metrics: SelfMetrics) -> LogForwarder:
    # What may not be stored is not sent on either.
    allowed = None if settings.capture_content else partial(without_content, keep=settings.keep_attributes)
    return LogForwarder(settings.logs_endpoint or "", metrics, allowed=allowed)


def _security(settings: Settings) -> Security:
    token = settings.bearer_token.get_secret_value() if settings.bearer_token else None
    return Security(settings.tls_cert, settings.tls_key, settings.tls_client_ca, token)
