"""Turns and sessions of more spans than memory holds are computed share by share, and are those of all at once."""

from pathlib import Path

import pytest

from otel_voicebot.models import Engine, Selection, engine
from otel_voicebot.processors import normalise
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore, snapshot
from tests.models.twelve import tables, take_in

CAPTURES = sorted((Path(__file__).parents[1] / "data" / "captures").glob("*.otlp.pb"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twelve calls beside those of all frameworks: spans repeated, nested, without a session, without a turn."""
    data = take_in(tmp_path_factory.mktemp("mixed"), tables.lines())
    for path in [*CAPTURES, CAPTURES[0]]:
        SpanStore(data).commit([normalise(decode(path.read_bytes())).rows(1)])
    return data


def rows(data: Path, selection: Selection, *, brief: bool) -> tuple[int, dict[str, list[str]]]:
    """In how many shares the models were computed, and the rows of some, each in an order of their own."""
    with Engine(snapshot(data), selection, brief=brief, cut=False) as found:
        names = ("steps", "turns", "sessions", "operations", "contacts")
        return found._shares, {name: sorted(str(row) for row in found.table(name).to_pylist()) for name in names}


@pytest.mark.parametrize("brief", [True, False])
@pytest.mark.parametrize("selection", [Selection(), Selection(intent="loan")])
def test_shares_are_the_whole(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, selection: Selection, *, brief: bool
) -> None:
    """Every row is the same: each call's turns are in one share, and none is in two. Few spans aren't divided."""
    whole, expected = rows(mixed, selection, brief=brief)
    monkeypatch.setattr(engine, "_GROUPED_BYTES", dict.fromkeys(("brief", "full"), 10_000_000))
    shares, found = rows(mixed, selection, brief=brief)
    assert whole == 1
    assert shares > 2
    assert all(expected.values())
    assert found == expected


def test_less_memory_makes_smaller_shares(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it takes twice as many."""
    monkeypatch.setattr(engine, "_GROUPED_BYTES", {"brief": 20_000_000})
    with (
        Engine(snapshot(mixed), brief=True, memory="1GB") as few,
        Engine(snapshot(mixed), brief=True, memory="500MB") as many,
    ):
        assert many._shares // few._shares == 2
