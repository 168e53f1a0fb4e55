"""The Parquet span sink as an OpenTelemetry exporter: works alone, behind the stock BatchSpanProcessor."""

import time
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_voicebot.giving_way import giving_way
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_DROPPED
from otel_voicebot.spans import collect
from otel_voicebot.store import SpanStore

__all__ = ["ParquetSpanExporter"]


class ParquetSpanExporter(SpanExporter):
    """Writes each batch that it is given as one Parquet file, and reports success when the file is durable.

    For a thread of its own, as the BatchSpanProcessor's: it gives way to the bot's.

    Args:
        data: the data directory; made when it is missing.
        policy: which texts may be stored; by default none that people said.
        metrics: counts spans and failures.

    Raises:
        CannotStartError: the directory can't be made or written to.
    """

    def __init__(self, data: Path | str, policy: Policy | None = None, metrics: SelfMetrics | None = None) -> None:
        self._policy = policy or Policy()
        self._metrics = metrics or SelfMetrics()
        self._store = SpanStore(Path(data), metrics=self._metrics)
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Put the spans on disk. Never raises: a failure is counted, logged once, and reported."""
        if self._closed:
            return SpanExportResult.FAILURE
        try:
            with giving_way():
                rows = prepare(collect(spans), self._policy, self._metrics, "exporter", time.time_ns() // 1000)
                if rows.num_rows:
                    self._store.commit([rows])
        except Exception as error:  # noqa: BLE001 - an exporter must not raise into the SDK's worker
            self._metrics.contained("export", error)
            self._metrics.add(SELF_DROPPED, len(spans), "failed")
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing waits here."""
        return True

    def shutdown(self) -> None:
        """Take no more. Idempotent."""
        self._closed = True
