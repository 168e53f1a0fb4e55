"""The SDK's door: span processors and the exporter that run inside the bot's process."""

from otel_voicebot.embedded.ended import kept
from otel_voicebot.embedded.exporter import ParquetSpanExporter
from otel_voicebot.embedded.processor import PipelineProcessor
from otel_voicebot.embedded.session_processor import SessionProcessor
from otel_voicebot.embedded.worker import Consumer, Worker

__all__ = ["Consumer", "ParquetSpanExporter", "PipelineProcessor", "SessionProcessor", "Worker", "kept"]
