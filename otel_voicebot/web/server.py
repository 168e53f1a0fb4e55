"""The web port as a server in threads of its own."""

from pathlib import Path
from typing import Final

from otel_voicebot.receivers.answers import Intake
from otel_voicebot.receivers.connection import BoundedConnection
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.serving import HttpServer, Named
from otel_voicebot.reports.snapshot import Basis, Snapshots
from otel_voicebot.reports.traces import Traces
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.web import jaeger, jaeger_v3, kpis, scoring
from otel_voicebot.web.application import application
from otel_voicebot.web.asking import Asking

__all__ = ["WebServer"]

_NAMED: Final = Named("the web port", "otel-voicebot-web", "OTEL_VOICEBOT_WEB_ADDR")
_CONNECTIONS: Final = 200
_REQUEST_S: Final = 30.0


class WebServer:
    """Serves questions about one data directory, and takes scores of its sessions.

    Args:
        data: the directory.
        address: HOST:PORT; port 0 picks a free one.
        security: as of the doors for senders: with a certificate TLS only, with a token only who says it.
        metrics: counts questions by how they were answered.
        intake: takes scores; None: none are taken.
        basis: what KPIs depend on beside the spans.
    """

    def __init__(
        self,
        data: Path,
        address: str,
        security: Security,
        metrics: SelfMetrics | None = None,
        intake: Intake | None = None,
        basis: Basis | None = None,
    ) -> None:
        self._traces = Traces(data)
        self._snapshots = Snapshots(data, basis)
        # Scores don't wait behind questions, nor short questions behind reports, of which each takes all cores.
        self._asking, self._reporting, self._scoring = Asking(), Asking(1), Asking(1)
        own = [kpis.router(data, self._snapshots, self._asking, self._reporting)]
        if intake is not None:
            own.append(scoring.router(data, intake, self._scoring))
        viewers = [jaeger_v3.router(self._traces, self._asking), jaeger.router(self._traces, self._asking)]
        app = application(own, viewers, security, metrics or SelfMetrics())
        self._server = HttpServer(app, address, _NAMED, security, BoundedConnection.within(_REQUEST_S, _CONNECTIONS))

    def start(self) -> int:
        """Listen; the port.

        Raises:
            CannotStartError: the address can't be used.
        """
        return self._server.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; also before start and after stop."""
        return self._server.alive

    def stop(self, grace_s: float) -> None:
        """Take nothing new, stop questions that take longer than so many seconds, and end. Idempotent."""
        self._server.stop(grace_s)
        self._traces.stop()
        self._snapshots.stop()
        for asking in (self._asking, self._reporting, self._scoring):
            asking.close()
        self._traces.close()
