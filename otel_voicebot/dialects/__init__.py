"""One table of names per framework, in the order in which they are tried. A framework more is one file more."""

from typing import Final

from otel_voicebot.dialects.dialect import STAMPS, Dialect
from otel_voicebot.dialects.genai import GENAI
from otel_voicebot.dialects.native import NATIVE

__all__ = ["DIALECTS", "STAMPS", "Dialect"]

DIALECTS: Final = (NATIVE, GENAI)
