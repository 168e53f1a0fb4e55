"""Keeps the interpreter free for others while we work: threads get it soon, and nobody waits for our garbage."""

import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

__all__ = ["breathe", "giving_way", "uncollected"]

_GIVES_WAY_S: Final = 0.000501
"""Seconds, which nobody else would choose, after which a thread that wants the interpreter gets it.

A C call is not broken off: taking 8,000 spans from the queue is one of 2 ms."""
_BETWEEN_S: Final = 0.0003
"""Seconds between two breaths, at least."""
_BREATH_S: Final = 0.00005
"""With the time that the system takes to wake a thread, 0.1 ms."""


class _Mine(threading.local):
    """When this thread breathes next."""

    at = float("inf")


_mine = _Mine()


class _Usual:
    """How the process had it."""

    def __init__(self) -> None:
        self.seconds = sys.getswitchinterval()
        self.collecting = True
        """False: we have switched the collector off."""

    def collect(self) -> None:
        """Switch the collector on again, where we have switched it off."""
        if not self.collecting:
            self.collecting = True
            gc.enable()


_usual = _Usual()
os.register_at_fork(after_in_child=_usual.collect)  # the thread that would do so isn't there


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """While this is entered a thread that asks for the interpreter waits half a millisecond, and ours can ``breathe``.

    By itself it waits up to 5 ms, and our work alone would make an event loop's late wake-ups half as late again. The
    interval is the process's: whatever the bot sets meanwhile stays, and ours, where the bot has saved and restored it,
    is taken back by the next who gives way. Of several threads the first that is done takes it back for all.
    """
    now = sys.getswitchinterval()  # once: another thread may set ours at any moment
    if not _is_ours(now):
        _usual.seconds = now
    if _usual.seconds > _GIVES_WAY_S:
        sys.setswitchinterval(_GIVES_WAY_S)
    before, _mine.at = _mine.at, time.perf_counter() + _BETWEEN_S
    try:
        yield
    finally:
        _mine.at = before
        _take_back()


def breathe() -> None:
    """Let a thread have the interpreter that waits for it, where ours gives way. Asked often: it looks at the clock.

    The interval alone doesn't do it. Arrow lets go of the interpreter in each of its calls, and has it back before a
    thread that is woken up by that has come to run; and that one's half millisecond begins anew each time. Of an event
    loop's wake-ups while we took spans, 44 % were 1.5 to 6 ms late, whatever the interval; with this, 1.5 to 4 % are.
    """
    if time.perf_counter() >= _mine.at:
        time.sleep(_BREATH_S)
        _mine.at = time.perf_counter() + _BETWEEN_S


def _take_back() -> None:
    """Put back the interval that the process had, where it still is ours."""
    if _is_ours(sys.getswitchinterval()):
        sys.setswitchinterval(_usual.seconds)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """While this is entered no garbage is collected, and what was made meanwhile counts as old after it.

    The modules that we load are 70,000 objects that stay. As new ones they have the collector go through all that the
    bot has, while they are loaded and again in the first call: each time the interpreter is held for 100 ms.
    """
    if not gc.isenabled():  # that is the bot's choice, and so are frozen objects
        yield
        return
    _usual.collecting = False
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()  # this and back moves all objects to the oldest generation, without looking at one of them
            gc.unfreeze()
        _usual.collect()


def _is_ours(seconds: float) -> bool:
    # kept in whole microseconds, cut off: what is read and set again may be one less
    return abs(seconds - _GIVES_WAY_S) < 1.5e-6


os.register_at_fork(after_in_child=_take_back)  # who gave way isn't there
