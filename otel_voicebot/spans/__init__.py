"""The data type that goes from stage to stage, and the two doors that make it."""

from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.batch import Children, SpanBatch
from otel_voicebot.spans.collect import collect
from otel_voicebot.spans.decode import decode
from otel_voicebot.spans.schema import SCHEMA_VERSION, SESSIONS, SPANS, SPANS_READ, TABLES, TURNS

__all__ = [
    "SCHEMA_VERSION",
    "SESSIONS",
    "SPANS",
    "SPANS_READ",
    "TABLES",
    "TURNS",
    "Attributes",
    "Children",
    "Kind",
    "SpanBatch",
    "collect",
    "decode",
]
