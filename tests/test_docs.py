"""Reference pages are generated: they say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from otel_voicebot import cli, semconv
from otel_voicebot.spans.schema import TABLES

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def generate() -> ModuleType:
    """The generator, which is a program and no part of a package."""
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_current(generate: ModuleType) -> None:
    """The committed reference pages are what the code generates now."""
    assert generate.main(["--check"]) == 0


def test_drift_is_found(generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page that differs fails the check and is named; generating it again mends it."""
    generate.REFERENCE = tmp_path
    assert generate.main([]) == 0
    (tmp_path / "cli.md").write_text("old")
    assert generate.main(["--check"]) == 1
    assert "cli.md" in capsys.readouterr().err
    assert (tmp_path / "cli.md").read_text() == "old"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_everything_is_described(generate: ModuleType) -> None:
    """No metric, attribute, column or verb is left out, and none lacks a meaning."""
    names, tables, verbs = generate.semconv_page(), generate.tables_page(), generate.cli_page()
    for item in (*semconv.METRICS.values(), *semconv.ATTRIBUTES.values()):
        assert f"`{item.name}`" in names
        assert item.meaning
    for schema in TABLES.values():
        for field in schema:
            assert f"`{field.name}`" in tables
    for name, _ in cli.VERBS:
        assert f"## otel-voicebot {name}\n" in verbs
    assert "`--data DIR`" in verbs
