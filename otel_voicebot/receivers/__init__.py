"""The OTLP doors: where requests come in from outside the process."""

from otel_voicebot.receivers.files import payloads

__all__ = ["payloads"]
