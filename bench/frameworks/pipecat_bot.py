"""A Pipecat bot that knows nothing of us: ``python -m bench.frameworks.pipecat_bot [SCRIPT] [--loop] ...``.

Recogniser, model and voice are Pipecat's OpenAI services (OPENAI_BASE_URL says where); microphone, speaker and voice
activity are this machine's clock. It prints one JSON object: the gaps as the caller saw them, Pipecat's own breakdown
of each (key, owner's kind, seconds), how many frames with metrics went through the pipeline and, with ``--loop``, how
late the event loop was before and in the call. With ``--metrics`` the bot switches Pipecat's metrics on, with
``--traced`` its tracing, and throws the spans away.
"""

import argparse
import asyncio
import json
import math
import os
import struct
import sys
import time
from typing import Any, Final

from loguru import logger
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    InputAudioRawFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSSpeakFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.observers.user_bot_latency_observer import LatencyBreakdown, MeasuredFrom, UserBotLatencyObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_stop.speech_timeout_user_turn_stop_strategy import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from bench.frameworks.script import GREETING, SCRIPTS, TOOL_SLOWER, Step

_RATE: Final = 16_000
_FRAME_S: Final = 0.02
_WAIT_S: Final = 60.0
_PROBE_S: Final = 0.005
"""Seconds between two looks at how late the event loop is."""


class _Ears(VADAnalyzer):
    """Hears speech where there is any sound."""

    def num_frames_required(self) -> int:
        return _RATE // 50

    def voice_confidence(self, buffer: bytes) -> float:
        return float(any(buffer))


class _Microphone(BaseInputTransport):
    """A frame each 20 ms: a tone until ``speaks_until``, silence after."""

    speaks_until = 0.0
    heard_since = math.inf
    """Seconds on the loop's clock: from then on the pipeline is in a call."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.heard_since = asyncio.get_running_loop().time()
        self._pump = self.create_task(self._run())

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self.cancel_task(self._pump)

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self.cancel_task(self._pump)

    async def _run(self) -> None:
        samples = int(_RATE * _FRAME_S)
        tone = b"".join(struct.pack("<h", int(12000 * math.sin(n / 9))) for n in range(samples))
        due = time.monotonic()
        while True:
            audio = tone if time.monotonic() < self.speaks_until else bytes(2 * samples)
            await self.push_audio_frame(InputAudioRawFrame(audio=audio, sample_rate=_RATE, num_channels=1))
            due += _FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class _Speaker(BaseOutputTransport):
    """Plays at the speed of speech."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await asyncio.sleep(len(frame.audio) / 2 / frame.sample_rate * 0.97)
        return True


class _Caller(BaseObserver):
    """Says the script, and notes how long each answer took."""

    def __init__(self, microphone: _Microphone, worker: PipelineWorker) -> None:
        super().__init__(observe_every_push=False)
        self._microphone = microphone
        self._worker = worker
        self._talking, self._silent = asyncio.Event(), asyncio.Event()
        self._silent.set()
        self._since: float | None = None
        self.gaps: list[float] = []
        self.metrics = 0

    async def on_push_frame(self, data: FramePushed) -> None:
        self.metrics += isinstance(data.frame, MetricsFrame)
        if isinstance(data.frame, BotStartedSpeakingFrame):
            self._talking.set()
            self._silent.clear()
            if self._since is not None:
                self.gaps.append(time.monotonic() - self._since)
                self._since = None
        elif isinstance(data.frame, BotStoppedSpeakingFrame):
            self._silent.set()
            self._talking.clear()

    async def call(self, steps: tuple[Step, ...]) -> None:
        await asyncio.sleep(0.5)
        await self._worker.queue_frames([TTSSpeakFrame(GREETING)])
        await self._answered()
        for step in steps:
            self._microphone.speaks_until = time.monotonic() + step.speech_s
            await asyncio.sleep(step.speech_s)
            self._since = None if step.then == "unanswered" else time.monotonic()
            if step.then == "answered":
                await self._answered()
            elif step.then == "talking":
                await asyncio.wait_for(self._talking.wait(), _WAIT_S)
            await asyncio.sleep(step.wait_s)
        await self._worker.queue_frames([EndFrame()])

    async def _answered(self) -> None:
        await asyncio.wait_for(self._talking.wait(), _WAIT_S)
        await asyncio.wait_for(self._silent.wait(), _WAIT_S)
        await asyncio.sleep(0.5)


async def get_weather(params: FunctionCallParams, city: str) -> None:  # noqa: ARG001 - the model's
    """Get the weather.

    Args:
        params: Pipecat's own.
        city: City name.
    """
    await asyncio.sleep(0.2 + float(os.environ.get(TOOL_SLOWER, "0")))
    await params.result_callback({"temperature_c": 18, "sky": "sunny"})


def _bot(*, metrics: bool, traced: bool) -> tuple[PipelineWorker, _Microphone]:
    params = TransportParams(
        audio_in_enabled=True, audio_out_enabled=True, audio_in_sample_rate=_RATE, audio_out_sample_rate=24_000
    )
    microphone = _Microphone(params)
    user, assistant = LLMContextAggregatorPair(
        LLMContext(tools=[get_weather]),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=_Ears(sample_rate=_RATE, params=VADParams(start_secs=0.2, stop_secs=0.2, min_volume=0.0)),
            user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.5)]),
        ),
    )
    model = OpenAILLMService.Settings(model="gpt-4.1", system_instruction="You are a helpful voice bot.")
    processors = [
        microphone,
        OpenAISTTService(),
        user,
        OpenAILLMService(settings=model),
        OpenAITTSService(settings=OpenAITTSService.Settings(voice="nova")),
        _Speaker(params),
        assistant,
    ]
    settings = PipelineParams(audio_in_sample_rate=_RATE, enable_metrics=metrics, enable_usage_metrics=metrics)
    return PipelineWorker(Pipeline(processors), enable_tracing=traced, params=settings), microphone


def _breakdowns(worker: PipelineWorker) -> list[list[tuple[str, str, float]]]:
    """Pipecat's own breakdowns of the call's answers: they are put into the list as they are made."""
    found: list[list[tuple[str, str, float]]] = []
    observer = UserBotLatencyObserver()

    async def keep(_: UserBotLatencyObserver, breakdown: LatencyBreakdown) -> None:
        if breakdown.measured_from is MeasuredFrom.USER_SILENCE:
            found.append([(part.key, part.owner_kind.value, part.duration_secs) for part in breakdown.contributions])

    observer.add_event_handler("on_latency_breakdown", keep)
    worker.add_observer(observer)
    return found


async def _lateness(late: list[tuple[float, float]]) -> None:
    """How much later than asked for the loop came back, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PROBE_S
        await asyncio.sleep(_PROBE_S)
        late.append((due, loop.time() - due))


async def main(script: str, *, probe: bool = False, metrics: bool = False, traced: bool = False) -> dict[str, Any]:
    """One call."""
    if traced:
        trace.set_tracer_provider(TracerProvider())
    worker, microphone = _bot(metrics=metrics, traced=traced)
    caller = _Caller(microphone, worker)
    worker.add_observer(caller)
    breakdowns = _breakdowns(worker)
    runner = WorkerRunner(handle_sigint=False)
    late: list[tuple[float, float]] = []
    watch = asyncio.create_task(_lateness(late)) if probe else None
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), caller.call(SCRIPTS[script]))
    if watch is not None:
        watch.cancel()
    before = [by for due, by in late if due < microphone.heard_since]
    in_call = [by for due, by in late if due >= microphone.heard_since]
    told = {"gaps": caller.gaps, "breakdowns": breakdowns, "metrics_frames": caller.metrics}
    return {**told, "late_before": before, "late": in_call}


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{level} {message}")
    parser = argparse.ArgumentParser()
    parser.add_argument("script", nargs="?", default="call")
    for flag in ("loop", "metrics", "traced"):
        parser.add_argument(f"--{flag}", action="store_true")
    asked = parser.parse_args()
    call = main(asked.script, probe=asked.loop, metrics=asked.metrics, traced=asked.traced)
    json.dump(asyncio.run(call), sys.stdout)
