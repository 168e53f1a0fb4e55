"""Our service beside a real Collector that does what a span-to-metrics Collector does, on the same OTLP load.

The Collector runs spanmetrics with as many buckets as we have, a Prometheus exporter and the file exporter. CPU is that
of each server's process, from /proc; the load generator is in neither. The servers take turns, round by round.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import collector, generate, steady
from bench.collector import Collector, free_address
from bench.figures import Figure, Section
from bench.sending import Ledger, Request, Sender
from bench.serving import Server, cpu_seconds, resident_bytes

__all__ = ["run"]

_BUCKETS: Final = (
    "0.5s 0.65s 0.8s 1s 1.15s 1.3s 1.45s 1.5s 1.65s 1.8s 2s 2.2s 2.45s "
    "2.7s 3s 3.3s 3.5s 3.85s 4.25s 4.7s 5s 5.55s 6.2s 8s 13.5s"
)
_FORMS: Final = {
    "Collector, JSON": {"format": "json", "compression": ""},
    "Collector, JSON zstd": {"format": "json", "compression": "zstd"},
    "Collector, protobuf zstd": {"format": "proto", "compression": "zstd"},
}
OURS: Final = "otel-voicebot serve"

_CONFIG: Final = """
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "${{env:COLLECTOR_GRPC}}", max_recv_msg_size_mib: 64}}}}}}
extensions:
  health_check: {{endpoint: "${{env:COLLECTOR_HEALTH}}"}}
connectors:
  spanmetrics:
    histogram: {{explicit: {{buckets: [{buckets}]}}}}
    dimensions: [{{name: gen_ai.provider.name}}, {{name: gen_ai.request.model}}, {{name: voicebot.bot}}]
exporters:
  file: {{path: "{path}", format: {format}{compression}}}
  prometheus: {{endpoint: "{metrics}"}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [spanmetrics, file]}}
    metrics: {{receivers: [spanmetrics], exporters: [prometheus]}}
"""


@dataclass
class _Measured:
    """Of one server: a figure a round."""

    per_core_second: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    resident: int = 0


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """All servers in turns, then ours at a steady pace; about 4 minutes, or 1."""
    if reason := collector.why_not():
        msg = f"load needs a Collector: {reason}"
        raise RuntimeError(msg)
    rounds, spans = (2, 80_000) if quick else (5, 400_000)
    requests = [Request(payload, frozenset()) for payload in generate.requests(spans, seed=3)]
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name:
        directory = Path(name)
        measured = _in_turns(directory, requests, spans, rounds, tell)
        tell("load: 10,000 spans/s")
        even = steady.measure(directory / "steady", 10_000, 10.0 if quick else 60.0, 1000)
        top = statistics.median(measured[OURS].per_second)
        tell(f"load: half of {top:,.0f} spans/s")
        half = steady.measure(directory / "half", top / 2, 8.0 if quick else 30.0, int(top / 20))
    return _section(measured, even, half, rounds)


def _in_turns(
    directory: Path, requests: list[Request], spans: int, rounds: int, tell: Callable[[str], None]
) -> dict[str, _Measured]:
    measured = {name: _Measured() for name in (*_FORMS, OURS)}
    for number in range(rounds):
        for name, found in measured.items():
            tell(f"load: round {number + 1} of {rounds}, {name}")
            where = directory / f"{number}-{name.replace(' ', '-').replace(',', '')}"
            where.mkdir()
            with ExitStack() as stack:
                address, pid = _serve(name, where, stack)
                _send(address, requests[:4])  # warm
                cpu, wall = cpu_seconds(pid), time.monotonic()
                _send(address, requests)
                wall = time.monotonic() - wall
                found.per_core_second.append(spans / (_at_rest(pid) - cpu))  # what was put off counts too
                found.per_second.append(spans / wall)
                found.resident = max(found.resident, resident_bytes(pid, "VmHWM"))
    return measured


def _serve(name: str, where: Path, stack: ExitStack) -> tuple[str, int]:
    if name == OURS:
        server = stack.enter_context(Server(where / "data", grpc=free_address()))
        return server.grpc, server.pid
    form = _FORMS[name]
    config = where / "config.yaml"
    config.write_text(
        _CONFIG.format(
            buckets=", ".join(_BUCKETS.split()),
            path=where / "spans",
            format=form["format"],
            compression=f", compression: {form['compression']}" if form["compression"] else "",
            metrics=free_address(),
        )
    )
    one = stack.enter_context(Collector(where, config=config, env={}))
    assert one.process is not None
    return one.grpc, one.process.pid


def _send(address: str, requests: list[Request]) -> Ledger:
    ledger = Ledger()
    with Sender(address, ledger) as sender:
        sender.start(requests).join()
    if ledger.refused:
        raise RuntimeError(f"refused: {ledger.refused[0]}")
    return ledger


def _at_rest(pid: int, quiet_s: int = 10, most_s: float = 120.0) -> float:
    """CPU seconds of the process when it came to rest: after that it used less than 5 % of a core in each second.

    Ten of them, as the live state computes a turn 2 s after it has ended and a call after 5 s, each with its next tick.

    Raises:
        RuntimeError: it didn't.
    """
    used, quiet, deadline = cpu_seconds(pid), 0, time.monotonic() + most_s
    rest = used
    while quiet < quiet_s:
        if time.monotonic() > deadline:
            msg = f"after {most_s:.0f} s it still works"
            raise RuntimeError(msg)
        time.sleep(1)
        before, used = used, cpu_seconds(pid)
        quiet = quiet + 1 if used - before < 0.05 else 0
        rest = rest if quiet else used
    return rest


def _section(measured: dict[str, _Measured], even: steady.Steady, half: steady.Steady, rounds: int) -> Section:
    columns = ["server", "spans per core-second", "lowest", "highest", "spans/s", "peak MB"]
    rows: list[list[str | float]] = []
    for name, found in measured.items():
        speed = found.per_core_second
        middle = statistics.median(speed)
        rows.append([name, middle, min(speed), max(speed), statistics.median(found.per_second), found.resident / 1e6])
    faster = max(_FORMS, key=lambda name: statistics.median(measured[name].per_core_second))
    # a ratio a round: both were measured beside each other, so a busy machine hits both alike
    pairs = zip(measured[OURS].per_core_second, measured[faster].per_core_second, strict=True)
    ratios = [ours / theirs for ours, theirs in pairs]
    figures = [
        Figure("spans per core-second, ours / theirs (faster form)", statistics.median(ratios), "", ">=", 1.3, 2.0),
        Figure(f"of a core at {even.pace:,.0f} spans/s", even.core * 100, "%", "<=", 25),
        Figure("resident there, peak", even.resident / 1e6, "MB", "<=", 400),
        Figure(f"ack p99 at {half.pace:,.0f} spans/s, half the maximum", half.ack_p99_s, "s", "<", 2),
    ]
    notes = [f"faster form: {faster}; ratios of the rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}"]
    title = f"Load: OTLP/gRPC requests of 8,192 spans, 4 in flight (median of {rounds}, in turns)"
    return Section("load", title, columns, rows, figures, notes)
