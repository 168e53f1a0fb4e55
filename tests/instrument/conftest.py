"""Every test here records our spans in memory, on a clock that moves only when told."""

from collections.abc import Iterator

import pytest

from otel_voicebot.testing import Recording, recording


@pytest.fixture
def record() -> Iterator[Recording]:
    """Spans in memory, content capture off."""
    with recording() as made:
        yield made
