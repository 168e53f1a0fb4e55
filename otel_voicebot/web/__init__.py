"""The web port: the Jaeger query API, from Parquet. Handlers parse, ask the core, and map errors."""

from otel_voicebot.web.server import WebServer

__all__ = ["WebServer"]
