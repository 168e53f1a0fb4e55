"""For tests of instrumented bots: a clock and ids that don't vary, spans kept in memory, and a fake STT, LLM and TTS.

Needs the OpenTelemetry SDK. Spans of the fakes carry ``voicebot.synthetic`` and the provider `fake`, so that they are
never taken for real measurements.
"""

try:
    import opentelemetry.sdk.trace  # noqa: F401 - asked for before our own modules, to say it in one sentence
except ImportError as missing:
    raise ImportError("otel_voicebot.testing needs the OpenTelemetry SDK: pip install opentelemetry-sdk") from missing

from otel_voicebot.testing.fakes import FakeLLM, FakeSTT, FakeTTS
from otel_voicebot.testing.record import DeterministicClock, DeterministicIds, MemorySink, Recording, recording

__all__ = [
    "DeterministicClock",
    "DeterministicIds",
    "FakeLLM",
    "FakeSTT",
    "FakeTTS",
    "MemorySink",
    "Recording",
    "recording",
]
