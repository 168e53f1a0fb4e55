"""Files of spans and logs into the store."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.app.joining import DAMAGED, decode_together
from otel_voicebot.app.policy import policy_of
from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.processors import prepare, prepare_logs
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_REJECTED
from otel_voicebot.settings import Settings
from otel_voicebot.spans import SPANS, decode, decode_logs
from otel_voicebot.store import SpanStore, Window

if TYPE_CHECKING:
    from otel_voicebot.receivers.requests import Request

__all__ = ["TOGETHER", "Ingested", "Ingestion", "ingest"]

TOGETHER: Final = 24 << 20
"""Bytes of requests that are read at once, some 30,000 to 70,000 spans: each reading has a fixed cost of some 10 ms. Of
more the columns no longer fit into the processor's cache."""
_COMMIT_ROWS: Final = 100_000
"""A file of this many spans is a few megabytes; an import needs no quick commits."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an import did.

    Attributes:
        spans: on disk.
        rejected: spans refused, by reason.
        sessions: distinct sessions (explicit id, else trace) of the spans.
        logs: log records on disk.
        repeated: spans that were on disk already and were left out; only where that was looked for.
    """

    spans: int
    rejected: Mapping[str, int]
    sessions: int
    logs: int = 0
    repeated: int = 0


class Ingestion:
    """Takes requests in, by the pipeline that live spans take, and commits when told to. For one thread.

    Args:
        settings: where to, and what may be stored.
        window: finds spans that are on disk already; None keeps all.

    Raises:
        CannotStartError: the data directory can't be written to.
    """

    def __init__(self, settings: Settings, window: Window | None = None) -> None:
        self._metrics = SelfMetrics()
        self._policy = policy_of(settings)
        self._store = SpanStore(settings.data, metrics=self._metrics)
        self._window = window
        self._spans: list[pa.RecordBatch] = []
        self._logs: list[pa.RecordBatch] = []
        self._named: set[str] = set()
        self._traces: dict[bytes, bool] = {}
        self._stored = {"spans": 0, "logs": 0}
        self._repeated = 0
        self.waiting = 0
        """Rows that wait for the next commit."""

    def add(self, requests: "Sequence[Request]") -> list[UnreadableDataError]:
        """Take requests, all at once, since each reading has a cost of its own; of a damaged one what can be read.

        Returns:
            Why a request is none, or nothing of it can be read. The others are taken.
        """
        self._metrics.add(SELF_REJECTED, sum(request.lost for request in requests), DAMAGED)
        now = time.time_ns() // 1000
        spans = decode_together(decode, [one.payload for one in requests if one.signal == "traces"], blame=False)
        logs = decode_together(decode_logs, [one.payload for one in requests if one.signal == "logs"], blame=False)
        for batch in spans.batches:
            self._add(prepare(batch, self._policy, self._metrics, "import", now))
        for one in logs.batches:
            self._logs.append(prepare_logs(one, self._policy, self._metrics, "import", now))
            self.waiting += self._logs[-1].num_rows
        outcomes = [*spans.outcomes, *logs.outcomes]
        lost = sum(one.get(DAMAGED, 0) for one in outcomes if not isinstance(one, UnreadableDataError))
        self._metrics.add(SELF_REJECTED, lost, DAMAGED)  # others count themselves
        return [one for one in outcomes if isinstance(one, UnreadableDataError)]

    def _add(self, rows: pa.RecordBatch) -> None:
        self._spans.append(rows)
        self.waiting += rows.num_rows
        explicit = rows["session_id"].is_valid()
        self._named.update(pc.unique(rows["session_id"].drop_null()).to_pylist())
        for trace in pc.unique(rows["trace_id"]).to_pylist():
            self._traces.setdefault(trace, False)
        self._traces.update(dict.fromkeys(pc.unique(rows["trace_id"].filter(explicit)).to_pylist(), True))

    def flush(self) -> None:
        """Put all that waits on disk; when it returns it is durable.

        Raises:
            CannotStartError: the disk refuses. What was not committed still waits.
        """
        spans = self._fresh()
        if spans.num_rows:
            self._stored["spans"] += self._store.commit(spans.to_batches()).rows
            if self._window is not None:
                self._window.add(spans)
        self._spans.clear()
        if sum(rows.num_rows for rows in self._logs):
            self._stored["logs"] += self._store.commit(self._logs, "logs").rows
        self._logs.clear()
        self.waiting = 0

    def _fresh(self) -> pa.Table:
        rows = pa.Table.from_batches(self._spans, schema=SPANS)
        if self._window is None or not rows.num_rows:
            return rows
        rows = rows.combine_chunks()
        repeated = self._window.repeated(rows)
        self._repeated += int(repeated.sum())
        return rows.filter(pa.array(~repeated))

    def done(self) -> Ingested:
        """What was done so far."""
        rejected = {
            label: int(count) for (name, label), count in self._metrics.read().items() if name == SELF_REJECTED.name
        }
        sessions = len(self._named) + sum(not explicit for explicit in self._traces.values())
        return Ingested(self._stored["spans"], rejected, sessions, self._stored["logs"], self._repeated)


def ingest(requests: "Iterable[Request]", settings: Settings) -> Ingested:
    """Put OTLP requests into the store. When it returns all of it is durable.

    Raises:
        CannotStartError: the data directory can't be written to.
        UnreadableDataError: a payload is no OTLP request. What came before it is kept, and what was read with it.
    """
    ingestion = Ingestion(settings)
    waiting: list[Request] = []
    size = 0
    try:
        for request in requests:
            waiting.append(request)
            size += len(request.payload)
            if size >= TOGETHER:
                size = 0
                _take(ingestion, waiting)
        _take(ingestion, waiting)
    except BaseException:  # what came before is kept, whatever ended it
        with suppress(UnreadableDataError):
            _take(ingestion, waiting)
        raise
    finally:
        ingestion.flush()
    return ingestion.done()


def _take(ingestion: Ingestion, waiting: "list[Request]") -> None:
    requests = waiting[:]
    waiting.clear()
    unreadable = ingestion.add(requests)
    if unreadable:
        raise unreadable[0]
    if ingestion.waiting >= _COMMIT_ROWS:
        ingestion.flush()
