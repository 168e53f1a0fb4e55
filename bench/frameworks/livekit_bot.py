"""A LiveKit agent that knows nothing of us: ``python -m bench.frameworks.livekit_bot [SCRIPT]``.

A real agent server starts a real job process, and that runs a real session: model and voice are LiveKit's OpenAI plugin
(OPENAI_BASE_URL says where). The room is left out; recogniser, voice activity, microphone and speaker stand in.
"""

import asyncio
import contextlib
import math
import os
import struct
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, RunContext, WorkerOptions, function_tool
from livekit.agents.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTCapabilities
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.utils import aio
from livekit.agents.vad import VAD, VADCapabilities, VADEvent, VADEventType, VADStream
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai

from bench.frameworks.script import GREETING, SCRIPTS, STT_SLOWER, TOOL_SLOWER, Step

_RATE: Final = 16_000
_FRAME_S: Final = 0.02
_WAIT_S: Final = 60.0
_SCRIPT: Final = "LIVEKIT_BOT_SCRIPT"


class _Ears(VAD):
    def __init__(self) -> None:
        super().__init__(capabilities=VADCapabilities(update_interval=0.1))

    def stream(self) -> VADStream:
        return _EarsStream(self)


class _EarsStream(VADStream):
    """Speech is any sound; it is over after 0.4 s of silence."""

    async def _main_task(self) -> None:
        self._speaking, self._speech, self._silence, self._at = False, 0.0, 0.0, 0.0
        told = 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            self._at += frame.duration
            told += frame.duration
            if any(bytes(frame.data)):
                self._speech, self._silence = self._speech + frame.duration, 0.0
            else:
                self._silence += frame.duration
                self._speech = self._speech if self._speaking else 0.0
            if not self._speaking and self._speech >= 0.1:
                self._speaking = True
                self._tell(VADEventType.START_OF_SPEECH)
            elif self._speaking and self._silence >= 0.4:
                self._speaking = False
                self._tell(VADEventType.END_OF_SPEECH)
                self._speech = 0.0
            if told >= 0.1:
                told = 0.0
                self._tell(VADEventType.INFERENCE_DONE)

    def _tell(self, kind: VADEventType) -> None:
        event = VADEvent(
            type=kind,
            samples_index=int(self._at * _RATE),
            timestamp=self._at,
            speech_duration=self._speech,
            silence_duration=self._silence,
            probability=float(not self._silence),
            inference_duration=0.001,
            speaking=self._speaking,
            raw_accumulated_silence=self._silence,
            raw_accumulated_speech=0.0 if self._silence else self._speech,
        )
        self._event_ch.send_nowait(event)


class _Recogniser(STT):
    """Hears the script, an utterance after each 0.25 s of silence, or as much later as the environment says."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__(capabilities=STTCapabilities(streaming=True, interim_results=True))
        self.texts = [step.text for step in steps]

    @property
    def model(self) -> str:
        return "script"

    @property
    def provider(self) -> str:
        return "Script"

    async def _recognize_impl(self, *_: Any, **__: Any) -> SpeechEvent:
        raise NotImplementedError

    def stream(self, **_: Any) -> RecognizeStream:
        return _Hearing(stt=self, conn_options=DEFAULT_API_CONNECT_OPTIONS)


class _Hearing(RecognizeStream):
    async def _run(self) -> None:
        heard, silence = 0.0, 0.0
        texts: list[str] = self._stt.texts  # type: ignore[attr-defined]
        needed = 0.25 + float(os.environ.get(STT_SLOWER, "0"))
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            if any(bytes(frame.data)):
                heard, silence = heard + frame.duration, 0.0
                if heard > 0.5 and texts:
                    self._send(SpeechEventType.INTERIM_TRANSCRIPT, texts[0].split()[0])
            elif heard:
                silence += frame.duration
                if silence >= needed and texts:
                    self._send(SpeechEventType.FINAL_TRANSCRIPT, texts.pop(0))
                    heard = 0.0

    def _send(self, kind: SpeechEventType, text: str) -> None:
        said = SpeechData(language="en", text=text, confidence=0.93)
        self._event_ch.send_nowait(SpeechEvent(type=kind, request_id="r", alternatives=[said]))


class _Microphone(AudioInput):
    """A frame each 20 ms: a tone until ``speaks_until``, silence after."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.speaks_until = 0.0
        self._frames: aio.Chan[rtc.AudioFrame] = aio.Chan()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.__anext__()

    async def pump(self) -> None:
        samples = int(_RATE * _FRAME_S)
        tone = b"".join(struct.pack("<h", int(12000 * math.sin(n / 9)) or 1) for n in range(samples))
        due = time.monotonic()
        while True:
            data = tone if time.monotonic() < self.speaks_until else bytes(2 * samples)
            self._frames.send_nowait(
                rtc.AudioFrame(data=data, sample_rate=_RATE, num_channels=1, samples_per_channel=samples)
            )
            due += _FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class _Speaker(AudioOutput):
    """Plays at the speed of speech."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=AudioOutputCapabilities(pause=False))
        self._pushed, self._since = 0.0, 0.0
        self._end: asyncio.TimerHandle | None = None
        self.talking, self.silent = asyncio.Event(), asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._pushed:
            self._since = time.time()
            self.talking.set()
            self.silent.clear()
            self.on_playback_started(created_at=self._since)
        self._pushed += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._pushed:
            left = max(0.0, self._pushed - (time.time() - self._since))
            self._end = asyncio.get_running_loop().call_later(left, self._done)

    def clear_buffer(self) -> None:
        if self._pushed:
            self._done(interrupted=True)

    def _done(self, *, interrupted: bool = False) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        played = min(self._pushed, time.time() - self._since) if interrupted else self._pushed
        self._pushed = 0.0
        self.talking.clear()
        self.silent.set()
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


class _Billing(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the billing desk.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say hello from billing.")


class _Front(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the front desk.")

    async def on_enter(self) -> None:
        self.session.say(GREETING)

    @function_tool
    async def get_weather(self, _context: RunContext, city: str) -> dict[str, Any]:  # noqa: ARG002 - the model's
        """Get the weather in a city."""
        await asyncio.sleep(0.2 + float(os.environ.get(TOOL_SLOWER, "0")))
        return {"temperature_c": 18, "sky": "sunny"}

    @function_tool
    async def transfer_to_billing(self, _context: RunContext) -> tuple[Agent, str]:
        """Hand over to billing."""
        return _Billing(), "Transferring you to billing."


@contextlib.asynccontextmanager
async def _running(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        await aio.cancel_and_wait(task)


async def job(context: JobContext) -> None:
    """One call, in the job's process."""
    steps = SCRIPTS[os.environ[_SCRIPT]]
    session: AgentSession[None] = AgentSession(
        vad=_Ears(),
        stt=_Recogniser(steps),
        llm=openai.LLM(model="gpt-4.1-mini"),
        tts=openai.TTS(model="gpt-4o-mini-tts", voice="ash", response_format="pcm"),
        turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": 0.5, "max_delay": 3.0}},
        aec_warmup_duration=None,
        conn_options=SessionConnectOptions(llm_conn_options=APIConnectOptions(max_retry=1, retry_interval=0.2)),
    )
    microphone, speaker = _Microphone(), _Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(_Front())
    async with _running(microphone.pump()):
        await _answered(speaker)
        for step in steps:
            microphone.speaks_until = time.monotonic() + step.speech_s
            await asyncio.sleep(step.speech_s)
            if step.then == "answered":
                await _answered(speaker)
            elif step.then == "talking":
                await asyncio.wait_for(speaker.talking.wait(), _WAIT_S)
            await asyncio.sleep(step.wait_s)
    await session.aclose()
    context.shutdown()


async def _answered(speaker: _Speaker) -> None:
    await asyncio.wait_for(speaker.talking.wait(), _WAIT_S)
    await asyncio.wait_for(speaker.silent.wait(), _WAIT_S)
    await asyncio.sleep(0.5)


async def main() -> None:
    """A server with one job, which is what a dispatch from LiveKit would have started."""
    server = AgentServer.from_server_options(
        WorkerOptions(entrypoint_fnc=job, ws_url="ws://127.0.0.1:9", api_key="k", api_secret="s", port=0)
    )
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(devmode=True, unregistered=True))
    await asyncio.wait_for(started.wait(), _WAIT_S)
    await server.simulate_job("room", agent_identity="agent", fake_job=True)
    await asyncio.sleep(1.0)
    await server.drain()
    await server.aclose()
    await running


if __name__ == "__main__":
    os.environ[_SCRIPT] = sys.argv[1] if len(sys.argv) > 1 else "call"
    asyncio.run(main())
