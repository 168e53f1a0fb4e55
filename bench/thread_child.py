"""What each processor adds to a span on the bot's thread: ``python -m bench.thread_child ROUNDS``.

All variants live in one process and take turns every 50 spans, so that a busy machine hits each of them alike; workers
get time to empty their queues between the rounds. Prints one JSON object: µs a span, by variant.
"""

import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_voicebot as vb
from bench import workload
from bench.bot_child import Null
from otel_voicebot.embedded.processor import PipelineProcessor
from otel_voicebot.embedded.session_processor import SessionProcessor
from otel_voicebot.embedded.worker import Worker
from otel_voicebot.selfmetrics import SelfMetrics

VARIANTS: Final = ("bare", "stock", "ours, queue alone", "ours, stamp alone", "ours")
SPANS: Final = 50
PAUSE_S: Final = 0.004


class _Nothing:
    """Takes spans from our worker and forgets them, as the stock processor's exporter does here."""

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Forget them."""

    def started(self, sessions: Sequence[tuple[str, str]]) -> None:
        """Forget them."""

    def tick(self) -> None:
        """Nothing is ever due."""

    flush = drain = interrupt = close = tick


def _providers(data: Path) -> dict[str, TracerProvider]:
    providers = {name: TracerProvider() for name in VARIANTS}
    worker = Worker(_Nothing, SelfMetrics(), size=65_536, interval_s=1.0)
    providers["stock"].add_span_processor(BatchSpanProcessor(Null()))
    providers["ours, queue alone"].add_span_processor(PipelineProcessor(worker))
    providers["ours, stamp alone"].add_span_processor(SessionProcessor(SelfMetrics()))
    trace.set_tracer_provider(providers["ours"])
    vb.configure(data=data, metrics_addr="127.0.0.1:0")
    return providers


def measure(rounds: int, data: Path) -> dict[str, dict[str, float]]:
    """µs a span by variant: the median over the rounds, and what it adds to that of the bare SDK."""
    providers = _providers(data)
    tracers = {name: provider.get_tracer("bench.bot") for name, provider in providers.items()}
    taken: dict[str, list[float]] = {name: [] for name in tracers}
    names = list(tracers)
    with vb.session(bot="bank", channel="phone"), vb.turn():
        for number in range(rounds):
            # who is first after a pause finds cold caches: that is a place's cost, so every variant has every place
            order = [names[(number + place) % len(names)] for place in range(len(names))]
            for name in order:
                tracer = tracers[name]
                start = time.perf_counter()
                for _ in range(SPANS):
                    workload.operation(tracer)
                taken[name].append((time.perf_counter() - start) / SPANS * 1e6)
            time.sleep(PAUSE_S)
    for provider in providers.values():
        provider.shutdown()
    bare = taken["bare"]
    return {
        name: {
            "span_us": statistics.median(own),
            "added_us": statistics.median(own) - statistics.median(bare),
        }
        for name, own in taken.items()
    }


def main() -> None:
    """One measurement, as the argument says."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="bench-thread-") as data:
        json.dump(measure(int(sys.argv[1]), Path(data)), sys.stdout)


if __name__ == "__main__":
    main()
