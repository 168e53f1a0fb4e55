"""uvicorn's HTTP connection, with the bounds that it lacks: on a request's head, on its duration, on connections."""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedConnection", "SlowSenderError"]

_HEAD_BYTES: Final = 64 << 10
"""Bytes that bring no body: of a head, of trailers, of chunk sizes."""
_ANSWER_S: Final = 5.0
"""Seconds between the end of a slow sender's time, which is answered, and that of its connection."""


class SlowSenderError(Exception):
    """A body took too long to arrive."""


class BoundedConnection(HttpToolsProtocol):
    """One connection. It is closed when a request takes too long to arrive, or its head is too large.

    Attributes:
        request_s: seconds in which a request must arrive, from its first byte; a new connection's, from the start.
        most: connections at once; a further one is closed.
    """

    request_s: ClassVar[float] = 30.0
    most: ClassVar[int] = 1000

    @classmethod
    def within(cls, request_s: float, most: int) -> type["BoundedConnection"]:
        """The class with these bounds, as uvicorn makes the connections itself."""
        return type("Connection", (cls,), {"request_s": request_s + _ANSWER_S, "most": most})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._idle_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; turn away what is too much."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.close()
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body."""
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wind()  # bytes that begin no request

    def on_message_begin(self) -> None:
        """A request has this long to arrive."""
        super().on_message_begin()
        self._wind()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._idle_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Something of use."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """From here on it is us who take the time."""
        self._idle_bytes = 0
        self._stop()
        super().on_message_complete()

    def _wind(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.request_s, self._close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
