"""The web port as a server in threads of its own."""

from pathlib import Path
from typing import Final

from otel_voicebot.receivers.connection import BoundedConnection
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.serving import HttpServer, Named
from otel_voicebot.reports.traces import Traces
from otel_voicebot.web.application import application
from otel_voicebot.web.asking import Asking

__all__ = ["WebServer"]

_NAMED: Final = Named("the web port", "otel-voicebot-web", "OTEL_VOICEBOT_WEB_ADDR")
_CONNECTIONS: Final = 200
_REQUEST_S: Final = 30.0


class WebServer:
    """Serves questions about one data directory.

    Args:
        data: the directory.
        address: HOST:PORT; port 0 picks a free one.
        security: as of the doors for senders: with a certificate TLS only, with a token only who says it.
    """

    def __init__(self, data: Path, address: str, security: Security) -> None:
        self._traces = Traces(data)
        self._asking = Asking()
        app = application(self._traces, self._asking, security)
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
        self._traces.close()
        self._asking.close()
