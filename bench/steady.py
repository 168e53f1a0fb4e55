"""Our service at a steady pace, each span new, calls under way all the time: what it takes of a core, and of memory."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import generate
from bench.figures import Figure, Section
from bench.sending import Ledger, Request, Sender
from bench.serving import Server, cpu_seconds, resident_bytes

__all__ = ["Steady", "measure", "run"]

_WARM_S: Final = 5.0
_PACE: Final = 10_000


@dataclass(frozen=True)
class Steady:
    """What was measured at `pace` spans a second."""

    pace: float
    core: float
    """CPU seconds a second."""
    idle: int
    """Resident bytes before the first request."""
    resident: int
    """At the peak."""
    ack_median_s: float
    ack_p99_s: float
    files: float
    """Hot files of spans a second."""


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """10,000 spans/s in large and in small requests; about 3 minutes, or 1."""
    rows: list[list[str | float]] = []
    found: dict[int, Steady] = {}
    with tempfile.TemporaryDirectory(prefix="bench-steady-") as name:
        for per_request in (1000, 50):
            tell(f"steady: {_PACE:,} spans/s in requests of {per_request}")
            one = measure(Path(name) / str(per_request), _PACE, 20.0 if quick else 60.0, per_request)
            found[per_request] = one
            acks = [one.ack_median_s * 1000, one.ack_p99_s * 1000]
            what = f"{_PACE // per_request} requests a second of {per_request} spans"
            rows.append([what, one.pace, one.core * 100, one.idle / 1e6, one.resident / 1e6, *acks, one.files])
    columns = ["", "spans/s", "% of a core", "idle MB", "peak MB", "ack median ms", "ack p99 ms", "files/s"]
    usual = found[1000]
    figures = [
        Figure(f"of a core at {_PACE:,} spans/s", usual.core * 100, "%", "<=", 25),
        Figure("resident there, peak", usual.resident / 1e6, "MB", "<=", 400),
    ]
    return Section("steady", "The service at a steady pace", columns, rows, figures)


def measure(directory: Path, pace: float, seconds: float, per_request: int) -> Steady:
    """Ours at so many spans a second."""
    directory.mkdir()
    spans = int(pace * (seconds + _WARM_S))
    payloads = generate.requests(spans, seed=9, per_request=per_request)
    requests = [Request(payload, frozenset()) for payload in payloads]
    every = per_request / pace
    warm = int(_WARM_S / every)
    ledger = Ledger()
    with Server(directory / "data") as server, Sender(server.grpc, ledger) as sender:
        idle = resident_bytes(server.pid)
        _paced(sender, requests[:warm], every)
        ledger.ack_s.clear()
        cpu, began, before = cpu_seconds(server.pid), time.monotonic(), _files(server.data)
        _paced(sender, requests[warm:], every)
        wall = time.monotonic() - began
        acks = statistics.quantiles(ledger.ack_s, n=100)
        return Steady(
            pace=len(requests[warm:]) * per_request / wall,
            core=(cpu_seconds(server.pid) - cpu) / wall,
            idle=idle,
            resident=resident_bytes(server.pid, "VmHWM"),
            ack_median_s=acks[49],
            ack_p99_s=acks[98],
            files=(_files(server.data) - before) / wall,
        )


def _files(data: Path) -> int:
    return sum(1 for _ in (data / "hot" / "spans").rglob("*.parquet"))


def _paced(sender: Sender, requests: list[Request], every_s: float) -> None:
    """Threads with a part of the requests each, on a fixed timetable: a slow answer delays nothing but itself."""
    threads_n = max(4, int(0.4 / every_s))  # an answer may take 0.4 s before the next of its thread is due

    def timetable(own: list[Request], first_s: float) -> None:
        due = time.monotonic() + first_s
        for request in own:
            time.sleep(max(due - time.monotonic(), 0.0))
            sender.send(request)
            due += every_s * threads_n

    threads = [threading.Thread(target=timetable, args=(requests[n::threads_n], every_s * n)) for n in range(threads_n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
