"""All stages in their order, with the counting: a batch from a door to rows."""

from dataclasses import dataclass, field

import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.giving_way import breathe
from otel_voicebot.processors.limits import Bounds, few, short
from otel_voicebot.processors.normalise import normalise
from otel_voicebot.processors.withhold import withhold
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["Policy", "prepare"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Which texts may be stored, and how much."""

    capture_content: bool = False
    """Store what people said. Off unless somebody decided otherwise."""
    keep: tuple[str, ...] = ()
    """Names or globs of text attributes that hold no content, beside those that we know."""
    bounds: Bounds = field(default_factory=Bounds)
    """How many attributes a span may have, and how long their texts may be."""
    dialects: tuple[Dialect, ...] = DIALECTS
    """The frameworks that are known, in the order in which they are tried."""


def prepare(batch: SpanBatch, policy: Policy, metrics: SelfMetrics, door: str, ingest_time: int) -> pa.RecordBatch:
    """Rows of the ``SPANS`` schema.

    Args:
        batch: what a door made.
        policy: which texts may be stored, and how much of them.
        metrics: counts what came in by which ``door``, what was refused, unmapped and withheld.
        door: sdk, exporter, import, ...
        ingest_time: microseconds since 1970.
    """
    metrics.add(semconv.SELF_RECEIVED, len(batch) + sum(batch.rejected.values()), door)
    for reason, count in batch.rejected.items():
        metrics.add(semconv.SELF_REJECTED, count, reason)
    breathe()
    batch, dropped = few(batch, policy.bounds.attributes)
    metrics.add(semconv.SELF_LIMITED, dropped, "count")
    batch = normalise(batch, policy.dialects)
    for scope, count in batch.unmapped.items():
        metrics.add(semconv.SELF_UNMAPPED, count, scope)
    for metric, names in zip((semconv.SELF_UNKNOWN_SPANS, semconv.SELF_UNKNOWN_ATTRIBUTES), batch.drift, strict=True):
        for name, count in names.items():
            metrics.add(metric, count, name)
    breathe()
    if not policy.capture_content:
        batch = withhold(batch, policy.keep)
        metrics.add(semconv.SELF_WITHHELD, batch.withheld)
    breathe()
    # last: the dialects read what stands at the end of a long text, and what is withheld need not be cut
    batch, cut = short(batch, policy.bounds)
    metrics.add(semconv.SELF_LIMITED, cut, "length")
    breathe()
    return batch.rows(ingest_time)
