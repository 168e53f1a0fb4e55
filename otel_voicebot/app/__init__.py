"""The composition root: settings become a running pipeline."""

from typing import TYPE_CHECKING

from otel_voicebot.loading import lazily

if TYPE_CHECKING:
    from otel_voicebot.app.environment import EnvironmentExporter

__all__ = ["EnvironmentExporter"]

# what OpenTelemetry's entry point names: a service needs nothing of an embedded pipeline
__getattr__, __dir__ = lazily(__name__, {"EnvironmentExporter": "environment"})
