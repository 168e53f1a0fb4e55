"""The dedupe window: which spans came in lately and are on disk for good, so that a repeat is told to be safe at once.

A key enters when its file counts (after ``SpanStore.commit``), never when it arrives. Keys are 16 bytes, a span id and
a keyed mix of its trace id, in two generations: the older one goes as a whole. A bitmap tells most spans to be new in
one look at the memory; only for the others sorted keys are searched. The key of the mix is drawn at the start, so that
nobody can choose ids that fall on one another.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.store import disk, marks
from otel_voicebot.store.layout import hour_of, start_of
from otel_voicebot.store.overflow import bounded
from otel_voicebot.store.reader import Snapshot, snapshot

__all__ = ["Window"]

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_LEVEL_KEYS: Final = 1 << 18
"""Sorted runs are merged up to so many keys: a merge takes as much memory again for a moment."""
_LEAST_BITS: Final = 14
"""Words of the smallest bitmap, as a power of two: 128 KB."""
_KEYS_PER_WORD: Final = 1.5
"""Beyond, too many new keys look as if they were there already."""
_TRIES: Final = 8
_SLACK_NS: Final = 120_000_000_000
"""A row came in at most so long before its commit."""


class Window:
    """Remembers the spans of the last ``span_s`` seconds at least, and of twice that at most. For one thread.

    Bounded: when more than ``max_keys / 2`` spans come in within ``span_s`` the oldest are forgotten earlier. A repeat
    of a span that was forgotten is stored again, and dropped by compaction and by the models.

    Args:
        span_s: seconds.
        max_keys: 24 bytes each, reserved as they come; 6 million take 140 MB.
        clock: monotonic nanoseconds.
    """

    def __init__(
        self, span_s: float, max_keys: int = 6_000_000, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._span_ns = int(span_s * 1e9)
        self._capacity = max(max_keys // 2, 1)
        self._clock = clock
        self._mix = _Mix()
        self._current = _Generation(self._capacity, clock())
        self._older: _Generation | None = None

    def __len__(self) -> int:
        """Keys remembered."""
        return self._current.count + (self._older.count if self._older else 0)

    def repeated(self, rows: pa.RecordBatch | pa.Table) -> Flags:
        """Which rows repeat a span that is remembered, or an earlier row of these. Remembers nothing.

        Args:
            rows: with ``trace_id`` (16 bytes) and ``span_id`` (8 bytes), neither null.
        """
        spans, traces = self._mix.keys(rows)
        mask = _repeated_inside(spans, traces)
        for generation in (self._current, self._older):
            if generation is not None:
                generation.find(spans, traces, mask)
        return mask

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Remember these spans: they are in a file that counts, durably. Each should be new (see ``repeated``)."""
        if rows.num_rows:
            self._add(*self._mix.keys(rows))

    def rebuild(self, data: Path) -> int:
        """Remember, at the start, what a data directory holds of the last ``span_s`` seconds before its newest commit.

        Only what counts is taken: hot files of hours that are not sealed, and history; and it is made durable first,
        as its writer may have been killed between its rename and its fsync.

        Returns:
            keys taken.

        Raises:
            UnreadableDataError: files vanish faster than they can be read.
            OSError: a directory can't be synced, so that what is in it can't be relied upon.
        """
        for attempt in range(_TRIES):
            try:
                found = snapshot(data).without_unreadable() if attempt else snapshot(data)
                return self._take(_relied_upon(found, self._span_ns))
            except NoDataError:
                return 0
            except (FileNotFoundError, duckdb.Error):
                continue  # something was removed since it was listed, or is damaged
        raise UnreadableDataError(f"files in {data} vanish while they are read; try again")

    def _take(self, found: Snapshot) -> int:
        if not found.files:
            return 0
        newest = max(start_of(_hour(path)) for path in found.files)
        since = (newest - self._span_ns - _SLACK_NS) // 1000
        query = f"""SELECT trace_id, span_id FROM ({found.sql(["trace_id", "span_id", "ingest_time"], raw_ids=True)})
            WHERE ingest_time IS NULL OR epoch_us(ingest_time) >= {since} ORDER BY ingest_time NULLS FIRST"""  # noqa: S608
        before = len(self)
        with bounded(found.data) as connection:
            schema = pa.schema([("trace_id", pa.binary(16)), ("span_id", pa.binary(8))])
            for batch in connection.sql(query).to_arrow_reader(65_536):
                keys = self._mix.keys(pa.table(batch).cast(schema))
                fresh = ~_repeated_inside(*keys)
                self._add(*(part[fresh] for part in keys))
        return len(self) - before

    def _add(self, spans: Words, traces: Words) -> None:
        now = self._clock()
        full = self._current.count and self._current.count + len(spans) > self._capacity
        if full or now - self._current.began >= self._span_ns:
            self._older = self._current
            self._current = _Generation(self._capacity, now)
        self._current.add(spans, traces)


class _Mix:
    """Ids to keys: two words of 64 bits. The first is spread over all values, the two together tell the span."""

    def __init__(self) -> None:
        self._key = [np.uint64(secrets.randbits(64)) for _ in range(3)]

    def keys(self, rows: pa.RecordBatch | pa.Table) -> tuple[Words, Words]:
        """(spread span id, mixed trace id) of each row."""
        span, trace = _words(rows["span_id"], 1), _words(rows["trace_id"], 2)
        mixed = _spread(_spread(trace[:, 0] ^ self._key[0]) ^ trace[:, 1] ^ self._key[1])
        return _spread(span[:, 0] ^ mixed ^ self._key[2]), mixed


class _Generation:
    """Keys that came in one after another, and go together."""

    def __init__(self, capacity: int, began: int) -> None:
        self.began = began
        self.count = 0
        self._bitmap: Words = np.zeros(1 << _LEAST_BITS, np.uint64)  # a key is three bits of one word
        self._shift = np.uint64(64 - _LEAST_BITS)
        room = min(capacity, _LEVEL_KEYS)
        self._fresh = (np.empty(room, np.uint64), np.empty(room, np.uint64))  # as they came
        self._unsorted = 0
        self._levels: list[tuple[Words, Words]] = []  # sorted by span, the largest first

    def add(self, spans: Words, traces: Words) -> None:
        self.count += len(spans)
        for start in range(0, len(spans), len(self._fresh[0])):
            self._keep(*(part[start : start + len(self._fresh[0])] for part in (spans, traces)))
        if self.count > _KEYS_PER_WORD * len(self._bitmap):
            self._widen()
        else:
            self._mark(spans)

    def _mark(self, spans: Words) -> None:
        places, bits = self._places(spans)
        while len(places):  # of several keys of one word the last is written: again for the others
            self._bitmap[places] |= bits
            left = (self._bitmap[places] & bits) != bits
            places, bits = places[left], bits[left]

    def _widen(self) -> None:
        """A larger bitmap, for the keys that there are: the largest would take 16 MB from a few thousand keys on."""
        bits = int(self.count / _KEYS_PER_WORD).bit_length()
        self._bitmap, self._shift = np.zeros(1 << bits, np.uint64), np.uint64(64 - bits)
        for spans in (self._fresh[0][: self._unsorted], *(spans for spans, _ in self._levels)):
            self._mark(spans)

    def find(self, spans: Words, traces: Words, mask: Flags) -> None:
        """Set ``mask`` where a key is here."""
        if not self.count:
            return
        places, bits = self._places(spans)
        maybe = np.flatnonzero((self._bitmap[places] & bits) == bits)
        if not len(maybe):
            return
        self._sort()
        spans, traces = spans[maybe], traces[maybe]
        for known_spans, known_traces in self._levels:
            at = np.minimum(np.searchsorted(known_spans, spans), len(known_spans) - 1)
            mask[maybe[(known_spans[at] == spans) & (known_traces[at] == traces)]] = True

    def _places(self, spans: Words) -> tuple[npt.NDArray[np.int64], Words]:
        one, low = np.uint64(1), np.uint64(63)
        bits = one << (spans & low)
        bits |= one << (spans >> np.uint64(6) & low)
        bits |= one << (spans >> np.uint64(12) & low)
        return (spans >> self._shift).astype(np.int64), bits

    def _keep(self, spans: Words, traces: Words) -> None:
        if self._unsorted + len(spans) > len(self._fresh[0]):
            self._sort()
        kept = slice(self._unsorted, self._unsorted + len(spans))
        self._fresh[0][kept], self._fresh[1][kept] = spans, traces
        self._unsorted += len(spans)

    def _sort(self) -> None:
        """Bring what was added since into sorted runs, of which a few grow by merging."""
        if not self._unsorted:
            return
        spans, traces = self._fresh
        self._levels.append(_sorted([(spans[: self._unsorted], traces[: self._unsorted])]))
        self._unsorted = 0
        while len(self._levels) > 1:
            last, before = len(self._levels[-1][0]), len(self._levels[-2][0])
            if before > 4 * last or before + last > _LEVEL_KEYS:
                break
            self._levels[-2:] = [_sorted(self._levels[-2:])]


def _sorted(runs: list[tuple[Words, Words]]) -> tuple[Words, Words]:
    spans, traces = (np.concatenate(parts) if len(runs) > 1 else parts[0] for parts in zip(*runs, strict=True))
    order = np.argsort(spans, kind="stable")  # merges what is sorted already
    return spans[order], traces[order]


def _repeated_inside(spans: Words, traces: Words) -> Flags:
    """Which keys are there earlier in the same arrays."""
    mask = np.zeros(len(spans), np.bool_)
    bits = max(10, (16 * len(spans)).bit_length())
    first_at = np.empty(1 << bits, np.int32)  # not cleared: only what is written below is read
    slots = (spans >> np.uint64(64 - bits)).astype(np.int64)
    left = np.arange(len(spans), dtype=np.int32)
    while len(left):
        mine = slots[left]
        first_at[mine[::-1]] = left[::-1]  # the last one written stays: the first of each slot
        first = first_at[mine]
        later = first != left
        left, first = left[later], first[later]
        same = (spans[left] == spans[first]) & (traces[left] == traces[first])
        mask[left[same]] = True
        left = left[~same]
    return mask


def _spread(values: Words) -> Words:
    """Every bit of a value has a say in every bit of the result (the finish of MurmurHash3)."""
    values = values ^ (values >> np.uint64(33))
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def _words(column: Any, width: int) -> Words:
    """Ids as 64-bit words, without copying where the column is in one piece."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if not len(column):
        return np.empty((0, width), np.uint64)
    found = np.frombuffer(column.buffers()[1], np.uint64, len(column) * width, column.offset * width * 8)
    return found.reshape(-1, width)


def _relied_upon(found: Snapshot, span_ns: int) -> Snapshot:
    """Of the files listed, those that count and are recent; their directory entries are durable then.

    Raises:
        FileNotFoundError: a directory is gone.
    """
    hours = {path.parent for path in found.files}
    newest = max(_hour(path) for path in found.files)
    first = hour_of(max(start_of(newest) - span_ns, 0))
    recent = {hour for hour in hours if f"{hour.parent.name}/{hour.name}" >= first}
    above = {parent for hour in recent for parent in hour.parents if parent.is_relative_to(found.data)}
    for directory in sorted(recent | above):
        disk.sync_directory(directory)
    # After the listing: a file that was renamed into an hour after its seal may not have been merged.
    sealed = {hour for hour in recent if marks.is_sealed(found.data, found.table, f"{hour.parent.name}/{hour.name}")}
    written = {path: disk.modified_ns(path) or 0 for path in found.hot if path.parent in recent - sealed}
    since = max(written.values(), default=0) - span_ns
    return replace(
        found,
        hot=tuple(path for path, when in written.items() if when >= since),
        history=tuple(path for path in found.history if path.parent in recent),
        erased=marks.Erased(),
    )


def _hour(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.parent.name}"
