"""The dependency graph of an exchange, and its critical path: what was waited for in each moment."""

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["UNATTRIBUTED", "Moment", "Part", "clipped", "origin", "path", "then"]

UNATTRIBUTED: Final = "unattributed"


class Part(NamedTuple):
    """A part of a wait, in nanoseconds: the segment that it belongs to and the stage that it was spent in, if any."""

    start: int
    end: int
    segment: str
    stage: str | None


class Moment(NamedTuple):
    """A moment that others had to come before: `after` came last of them, and `segment` filled the time since."""

    at: int
    segment: str
    stage: str | None
    after: "Moment | None"


def origin(at: int = 0) -> Moment:
    """A moment that waits for nothing."""
    return Moment(at, "", None, None)


def then(duration: int, segment: str, stage: str | None, *needed: Moment) -> Moment:
    """The moment `duration` after the last of the needed ones."""
    last = max(needed, key=lambda moment: moment.at)
    return Moment(last.at + duration, segment, stage, last)


def path(end: Moment) -> list[Part]:
    """The critical path that leads to a moment, in order; a wait of no length is no part."""
    parts = []
    while end.after is not None:
        if end.at > end.after.at:
            parts.append(Part(end.after.at, end.at, end.segment, end.stage))
        end = end.after
    return parts[::-1]


def clipped(parts: Sequence[Part], begin: int, end: int) -> list[Part]:
    """What lies between two moments."""
    cut = [part._replace(start=max(part.start, begin), end=min(part.end, end)) for part in parts]
    return [part for part in cut if part.start < part.end]
