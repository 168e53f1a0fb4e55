"""Running the demo: several calls at a time, each in a thread, recognition in processes of its own."""

import importlib.util
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from otel_voicebot.demo.results import DemoResult, OnProgress
from otel_voicebot.errors import MissingExtraError, UsageError

__all__ = ["FAST", "run"]

FAST: Final = 8.0
"""Speed of a run that is not in real time."""
_EXTRA: Final = ("espeakng_loader", "jiwer", "numpy", "pocketsphinx", "sklearn", "soundfile")


def run(
    calls: int | None = None,
    concurrency: int = 6,
    snr: float | None = None,
    seed: int = 1,
    *,
    real_time: bool = True,
    on_progress: OnProgress = lambda _: None,
) -> DemoResult:
    """Hold spoken calls. Spans go to the tracer provider that is configured.

    Args:
        calls: how many; None is each call of ``calls.toml`` once. More than that begins again from the first.
        concurrency: how many at a time.
        snr: white noise so many decibels below the callers' voices; None is clean.
        seed: of waiting times and noise. Same seed, same calls; times differ by what the machine does.
        real_time: False plays audio and waits ``FAST`` times as fast: the latencies then mean nothing.
        on_progress: told of each call and turn, by one thread at a time.

    Raises:
        MissingExtraError: packages of the extra ``demo`` are not installed.
        UsageError: a number is out of range.
    """
    _check(calls, concurrency, snr)
    from otel_voicebot.demo.center import CallCenter  # noqa: PLC0415 - needs the extra

    began = time.monotonic()
    speed = 1.0 if real_time else FAST
    with CallCenter(concurrency, snr=snr, seed=seed, speed=speed, on_progress=on_progress) as center:
        plans = center.plans(calls)
        with ThreadPoolExecutor(concurrency, thread_name_prefix="call") as pool:
            held = tuple(pool.map(center.hold, range(1, len(plans) + 1), plans))
    return DemoResult(held, speed, center.voice.provider, snr, time.monotonic() - began)


def _check(calls: int | None, concurrency: int, snr: float | None) -> None:
    if calls is not None and calls < 1:
        raise UsageError(f"calls must be at least 1, not {calls}")
    if concurrency < 1:
        raise UsageError(f"concurrency must be at least 1, not {concurrency}")
    if snr is not None and not -20 <= snr <= 100:
        raise UsageError(f"snr must be from -20 to 100 dB, not {snr}")
    if any(importlib.util.find_spec(package) is None for package in _EXTRA):
        raise MissingExtraError("the demo", "demo")
