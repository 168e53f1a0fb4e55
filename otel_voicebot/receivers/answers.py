"""What a door hands in and what it is told: the contract between the receivers and the service behind them."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Accepted", "Answer", "Intake", "Refused", "Signal"]

Signal = Literal["traces", "logs"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Everything but ``rejected`` is on disk, fsynced. HTTP 200, gRPC OK."""

    rejected: int = 0
    """Spans or log records that can never be accepted; the sender learns of them by ``partial_success``."""
    message: str = ""
    """Why they were rejected."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is promised. The message never quotes what a sender sent: it may be what a caller said."""

    message: str
    retry_after_s: float | None
    """Seconds until it is worth trying again: 503, UNAVAILABLE. None: never, 400, INVALID_ARGUMENT: it is dropped."""


Answer = Accepted | Refused


class Intake(Protocol):
    """Takes requests. Its methods are called from any thread."""

    def offer(self, signal: Signal, payload: bytes) -> Future[Answer]:
        """Take a request: protobuf, no longer compressed. May cost CPU time, doesn't wait for the disk; never raises.

        The future holds an answer, not an exception. A request whose answer nobody waits for may be on disk all the
        same, so a sender that tries again sends a duplicate.
        """

    def unready(self) -> str | None:
        """Why nothing can be taken now (starting, draining, disk full), for the sender's eyes; None when ready."""

    def broken(self) -> str | None:
        """Why the process should be started anew: a thread without which it serves nobody has ended; None else.

        Never blocks.
        """
