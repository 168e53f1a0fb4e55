"""The models on Spark (issue 7, part 6): ``report --engine spark`` counts what DuckDB counts."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.cli import main
from otel_voicebot.models import Engine, Terms
from otel_voicebot.store.reader import snapshot
from tests.models.engines import AS_OF, differences, give, store

pytest.importorskip("pyspark", reason="Spark is in the extra [spark]")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

SHOWN = (
    "all_kpis",
    "wait_ends",
    "components",
    "outcomes",
    "errors",
    "cost_by_model",
    "latencies",
    "intents",
    "load",
    "bots",
)
"""What a report shows, and some sections on request; each costs seconds."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with spans of all kinds."""
    return store(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """One Spark for the module: it takes long to start."""
    from otel_voicebot.models.spark import start

    running = start()
    yield running
    running.stop()


def test_spark_counts_what_duckdb_counts(data: Path, session: Any) -> None:
    """Whole numbers are equal, others to 1e-9, quantiles exact: over a store with frameworks' spans."""
    from otel_voicebot.models.spark import SparkEngine

    source, terms = snapshot(data), Terms(as_of=AS_OF)
    with Engine(source, terms=terms) as engine:
        give(engine)
        wanted: dict[str, Any] = {name: engine.table(name) for name in SHOWN}
    assert wanted["all_kpis"].num_rows > 30
    with SparkEngine(source, terms=terms, session=session) as engine:
        give(engine)
        wrong = {name: differences(wanted[name], engine.table(name))[:3] for name in SHOWN}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_without_java_it_says_so(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report --engine spark`` without a Java: one sentence, and 6."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main(["report", "--engine", "spark", "--data", str(data)]) == 6
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("otel-voicebot: Spark needs Java 17 or later, and no `java` is on the PATH")
    assert found.err.count("\n") == 1
