"""What the dedupe window costs a span, on one core, with up to 6 million keys: ``python -m bench.window``."""

import os
import resource
import time

import numpy as np
import pyarrow as pa

from otel_voicebot.store.window import Window

SPANS = 8192


def request(random: np.random.Generator) -> pa.RecordBatch:
    """Keys of a request, twenty spans a trace."""
    traces = np.frombuffer(random.bytes(16 * (SPANS // 20 + 1)), "V16").repeat(20)[:SPANS].tobytes()
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), SPANS, [None, pa.py_buffer(content)])
        for width, content in ((16, traces), (8, random.bytes(8 * SPANS)))
    ]
    return pa.RecordBatch.from_arrays(columns, ["trace_id", "span_id"])


def main() -> None:
    """Fill a window to its bound, and print microseconds a span by how full it is, and memory."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    window, keys, random = Window(3600), 6_000_000, np.random.default_rng(7)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = [0.0, 0.0, 0.0]
    steps = keys // SPANS
    print(f"{'keys':>10} {'repeated':>9} {'add':>9}  CPU µs a span; a request of repeats: µs a span")
    for step in range(1, steps + 1):
        rows = request(random)
        began = time.process_time()
        fresh = ~window.repeated(rows)
        looked = time.process_time()
        window.add(rows)
        spent[0] += looked - began
        spent[1] += time.process_time() - looked
        assert fresh.all()
        if step % (steps // 6) == 0:
            began = time.process_time()
            assert window.repeated(rows).all()
            again = (time.process_time() - began) / SPANS * 1e6
            per_span = [seconds / (SPANS * (steps // 6)) * 1e6 for seconds in spent]
            print(f"{len(window):>10,} {per_span[0]:>9.3f} {per_span[1]:>9.3f}  {again:.3f}")
            spent = [0.0, 0.0, 0.0]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"memory: {grown:.0f} MB more at the peak, for {len(window):,} keys")


if __name__ == "__main__":
    main()
