"""Doors that need no line in the bot: what a framework's or OpenTelemetry's own hook starts."""

from otel_voicebot.zerocode.hook import after_instrument
from otel_voicebot.zerocode.start import start

__all__ = ["after_instrument", "start"]
