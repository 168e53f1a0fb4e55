"""Standard output is a contract: the ready line of `serve`, one document with `--json`. No engine writes there."""

import re
from pathlib import Path

import pytest

import otel_voicebot

MODULES = [path for path in Path(otel_voicebot.__file__).parent.rglob("*.py") if "duckdb.connect(" in path.read_text()]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_no_engine_draws_its_progress_on_stdout(module: Path) -> None:
    """DuckDB draws a progress bar there when a query takes seconds: each connection that is opened has it off."""
    text = module.read_text()
    assert len(re.findall(r"duckdb\.connect\(", text)) == len(re.findall(r"SET enable_progress_bar = false", text))
