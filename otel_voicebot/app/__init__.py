"""The composition root: settings become a running pipeline."""

from otel_voicebot.app.configuring import Handle, configure
from otel_voicebot.app.environment import EnvironmentExporter
from otel_voicebot.app.following import follow
from otel_voicebot.app.ingest import Ingested, ingest

__all__ = ["EnvironmentExporter", "Handle", "Ingested", "configure", "follow", "ingest"]
