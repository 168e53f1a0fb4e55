"""The real Collector; tests that need it skip where it can't be built."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import collector
from bench.collector import Collector

MakeCollector = Callable[..., Collector]


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """The Collector's program, built once a machine; the first test that wants it may wait for minutes."""
    if reason := collector.why_not():
        pytest.skip(reason)
    return collector.binary()


@pytest.fixture
def make_collector(collector_binary: Path, tmp_path: Path) -> Iterator[MakeCollector]:
    """Makes Collectors that are gone when the test ends."""
    made: list[Collector] = []

    def make(name: str = "collector", **options: Any) -> Collector:
        made.append(Collector(tmp_path / name, **options))
        return made[-1]

    yield make
    for one in made:
        one.kill()
