"""The telephone line: what the bot hears from the caller, frame by frame, while time passes."""

import time
from typing import Final

import numpy as np

from otel_voicebot.demo.audio import RATE, Pcm, Span, noise_level
from otel_voicebot.demo.recordings import Recording

__all__ = ["FRAME_S", "Line", "Pace"]

FRAME_S: Final = 0.03
_FRAME: Final = round(FRAME_S * RATE)


class Pace:
    """How fast the demo's time passes: ``speed`` 1 is real conversation time, 10 plays everything ten times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def real(self, seconds: float) -> float:
        """What ``seconds`` of audio or of waiting last on the clock."""
        return seconds / self.speed

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the conversation pass."""
        time.sleep(max(0.0, self.real(seconds)))


class Line:
    """One caller's end of the line.

    It delivers audio without a gap: silence where nobody speaks, white noise ``snr`` decibels below the caller's
    voice where noise was asked for. Times that it takes and gives are unix seconds.
    """

    def __init__(self, pace: Pace, *, snr: float | None = None, seed: int = 0) -> None:
        self._pace = pace
        self._snr = snr
        self._noise = 0.0
        self._random = np.random.default_rng(seed)
        self._began, self._began_unix = time.monotonic(), time.time()
        self._delivered = 0
        self._spoken: tuple[int, Recording] | None = None
        self._leaves_at: float | None = None
        self.speech: tuple[Span, ...] = ()
        """When the caller truly speaks: the audible parts of the last recording said, in unix seconds."""

    def say(self, recording: Recording, *, after: float) -> None:
        """The caller says something, ``after`` seconds from now."""
        # At a frame's edge, so that the same recording gives the same frames in every run.
        start = _FRAME * round((self._now() + after) * RATE / _FRAME)
        self._spoken = (start, recording)
        if self._snr is not None:
            self._noise = noise_level(recording.pcm, self._snr)
        self.speech = tuple(
            Span(self._unix(start / RATE + s), self._unix(start / RATE + e)) for s, e in recording.speech
        )

    def frame(self) -> bytes:
        """The next 30 ms of audio, as soon as they have been spoken."""
        start = self._delivered
        self._delivered += _FRAME
        self._pace.sleep(self._delivered / RATE - self._now())
        return self._sound(start).tobytes()

    @property
    def speech_start(self) -> float:
        """When the caller truly began to speak; now, when nobody did."""
        return min(self.speech[0].start, self._heard_until()) if self.speech else self._heard_until()

    @property
    def speech_end(self) -> float:
        """When the caller, as far as has been heard, truly ended; a part that has begun is ended at the latest now."""
        now = self._heard_until()
        return max((min(part.end, now) for part in self.speech if part.start < now), default=now)

    def leave(self, *, after: float) -> None:
        """The caller hangs up ``after`` seconds from now, unless ``stay`` is called before."""
        self._leaves_at = self._now() + after

    def stay(self) -> None:
        """The caller has an answer and stays."""
        if not self.gone:
            self._leaves_at = None

    @property
    def gone(self) -> bool:
        """The caller has hung up."""
        return self._leaves_at is not None and self._now() >= self._leaves_at

    def _heard_until(self) -> float:
        return self._unix(self._delivered / RATE)

    def _now(self) -> float:
        return (time.monotonic() - self._began) * self._pace.speed

    def _unix(self, seconds: float) -> float:
        return self._began_unix + self._pace.real(seconds)

    def _sound(self, start: int) -> Pcm:
        sound = self._random.normal(0.0, self._noise, _FRAME) if self._noise else np.zeros(_FRAME)
        if self._spoken is not None:
            begin, recording = self._spoken
            first, last = max(start, begin), min(start + _FRAME, begin + len(recording.pcm))
            if first < last:
                sound[first - start : last - start] += recording.pcm[first - begin : last - begin]
        return np.clip(sound, -32768, 32767).astype(np.int16)
