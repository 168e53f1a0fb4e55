"""Every stage of ingest over generated requests, on one core: ``python -m bench.ingest_child SPANS DIRECTORY [live]``.

Prints one JSON object: seconds (wall and CPU of the process) by stage. Each request goes through all
stages before the next, as in the service; the process is pinned before any library can count the other cores.
"""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import generate

if TYPE_CHECKING:
    import pyarrow as pa

    from otel_voicebot.spans import SpanBatch
    from otel_voicebot.store import SpanStore

WARM_UP_SPANS: Final = 4 * 8192


class Clocks:
    """Wall and CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the block takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        total = self.seconds[name]
        total[0] += time.perf_counter() - wall
        total[1] += time.process_time() - cpu


def to_disk(batch: "SpanBatch", store: "SpanStore", clocks: Clocks) -> "pa.RecordBatch":
    """The stages after decoding, each on its clock; returns the rows."""
    from otel_voicebot.processors import normalise, withhold

    with clocks.stage("normalise"):
        batch = normalise(batch)
    with clocks.stage("withhold"):
        batch = withhold(batch, ())
    with clocks.stage("rows"):
        rows = batch.rows(time.time_ns() // 1000)
    with clocks.stage("commit"):
        store.commit([rows])
    return rows


def measure(spans: int, directory: Path, *, with_live: bool) -> dict[str, object]:
    """Run all requests through all stages; the first `WARM_UP_SPANS` spans don't count."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from otel_voicebot.live import Aggregator, Live
    from otel_voicebot.selfmetrics import SelfMetrics
    from otel_voicebot.spans import decode
    from otel_voicebot.store import SpanStore

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    store = SpanStore(directory)
    # the live state's clock is that of the calls: a turn is final 2 s of theirs after it ended
    clock = [0.0]
    live = Live(Aggregator(), SelfMetrics(), lambda _table, _rows: None, clock=lambda: clock[0]) if with_live else None
    clocks, rows_done = Clocks(), 0
    for payload in generate.requests(spans, seed=1):
        if rows_done == WARM_UP_SPANS:
            clocks = Clocks()
        with clocks.stage("decode"):
            batch = decode(payload)
        rows = to_disk(batch, store, clocks)
        rows_done += rows.num_rows
        if live is None:
            continue
        clock[0] = pc.max(rows["end_unix_nano"]).as_py() / 1e9
        with clocks.stage("live: take"):
            live.add(rows)
        with clocks.stage("live: tick"):
            live.tick()
    return {"spans": rows_done - WARM_UP_SPANS, "seconds": clocks.seconds}


def main() -> None:
    """One measurement, as the arguments say."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    json.dump(measure(int(sys.argv[1]), Path(sys.argv[2]), with_live=sys.argv[3:] == ["live"]), sys.stdout)


if __name__ == "__main__":
    main()
