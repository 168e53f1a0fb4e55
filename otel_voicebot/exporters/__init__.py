"""What leaves the process: metrics at the Prometheus endpoint; ``otlp_logs`` sends stored log records on."""

from otel_voicebot.exporters.prometheus import MetricsServer, VoicebotCollector

__all__ = ["MetricsServer", "VoicebotCollector"]
