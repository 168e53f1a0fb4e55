"""The composition root: settings become a running pipeline."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_voicebot.app.environment import EnvironmentExporter

__all__ = ["EnvironmentExporter"]


def __getattr__(name: str) -> Any:
    """What OpenTelemetry's entry point names, when it is asked for: a service needs nothing of an embedded pipeline."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from otel_voicebot.app.environment import EnvironmentExporter  # noqa: PLC0415 - see above

    return EnvironmentExporter
