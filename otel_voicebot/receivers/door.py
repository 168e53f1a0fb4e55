"""What both doors do with a request, whatever protocol it came by."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from otel_voicebot.receivers.answers import Answer, Intake, Refused, Signal
from otel_voicebot.receivers.bodies import BadBodyError, LargeBodyError, decompress, from_json
from otel_voicebot.receivers.limits import Budget, Limits
from otel_voicebot.receivers.salvage import crowded
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.statuses import metrics_accepted
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_REFUSED, SELF_REJECTED

__all__ = ["BusyError", "Door", "Lease"]

_DAMAGED: Final = "damaged"
_COUNTED_BYTES: Final = 1 << 20
_COUNTED_METRICS: Final = 8 << 20
"""Bytes of metrics beyond which their points are not counted: they are rejected either way."""
_MOST_ITEMS: Final = 500_000
"""Spans or log records of one request. An empty span is two bytes, and takes 240 while it is read."""
_UNREADABLE: Final = "could not be read: a value of a wrong type, or nested too deep"


class BusyError(Exception):
    """Too much is being received at once; the sender should come again."""


class Lease:
    """Bytes of the budget that one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, size: int) -> None:
        """Reserve more.

        Raises:
            BusyError: there are not as many left.
        """
        if not self._budget.take(size):
            raise BusyError("too many bytes are being received at once")
        self._held += size

    def release(self) -> None:
        """Give all back."""
        self._budget.give(self._held)
        self._held = 0


class Door:
    """Bounds, locks and counts of one receiver.

    Args:
        name: of the receiver, for its counters: grpc, http.
        intake: where requests go.
        security: who may send.
        limits: what a sender may cost.
        metrics: counts refusals by reason, and failures that were contained.
    """

    def __init__(self, name: str, intake: Intake, security: Security, limits: Limits, metrics: SelfMetrics) -> None:
        self.name = name
        self.intake = intake
        self.security = security
        self.limits = limits
        self.metrics = metrics
        # a body within its own bounds must have room, or its sender would come again for ever
        self._budget = Budget(max(limits.in_flight_bytes, limits.body_bytes + limits.decompressed_bytes))
        self._places = Budget(limits.concurrent)

    @contextmanager
    def place(self) -> Iterator[Lease]:
        """One of the requests at once, and what bytes it holds.

        Raises:
            BusyError: there are too many already.
        """
        if not self._places.take(1):
            raise BusyError("too many requests at once")
        lease = Lease(self._budget)
        try:
            yield lease
        finally:
            lease.release()
            self._places.give(1)

    def closed(self) -> Refused | None:
        """Why nothing can be taken now."""
        reason = self.intake.unready()
        return None if reason is None else self.later("unready", reason)

    def later(self, reason: str, message: str) -> Refused:
        """A refusal for now, counted."""
        self.metrics.add(SELF_REFUSED, 1, reason)
        return Refused(message, self.limits.retry_after_s)

    def never(self, reason: str, message: str) -> Refused:
        """A refusal for good, counted."""
        self.metrics.add(SELF_REFUSED, 1, reason)
        return Refused(message, None)

    def failed(self, error: BaseException) -> Refused:
        """What a sender is told when we failed: a defect of ours must not cost its data."""
        self.metrics.contained(f"{self.name} receiver", error)
        return Refused("the receiver failed; try again", self.limits.retry_after_s)

    def too_large(self) -> Refused:
        """What the sender of a body beyond its bound is told."""
        return self.never("too_large", f"the body has more than {self.limits.body_bytes} bytes; send smaller batches")

    def take(self, signal: str, body: bytes, lease: Lease, *, encoding: str, is_json: bool = False) -> "Pending":
        """Unpack a body and hand it in. Costs CPU time, doesn't wait for the disk.

        JSON by one thread only: its objects take ten times the body's bytes.

        Raises:
            BusyError: its decompressed bytes are too many just now.
        """
        limit = self.limits.json_bytes if is_json else self.limits.decompressed_bytes
        lost = 0
        try:
            if is_json and len(body) > limit:
                raise LargeBodyError(f"a JSON body may have {limit} bytes; send smaller batches, or protobuf")
            plain = decompress(body, encoding, min(limit, self.limits.decompressed_bytes), lease.take)
            if signal == "metrics":
                counted = plain if len(plain) <= _COUNTED_METRICS else b""
                return Pending.of(metrics_accepted(counted, is_json=is_json))
            kept: Signal = "traces" if signal == "traces" else "logs"
            if is_json:
                plain, lost = from_json(kept, plain)
            if len(plain) > _COUNTED_BYTES and crowded(plain, _MOST_ITEMS):
                raise LargeBodyError(f"the body has more than {_MOST_ITEMS} {signal}; send smaller batches")
        except BadBodyError as error:
            if signal == "metrics":
                return Pending.of(metrics_accepted(b"", is_json=False))
            reason = "too_large" if isinstance(error, LargeBodyError) else "malformed"
            return Pending.of(self.never(reason, str(error)))
        self.metrics.add(SELF_REJECTED, lost, _DAMAGED)
        return Pending(self.intake.offer(kept, plain), lost)


class Pending:
    """An answer on its way, and how many spans or log records could not be offered."""

    def __init__(self, future: Future[Answer], lost: int) -> None:
        self.future = future
        self._lost = lost

    @classmethod
    def of(cls, answer: Answer) -> "Pending":
        """An answer that is known."""
        future: Future[Answer] = Future()
        future.set_result(answer)
        return cls(future, 0)

    def complete(self, answer: Answer) -> Answer:
        """The intake's answer and what was lost before."""
        if not self._lost or isinstance(answer, Refused):
            return answer
        message = ", ".join(part for part in (answer.message, f"{self._lost} {_UNREADABLE}") if part)
        return replace(answer, rejected=answer.rejected + self._lost, message=message)
