"""Stored log records are sent on to another OTLP endpoint: what the content policy leaves, after they are durable.

The store is the promise, sending on is a courtesy: a queue of bounded size on a thread of its own, which never delays
an answer to a sender. What finds the queue full, what the endpoint refuses, and what is left at the end is counted by
reason. Nothing is remembered across a restart.
"""

import gzip
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from otel_voicebot.exporters.log_senders import Again, Refused, Sent, Taken, sender_for
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_LOGS_DROPPED, SELF_LOGS_FORWARDED

__all__ = ["Forwarding", "LogForwarder"]

_log = logging.getLogger("otel_voicebot")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How patient the forwarder is, and how much it holds."""

    queue_bytes: int = 32 << 20
    """Bytes of requests that wait, uncompressed: half a minute of a megabyte a second."""
    timeout_s: float = 10.0
    """For one try; OTLP's usual one."""
    first_pause_s: float = 1.0
    """Before the second try. It doubles from try to try, and is drawn from its upper half so that many don't come back
    at once; what the endpoint says goes first."""
    longest_pause_s: float = 30.0


class LogForwarder:
    """Sends stored log requests on. ``offer`` may be called from any thread.

    Args:
        endpoint: as in ``sender_for``.
        metrics: counts records sent on and dropped.
        options: see there.
        allowed: makes of a request what may be sent on; None sends it as it came.

    Raises:
        UsageError: the endpoint is no such URL.
    """

    def __init__(
        self,
        endpoint: str,
        metrics: SelfMetrics,
        options: Forwarding | None = None,
        allowed: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._allowed = allowed
        self._sender = sender_for(endpoint)
        self._metrics = metrics
        self._options = options or Forwarding()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._deadline: float | None = None  # monotonic; set when it is time to end
        self._told = False
        self._thread = threading.Thread(target=self._run, name="otel-voicebot-forward", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def offer(self, payload: bytes, records: int) -> None:
        """Send this request (OTLP protobuf, of so many records) when its turn comes. Never blocks or raises."""
        with self._changed:
            if self._deadline is None and self._bytes + len(payload) <= self._options.queue_bytes:
                self._waiting.append((payload, records))
                self._bytes += len(payload)
                self._changed.notify()
                return
            reason = "queue_full" if self._deadline is None else "shutdown"
        self._metrics.add(SELF_LOGS_DROPPED, records, reason)

    def close(self, timeout_s: float) -> None:
        """Send what waits, for at most so many seconds; the rest is counted as dropped. Safe to call twice."""
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout_s
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 1.0)
        self._drop_rest()

    def _run(self) -> None:
        while (first := self._first()) is not None:
            payload, records = first
            sent = self._send(payload)
            if isinstance(sent, Again):
                return  # time is up: close counts what is left
            with self._changed:
                if not self._waiting:  # close didn't wait for us, and has counted it
                    return
                self._waiting.popleft()
                self._bytes -= len(payload)
            rejected = min(sent.rejected, records) if isinstance(sent, Taken) else records
            self._metrics.add(SELF_LOGS_FORWARDED, records - rejected)
            self._metrics.add(SELF_LOGS_DROPPED, rejected, "refused")
        self._sender.close()

    def _first(self) -> tuple[bytes, int] | None:
        """What has waited longest, which stays in the queue until it is done; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
            return self._waiting[0] if self._waiting and self._left() > 0 else None

    def _send(self, payload: bytes) -> Sent:
        """Try until it is taken or refused; ``Again`` when time is up."""
        if self._allowed is not None:
            try:
                payload = self._allowed(payload)
            except Exception as error:  # noqa: BLE001 - what can't be cleaned is not sent
                self._metrics.contained("forward", error)
                return Refused(type(error).__name__)
        compressed, pause = gzip.compress(payload, 1), self._options.first_pause_s
        while True:
            sent = self._try(compressed, payload)
            self._tell(sent)
            if not isinstance(sent, Again):
                return sent
            wait = sent.after_s if sent.after_s is not None else pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            pause = min(2 * pause, self._options.longest_pause_s)
            self._sleep(min(wait, self._options.longest_pause_s))
            if self._left() <= 0:
                return sent

    def _try(self, compressed: bytes, payload: bytes) -> Sent:
        try:
            return self._sender.send(compressed, payload, max(min(self._options.timeout_s, self._left()), 0.05))
        except Exception as error:  # noqa: BLE001 - this thread must not die of one request
            self._metrics.contained("forward", error)
            self._sender.close()
            return Refused(type(error).__name__)

    def _sleep(self, seconds: float) -> None:
        """Wait for another try; less when it is time to end, where each try has a tenth of what is left."""
        until = time.monotonic() + seconds
        with self._changed:
            while (rest := until - time.monotonic()) > 0:
                if self._deadline is not None:
                    rest = min(rest, max(self._left() / 10, 0.02))
                    self._changed.wait(rest)
                    return
                self._changed.wait(rest)

    def _left(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()

    def _drop_rest(self) -> None:
        with self._changed:
            records = sum(count for _, count in self._waiting)
            self._waiting.clear()
            self._bytes = 0
        self._metrics.add(SELF_LOGS_DROPPED, records, "shutdown")

    def _tell(self, sent: Sent) -> None:
        """Say once that the endpoint does not take logs, and once that it does again."""
        if isinstance(sent, Taken) == self._told:
            self._told = not self._told
            if isinstance(sent, Taken):
                _log.warning("otel_voicebot: %s takes logs again", self._endpoint)
            else:
                _log.warning("otel_voicebot: %s takes no logs (%s); they are stored here", self._endpoint, sent.why)
