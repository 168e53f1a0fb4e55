"""The models on Spark (issue 7, part 6): ``report --engine spark`` counts what DuckDB counts."""

import json
import math
import shutil
import sys
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
    *("all_kpis", "wait_ends", "components", "outcomes", "errors", "cost_by_model", "latencies", "intents", "load"),
    *("bots", "services", "adapters", "summary", "priced_sessions", "quota_use", "agent_costs", "cache_entries"),
    *("intent_schemas", "observations", "anomaly_bins", "issues", "active_sessions", "component_latencies"),
)
"""What a report shows, some sections on request, and what other commands read."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with spans of all kinds."""
    return store(tmp_path_factory.mktemp("spark"), 400)


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """One Spark for the module: it takes long to start."""
    from otel_voicebot.models.spark import start

    running = start()
    # plans are many here and rows few: to compile a plan takes longer than to interpret it
    for name in ("spark.sql.codegen.wholeStage", "spark.sql.adaptive.enabled"):
        running.conf.set(name, "false")
    running.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield running
    running.stop()


def test_spark_counts_what_duckdb_counts(data: Path, session: Any) -> None:
    """Whole numbers are equal, others to 1e-9, quantiles exact: over a store with frameworks' spans."""
    from otel_voicebot.models.spark import SparkEngine

    source, terms = snapshot(data), Terms(as_of=AS_OF)
    with Engine(source, terms=terms) as engine:
        give(engine)
        wanted: dict[str, Any] = {name: engine.table(name) for name in SHOWN}
    assert [name for name in SHOWN if not wanted[name].num_rows] == []
    with SparkEngine(source, terms=terms, session=session) as engine:
        give(engine)
        wrong = {name: differences(wanted[name], engine.table(name))[:3] for name in SHOWN}
    assert {name: found for name, found in wrong.items() if found} == {}


def _alike(one: Any, two: Any, where: str = "") -> list[str]:
    """Where two JSON documents differ: floats by more than 1e-9."""
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return [found for key in one for found in _alike(one[key], two[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [found for at, pair in enumerate(zip(one, two, strict=True)) for found in _alike(*pair, f"{where}.{at}")]
    if isinstance(one, float) and isinstance(two, float) and math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12):
        return []
    return [] if one == two else [f"{where}: {one!r} and {two!r}"]


def test_the_command_says_what_it_says_without_spark(
    twelve: Path, session: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report --engine spark --json`` ran on Spark, and is the document of DuckDB but for the moment it was asked."""
    documents, jobs = [], session.sparkContext.statusTracker().getJobIdsForGroup
    before = max(jobs(), default=-1)
    for engine in ("duckdb", "spark"):
        assert main(["report", "--engine", engine, "--json", "--data", str(twelve)]) == 0
        documents.append({**json.loads(capsys.readouterr().out), "as_of": None})
        assert (max(jobs(), default=-1) > before) is (engine == "spark")
    assert documents[0]["kpis"]["sessions"]["value"] == 12
    assert _alike(*documents) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--group-by", "bot"], "--group-by is something that only DuckDB does: leave it out, or --engine spark"),
        (["--as-of", "2026-04-05"], "--as-of is something that only DuckDB does: leave it out, or --engine spark"),
        (["--charts", "drawn"], "--charts is something that only DuckDB does: leave it out, or --engine spark"),
        (["--format", "html"], "--format html is something that only DuckDB does: leave it out, or --engine spark"),
        (
            ["--section", "segments"],
            "the section segments cuts waits, which only DuckDB does: leave --engine spark out",
        ),
    ],
)
def test_what_only_duckdb_does_is_refused(
    twelve: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, 2, and no Spark is started for it."""
    assert main(["report", "--engine", "spark", "--data", str(twelve), *words]) == 2
    assert capsys.readouterr() == ("", f"otel-voicebot: {sentence}\n")


def test_without_pyspark_it_names_the_extra(
    twelve: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report --engine spark`` where PySpark isn't installed: one sentence, and 2."""
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert main(["report", "--engine", "spark", "--data", str(twelve)]) == 2
    sentence = "otel-voicebot: the engine spark needs optional packages: pip install 'otel-voicebot[spark]'\n"
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize(("home", "place"), [(None, "on the PATH"), ("/nowhere", "in JAVA_HOME (/nowhere)")])
def test_without_java_it_says_so(
    twelve: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    home: str | None,
    place: str,
) -> None:
    """``report --engine spark`` where Spark would find no Java: one sentence, and 6."""
    if home is None:
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.delenv("JAVA_HOME", raising=False)
    else:
        monkeypatch.setenv("JAVA_HOME", home)
    assert main(["report", "--engine", "spark", "--data", str(twelve)]) == 6
    sentence = f"Spark needs Java 17 or later, and no `java` is {place}: install one or set JAVA_HOME"
    assert capsys.readouterr() == ("", f"otel-voicebot: {sentence}\n")
