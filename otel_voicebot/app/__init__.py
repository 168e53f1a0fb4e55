"""The composition root: settings become a running pipeline."""

from otel_voicebot.app.configuring import Handle, configure
from otel_voicebot.app.environment import EnvironmentExporter as environment_exporter
from otel_voicebot.app.ingest import Ingested, ingest

__all__ = ["Handle", "Ingested", "configure", "environment_exporter", "ingest"]
