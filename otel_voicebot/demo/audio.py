"""Sound: 16 kHz mono PCM of 16 bits, and where in it somebody can be heard."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["RATE", "Pcm", "Span", "audible", "duration", "noise_level", "resampled", "silence"]

Pcm = npt.NDArray[np.int16]
RATE: Final = 16_000
_WINDOW: Final = RATE // 100
_AUDIBLE_DB: Final = 35.0
"""A window of 10 ms is audible when it is at most this far below the loudest one."""
_FLOOR: Final = 30.0
"""Nothing quieter than this (root mean square of int16 samples) is audible."""
PAUSE_S: Final = 0.35
"""A silence of this length inside a recording is a pause; shorter ones belong to the word."""


class Span(NamedTuple):
    """A stretch of audible sound, in seconds from the start of the audio."""

    start: float
    end: float


def duration(pcm: Pcm) -> float:
    """Length in seconds."""
    return len(pcm) / RATE


def silence(seconds: float) -> Pcm:
    """Digital silence."""
    return np.zeros(round(seconds * RATE), dtype=np.int16)


def audible(pcm: Pcm) -> tuple[Span, ...]:
    """The stretches in which somebody can be heard; silences shorter than ``PAUSE_S`` don't split one."""
    windows = len(pcm) // _WINDOW
    if not windows:
        return ()
    level = _levels(pcm[: windows * _WINDOW].reshape(windows, _WINDOW))
    loud = np.flatnonzero(level > max(_FLOOR, float(level.max()) * 10 ** (-_AUDIBLE_DB / 20)))
    if not loud.size:
        return ()
    breaks = np.flatnonzero(np.diff(loud) * _WINDOW / RATE >= PAUSE_S)
    starts = loud[np.concatenate(([0], breaks + 1))]
    ends = loud[np.concatenate((breaks, [loud.size - 1]))] + 1
    seconds = _WINDOW / RATE
    return tuple(Span(float(start) * seconds, float(end) * seconds) for start, end in zip(starts, ends, strict=True))


def noise_level(pcm: Pcm, snr_db: float) -> float:
    """Standard deviation of the white noise that lies ``snr_db`` decibels below the audible parts of ``pcm``."""
    spoken = [pcm[round(part.start * RATE) : round(part.end * RATE)] for part in audible(pcm)]
    if not spoken:
        return 0.0
    power = float(np.mean(np.concatenate(spoken).astype(np.float64) ** 2))
    return float((power / 10 ** (snr_db / 10)) ** 0.5)


def resampled(pcm: Pcm, rate: int) -> Pcm:
    """Audio of another sampling rate at ours, by linear interpolation: good enough to be played and measured."""
    if rate == RATE:
        return pcm
    moments = np.arange(len(pcm) * RATE // rate) * (rate / RATE)
    samples: Pcm = np.interp(moments, np.arange(len(pcm)), pcm).astype(np.int16)
    return samples


def _levels(windows: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    level: npt.NDArray[np.float64] = np.sqrt(np.mean(windows.astype(np.float64) ** 2, axis=1))
    return level
