"""Hours of hot files, and what is to be seen of them, for tests of what happens to closed hours."""

from collections import Counter
from pathlib import Path

import pyarrow as pa

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.spans.schema import TABLES
from otel_voicebot.store import SpanStore, snapshot
from otel_voicebot.store.compact import Compacted, Failed, closed_hours, compact
from otel_voicebot.store.layout import HOUR_NS, hour_of
from otel_voicebot.store.lease import take
from tests.store.rows import START, span_rows

HOUR = hour_of(START)
LATER = START + 2 * HOUR_NS
"""The hour of START is closed."""
FILES, ROWS = 4, 30


def fill(data: Path, first: int = 0, *, files: int = FILES, at: int = START) -> set[str]:
    """Commit some files of spans into the hour of ``at``; returns the span ids."""
    store = SpanStore(data, clock=lambda: at)
    commits = [store.commit([span_rows(ROWS, first=first + number * ROWS)]) for number in range(files)]
    return {span for commit in commits for _, span in commit.span_ids()}


def rows_of(table: str, *rows: dict[str, object]) -> pa.Table:
    """Rows of a table with these values, null elsewhere."""
    return pa.Table.from_pylist([*rows], schema=TABLES[table])


def maintain(data: Path, at: int = LATER) -> tuple[list[Compacted], list[Failed]]:
    """Merge every hour that is closed at this time."""
    with take(data) as lease:
        return compact(lease, closed_hours(data, at))


def seen(data: Path) -> Counter[str]:
    """How often each span is seen by a reader that lists again when a file has vanished."""
    for _ in range(20):
        try:
            return Counter(snapshot(data).read(["span_id"])["span_id"].to_pylist())
        except UnreadableDataError:
            continue
    msg = "files vanish for ever"
    raise AssertionError(msg)


def once(spans: set[str]) -> Counter[str]:
    """Each of these one time."""
    return Counter(dict.fromkeys(spans, 1))
