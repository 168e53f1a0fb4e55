"""What the setup file of a framework may do to the interpreter while it loads us: nothing that stays."""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

from otel_voicebot.giving_way import uncollected

MANY = 500_000


@pytest.fixture
def full() -> Iterator[list[int]]:
    """Grows with each full collection."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(2)

    gc.collect()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()
    gc.enable()


def pass_() -> None:
    """So much garbage that young collections come, and a full one where what is new is a quarter of all."""
    for _ in range(200_000):
        one: list[object] = []
        one.append(one)


def test_what_is_loaded_brings_no_full_collection(full: list[int]) -> None:
    """Neither while half a million objects are made nor after: the collector takes them for old ones."""
    with uncollected():
        kept = [[number] for number in range(MANY)]
    pass_()
    assert (full, gc.isenabled(), gc.get_freeze_count()) == ([], True, 0)
    more = [[number] for number in range(MANY)]  # as new ones the same number brings one
    pass_()
    assert full != []
    assert len(kept) == len(more)


def test_what_the_bot_has_frozen_stays_frozen() -> None:
    """A bot may have put its objects aside, as servers do before they fork."""
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            pass
        assert gc.get_freeze_count() == frozen > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_bot_that_collects_itself_goes_on_so() -> None:
    """Where the collector is switched off it stays off."""
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_child_that_is_forked_meanwhile_collects() -> None:
    """The thread that would switch the collector on again isn't in the child."""
    with uncollected():
        child = os.fork()
        if not child:
            os._exit(0 if gc.isenabled() else 1)
        assert not gc.isenabled()
    _, status = os.waitpid(child, 0)
    assert (status, gc.isenabled()) == (0, True)
