"""For tests of instrumented bots: a clock and ids that don't vary, spans kept in memory, and a fake STT, LLM and TTS.

Needs the OpenTelemetry SDK. Spans of the fakes carry ``voicebot.synthetic`` and the provider `fake`, so that they are
never taken for real measurements.
"""

from importlib.util import find_spec

if find_spec("opentelemetry.sdk") is None:
    raise ImportError("otel_voicebot.testing needs the OpenTelemetry SDK: pip install opentelemetry-sdk")

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
