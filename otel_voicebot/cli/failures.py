"""Says what went wrong in one sentence, and with which exit code the program ends."""

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from otel_voicebot.errors import CannotStartError, UsageError, VoicebotError

__all__ = ["explain", "reader_left"]

_INTERRUPTED: Final = 130
_DEFECT: Final = VoicebotError.code
_CANNOT: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EADDRINUSE, errno.EMFILE)
"""What the machine refuses: no defect of ours."""


def explain(error: Exception, words: Sequence[str]) -> int:
    """Print what was wrong, as JSON on stdout where the command line asks for JSON, and return the exit code."""
    code, message, usage = _sentence(error)
    if "--debug" in words:
        traceback.print_exception(error, file=sys.stderr)
    elif code == _DEFECT:
        message += f" (a defect of otel-voicebot; the traceback: otel-voicebot --debug {' '.join(words)})"
    if _wants_json(words):
        print(json.dumps({"error": {"code": code, "message": message}}))  # noqa: T201 - the program's output
    else:
        hint = f"\n{usage}" if usage else ""
        print(f"otel-voicebot: {message}{hint}", file=sys.stderr)  # noqa: T201
    return code


def _sentence(error: Exception) -> tuple[int, str, str]:
    """Exit code, sentence, and how the command is used where it was used wrongly."""
    if isinstance(error, VoicebotError):
        return error.code, str(error), ""
    if type(error).__name__ == "NoArgsIsHelpError":
        return UsageError.code, "name a command", str(error)
    if callable(says := getattr(error, "format_message", None)):  # typer's errors, whichever library it builds on
        return UsageError.code, says(), _usage(error)
    if type(error).__name__ == "Abort":
        return _INTERRUPTED, "stopped", ""
    if isinstance(error, OSError) and error.errno in _CANNOT:
        name = f" {error.filename}" if error.filename else ""
        return CannotStartError.code, f"can't use{name}: {error.strerror}", ""
    return _DEFECT, f"{type(error).__name__}: {error}", ""


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.get_usage()}\nTry '{context.command_path} --help'." if context is not None else ""


def _wants_json(words: Sequence[str]) -> bool:
    return "--json" in words or "--format=json" in words or ("--format", "json") in pairwise(words)


def reader_left() -> int:
    """Whoever read our output has seen enough (``| head``): stop quietly. Returns the exit code."""
    # Python flushes stdout at exit, and would complain of the pipe a second time.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
