"""The twelve calls, imported once for all tests that only read them."""

from pathlib import Path

import pytest

from tests.models.twelve import tables, take_in


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the twelve calls."""
    return take_in(tmp_path_factory.mktemp("twelve"), tables.lines())
