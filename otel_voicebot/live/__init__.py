"""What is known of calls under way: open turns and sessions, and the metrics that completed ones feed."""

from otel_voicebot.live.aggregate import Aggregator, Series
from otel_voicebot.live.engines import Engines
from otel_voicebot.live.resume import KEY, Left, Resumable
from otel_voicebot.live.state import Live

__all__ = ["KEY", "Aggregator", "Engines", "Left", "Live", "Resumable", "Series"]
