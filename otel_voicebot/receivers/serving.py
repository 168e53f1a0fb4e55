"""An HTTP server in a thread with an event loop of its own."""

import asyncio
import math
import socket
import threading
from dataclasses import dataclass
from typing import Any, Final

import uvicorn

from otel_voicebot.errors import CannotStartError
from otel_voicebot.receivers.connection import BoundedConnection
from otel_voicebot.receivers.security import Security

__all__ = ["HttpServer", "Named"]

_KEEP_ALIVE_S: Final = 75
_START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Named:
    """How a server is called in errors and among threads."""

    what: str
    """What it serves: OTLP/HTTP."""
    thread: str
    setting: str
    """The environment variable of its address."""


class HttpServer:
    """Serves an ASGI application.

    Args:
        app: the application.
        address: HOST:PORT; port 0 picks a free one.
        named: what to call it.
        security: with a certificate it speaks TLS only. Tokens are the application's own business.
        connection: the class of connections, with their bounds.
    """

    def __init__(
        self, app: Any, address: str, named: Named, security: Security, connection: type[BoundedConnection]
    ) -> None:
        self._app = app
        self._address = address
        self._named = named
        self._security = security
        self._connection = connection
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen; the port.

        Raises:
            CannotStartError: the address can't be used.
        """
        listening = self._listen()
        config = uvicorn.Config(
            self._app,
            http=self._connection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",  # what a hostile sender sends is counted, not logged
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        config.load()
        config.ssl = self._security.context()
        server = self._server = uvicorn.Server(config)
        started = threading.Event()
        self._thread = threading.Thread(
            target=_serve, args=(server, listening, started), name=self._named.thread, daemon=True
        )
        self._thread.start()
        if not started.wait(_START_S):
            raise CannotStartError(f"{self._named.what} can't be served at {self._address}: the server did not start")
        port: int = listening.getsockname()[1]
        return port

    @property
    def alive(self) -> bool:
        """Whether its thread runs; also before start and after stop."""
        return self._server is None or self._thread is None or self._thread.is_alive()

    def stop(self, grace_s: float) -> bool:
        """Take nothing new, answer what was taken within so many seconds, and end.

        Idempotent; safe before start. True where it ran before.
        """
        server, thread, self._server = self._server, self._thread, None
        if server is None or thread is None:
            return False
        server.config.timeout_graceful_shutdown = math.ceil(grace_s)
        server.should_exit = True
        thread.join(math.ceil(grace_s) + 2)
        return True

    def _listen(self) -> socket.socket:
        host, _, port = self._address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, int(port)), family=family, backlog=512)
        except (OSError, UnicodeError, ValueError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such host"
            msg = (
                f"{self._named.what} can't be served at {self._address}: {reason}; "
                f"set {self._named.setting} to another HOST:PORT (port 0 picks a free one)"
            )
            raise CannotStartError(msg) from error


def _serve(server: uvicorn.Server, listening: socket.socket, started: threading.Event) -> None:
    async def run() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.002)
        if server.started:
            started.set()
        await serving

    try:
        asyncio.run(run())
    finally:
        listening.close()
