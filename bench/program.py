"""The installed program, for a process of its own: ``[sys.executable, "-c", PROGRAM, *words]``."""

from typing import Final

__all__ = ["PROGRAM"]

PROGRAM: Final = "import sys; from otel_voicebot.cli.scripts import otel_voicebot; sys.exit(otel_voicebot())"
