"""Runs a measurement in a process of its own."""

import json
import subprocess
import sys
from typing import Any, Final

__all__ = ["child"]

_TIMEOUT_S: Final = 600


def child(module: str, *arguments: object, timeout_s: float = _TIMEOUT_S) -> Any:
    """What ``python -m bench.MODULE ARGUMENTS...`` prints, read as JSON; its errors go to stderr."""
    command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        msg = f"{' '.join(command[1:])} ended with {done.returncode}"
        raise RuntimeError(msg)
    return json.loads(done.stdout)
