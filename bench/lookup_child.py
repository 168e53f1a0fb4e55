"""One process's part of the lookup benchmark; prints one JSON object.

``python -m bench.lookup_child fill SPANS DIRECTORY`` makes a store: hours of history up to now, written as the
compactor writes them, and the next two hours in hot files of a second each. It tells some trace ids of each.
``find DIRECTORY IDS`` looks traces up one after the other in this process, with an index that is cold at first.
"""

import json
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench import generate

__all__ = ["HOUR_SPANS", "Hour"]

HOUR_SPANS: Final = 137_500
"""Spans of an hour: 100 M are a month."""
_HOUR_NS: Final = 3_600_000_000_000
_HOT_HOURS: Final = 2
_SAMPLED: Final = 4
"""Trace ids that are told of each hour of history; ten times as many of a hot one."""


class Hour:
    """The calls of one hour, from which any number of hours are made that differ in ids and times."""

    def __init__(self) -> None:
        from otel_voicebot.processors import normalise, withhold
        from otel_voicebot.spans import decode

        payloads = generate.requests(HOUR_SPANS, seed=11)
        batches = [withhold(normalise(decode(payload)), ()).rows(0) for payload in payloads]
        rows = pa.Table.from_batches(batches)
        order = [("bot", "ascending"), ("session_id", "ascending"), ("start_unix_nano", "ascending")]
        self._rows = rows.take(pc.sort_indices(rows, sort_keys=order)).combine_chunks()
        sessions = self._rows["session_id"].combine_chunks().dictionary_encode()
        traces = self._rows["trace_id"].combine_chunks().dictionary_encode()
        self._session, self._sessions = sessions.indices.to_numpy(), len(sessions.dictionary)
        self._trace, self._traces = traces.indices.to_numpy(), len(traces.dictionary)
        start = self._rows["start_unix_nano"].to_numpy()
        begin = np.full(self._traces, np.iinfo(np.int64).max)
        np.minimum.at(begin, self._trace, start)
        # a day's calls begin within an hour
        self._shift = ((begin - generate.EPOCH) // 24 - begin)[self._trace]

    def at(self, start: int, random: np.random.Generator) -> pa.Table:
        """An hour that begins at this time (nanoseconds since 1970), in the form of hot files, in history's order."""
        made = {
            "trace_id": _ids(random, 16, self._traces).take(pa.array(self._trace)),
            "session_id": _names(random, self._sessions).take(pa.array(self._session)),
            "ingest_time": pa.array(np.full(len(self._trace), start // 1000)).cast(pa.timestamp("us", "UTC")),
        }
        mask = random.integers(0, 256, 8, np.uint8)
        for name in ("span_id", "parent_span_id"):
            made[name] = _masked(self._rows[name].combine_chunks(), mask)
        for name in self._rows.column_names:
            if name.endswith("_unix_nano"):
                made[name] = pc.add(self._rows[name], pa.array(self._shift + start))
        made["start_time"] = pc.divide(made["start_unix_nano"], 1000).cast(pa.timestamp("us", "UTC"))
        columns = [made.get(field.name, self._rows[field.name]) for field in self._rows.schema]
        return pa.table(columns, schema=self._rows.schema).combine_chunks()


def _ids(random: np.random.Generator, width: int, count: int) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), count, [None, pa.py_buffer(random.bytes(width * count))]
    )


def _names(random: np.random.Generator, count: int) -> pa.Array:
    content = random.bytes(12 * count).hex()
    return pa.array(sorted(f"call-{content[24 * n : 24 * n + 24]}" for n in range(count)))


def _masked(ids: pa.Array, mask: np.ndarray) -> pa.Array:
    content = np.frombuffer(ids.buffers()[1], np.uint8).reshape(-1, 8)[ids.offset : ids.offset + len(ids)] ^ mask
    buffers = [ids.buffers()[0], pa.py_buffer(np.ascontiguousarray(content))]
    return pa.Array.from_buffers(ids.type, len(ids), buffers, null_count=ids.null_count)


def fill(spans: int, directory: Path) -> dict[str, object]:
    """Make the store."""
    from otel_voicebot.spans.schema import SPANS
    from otel_voicebot.store import SpanStore
    from otel_voicebot.store.contents import NOTE, Gathered
    from otel_voicebot.store.encoding import ROW_GROUP, open_writer, readable
    from otel_voicebot.store.layout import HISTORY, hour_of, table_directory

    hour, random = Hour(), np.random.default_rng(5)
    now = (time.time_ns() // _HOUR_NS + 1) * _HOUR_NS  # so that a service doesn't merge what is hot meanwhile
    hours = max(1, round(spans / HOUR_SPANS) - _HOT_HOURS)
    found: dict[str, list[str]] = {"history": [], "hot": []}
    note_bytes = 0
    for number in range(hours):
        start = now - (hours - number) * _HOUR_NS
        rows = hour.at(start, random)
        found["history"] += _some(rows, random, _SAMPLED)
        path = table_directory(directory, HISTORY, "spans") / hour_of(start) / "part-0.parquet"
        path.parent.mkdir(parents=True)
        table = pa.Table.from_batches([readable(batch, "spans") for batch in rows.to_batches()])
        gathered = Gathered()
        gathered.add(table)
        note = gathered.note()
        note_bytes += len(note[NOTE])
        with open_writer(path, "spans") as writer:
            writer.write_table(table, row_group_size=ROW_GROUP)
            writer.add_key_value_metadata({**SPANS.metadata, **note})
        if number % 50 == 0:
            print(f"{number} of {hours} hours", file=sys.stderr, flush=True)
    for number in range(_HOT_HOURS):
        start = now + number * _HOUR_NS
        rows = hour.at(start, random)
        found["hot"] += _some(rows, random, 10 * _SAMPLED)
        rows = rows.take(pc.sort_indices(rows["end_unix_nano"]))
        seconds = (rows["end_unix_nano"].to_numpy() - start) // 1_000_000_000
        store = SpanStore(directory, clock=lambda start=start: start)
        edges = np.flatnonzero(np.diff(seconds, prepend=-1, append=-1))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            store.commit(rows.slice(begin, end - begin).combine_chunks().to_batches())
    files = list(directory.rglob("*.parquet"))
    return {
        "spans": (hours + _HOT_HOURS) * len(hour._trace),  # noqa: SLF001
        "hours": hours,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "note_bytes_a_span": note_bytes / (hours * len(hour._trace)),  # noqa: SLF001
        "ids": found,
    }


def _some(rows: pa.Table, random: np.random.Generator, count: int) -> list[str]:
    return [rows["trace_id"][int(at)].as_py().hex() for at in random.integers(0, len(rows), count)]


def main() -> None:
    """What the arguments say."""
    match sys.argv[1:]:
        case ["fill", spans, directory]:
            found = fill(int(spans), Path(directory))
        case _:
            sys.exit(__doc__)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
