"""Cutting the waits of generated calls, on one core: ``python -m bench.segments_child SPANS ROUNDS``.

Prints one JSON object: CPU seconds by model over all spans at once, as a report reads them; and by size of a tick for
the turns of so many spans as the live state computes them, with the cut and without, and what counting their costs
takes. Of several rounds the least.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bench import generate

if TYPE_CHECKING:
    import pyarrow as pa

TICKS: Final = (8, 800, 8000)
"""Spans of a tick: one or two turns, a hundred, a thousand."""


def seconds(work: Callable[[], object], rounds: int) -> float:
    """CPU time of the process for one call, the least of several."""
    found = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return min(found)


def measure(spans: int, rounds: int) -> dict[str, object]:
    """Everything that is measured."""
    import pyarrow as pa

    from otel_voicebot.models.catalog import EMPTY, MODELS, SEGMENTS
    from otel_voicebot.models.prepared import NARROW, connect
    from otel_voicebot.models.terms import SHORT_SESSION_S
    from otel_voicebot.processors import Policy, prepare
    from otel_voicebot.selfmetrics import SelfMetrics
    from otel_voicebot.spans import decode

    requests = generate.requests(spans, seed=1)
    batches = [prepare(decode(one), Policy(), SelfMetrics(), "bench", 0) for one in requests]
    rows = pa.Table.from_batches(batches).select(NARROW.names)

    engine = connect(SHORT_SESSION_S)
    engine.execute("SET memory_limit = '4GB'")
    engine.register("rows", rows)
    engine.execute("CREATE TEMP TABLE once AS FROM rows")
    for name, columns in EMPTY.items():
        engine.execute(f"CREATE TEMP TABLE {name} ({columns})")
    for name, model in (("steps", "plain"), ("parts", "parts"), ("known", "unplaced")):
        engine.execute(f"CREATE TEMP VIEW {name} AS {MODELS[model].text}")
    models = {}
    for name in SEGMENTS:
        query = f"CREATE OR REPLACE TEMP TABLE {name} AS {MODELS[name].text}"
        models[name] = seconds(lambda query=query: engine.execute(query), rounds)  # type: ignore[misc]
    waits = engine.execute("SELECT count(*) FROM waits").fetchall()[0][0]
    engine.close()

    return {"spans": rows.num_rows, "waits": waits, "models": models, "ticks": by_tick(rows, rounds)}


def by_tick(rows: "pa.Table", rounds: int) -> dict[int, dict[str, float]]:
    """Seconds of a tick with so many spans: turns with their segments, without, and the costs of operations."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from otel_voicebot.live import Aggregator
    from otel_voicebot.live.costs import Costing
    from otel_voicebot.live.rows import operations_of
    from otel_voicebot.models.prepared import Prepared
    from otel_voicebot.models.pricing import Prices
    from otel_voicebot.selfmetrics import SelfMetrics

    live = Prepared()
    calls = rows.filter(pc.is_valid(rows["turn_index"])).sort_by([("session_id", "ascending")]).combine_chunks()
    ticks = {}
    for size in TICKS:
        tick = calls.slice(0, size)
        turns = []

        def whole(tick: pa.Table = tick, turns: list[int] = turns) -> None:
            live.load(tick)
            turns.append(live.run("turns").num_rows)

        def plain(tick: pa.Table = tick) -> None:
            live.load(tick)
            live.run("turns", cut=False)

        operations = operations_of(tick)
        costing, counts = Costing(Prices(), SelfMetrics()), Aggregator()

        def cost(operations: pa.Table = operations, costing: Costing = costing, counts: Aggregator = counts) -> None:
            costing.record_operations(counts, operations)

        taken = {"with": whole, "without": plain, "costs": cost}
        ticks[size] = {name: seconds(work, 4 * rounds) for name, work in taken.items()} | {"turns": turns[0]}
    live.close()
    return ticks


def main() -> None:
    """One measurement, as the arguments say."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    json.dump(measure(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)


if __name__ == "__main__":
    main()
