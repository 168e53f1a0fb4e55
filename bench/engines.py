"""The KPIs of generated spans by DuckDB, by Spark and by ClickHouse (chdb): the time of each, and what differs."""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench.child import child
from bench.differences import differences
from bench.figures import Figure, Section

__all__ = ["run"]

_AS_OF: Final = datetime(2026, 1, 7, tzinfo=UTC)
_SHOWN: Final = ("all_kpis", "wait_ends", "components", "outcomes", "errors")


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Generate and commit 1 M spans (50,000 when quick), then ask three engines for a report's sections."""
    spans = 50_000 if quick else 1_000_000
    answers: dict[str, dict[str, pa.Table]] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-engines-") as directory:
        tell(f"engines: {spans:,} spans are generated and committed")
        child("ingest_child", spans, directory)
        for name, ask in (("DuckDB", _duckdb), ("Spark", _spark), ("ClickHouse", _clickhouse)):
            tell(f"engines: {name}")
            begin = time.perf_counter()
            answers[name] = ask(Path(directory))
            seconds[name] = time.perf_counter() - begin
    rows: list[list[str | float]] = []
    figures = []
    for name, found in answers.items():
        wrong = sum(len(differences(answers["DuckDB"][model], found[model])) for model in _SHOWN)
        rows.append([name, seconds[name], wrong])
        if name != "DuckDB":
            figures.append(Figure(f"values of {name} that differ from DuckDB's", wrong, "", "<=", 0))
    kpis = answers["DuckDB"]["all_kpis"].to_pylist()
    sessions = next(row["value"] for row in kpis if row["name"] == "sessions")
    notes = [
        f"{sessions:,.0f} sessions, {len(kpis)} KPIs; Spark with its start, ClickHouse with loading. No prices.",
        "Equal: whole numbers, texts; others to 1e-9.",
    ]
    return Section(
        "engines", f"A report's sections over {spans:,} spans", ["engine", "s", "differences"], rows, figures, notes
    )


def _duckdb(data: Path) -> dict[str, pa.Table]:
    from otel_voicebot.models import Engine, Terms
    from otel_voicebot.store.reader import snapshot

    with Engine(snapshot(data), brief=True, terms=Terms(as_of=_AS_OF)) as engine:
        return {name: engine.table(name) for name in _SHOWN}


def _spark(data: Path) -> dict[str, pa.Table]:
    from otel_voicebot.models import Terms
    from otel_voicebot.models.spark import SparkEngine, start
    from otel_voicebot.store.reader import snapshot

    session = start()
    try:
        with SparkEngine(snapshot(data), terms=Terms(as_of=_AS_OF), session=session) as engine:
            return {name: engine.table(name) for name in _SHOWN}
    finally:
        session.stop()


def _clickhouse(data: Path) -> dict[str, pa.Table]:
    from chdb.session import Session

    from otel_voicebot.models import Terms
    from otel_voicebot.models.terms import GIVEN
    from otel_voicebot.models.warehouse import Asked, statement
    from otel_voicebot.store.reader import snapshot

    asked = Asked(terms=Terms(as_of=_AS_OF))
    session: Any = Session()
    path = data / "spans.parquet"
    pq.write_table(snapshot(data).read(), path)
    session.query("CREATE DATABASE lake")
    session.query("USE lake")
    session.query(f"CREATE TABLE spans ENGINE = Memory AS SELECT * FROM file('{path}', Parquet)")
    session.query("CREATE VIEW wide AS SELECT * FROM spans")
    for name in ("before", "open_calls"):
        session.query(f"CREATE VIEW {name} AS SELECT * FROM spans WHERE false")
    for name, columns in GIVEN.items():
        session.query(f"CREATE TABLE {name} ({_given(columns)}) ENGINE = Memory")
    there = {"spans", "wide", "before", "open_calls", *GIVEN}

    def have(model: str) -> None:
        if model in there:
            return
        there.add(model)
        text, inputs = statement(model, "clickhouse", asked, cut=False)
        for needed in inputs:
            have(needed)
        session.query(f"CREATE TABLE {model} ENGINE = Memory AS {text}")

    for name in _SHOWN:
        have(name)
    found = {name: session.query(f"SELECT * FROM {name}", "ArrowTable") for name in _SHOWN}
    session.close()
    return found


_KINDS: Final = {
    "VARCHAR": "String",
    "DOUBLE": "Float64",
    "BIGINT": "Int64",
    "BOOLEAN": "Bool",
    "TIMESTAMPTZ": "DateTime64(6, 'UTC')",
}


def _given(columns: str) -> str:
    declared = (one.split() for one in columns.split(","))
    return ", ".join(f"{name} Nullable({_KINDS[kind]})" for name, kind in declared)
