"""A real Collector in front of a service, both under load: what the faults of ``faults_service`` are done to."""

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.collector import Collector, free_address
from bench.faults_tally import Tally, repeats_in_report, repeats_inside_hours, stored_keys
from bench.sending import Ledger, Request, Sender, requests_of
from bench.serving import Server
from otel_voicebot.store import compact, lease

__all__ = ["Rig", "endless"]

_BATCH: Final = 20_000
_SETTLE_S: Final = 180.0
_LATER_NS: Final = 7_200_000_000_000


def endless(seed: int, per_request: int = 100) -> Iterator[Request]:
    """Requests without end; the same seed gives the same ones."""
    return itertools.chain.from_iterable(
        requests_of(_BATCH, number, per_request=per_request) for number in itertools.count(seed * 1_000_000)
    )


class Rig:
    """Two senders, one through the Collector and one straight to the service, which shows the service's own answers.

    Args:
        directory: for everything.
        seed: of what is sent.
        data: the service's directory; inside ``directory`` when it is left out.
        env: settings of the service.
        pause_s: of each sending thread between two requests of 100 spans.
        repeat: every so many-th request is sent twice.
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        *,
        data: Path | None = None,
        env: dict[str, str] | None = None,
        pause_s: float = 0.05,
        repeat: int = 0,
    ) -> None:
        self.server = Server(data or directory / "data", env=env, grpc=free_address())
        self.collector = Collector(directory / "collector", env={"VOICEBOT_GRPC": self.server.grpc})
        self.direct, self.through = Ledger(), Ledger()
        self.chance = random.Random(seed)
        self.fault_over: float | None = None
        """Monotonic time at which the fault was over, or repaired."""
        self._seed, self._pause_s, self._repeat = seed, pause_s, repeat
        self._senders: list[Sender] = []

    def __enter__(self) -> Self:
        self.server.start()
        self.collector.start()
        for number, (address, ledger) in enumerate(
            ((self.server.grpc, self.direct), (self.collector.grpc, self.through))
        ):
            sender = Sender(address, ledger, in_flight=2, repeat=self._repeat, timeout_s=60.0)
            self._senders.append(sender.start(endless(self._seed * 2 + number), pause_s=self._pause_s))
        self.wait_for_acks()
        return self

    def wait_for_acks(self, timeout_s: float = 60.0) -> None:
        """Wait until the service has answered a request that was sent after now."""
        began, deadline = len(self.direct.acked_at), time.monotonic() + timeout_s
        while len(self.direct.acked_at) < began + 4:  # two are under way
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from the service within {timeout_s:g} s")
            time.sleep(0.01)

    def over(self) -> None:
        """The fault is over from now on."""
        self.fault_over = time.monotonic()

    def settle(self, fault: str) -> Tally:
        """Let everything come to rest, stop the service, and count. Raises nothing for what is missing."""
        for sender in self._senders:
            sender.stop()
            sender.join(_SETTLE_S)
        acked = self.direct.acked | self.through.acked
        deadline = time.monotonic() + _SETTLE_S
        while acked - stored_keys(self.server.data).keys() and time.monotonic() < deadline:
            time.sleep(0.2)  # the Collector works off its queue
        self.collector.stop()
        self.server.stop()
        sent = self.direct.sent | self.through.sent
        tally = count(fault, self.server.data, sent, acked)
        tally.refused = len(self.direct.refused) + len(self.through.refused)
        tally.longest_ack_s = self.direct.longest_s()
        if self.fault_over is not None:
            tally.recovery_s = self.direct.recovery_s(self.fault_over)
        return tally

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sender in self._senders:
            sender.__exit__(kind, error, trace)
        self.collector.kill()
        self.server.kill()


def count(fault: str, data: Path, sent: set[tuple[str, str]], acked: set[tuple[str, str]]) -> Tally:
    """The row of a data directory at rest; its hours are compacted on the way, as if two hours had gone by."""
    before = stored_keys(data)
    with lease.take(data) as held:
        compact.compact(held, compact.closed_hours(data, time.time_ns() + _LATER_NS))
    after = stored_keys(data)
    return Tally(
        fault,
        sent=len(sent),
        acked=len(acked),
        stored=len(after),
        missing=max(len(acked - before.keys()), len(acked - after.keys())),
        repeated_before=before.total() - len(before),
        repeated_after=after.total() - len(after),
        repeated_inside=repeats_inside_hours(data),
        in_report=repeats_in_report(data),
        unexpected=len(after.keys() - sent),
    )
