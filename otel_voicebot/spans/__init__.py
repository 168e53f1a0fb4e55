"""The data type that goes from stage to stage, and the two doors that make it.

Everything is loaded when it is first asked for: a report needs the schemas alone, and not protobuf.
"""

from typing import TYPE_CHECKING, Final

from otel_voicebot.loading import lazily

if TYPE_CHECKING:
    from otel_voicebot.spans.attributes import Attributes, Kind
    from otel_voicebot.spans.batch import Children, SpanBatch
    from otel_voicebot.spans.logs import LogBatch
    from otel_voicebot.spans.otlp import decode
    from otel_voicebot.spans.otlp_logs import decode_logs
    from otel_voicebot.spans.schema import (
        LOGS,
        LOGS_READ,
        PUBLISHED,
        SCHEMA_VERSION,
        SESSIONS,
        SPANS,
        SPANS_READ,
        TABLES,
        TABLES_READ,
        TURNS,
    )
    from otel_voicebot.spans.sdk import collect, collect_fields

__all__ = [
    "LOGS",
    "LOGS_READ",
    "PUBLISHED",
    "SCHEMA_VERSION",
    "SESSIONS",
    "SPANS",
    "SPANS_READ",
    "TABLES",
    "TABLES_READ",
    "TURNS",
    "Attributes",
    "Children",
    "Kind",
    "LogBatch",
    "SpanBatch",
    "collect",
    "collect_fields",
    "decode",
    "decode_logs",
]

_HOMES: Final = {
    **dict.fromkeys(__all__, "schema"),
    **dict.fromkeys(("Attributes", "Kind"), "attributes"),
    **dict.fromkeys(("Children", "SpanBatch"), "batch"),
    **dict.fromkeys(("collect", "collect_fields"), "sdk"),
    "LogBatch": "logs",
    "decode": "otlp",
    "decode_logs": "otlp_logs",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
