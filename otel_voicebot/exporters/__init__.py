"""Where metrics go: the Prometheus endpoint."""

from otel_voicebot.exporters.prometheus import MetricsServer, VoicebotCollector

__all__ = ["MetricsServer", "VoicebotCollector"]
