from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.receivers.service import Doors, StoreIntake


@pytest.fixture
def intake(tmp_path: Path) -> StoreIntake:
    """A real store behind the doors."""
    return StoreIntake(tmp_path / "data")


@pytest.fixture
def doors(intake: StoreIntake) -> Iterator[Doors]:
    """Both doors, open, before a real store."""
    with Doors(intake) as doors:
        yield doors
