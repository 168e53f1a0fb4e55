"""Files of spans into the store."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow.compute as pc

from otel_voicebot.app.policy import policy_of
from otel_voicebot.processors import prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_REJECTED
from otel_voicebot.settings import Settings
from otel_voicebot.spans import decode
from otel_voicebot.store import GroupCommit, SpanStore

__all__ = ["Ingested", "ingest"]

_COMMIT_ROWS = 100_000
"""A file of this many spans is a few megabytes; an import needs no quick commits."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an import did: spans on disk, spans refused by reason, and distinct sessions (explicit id, else trace)."""

    spans: int
    rejected: Mapping[str, int]
    sessions: int


def ingest(payloads: Iterable[bytes], settings: Settings) -> Ingested:
    """Put OTLP requests into the store, by the pipeline that live spans take. When it returns all of it is durable.

    Raises:
        CannotStartError: the data directory can't be written to.
        UnreadableDataError: a payload is no OTLP request. What came before it is kept.
    """
    metrics, policy = SelfMetrics(), policy_of(settings)
    store = SpanStore(settings.data, metrics=metrics)
    commits = GroupCommit(store, metrics, max_rows=_COMMIT_ROWS, max_age_s=86_400.0)
    named: set[str] = set()
    traces: dict[bytes, bool] = {}
    spans = 0
    try:
        for payload in payloads:
            rows = prepare(decode(payload), policy, metrics, "import", time.time_ns() // 1000)
            spans += rows.num_rows
            explicit = rows["session_id"].is_valid()
            named.update(pc.unique(rows["session_id"].drop_null()).to_pylist())
            for trace in pc.unique(rows["trace_id"]).to_pylist():
                traces.setdefault(trace, False)
            traces.update(dict.fromkeys(pc.unique(rows["trace_id"].filter(explicit)).to_pylist(), True))
            commits.add(rows)
            if commits.due():
                commits.flush()
    finally:
        commits.flush()
    rejected = {label: int(count) for (name, label), count in metrics.read().items() if name == SELF_REJECTED.name}
    return Ingested(spans, rejected, len(named) + sum(not explicit for explicit in traces.values()))
