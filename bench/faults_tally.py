"""What a fault left behind, counted from the files: the columns of the table."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.models import Engine, Selection
from otel_voicebot.store import snapshot

__all__ = ["COLUMNS", "Tally", "repeats_in_report", "repeats_inside_hours", "stored_keys"]

_LISTINGS: Final = 50
_VANISHED: Final = ("No files found", "No such file", "vanish")

COLUMNS = (
    "fault",
    "sent",
    "acked",
    "stored",
    "acked but missing",
    "repeated, before compaction",
    "after",
    "in a report",
    "longest ack, s",
    "recovery, s",
)


@dataclass
class Tally:
    """One row of the table: spans, and seconds."""

    fault: str
    sent: int = 0
    acked: int = 0
    stored: int = 0
    """Distinct spans that a reader finds."""
    missing: int = 0
    """Acknowledged spans that no reader finds, over all looks."""
    repeated_before: int = 0
    repeated_after: int = 0
    repeated_inside: int = 0
    """Of these the ones inside one compacted hour: there must be none. The models drop those of different hours."""
    in_report: int = 0
    """Spans that a report counts twice."""
    dropped: int = 0
    """Spans that retention removed."""
    unexpected: int = 0
    """Spans that a reader finds and that were never sent, or were dropped."""
    refused: int = 0
    """Requests that were refused for good: none of ours ever should be."""
    longest_ack_s: float | None = None
    recovery_s: float | None = None

    def row(self) -> list[str | float]:
        """As ``COLUMNS``; what was not measured is a dash."""
        times = ["-" if value is None else round(value, 2) for value in (self.longest_ack_s, self.recovery_s)]
        spans = [self.sent, self.acked, self.stored, self.missing]
        return [self.fault, *spans, self.repeated_before, self.repeated_after, self.in_report, *times]

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not (self.missing or self.in_report or self.repeated_inside or self.unexpected or self.refused)

    def add_report(self, data: Path) -> None:
        """Count what the models that reports are made of see more than once."""
        self.in_report += repeats_in_report(data)


def stored_keys(data: Path) -> Counter[tuple[str, str]]:
    """(trace id, span id) of every row that a reader finds, and how often; none when there is no data.

    A file that vanishes between the listing and the reading makes a reader list again, as the store's rules say.
    """
    for _ in range(_LISTINGS):
        try:
            table = snapshot(data).read(["trace_id", "span_id"])
        except NoDataError:
            return Counter()
        except UnreadableDataError as error:
            if not any(said in str(error) for said in _VANISHED):
                raise
            continue
        return Counter(zip(*(table.column(name).to_pylist() for name in ("trace_id", "span_id")), strict=True))
    raise UnreadableDataError(f"files in {data} vanished at each of {_LISTINGS} readings")


def repeats_inside_hours(data: Path) -> int:
    """Rows of history that repeat a span of the same hour."""
    repeats = 0
    for path in (data / "history" / "spans").rglob("*.parquet"):
        rows = pq.read_table(path, columns=["trace_id", "span_id"], partitioning=None)
        repeats += rows.num_rows - rows.group_by(["trace_id", "span_id"]).aggregate([]).num_rows
    return repeats


def repeats_in_report(data: Path) -> int:
    """Spans that are in the model ``steps``, which everything in a report is computed from, more than once."""
    try:
        source = snapshot(data)
    except NoDataError:
        return 0
    with Engine(source, Selection()) as engine:
        query = "SELECT count(*) - count(DISTINCT (trace_id, span_id)) AS repeats FROM steps"
        return int(engine.sql(query).column("repeats")[0].as_py())
