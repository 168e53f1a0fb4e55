"""Pipecat's tracing and metrics, as unnoticed by a bot that has neither as can be. Needs Pipecat: imported late."""

import logging
from typing import Any, Final

from pipecat.frames.frames import MetricsFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.observers.user_bot_latency_observer import UserBotLatencyObserver
from pipecat.utils.tracing.tracing_context import TracingContext
from pipecat.utils.tracing.turn_trace_observer import TurnTraceObserver

__all__ = ["OneQueue", "trace"]

_log = logging.getLogger("otel_voicebot")

_OWN: Final = ("_enable_tracing", "_tracing_context", "_turn_tracking_observer", "_turn_trace_observer")
"""What ``enable_tracing=True`` sets in a worker of Pipecat 1.3 to 1.14: read when the pipeline is set up, after us."""
_PARAMS: Final = "_params"
"""Where a worker keeps its parameters, metrics among them; ``params`` can't be set."""
_ONCE: Final[dict[str, Any]] = {"observe_every_push": False} if hasattr(BaseObserver, "observe_every_push") else {}
"""From 1.12 on an observer may hear of a frame once, instead of from each processor that passes it on."""
_PUSH: Final = "_FrameProcessor__internal_push_frame"
"""What ``push_frame`` ends with: tracing reads a frame around it, and from here on others hear of it."""
_CAPABILITIES: Final = "_capabilities_override"
"""In 1.14: what RTVI tells a client of the bot, where the bot's code says so itself."""


class OneQueue(BaseObserver):  # type: ignore[misc] # Pipecat has no types where ours are checked
    """Tells several observers of a frame, one after the other.

    Pipecat keeps a queue and a task for each observer and wakes it hundreds of times a second, for what happens a few
    times a turn. These share one: that of the bot's observer of turns, where it has one.
    """

    def __init__(self, *observers: Any) -> None:
        super().__init__(**_ONCE)
        self._observers = observers
        self._hearing = list(observers)

    async def setup(self, task_manager: Any) -> None:
        """Set each of them up."""
        await super().setup(task_manager)
        for observer in self._observers:
            await observer.setup(task_manager)

    async def cleanup(self) -> None:
        """Clean each of them up."""
        await super().cleanup()
        for observer in self._observers:
            await observer.cleanup()

    async def on_pipeline_started(self) -> None:
        """Tell each of them."""
        for observer in self._observers:
            await observer.on_pipeline_started()

    async def on_push_frame(self, data: Any) -> None:
        """Tell each of them. One that raises hears of no frame more, as in a queue of its own; the others go on."""
        for observer in tuple(self._hearing):
            try:
                await observer.on_push_frame(data)
            except Exception:  # noqa: BLE001 - Pipecat's own; the call goes on
                _log.exception("%s failed, and hears no more of this call", observer)
                self._hearing.remove(observer)


async def trace(worker: Any) -> bool:
    """Switch tracing and metrics on, before `worker` sets anything up; False where this version can't be told to."""
    asked = worker.params
    untraced = worker.turn_trace_observer is None
    unmeasured = not (asked.enable_metrics and asked.enable_usage_metrics)
    needed = (*(_OWN if untraced else ()), *((_PARAMS,) if unmeasured else ()))
    if not all(hasattr(worker, name) for name in needed):
        return False
    if untraced:
        await _observe(worker)
    if unmeasured:
        _measure(worker)
    for processor in worker.pipeline.processors_with_metrics():
        _end_unasked(processor, asked)
    return True


async def _observe(worker: Any) -> None:
    """Do what ``enable_tracing=True`` does."""
    turns = worker.turn_tracking_observer or TurnTrackingObserver()
    latency, context = UserBotLatencyObserver(), TracingContext()
    spans = TurnTraceObserver(
        turns,
        latency_tracker=latency,
        conversation_id=getattr(worker, "_conversation_id", None),
        additional_span_attributes=getattr(worker, "_additional_span_attributes", None),
        tracing_context=context,
    )
    await worker.remove_observer(turns)  # from the queue of its own
    worker.add_observer(OneQueue(turns, latency, spans))
    for name, value in zip(_OWN, (True, context, turns, spans), strict=True):
        setattr(worker, name, value)


def _measure(worker: Any) -> None:
    """Switch metrics on, of which spans take times and tokens, and have RTVI tell clients what it told before."""
    asked = worker.params
    measured = {"enable_metrics": True, "enable_usage_metrics": True}
    if not asked.enable_metrics:
        measured["send_initial_empty_metrics"] = False
        told = getattr(worker, _CAPABILITIES, None)
        if told is not None and told.metrics is None:
            setattr(worker, _CAPABILITIES, told.model_copy(update={"metrics": False}))
    setattr(worker, _PARAMS, asked.model_copy(update=measured))  # the bot's own may serve its next call, too


def _end_unasked(processor: Any, asked: Any) -> None:
    """Have metrics that `processor` measures, and `asked`, the bot's parameters, leaves off, end there.

    Frames carry them: each would go through the whole pipeline, wake all observers, and go to the client by RTVI.
    """
    vars(processor).pop(_PUSH, None)  # it may have served another call
    push = getattr(processor, _PUSH, None)
    wanted = {False: asked.enable_metrics, True: asked.enable_usage_metrics}
    if all(wanted.values()) or push is None:
        return

    def unasked(measured: Any) -> bool:
        usage = "Usage" in type(measured).__name__  # LLMUsageMetricsData, of STT and TTS alike
        return getattr(measured, "processor", None) == processor.name and not wanted[usage]

    async def pushed(frame: Any, *args: Any, **kwargs: Any) -> None:
        if not (isinstance(frame, MetricsFrame) and frame.data and all(map(unasked, frame.data))):
            await push(frame, *args, **kwargs)

    setattr(processor, _PUSH, pushed)
