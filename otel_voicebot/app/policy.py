"""Settings to content policy."""

from otel_voicebot.processors import Bounds, Policy
from otel_voicebot.settings import Settings

__all__ = ["policy_of"]


def policy_of(settings: Settings) -> Policy:
    """Which texts may be stored, and how much of them."""
    bounds = Bounds(settings.max_attributes, settings.max_attribute_length)
    return Policy(capture_content=settings.capture_content, keep=settings.keep_attributes, bounds=bounds)
