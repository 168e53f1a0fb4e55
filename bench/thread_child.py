"""What each processor adds to a span on the bot's thread: ``python -m bench.thread_child ROUNDS``.

All variants live in one process and take turns every 50 spans, so that a busy machine hits each of them alike; workers
get time to empty their queues between the rounds. `ours` is both processors with a worker that forgets the spans, as
the stock processor's exporter does; `configure()` has the whole pipeline behind it. Prints one JSON object: µs a span,
by kind of span (of other libraries: to be stamped; of our API: born with the stamp) and variant.
"""

import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_voicebot as vb
from bench import workload
from bench.bot_child import Null
from otel_voicebot.embedded.processor import PipelineProcessor
from otel_voicebot.embedded.session_processor import SessionProcessor
from otel_voicebot.embedded.worker import Worker
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.selfmetrics import SelfMetrics

VARIANTS: Final = ("bare", "stock", "ours, queue alone", "ours, stamp alone", "ours", "configure()")
KINDS: Final = ("other libraries", "our API")
SPANS: Final = 50
PAUSE_S: Final = 0.004


class _Nothing:
    """Takes spans from our worker and forgets them, as the stock processor's exporter does here."""

    def take(self, spans: Sequence[object]) -> None:
        """Forget them."""

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Forget them."""

    def tick(self) -> None:
        """Nothing is ever due."""

    flush = drain = interrupt = close = tick


def _worker() -> Worker[_Nothing]:
    return Worker(_Nothing, SelfMetrics(), size=65_536, interval_s=1.0)


def _providers(data: Path) -> dict[str, TracerProvider]:
    providers = {name: TracerProvider() for name in VARIANTS}
    providers["stock"].add_span_processor(BatchSpanProcessor(Null()))
    providers["ours, queue alone"].add_span_processor(PipelineProcessor(_worker()))
    providers["ours, stamp alone"].add_span_processor(SessionProcessor(SelfMetrics()))
    providers["ours"].add_span_processor(PipelineProcessor(_worker(), SessionProcessor(SelfMetrics())))
    trace.set_tracer_provider(providers["configure()"])
    vb.configure(data=data, metrics_addr="none")
    return providers


def _block(kind: str, tracer: trace.Tracer) -> tuple[float, float]:
    """µs a span of the calling thread: wall time, CPU."""
    operation = partial(workload.operation, tracer) if kind == "other libraries" else workload.component
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(SPANS):
        operation()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    return wall / SPANS * 1e6, cpu / SPANS * 1e6


def measure(rounds: int, data: Path) -> dict[str, dict[str, dict[str, float]]]:
    """µs a span by kind and variant: medians, and what a variant adds to the bare SDK of the same round."""
    providers = _providers(data)
    taken: dict[str, dict[str, list[tuple[float, float]]]] = {kind: {name: [] for name in VARIANTS} for kind in KINDS}
    with vb.session(bot="bank", channel="phone"), vb.turn():
        for number in range(rounds):
            # who is first after a pause finds cold caches: that is a place's cost, so every variant has every place
            for place in range(len(VARIANTS)):
                name = VARIANTS[(number + place) % len(VARIANTS)]
                with runtime.using(providers[name], time.time_ns, capture_content=False):
                    for kind in KINDS:
                        taken[kind][name].append(_block(kind, providers[name].get_tracer("bench.bot")))
            time.sleep(PAUSE_S)
    for provider in providers.values():
        provider.shutdown()
    return {kind: {name: _medians(own, by["bare"]) for name, own in by.items()} for kind, by in taken.items()}


def _medians(own: list[tuple[float, float]], bare: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "wall_us": statistics.median(wall for wall, _ in own),
        "cpu_us": statistics.median(cpu for _, cpu in own),
        "added_wall_us": statistics.median(wall - base for (wall, _), (base, _) in zip(own, bare, strict=True)),
        "added_cpu_us": statistics.median(cpu - base for (_, cpu), (_, base) in zip(own, bare, strict=True)),
    }


def main() -> None:
    """One measurement, as the argument says."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="bench-thread-") as data:
        json.dump(measure(int(sys.argv[1]), Path(data)), sys.stdout)


if __name__ == "__main__":
    main()
