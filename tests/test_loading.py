"""Packages whose names load when they are first asked for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of two modules, of which one can't be imported."""
    home = tmp_path / "lazy_sample"
    home.mkdir()
    (home / "__init__.py").write_text(
        "from otel_voicebot.loading import lazily\n"
        "__getattr__, __dir__ = lazily(__name__, {'one': 'good', 'two': 'bad', 'gone': 'good'})\n"
    )
    (home / "good.py").write_text("one = object()\n")
    (home / "bad.py").write_text("raise RuntimeError('loaded')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield home.name
    for name in [one for one in sys.modules if one.partition(".")[0] == home.name]:
        del sys.modules[name]


def test_a_module_is_loaded_when_its_name_is_asked_for(package: str) -> None:
    """Not before, and the same object each time; another module's failure is only its own."""
    sample = __import__(package)
    assert f"{package}.good" not in sys.modules
    assert sample.one is sample.one
    assert vars(sample)["one"] is sys.modules[f"{package}.good"].one
    with pytest.raises(RuntimeError, match="loaded"):
        _ = sample.two


def test_other_names_are_no_attributes(package: str) -> None:
    """As of any module: the message names both."""
    sample = __import__(package)
    with pytest.raises(AttributeError, match="module 'lazy_sample' has no attribute 'three'"):
        _ = sample.three
    with pytest.raises(AttributeError, match="gone"):
        _ = sample.gone


def test_dir_names_all(package: str) -> None:
    """What is loaded and what isn't, sorted."""
    names = dir(__import__(package))
    assert names == sorted(names)
    assert {"one", "two", "gone", "__name__"} <= set(names)
