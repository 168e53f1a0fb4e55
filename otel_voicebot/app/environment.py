"""The Parquet span sink for ``OTEL_TRACES_EXPORTER=otel_voicebot``."""

from otel_voicebot.app.policy import policy_of
from otel_voicebot.embedded import ParquetSpanExporter
from otel_voicebot.settings import load

__all__ = ["EnvironmentExporter"]


class EnvironmentExporter(ParquetSpanExporter):
    """``ParquetSpanExporter`` with the settings of the environment: what the SDK's auto-configuration starts.

    Raises:
        UsageError: a setting is wrong.
        CannotStartError: the data directory can't be written to.
    """

    def __init__(self) -> None:
        settings = load()
        super().__init__(settings.data, policy_of(settings))
