"""The data type that goes from stage to stage, and the two doors that make it.

Everything is loaded when it is first asked for: a report needs the schemas alone, and not protobuf.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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
    "Attributes": "attributes",
    "Kind": "attributes",
    "Children": "batch",
    "LogBatch": "logs",
    "SpanBatch": "batch",
    "collect": "sdk",
    "collect_fields": "sdk",
    "decode": "otlp",
    "decode_logs": "otlp_logs",
}
"""The modules of the names that are no schemas."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'schema')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
