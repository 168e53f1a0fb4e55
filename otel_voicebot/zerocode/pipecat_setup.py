"""Pipecat's setup file: ``PIPECAT_SETUP_FILES="$(python -m otel_voicebot.zerocode.pipecat_setup)"``.

Pipecat calls ``setup_pipeline_worker`` for each pipeline before it starts. The bot's code stays as it is: tracing and
metrics are switched on here, spans go to the global tracer provider, beside whatever listens there already.
"""

import asyncio
import logging
import sys
from functools import cache
from typing import Any, Final

from otel_voicebot.giving_way import giving_way, uncollected
from otel_voicebot.zerocode.start import start

__all__ = ["setup_pipeline_worker", "setup_worker_runner"]

_log = logging.getLogger("otel_voicebot")

_BY_HAND: Final = (
    "otel_voicebot can't switch tracing on in this version of Pipecat; say it in the bot: PipelineWorker(pipeline, "
    "enable_tracing=True, params=PipelineParams(enable_metrics=True, enable_usage_metrics=True))"
)


async def setup_worker_runner(_runner: Any) -> None:
    """Nothing to do; Pipecat warns where it is missing."""


async def setup_pipeline_worker(worker: Any) -> None:
    """Start in this process, and let the pipeline emit spans with metrics. Pipecat logs what is raised, and goes on."""
    _speak_through_loguru()
    await asyncio.to_thread(_start)  # a second the first time; other calls of this process go on
    await _switch_on(worker)


@cache  # for each call; from the second on there is nothing to load
def _start() -> None:
    with giving_way(), uncollected():
        handle = start()
        if handle is not None:
            handle.warm(framed=True)


async def _switch_on(worker: Any) -> None:
    """Switch tracing and metrics on, or say how the bot can."""
    try:
        from otel_voicebot.zerocode.pipecat_tracing import trace  # noqa: PLC0415 - it needs Pipecat's own observers
    except ImportError:
        traced = False
    else:
        traced = await trace(worker)
    if not traced:
        _log.warning(_BY_HAND)


class _Loguru(logging.Handler):
    """Hands our lines to the log that Pipecat writes."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write it as one of Pipecat's lines."""
        self._logger.opt(exception=record.exc_info).log(record.levelname, "{}", record.getMessage())


def _speak_through_loguru() -> None:
    """Where a bot has no logging of its own, our lines, such as that of a finished call, stand among Pipecat's."""
    if _log.hasHandlers():
        return
    from loguru import logger  # noqa: PLC0415 - Pipecat's

    _log.addHandler(_Loguru(logger))
    _log.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.stdout.write(f"{__file__}\n")
