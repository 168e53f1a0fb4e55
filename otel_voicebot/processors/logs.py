"""All stages of log records in their order, with the counting: a batch from a door to rows."""

from dataclasses import replace
from typing import Final

import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.processors.limits import limited
from otel_voicebot.processors.names import shown
from otel_voicebot.processors.normalise import of_resource
from otel_voicebot.processors.plans import STAMPED
from otel_voicebot.processors.prepare import Policy
from otel_voicebot.processors.promote import Promoter
from otel_voicebot.processors.withhold import clean, clean_resources, doubtful_columns, with_texts
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans.logs import LogBatch

__all__ = ["prepare_logs"]

_SESSION: Final = "session_id"
_NAMES: Final = ("severity_text", "event_name", "scope_name", "scope_version")
"""Texts that name something; one that is no identifier is replaced by its length."""


def prepare_logs(batch: LogBatch, policy: Policy, metrics: SelfMetrics, door: str, ingest_time: int) -> pa.RecordBatch:
    """Rows of the ``LOGS`` schema.

    Args:
        batch: what a door made.
        policy: which texts may be stored: with content capture off no body is, and of attributes what spans may keep.
        metrics: counts what came in by which ``door``, and what was withheld.
        door: grpc, http, import, ...
        ingest_time: microseconds since 1970.
    """
    metrics.add(semconv.SELF_LOGS_RECEIVED, len(batch), door)
    batch = _normalise(_limit(batch, policy, metrics))
    if not policy.capture_content:
        batch = _withhold(batch, policy.keep)
        metrics.add(semconv.SELF_WITHHELD, batch.withheld)
    return batch.rows(ingest_time)


def _limit(batch: LogBatch, policy: Policy, metrics: SelfMetrics) -> LogBatch:
    attributes, taken = limited(batch.attributes, policy.bounds)
    resources, more = limited(batch.resources, policy.bounds)
    metrics.add(semconv.SELF_LIMITED, (taken + more).count, "count")
    metrics.add(semconv.SELF_LIMITED, (taken + more).length, "length")
    return replace(batch, attributes=attributes, resources=resources)


def _normalise(batch: LogBatch) -> LogBatch:
    promoter = Promoter(batch.attributes, len(batch))
    promoter.promote([one for one in STAMPED if one.column == _SESSION], None)
    columns = {_SESSION: promoter.columns()[_SESSION], **of_resource(batch)}
    return batch.with_columns(columns, attributes=promoter.rest())


def _withhold(batch: LogBatch, keep: tuple[str, ...]) -> LogBatch:
    said: dict[str, pa.StringArray] = {}
    bodies = len(batch) - batch.column("body").null_count
    columns = {"body": pa.nulls(len(batch), pa.string())}
    columns |= doubtful_columns(batch.columns, keep, said)
    columns |= {name: column for name, column in shown(batch.columns, *_NAMES).items() if name in _NAMES}
    attributes, first = clean(with_texts(batch.attributes, said), keep)
    resources, second = clean_resources(batch.resources, keep)
    withheld = bodies + first + second
    return replace(batch.with_columns(columns), attributes=attributes, resources=resources, withheld=withheld)
