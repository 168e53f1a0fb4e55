"""The OTLP doors: where requests come in from outside the process."""

from otel_voicebot.receivers.files import payloads
from otel_voicebot.receivers.outcomes import outcomes

__all__ = ["outcomes", "payloads"]
