"""One process's part of the compaction benchmark; prints one JSON object.

``python -m bench.compact_child fill SPANS SEED DIRECTORY`` commits generated spans into one ingest hour, a file a
request; ``merge DIRECTORY`` merges that hour and tells its own peak of resident memory.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

from bench import generate

_HOUR: Final = generate.EPOCH + 10 * 3_600_000_000_000


def fill(spans: int, seed: int, directory: Path) -> dict[str, object]:
    """Commit spans as the service would."""
    from otel_voicebot.processors import normalise, withhold
    from otel_voicebot.spans import decode
    from otel_voicebot.store import SpanStore

    store = SpanStore(directory, clock=lambda: _HOUR)
    rows = 0
    for payload in generate.requests(spans, seed=seed):
        batch = withhold(normalise(decode(payload)), ())
        rows += store.commit([batch.rows(_HOUR // 1000 + rows)]).rows
    return {"spans": rows}


def merge(directory: Path) -> dict[str, object]:
    """Compact the closed hour."""
    from otel_voicebot.store.compact import closed_hours, compact
    from otel_voicebot.store.lease import take

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    with take(directory) as lease:
        (done,), failed = compact(lease, closed_hours(directory, time.time_ns()))
    if failed:
        raise failed[0].error
    return {
        "files": done.files,
        "rows": done.merged.rows,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "imports_mb": before / 1024,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """What the arguments say."""
    match sys.argv[1:]:
        case ["fill", spans, seed, directory]:
            found = fill(int(spans), int(seed), Path(directory))
        case ["merge", directory]:
            found = merge(Path(directory))
        case _:
            sys.exit(__doc__)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
