"""The Python blocks of the pages are run as they stand, in order."""

import re
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.testing import recording

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["instrument.md", "testing.md"])
def test_the_blocks_of_a_page_run(page: str) -> None:
    """Pasted one after another the blocks run without an error, and each call in them is recorded whole."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    space: dict[str, Any] = {}
    with recording() as made:
        for block in blocks:
            exec(compile(block, page, "exec"), space)
    assert space.get("made", made).sink.named("voicebot.session")
