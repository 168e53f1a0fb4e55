"""Says what went wrong in one sentence, and with which exit code the program ends."""

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from otel_voicebot.cli.output import StdoutError, note
from otel_voicebot.errors import CannotStartError, UsageError, VoicebotError

__all__ = ["explain", "reader_left"]

_INTERRUPTED: Final = 130
_DEFECT: Final = VoicebotError.code
_CANNOT: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EADDRINUSE, errno.EMFILE)
"""What the machine refuses: no defect of ours."""


def explain(error: Exception, words: Sequence[str]) -> int:
    """Print what was wrong, as JSON on stdout where the command line asks for JSON, and return the exit code."""
    if isinstance(error, OSError) and not error.filename and not _stdout_works():
        error = StdoutError(f"standard output: {error.strerror or error}")
    code, message, usage = _sentence(error, words)
    if "--debug" in words:
        traceback.print_exception(error, file=sys.stderr)
    elif code == _DEFECT:
        message += f" (a defect of otel-voicebot; the traceback: otel-voicebot --debug {' '.join(words)})"
    broken = isinstance(error, StdoutError)
    if broken or not (_wants_json(words) and _say_json(code, message)):
        note(f"otel-voicebot: {message}" + (f"\n{usage}" if usage else ""))
    if broken or not _stdout_works():
        _drop_stdout()
    return code


def _say_json(code: int, message: str) -> bool:
    """False when standard output can't take it."""
    if sys.stdout is None:
        return False
    try:
        print(json.dumps({"error": {"code": code, "message": message}}), flush=True)  # noqa: T201 - the program's output
    except OSError:
        return False
    return True


def _stdout_works() -> bool:
    """What could not be written is still in its buffer, and fails again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return False
    return True


def _drop_stdout() -> None:
    """Python flushes stdout at exit, and would complain a second time of what is wrong with it."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: Exception, words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, sentence, and how the command is used where it was used wrongly."""
    if isinstance(error, VoicebotError):
        return error.code, str(error), ""
    if type(error).__name__ == "NoArgsIsHelpError":
        return UsageError.code, "name a command", str(error)
    if callable(says := getattr(error, "format_message", None)):  # typer's errors, whichever library it builds on
        return UsageError.code, _with_value(says(), error, words), _usage(error)
    if type(error).__name__ == "Abort":
        return _INTERRUPTED, "stopped", ""
    if isinstance(error, OSError) and error.errno in _CANNOT:
        name = f" {error.filename}" if error.filename else ""
        return CannotStartError.code, f"can't use{name}: {error.strerror}", ""
    return _DEFECT, f"{type(error).__name__}: {error}", ""


def _with_value(message: str, error: Exception, words: Sequence[str]) -> str:
    """The same, with what was given to the option, where the library doesn't tell it."""
    names = getattr(getattr(error, "param", None), "opts", ())
    given = [after for word, after in pairwise(words) if word in names]
    given += [word.partition("=")[2] for word in words if word.partition("=")[0] in names and "=" in word]
    return f"{message} (it is {given[-1]!r})" if given and given[-1] not in message else message


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.get_usage()}\nTry '{context.command_path} --help'." if context is not None else ""


def _wants_json(words: Sequence[str]) -> bool:
    named = ("--format", "--export")
    return "--json" in words or any(f"{one}=json" in words or (one, "json") in pairwise(words) for one in named)


def reader_left() -> int:
    """Whoever read our output has seen enough (``| head``): stop quietly. Returns the exit code."""
    _drop_stdout()
    return 0
