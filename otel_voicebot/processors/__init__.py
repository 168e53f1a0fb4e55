"""What happens to spans between the door and the store: names become columns, texts are withheld."""

from otel_voicebot.processors.limits import Bounds
from otel_voicebot.processors.logs import prepare_logs
from otel_voicebot.processors.normalise import normalise
from otel_voicebot.processors.prepare import Policy, prepare
from otel_voicebot.processors.withhold import withhold

__all__ = ["Bounds", "Policy", "normalise", "prepare", "prepare_logs", "withhold"]
