"""One table of names per framework, in the order in which they are tried. A framework more is one file more."""

from typing import Final

from otel_voicebot.dialects.custom import load
from otel_voicebot.dialects.dialect import STAMPS, Columns, Dialect, Field, matches
from otel_voicebot.dialects.genai import GENAI
from otel_voicebot.dialects.livekit import LIVEKIT
from otel_voicebot.dialects.native import NATIVE
from otel_voicebot.dialects.openinference import OPENINFERENCE
from otel_voicebot.dialects.pipecat import PIPECAT
from otel_voicebot.dialects.traceloop import TRACELOOP

__all__ = ["COLUMNS", "DIALECTS", "NATIVE", "STAMPS", "Columns", "Dialect", "Field", "load", "matches"]

DIALECTS: Final = (NATIVE, PIPECAT, LIVEKIT, OPENINFERENCE, TRACELOOP, GENAI)
COLUMNS: Final = tuple(dict.fromkeys([*STAMPS, *(column for dialect in DIALECTS for column in dialect.columns)]))
"""The columns that attributes may fill."""
