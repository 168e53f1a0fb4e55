"""Settings to content policy."""

from otel_voicebot.processors import Policy
from otel_voicebot.settings import Settings

__all__ = ["policy_of"]


def policy_of(settings: Settings) -> Policy:
    """Which texts may be stored."""
    return Policy(capture_content=settings.capture_content, keep=settings.keep_attributes)
