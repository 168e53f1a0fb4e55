"""What leaves the process: metrics at the Prometheus endpoint, log records over OTLP."""

from otel_voicebot.exporters.otlp_logs import Forwarding, LogForwarder
from otel_voicebot.exporters.prometheus import MetricsServer, VoicebotCollector

__all__ = ["Forwarding", "LogForwarder", "MetricsServer", "VoicebotCollector"]
