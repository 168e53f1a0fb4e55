"""The composition root: settings become a running pipeline.

Loaded when it is first asked for: a bot needs nothing of what reads requests and files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_voicebot.app.configuring import Handle, configure
    from otel_voicebot.app.environment import EnvironmentExporter
    from otel_voicebot.app.following import follow
    from otel_voicebot.app.ingesting import Ingested, ingest

__all__ = ["EnvironmentExporter", "Handle", "Ingested", "configure", "follow", "ingest"]

_HOMES: Final = {
    "EnvironmentExporter": "environment",
    "Handle": "configuring",
    "Ingested": "ingesting",
    "configure": "configuring",
    "follow": "following",
    "ingest": "ingesting",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
