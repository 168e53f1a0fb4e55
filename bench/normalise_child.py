"""Stages of ingest over the captures, on one core: ``python -m bench.normalise_child SPANS DIRECTORY [vary]``.

Prints one JSON object: seconds (wall and CPU of the process) by stage.
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import captured
from bench.ingest_child import Clocks, to_disk

WARM_UP = 1


def measure(spans: int, directory: Path, *, vary: bool) -> dict[str, object]:
    """Run all requests through the stages; the first ones don't count."""
    import pyarrow as pa

    from otel_voicebot.app.joining import decode_together
    from otel_voicebot.spans import decode
    from otel_voicebot.store import SpanStore

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    store = SpanStore(directory)
    clocks, done = Clocks(), 0
    for number, payloads in enumerate(_together(captured.requests(spans, vary=vary))):
        if number == WARM_UP:
            gc.freeze()  # as import does
            clocks, done = Clocks(), 0
        with clocks.stage("decode"):
            (batch,) = decode_together(decode, payloads).batches
        rows = to_disk(batch, store, clocks)
        done += rows.num_rows
    return {"spans": done, "seconds": clocks.seconds}


def _together(requests: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The requests in the groups in which ``otel-voicebot import`` reads them."""
    from otel_voicebot.app.ingest import TOGETHER

    group: list[bytes] = []
    for request in requests:
        group.append(request)
        if sum(map(len, group)) >= TOGETHER:
            yield group
            group = []


def main() -> None:
    """One measurement, as the arguments say."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    json.dump(measure(int(sys.argv[1]), Path(sys.argv[2]), vary=sys.argv[3:] == ["vary"]), sys.stdout)


if __name__ == "__main__":
    main()
