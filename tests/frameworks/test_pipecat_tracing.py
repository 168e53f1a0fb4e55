"""What the setup file changes in a pipeline of Pipecat's, looked at from inside."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

pytest.importorskip("pipecat", reason="the extra frameworks is not installed: make frameworks")

from loguru import logger
from pipecat.frames.frames import EndFrame, Frame, MetricsFrame, StartFrame, TextFrame
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.capabilities import BotCapabilities
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.asyncio.task_manager import BaseTaskManager
from pipecat.workers.runner import WorkerRunner

from otel_voicebot.zerocode import pipecat_setup, pipecat_tracing


class _Hears(BaseObserver):
    """Notes what it hears of, until a frame on which it fails."""

    def __init__(self, fails_on: type[Frame] | None = None) -> None:
        super().__init__()
        self._fails_on = fails_on
        self.frames: list[Frame] = []
        self.told: list[str] = []

    async def setup(self, task_manager: BaseTaskManager) -> None:
        await super().setup(task_manager)
        self.told.append("setup")

    async def on_pipeline_started(self) -> None:
        self.told.append("started")

    async def on_push_frame(self, data: FramePushed) -> None:
        if data.first_push:
            self.frames.append(data.frame)
        if self._fails_on is not None and isinstance(data.frame, self._fails_on):
            msg = "on purpose"
            raise RuntimeError(msg)

    async def cleanup(self) -> None:
        self.told.append("cleanup")


class _Measures(FrameProcessor):
    """Measures what it does with a text, and passes what another has measured."""

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TextFrame):
            await self.start_processing_metrics()
            await self.stop_processing_metrics()
            await self.start_tts_usage_metrics(frame.text)
            turn = TurnMetricsData(processor="another", is_complete=True, probability=1.0, e2e_processing_time_ms=1.0)
            await self.push_frame(MetricsFrame(data=[turn]))
        await self.push_frame(frame, direction)


async def _run(worker: PipelineWorker) -> None:
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await worker.queue_frames([TextFrame("a text"), EndFrame()])
    await runner.run()


def test_frames_reach_several_observers_through_one_queue(caplog: pytest.LogCaptureFixture) -> None:
    """Each hears of a frame once, in order; one that fails hears no more, the others do, and all are cleaned up."""
    first, failing, last = _Hears(), _Hears(StartFrame), _Hears()
    queue = pipecat_tracing.OneQueue(first, failing, last)
    asyncio.run(_run(PipelineWorker(Pipeline([]), enable_turn_tracking=False, observers=[queue])))
    ends = [type(frame) for frame in first.frames if isinstance(frame, StartFrame | TextFrame | EndFrame)]
    assert ends == [StartFrame, TextFrame, EndFrame]
    assert first.frames == last.frames
    assert failing.frames == first.frames[: len(failing.frames)]
    assert isinstance(failing.frames[-1], StartFrame)
    assert caplog.messages == [f"{failing} failed, and hears no more of this call"]
    assert [one.told for one in (first, failing, last)] == 3 * [["setup", "started", "cleanup"]]


@pytest.mark.parametrize("turns", [True, False])
def test_tracing_takes_one_queue(*, turns: bool) -> None:
    """That of the bot's observer of turns, which stays the same; its other observers keep theirs."""

    async def traced() -> None:
        worker = PipelineWorker(Pipeline([]), enable_turn_tracking=turns, observers=[_Hears()])
        tracker, before = worker.turn_tracking_observer, list(worker._observer._observers)
        assert (tracker is not None) == turns
        assert await pipecat_tracing.trace(worker)
        *others, ours = worker._observer._observers
        assert others == [one for one in before if one is not tracker]
        assert isinstance(ours, pipecat_tracing.OneQueue)
        assert worker.turn_tracking_observer is (tracker or ours._observers[0])
        assert list(ours._observers)[::2] == [worker.turn_tracking_observer, worker.turn_trace_observer]

    asyncio.run(traced())


PROCESSING = {"TTFBMetricsData", "ProcessingMetricsData"}
"""The worker itself sends both, empty, when it starts."""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, set()),
        ({"enable_metrics": True}, PROCESSING),
        ({"enable_usage_metrics": True}, {"TTSUsageMetricsData"}),
        ({"enable_metrics": True, "enable_usage_metrics": True}, {*PROCESSING, "TTSUsageMetricsData"}),
        ({"enable_metrics": True, "send_initial_empty_metrics": False}, {"ProcessingMetricsData"}),
    ],
)
def test_metrics_that_the_bot_asked_for_go_their_way_and_no_others(own: dict[str, bool], expected: set[str]) -> None:
    """Also in its next call with the same parameters. What another measured passes; RTVI says whether any come."""
    params = PipelineParams(**own)

    async def call() -> set[str]:
        hears = _Hears()
        worker = PipelineWorker(Pipeline([_Measures()]), params=params, observers=[hears])
        assert await pipecat_tracing.trace(worker)
        assert (worker.params.enable_metrics, worker.params.enable_usage_metrics) == (True, True)
        assert worker.capabilities.metrics is own.get("enable_metrics", False)
        await _run(worker)
        assert any(isinstance(frame, TextFrame) for frame in hears.frames)
        return {type(one).__name__ for frame in hears.frames if isinstance(frame, MetricsFrame) for one in frame.data}

    assert asyncio.run(call()) == {*expected, "TurnMetricsData"}
    assert asyncio.run(call()) == {*expected, "TurnMetricsData"}
    assert params == PipelineParams(**own)


def test_what_the_bot_has_of_its_own_stays() -> None:
    """Its tracing, what it tells clients of itself, and its metrics in processors that served another call."""

    async def looked_at() -> None:
        processor = _Measures()
        first = PipelineWorker(Pipeline([processor]), capabilities=BotCapabilities(metrics=True))
        assert await pipecat_tracing.trace(first)
        assert first.capabilities.metrics is True
        assert pipecat_tracing._PUSH in vars(processor)
        own = PipelineParams(enable_metrics=True, enable_usage_metrics=True)
        second = PipelineWorker(Pipeline([processor]), enable_tracing=True, params=own)
        before, spans = list(second._observer._observers), second.turn_trace_observer
        assert spans is not None
        assert await pipecat_tracing.trace(second)
        assert second.turn_trace_observer is spans
        assert second._observer._observers == before
        assert second.params is own
        assert pipecat_tracing._PUSH not in vars(processor)
        del second._tracing_context  # a version without it: nothing is missing to who traces himself
        assert await pipecat_tracing.trace(second)

    asyncio.run(looked_at())


@pytest.mark.parametrize("name", [*pipecat_tracing._OWN, pipecat_tracing._PARAMS])
def test_nothing_is_set_where_a_name_is_missing(name: str) -> None:
    """Then the bot has to say it, and its call goes on as it was."""

    async def looked_at() -> None:
        worker = PipelineWorker(Pipeline([_Measures()]))
        others = {key: value for key, value in vars(worker).items() if key != name}
        bare = SimpleNamespace(**others, params=PipelineParams(), pipeline=worker.pipeline, turn_trace_observer=None)
        before = dict(vars(bare))
        assert not await pipecat_tracing.trace(bare)
        assert vars(bare) == before
        assert bare.params == PipelineParams()

    asyncio.run(looked_at())


def test_a_version_that_differs_is_told_what_to_write(caplog: pytest.LogCaptureFixture) -> None:
    """Where a worker lacks what `enable_tracing` would set, nothing is set, and the log says the arguments."""

    class Other:
        def __init__(self) -> None:
            self.params, self.pipeline, self.turn_trace_observer = PipelineParams(), Pipeline([]), None

    other = Other()
    before = dict(vars(other))
    asyncio.run(pipecat_setup._switch_on(other))
    assert "enable_tracing=True" in caplog.text
    assert vars(other) == before
    assert other.params == PipelineParams()


def test_what_failed_stands_in_pipecats_log_with_its_traceback() -> None:
    """Our lines are handed to the log that Pipecat writes."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{level} {message}")
    try:
        raise RuntimeError("on purpose")
    except RuntimeError as error:
        told = (type(error), error, error.__traceback__)
        record = logging.LogRecord("otel_voicebot", logging.ERROR, __file__, 1, "it %s", ("failed",), told)
        pipecat_setup._Loguru(logger).emit(record)
    finally:
        logger.remove(sink)
    assert lines[0].startswith("ERROR it failed\nTraceback")
    assert lines[0].rstrip().endswith("RuntimeError: on purpose")
