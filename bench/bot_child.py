"""One variant of the bot benchmark in a process of its own: ``python -m bench.bot_child VARIANT MODE TURNS``.

Prints one JSON object. Modes: `bursts` (112 turns, about 1,000 spans, every 0.2 s: they fit in every variant's queue
and are worked off before the next), `saturated` (no pause), `steady` (50 spans/s, as one busy bot).
"""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bench import workload

__all__ = ["VARIANTS", "Null"]

BURST_TURNS: Final = 112
BURST_PERIOD_S: Final = 0.2
STEADY_SPANS_PER_S: Final = 50
WARM_UP_TURNS: Final = 192


class Sink(NamedTuple):
    """The end of a variant's pipeline."""

    flush: Callable[[], object]
    arrived: Callable[[], int]
    """Spans that came out at the end: exported, or on disk and fsynced."""


class Null(SpanExporter):
    """Counts and forgets."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Any) -> SpanExportResult:
        """Take the spans."""
        self.spans += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""


class _Encoding(Null):
    """What the OTLP exporter does before it sends, and no further."""

    def export(self, spans: Any) -> SpanExportResult:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        encode_spans(spans).SerializeToString()
        return super().export(spans)


def _bare(_provider: TracerProvider, _: Path) -> Sink:
    return Sink(lambda: None, lambda: -1)


def _stock(provider: TracerProvider, _: Path) -> Sink:
    return _batched(provider, Null())


def _encoding(provider: TracerProvider, _: Path) -> Sink:
    return _batched(provider, _Encoding())


def _batched(provider: TracerProvider, exporter: Null) -> Sink:
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    return Sink(processor.force_flush, lambda: exporter.spans)


def _ours(_provider: TracerProvider, data: Path) -> Sink:
    import otel_voicebot as vb

    committed: list[int] = []
    runtime = vb.configure(
        data=data, metrics_addr="127.0.0.1:0", on_commit=lambda commit: committed.append(commit.rows)
    )
    return Sink(lambda: runtime.drain(30), lambda: sum(committed))


VARIANTS: Final[dict[str, Callable[[TracerProvider, Path], Sink]]] = {
    "bare": _bare,
    "stock": _stock,
    "stock+encoding": _encoding,
    "ours": _ours,
}


class _Meter:
    """Clocks of the calling thread, over what the bot does and not over its pauses."""

    def __init__(self, pause: Callable[[int], float]) -> None:
        self._pause = pause
        self.wall = 0.0
        self.thread = 0.0
        self.turns = 0
        self._start()

    def _start(self) -> None:
        self._thread_start = time.thread_time()
        self._wall_start = time.perf_counter()

    def after_turn(self) -> None:
        """Stop the clocks where a pause is due."""
        self.turns += 1
        seconds = self._pause(self.turns)
        if seconds >= 0:
            self.stop()
            time.sleep(seconds)
            self._start()

    def stop(self) -> None:
        """Take the time since the last start."""
        self.wall += time.perf_counter() - self._wall_start
        self.thread += time.thread_time() - self._thread_start


def _pauses(mode: str) -> Callable[[int], float]:
    """Seconds to sleep after turn n; negative: none, the clocks run on."""
    start = time.monotonic()
    if mode == "saturated":
        return lambda _: -1.0
    every = BURST_TURNS if mode == "bursts" else 1
    period = BURST_PERIOD_S if mode == "bursts" else workload.SPANS_A_CALL / workload.TURNS_A_CALL / STEADY_SPANS_PER_S
    return lambda turn: -1.0 if turn % every else max(0.0, start + turn // every * period - time.monotonic())


def measure(variant: str, mode: str, turns: int) -> dict[str, float]:
    """Run one variant; µs per span, spans dropped, share of one core."""
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    with tempfile.TemporaryDirectory(prefix="bench-bot-") as data:
        sink = VARIANTS[variant](provider, Path(data))
        workload.run(WARM_UP_TURNS, lambda: time.sleep(0.001))
        sink.flush()
        before = sink.arrived()
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        meter = _Meter(_pauses(mode))
        workload.run(turns, meter.after_turn)
        meter.stop()
        sink.flush()
        cpu, wall = time.process_time() - cpu_start, time.perf_counter() - wall_start
        spans = turns // workload.TURNS_A_CALL * workload.SPANS_A_CALL
        arrived = sink.arrived() - before if before >= 0 else spans
        provider.shutdown()
    return {
        "spans": spans,
        "arrived": arrived,
        "thread_wall_us": meter.wall / spans * 1e6,
        "thread_cpu_us": meter.thread / spans * 1e6,
        "process_cpu_us": cpu / spans * 1e6,
        "core_percent": cpu / wall * 100,
    }


def main() -> None:
    """One measurement, as the arguments say."""
    logging.disable(logging.WARNING)  # the stock processor logs every drop; the text is not what is measured
    variant, mode, turns = sys.argv[1:4]
    json.dump(measure(variant, mode, int(turns)), sys.stdout)


if __name__ == "__main__":
    main()
