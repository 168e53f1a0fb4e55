"""The models in a warehouse's SQL (issue 7, part 6): DuckDB's and ClickHouse's is run, and counts the same."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from otel_voicebot.cli import main
from otel_voicebot.errors import UsageError
from otel_voicebot.models import MODELS, Engine, Selection, Terms
from otel_voicebot.models.terms import GIVEN
from otel_voicebot.models.warehouse import DIALECTS, Asked, refusal, render
from otel_voicebot.store.reader import snapshot
from tests.models.engines import AS_OF, COMPARED, differences, give, store

BANK = Selection(since=datetime(2026, 1, 5, 3, tzinfo=UTC), bot="bank")
PAST = Selection(as_of=datetime(2026, 1, 5, 6, tzinfo=UTC))
ORDERED = [*COMPARED, "sla", "fcr", "calls", "longest", "segments"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with spans of all kinds."""
    return store(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def answers(data: Path) -> dict[str, dict[str, pa.Table]]:
    """What the engine says, of all sessions and of some."""
    found = {}
    for name, selection in (("all", Selection()), ("bank", BANK), ("past", PAST)):
        with Engine(snapshot(data), selection, terms=Terms(as_of=selection.as_of or AS_OF)) as engine:
            give(engine)
            found[name] = {model: engine.table(model) for model in (*ORDERED, *GIVEN)}
    return found


@pytest.fixture(scope="module")
def history(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spans as a warehouse has them: ids in hex, in one file."""
    path = tmp_path_factory.mktemp("history") / "spans.parquet"
    pq.write_table(snapshot(data).read(), path)
    return path


@pytest.fixture(scope="module")
def duck(history: Path, answers: dict[str, dict[str, pa.Table]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that knows nothing of us but the table of spans."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW history AS FROM '{history}'")
        for name in GIVEN:
            given = answers["all"][name]  # noqa: F841 - DuckDB finds it by its name
            connection.execute(f"CREATE TABLE {name} AS FROM given")
        yield connection


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("label", "selection"), [("all", Selection()), ("bank", BANK), ("past", PAST)])
def test_one_query_over_the_spans_counts_what_the_engine_counts(
    duck: duckdb.DuckDBPyConnection, answers: dict[str, dict[str, pa.Table]], label: str, selection: Selection
) -> None:
    """Every model of a report, rendered for DuckDB as one query, equals the engine's: all, some, as of then."""
    asked = Asked(selection, Terms(as_of=selection.as_of or AS_OF), "history")
    wrong = {}
    for model in ORDERED if label == "all" else ("all_kpis", "operations", "longest", "journey"):
        found = duck.sql(render(model, "duckdb", asked).sql).to_arrow_table()
        wrong[model] = differences(answers[label][model], found)[:3]
    assert {model: found for model, found in wrong.items() if found} == {}
    assert [model for model in ORDERED if not answers["all"][model].num_rows] == []
    assert 0 < answers["past"]["operations"].num_rows < answers["all"]["operations"].num_rows


@pytest.fixture(scope="module")
def clickhouse(history: Path, answers: dict[str, dict[str, pa.Table]]) -> Iterator[Any]:
    """A ClickHouse in this process, with the table of spans."""
    session = pytest.importorskip("chdb.session", reason="ClickHouse is in the extra [warehouses]").Session()
    session.query("CREATE DATABASE lake")
    session.query("USE lake")
    session.query(f"CREATE TABLE spans ENGINE = Memory AS SELECT * FROM file('{history}', Parquet)")
    for name in GIVEN:
        path = history.with_name(f"{name}.parquet")
        pq.write_table(answers["all"][name], path)
        session.query(f"CREATE TABLE {name} ENGINE = Memory AS SELECT * FROM file('{path}', Parquet)")
    yield session
    session.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_clickhouse_counts_what_duckdb_counts(clickhouse: Any, answers: dict[str, dict[str, pa.Table]]) -> None:
    """Every model, rendered for ClickHouse and run through chdb model by model, gives DuckDB's rows."""
    from otel_voicebot.models.warehouse import statement

    asked, there = Asked(terms=Terms(as_of=AS_OF)), {"spans", *GIVEN}
    clickhouse.query("CREATE VIEW wide AS SELECT * FROM spans")
    for name in ("before", "open_calls"):
        clickhouse.query(f"CREATE VIEW {name} AS SELECT * FROM spans WHERE false")

    def have(model: str) -> None:
        if model in there or model in ("wide", "before", "open_calls"):
            return
        there.add(model)
        text, inputs = statement(model, "clickhouse", asked)
        for needed in inputs:
            have(needed)
        clickhouse.query(f"CREATE TABLE {model} ENGINE = Memory AS {text}")

    wrong = {}
    for model in ORDERED:
        if refusal(model, "clickhouse"):
            continue
        have(model)
        found = clickhouse.query(f"SELECT * FROM {model}", "ArrowTable")
        wrong[model] = differences(answers["all"][model], found)[:3]
    assert len(wrong) >= len(ORDERED) - 1
    assert {model: found for model, found in wrong.items() if found} == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_clickhouse_runs_one_query_over_the_spans(clickhouse: Any, answers: dict[str, dict[str, pa.Table]]) -> None:
    """A model with all that it is built on, as one query, runs there as printed, settings and all."""
    text = render("operations", "clickhouse", Asked(terms=Terms(as_of=AS_OF))).sql
    assert differences(answers["all"]["operations"], clickhouse.query(text, "ArrowTable")) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_printed_is_read_by_the_dialects_own_grammar(dialect: str) -> None:
    """Each model is SQL to a strict parser of its dialect, reads known tables alone, or is refused with a reason."""
    rendered = 0
    for model in MODELS:
        if refusal(model, dialect):
            with pytest.raises(UsageError, match=f"the model {model} isn't for {dialect}: "):
                render(model, dialect)
            continue
        made = render(model, dialect, only=True)
        trees = sqlglot.parse(made.sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        assert trees
        assert set(made.sources) <= {"spans", "wide", "before", "open_calls", "sessions_all", *GIVEN, *MODELS}, model
        assert not [node for tree in trees if tree for node in tree.find_all(exp.LowerHex)]
        rendered += 1
    assert rendered > 50
    for model in ("all_kpis", "turns", "segments"):
        whole = render(model, dialect)
        assert sqlglot.parse(whole.sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        assert set(whole.sources) <= {"spans", *GIVEN}


def test_the_head_says_what_was_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The head names the model's definition, its sources and values, and whether such SQL is run by the tests."""
    assert (
        main(
            [
                *("sql", "costs", "--dialect", "trino", "--bot", "bank", "--intent", "loan"),
                *("--as-of", "2026-01-06", "--since", "7d", "--spans", "lake.v.spans"),
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert text.startswith("-- costs for trino: rendered, not executed\n-- costs: everything that is paid for")
    assert "-- grain: one row per STT, LLM or TTS operation" in text
    assert "-- as_of: 2026-01-06T00:00:00+00:00\n" in text
    assert "-- bot: bank\n" in text
    assert "-- intent: loan\n" in text
    assert "-- since: 2025-12-30 00:00:00" in text
    assert "-- reads: lake.v.spans\n" in text
    assert "-- reads: prices (component VARCHAR, provider VARCHAR" in text
    assert main(["sql", "kpis", "--dialect", "clickhouse"]) == 0
    assert capsys.readouterr().out.startswith("-- kpis for clickhouse: executed in the tests\n")


def test_limits_are_those_of_the_settings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was silent for as long as the settings say isn't under way, in a warehouse as in a report."""
    monkeypatch.setenv("OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT", "77")
    assert main(["sql", "active_sessions"]) == 0
    assert "CAST(77.0 AS DOUBLE) * INTERVAL '1' SECOND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["kpi"], "otel-voicebot: no model 'kpi': `otel-voicebot sql --list` names them\n"),
        (["kpis", "--dialect", "oracle"], "otel-voicebot: no dialect 'oracle': there are duckdb, spark, clickhouse,"),
        (["links"], "otel-voicebot: the model links isn't for duckdb: "),
        ([], "otel-voicebot: which model?"),
    ],
)
def test_a_wrong_question_gets_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such model or dialect: one sentence, and 2."""
    assert main(["sql", *words]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(sentence)
    assert found.err.count("\n") == 1


def test_the_list_names_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    """``--list --json`` has each model, and for each dialect its label or why it is refused."""
    assert main(["sql", "--list", "--json"]) == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert set(rows) == set(MODELS)
    assert rows["kpis"]["spark"] == "executed in the tests"
    assert rows["kpis"]["snowflake"] == "rendered, not executed"
    assert "equality" in rows["sla"]["clickhouse"]
