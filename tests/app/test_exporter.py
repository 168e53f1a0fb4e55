"""The Parquet span sink alone: behind the stock processor, and by name in the environment."""

import logging
from importlib.metadata import entry_points
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from otel_voicebot.app import EnvironmentExporter
from otel_voicebot.embedded import ParquetSpanExporter
from otel_voicebot.errors import CannotStartError
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_COMMITTED, SELF_DROPPED, SELF_FAILURES
from tests.app.bots import run, stored


def spans(count: int, *exporters: ParquetSpanExporter) -> list[ReadableSpan]:
    """Spans of a plain tracer, handed to exporters by the stock processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("plain")
    made = [tracer.start_span(f"span-{number}", attributes={"number": number}) for number in range(count)]
    for span in made:
        span.end()
    provider.shutdown()
    return [span for span in made if isinstance(span, ReadableSpan)]


def test_alone_behind_the_stock_processor(tmp_path: Path) -> None:
    """All spans are in the directory, once, when the provider has shut down."""
    metrics = SelfMetrics()
    made = spans(1000, ParquetSpanExporter(tmp_path, metrics=metrics))
    ids = {f"{span.get_span_context().span_id:016x}" for span in made}
    assert len(stored(tmp_path)) == 1000
    assert {span["span_id"] for span in stored(tmp_path)} == ids
    assert metrics.get(SELF_COMMITTED) == 1000


def test_other_tools_read_the_directory(tmp_path: Path) -> None:
    """pandas, DuckDB and pyarrow read the files as they are, with the hours as columns."""
    spans(100, ParquetSpanExporter(tmp_path))
    table = tmp_path / "hot" / "spans"
    frame = pd.read_parquet(table)
    arrow = ds.dataset(table, partitioning="hive").to_table()
    files = f"read_parquet('{table}/**/*.parquet', hive_partitioning = true)"
    relation = duckdb.connect().sql(f"SELECT count(*), count(DISTINCT span_id), min(hour) FROM {files}")
    hour = int(frame["hour"].iloc[0])
    assert (len(frame), arrow.num_rows) == (100, 100)
    assert {"date", "hour", "span_id", "start_time"} <= set(frame.columns) & set(arrow.schema.names)
    assert [int(value) for value in relation.fetchall()[0]] == [100, 100, hour]


def test_a_disk_that_refuses_is_a_failed_export(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exporter answers failure, counts the spans, and says it once; a directory that can't be made is raised."""
    metrics = SelfMetrics()
    exporter = ParquetSpanExporter(tmp_path / "data", metrics=metrics)
    made = spans(3)
    (tmp_path / "data" / "tmp").rmdir()
    (tmp_path / "data" / "tmp").write_text("in the way")
    assert [exporter.export(made), exporter.export(made)] == [SpanExportResult.FAILURE] * 2
    assert metrics.get(SELF_DROPPED, "failed") == 6
    assert metrics.get(SELF_FAILURES, "export") == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "can't write" in caplog.text
    (tmp_path / "data" / "tmp").unlink()
    assert exporter.export(made) is SpanExportResult.SUCCESS
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.force_flush()
    assert exporter.export(made) is SpanExportResult.FAILURE
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStartError, match="file"):
        ParquetSpanExporter(tmp_path / "file" / "data")


def test_the_environment_names_it(tmp_path: Path) -> None:
    """With OTEL_TRACES_EXPORTER=otel_voicebot the SDK's auto-configuration finds it, and it takes our settings."""
    [found] = entry_points(group="opentelemetry_traces_exporter", name="otel_voicebot")
    assert found.load() is EnvironmentExporter
    out, errors = run(
        """
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator
        _OTelSDKConfigurator()._configure()
        call()
        """,
        OTEL_TRACES_EXPORTER="otel_voicebot",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_VOICEBOT_DATA=str(tmp_path),
    )
    assert (out, errors) == ("", [])
    assert len(stored(tmp_path)) == 5
