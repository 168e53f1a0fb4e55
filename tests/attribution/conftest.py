import itertools
from dataclasses import dataclass

import pytest

from bench.truth.draws import Draw, draws
from bench.truth.faults import CULPRITS, slower
from bench.truth.measure import Judged, Row, cut, judged
from bench.truth.native import World, world

SKEW_MS = 50


@dataclass(frozen=True)
class Seen:
    """Generated calls, the segments that the models gave, and both beside the truth."""

    world: World
    rows: dict[tuple[str, int], list[Row]]
    judged: list[Judged]


def seen(made: World) -> Seen:
    """The calls through the door and the engine."""
    found = cut(made)
    return Seen(made, found, judged(made, found))


@pytest.fixture(scope="session")
def drawn() -> list[Draw]:
    """What happens in 3,000 exchanges."""
    return list(draws(3000, seed=11))


@pytest.fixture(scope="session")
def plain(drawn: list[Draw]) -> Seen:
    """Each service a process of its own, all by one clock."""
    return seen(world(drawn))


@pytest.fixture(scope="session")
def skewed(drawn: list[Draw]) -> Seen:
    """The same exchanges; the clocks of services are up to 50 ms off, either way."""
    return seen(world(drawn, seed=12, skew_ms=SKEW_MS))


def _culprits(skew_ms: float) -> dict[str, list[Judged]]:
    each = 150
    some = list(draws(each, seed=13))
    made = world(itertools.chain.from_iterable(slower(c, some) for c in CULPRITS.values()), seed=14, skew_ms=skew_ms)
    found = judged(made, cut(made))
    return {name: found[at * each : (at + 1) * each] for at, name in enumerate(CULPRITS)}


@pytest.fixture(scope="session")
def culprits() -> dict[str, list[Judged]]:
    """150 exchanges for each thing that may be two seconds slower, by its name."""
    return _culprits(0)


@pytest.fixture(scope="session")
def skewed_culprits() -> dict[str, list[Judged]]:
    """The same by clocks that are up to 50 ms off."""
    return _culprits(SKEW_MS)
