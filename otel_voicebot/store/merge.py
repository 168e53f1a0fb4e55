"""Makes one sorted file of many, with bounded memory: the work of compaction, on files that nobody looks at yet.

DuckDB reads the keys (out of core where they are many) and says which rows are repeated, which session a trace belongs
to and how the order divides; then the rows themselves are read once, divided into parts that fit into memory, and
written part by part. A part is sorted in memory; all parts together are in order.
"""

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.schema import TABLES, TABLES_READ
from otel_voicebot.store import disk
from otel_voicebot.store.contents import Gathered
from otel_voicebot.store.encoding import ROW_GROUP, open_writer, readable
from otel_voicebot.store.keys import PART_BYTES, Plan, batches, filled, order_of, plan, schema_of, whole
from otel_voicebot.store.layout import OURS
from otel_voicebot.store.marks import Erased

__all__ = ["Merged", "merge"]

_BATCH: Final = 65_536


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the rows."""

    rows: int = 0
    """Rows in the file that was made."""
    repeated: int = 0
    """Left out: there twice, or an older revision."""
    erased: int = 0
    """Left out: of someone who is erased."""


def merge(
    table: str,
    inputs: Sequence[Path],
    target: Path,
    *,
    erased: Erased,
    note: Mapping[str, str],
    step: Callable[[], None],
) -> Merged:
    """Write the rows of ``inputs`` into ``target``: sorted, each key once, nobody who is erased; fsynced.

    Args:
        table: spans, logs, turns or sessions.
        inputs: hot files and files of history.
        target: the file that is made; its name isn't synced. Parts that don't fit into memory lie beside it.
        erased: who is left out.
        note: goes into the file's metadata.
        step: called now and then; what it raises stops the merge.

    Raises:
        UnreadableDataError: a file can't be read, or was written by a newer version; nothing was made of it.
        OSError: the disk refuses.
    """
    try:
        stored = {path: schema_of(path) for path in inputs}
        _check_ours(table, stored)
        planned = plan(table, stored, target.parent, step)
        step()
        done = _Run(table, planned, erased, target.parent, step).divide(inputs).write(target, _metadata(table, note))
    except (duckdb.Error, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise UnreadableDataError(f"{target} can't be made: {first_line}") from error
    disk.sync_file(target)
    return done


def _check_ours(table: str, stored: Mapping[Path, pa.Schema]) -> None:
    """Raises UnreadableDataError where a file is another program's: of its rows nothing would be left."""
    for path, schema in stored.items():
        if not any(name in schema.names for name in OURS[table]):
            msg = f"{path} is no file of otel_voicebot: it has none of the columns of one; move it away"
            raise UnreadableDataError(msg, (str(path),))


def _metadata(table: str, note: Mapping[str, str]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in TABLES[table].metadata.items()} | dict(note)


class _Run:
    """One merge: first ``divide``, then ``write``."""

    def __init__(self, table: str, plan: Plan, erased: Erased, work: Path, step: Callable[[], None]) -> None:
        self._table = table
        self._plan = plan
        self._erased = erased
        self._work = work
        self._step = step
        self._kept: list[pa.RecordBatch] = []
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self._repeated = 0
        self._gone = 0

    def divide(self, inputs: Sequence[Path]) -> "_Run":
        """Read everything once, and put each row into its part."""
        schema = TABLES_READ[self._table]
        waiting: list[pa.RecordBatch] = []
        size = 0
        for path in inputs:
            for batch in self._rows(path):
                if not self._plan.bounds:
                    self._kept.append(batch)
                    continue
                waiting.append(batch)
                size += batch.nbytes
                if size >= PART_BYTES // 2:
                    self._put(pa.Table.from_batches(waiting, schema))
                    waiting, size = [], 0
            self._step()
        if waiting:
            self._put(pa.Table.from_batches(waiting, schema))
        for writer in self._writers.values():
            writer.close()
        return self

    def write(self, target: Path, metadata: dict[str, str]) -> Merged:
        """Sort and write part after part."""
        rows = 0
        gathered = Gathered() if self._table == "spans" else None
        with open_writer(target, self._table) as writer:
            for part in self._parts():
                writer.write_table(self._sorted(part), row_group_size=ROW_GROUP)
                if gathered is not None:
                    gathered.add(part)
                rows += part.num_rows
                del part
                pa.default_memory_pool().release_unused()
                self._step()
            writer.add_key_value_metadata(metadata | (gathered.note() if gathered is not None else {}))
        return Merged(rows, self._repeated, self._gone)

    def _rows(self, path: Path) -> Iterator[pa.RecordBatch]:
        """The rows of a file that stay, with their sessions."""
        losers = self._plan.losers.get(str(path))
        first = 0
        for raw in batches(path, _BATCH):
            batch = readable(raw, self._table)
            keep = np.ones(batch.num_rows, bool)
            if losers is not None:
                begin, end = np.searchsorted(losers, [first, first + batch.num_rows])
                keep[losers[begin:end] - first] = False
                self._repeated += int(end - begin)
            first += batch.num_rows
            named = filled(batch, self._plan)
            gone = keep & ~(self._stays(batch) & self._stays(named))
            self._gone += int(gone.sum())
            keep &= ~gone
            yield named if keep.all() else named.filter(pa.array(keep))

    def _stays(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        found = self._erased.find(pa.Table.from_batches([batch]))
        if found is None:
            return np.ones(batch.num_rows, bool)
        return ~pc.coalesce(found, pa.scalar(value=False)).to_numpy().astype(bool)  # type: ignore[no-any-return]

    def _put(self, rows: pa.Table) -> None:
        rows = rows.combine_chunks()
        places = self._places(rows)
        order = np.argsort(places, kind="stable")
        ends = np.searchsorted(places[order], np.arange(len(self._plan.bounds) + 2))
        for part, taken in enumerate(np.split(order, ends[1:-1])):
            if len(taken):
                self._writer(part).write_table(rows.take(pa.array(taken)).combine_chunks())

    def _places(self, rows: pa.Table) -> NDArray[np.int64]:
        """The part of each row. Compared is each session once, and only of a session that is divided each row."""
        order = order_of(rows, self._table)
        bots, sessions = (whole(order.column(name)).dictionary_encode() for name in ("bot", "session"))
        times = order.column("time").to_numpy()
        codes = bots.indices.to_numpy().astype(np.int64) * len(sessions.dictionary) + sessions.indices.to_numpy()
        pairs, where = np.unique(codes, return_inverse=True)
        bot_names, session_names = bots.dictionary.to_pylist(), sessions.dictionary.to_pylist()
        bounds = self._plan.bounds
        low = np.empty(len(pairs), np.int64)
        divided = []
        for index, pair in enumerate(pairs.tolist()):
            names = (bot_names[pair // len(session_names)], session_names[pair % len(session_names)])
            low[index] = bisect.bisect_right(bounds, (*names, -(1 << 63)))
            if bisect.bisect_right(bounds, (*names, 1 << 63)) > low[index]:
                divided.append((index, names))
        places = low[where]
        for index, names in divided:
            rows_of = np.flatnonzero(where == index)
            own = np.array([bound[2] for bound in bounds if bound[:2] == names], np.int64)
            places[rows_of] += np.searchsorted(own, times[rows_of], side="right")
        return places

    def _writer(self, part: int) -> pa.RecordBatchStreamWriter:
        if part not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            path = self._work / f"part-{part:04d}.arrow"
            self._writers[part] = pa.ipc.new_stream(path, TABLES_READ[self._table], options=options)
        return self._writers[part]

    def _parts(self) -> Iterator[pa.Table]:
        schema = TABLES_READ[self._table]
        if not self._plan.bounds:
            kept, self._kept = self._kept, []
            yield pa.Table.from_batches(kept, schema)
        for part in sorted(self._writers):
            path = self._work / f"part-{part:04d}.arrow"
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
                yield reader.read_all()
            disk.remove(path)

    def _sorted(self, part: pa.Table) -> pa.Table:
        part = part.combine_chunks()
        keys = [(name, "ascending") for name in ("bot", "session", "time")]
        return part.take(pc.sort_indices(order_of(part, self._table), sort_keys=keys))
