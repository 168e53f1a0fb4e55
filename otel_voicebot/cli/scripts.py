"""Programs for the installer: ``otel-voicebot``, and the documents' commands by their own names.

Each returns its exit code where it can't leave at once.
"""

import atexit
import os
import sys
import threading
from contextlib import suppress

from otel_voicebot.cli import alone, main

__all__ = [
    "analytics_report",
    "business_dashboard",
    "monitor_session",
    "orchestrator_log",
    "otel_voicebot",
    "threshold_alert",
]


def otel_voicebot() -> int:
    """Run ``otel-voicebot``."""
    return _left(main())


def orchestrator_log() -> int:
    """Run ``orchestrator-log``."""
    return _left(alone("orchestrator-log"))


def monitor_session() -> int:
    """Run ``monitor-session``."""
    return _left(alone("monitor-session"))


def analytics_report() -> int:
    """Run ``analytics-report``."""
    return _left(alone("analytics-report"))


def threshold_alert() -> int:
    """Run ``threshold-alert``."""
    return _left(alone("threshold-alert"))


def business_dashboard() -> int:
    """Run ``business-dashboard``."""
    return _left(alone("business-dashboard"))


def _left(code: int) -> int:
    """Leave with the code, without taking apart what engine, Arrow and NumPy have loaded: a tenth of a second.

    What registered with atexit is called. Where a thread still works the interpreter waits for it, as ever.
    """
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if others:
        return code
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other name for it
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # who wrote has told what is wrong; ValueError: it is closed
            if stream is not None:
                stream.flush()
    os._exit(code)
