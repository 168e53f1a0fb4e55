"""A survey that comes a day after its call restates the call in every output, by whichever way it comes (A15)."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench import wire
from otel_voicebot import semconv as s
from tests.app.served import Served, until
from tests.cli.conftest import Run, run
from tests.live.test_bounds import call
from tests.web.asked import get
from tests.web.scores import post

__all__ = ["run"]

CALL = datetime.fromtimestamp(1_770_000_000, UTC)
"""When the calls are."""
ALONE = (("bot", "bank"), ("score", "2"), ("variant", ""))


def later(days: float) -> str:
    """So many days after the call."""
    return (CALL + timedelta(days=days)).isoformat()


def by_endpoint(served: Served, _run: Run, score: int, days: float) -> None:
    """A back end posts it."""
    answer = post(served.where["web"], {"session_id": "one", "csat": score, "time": later(days)})
    assert (answer.status, answer.document["recorded"]) == (200, 1)


def by_import(served: Served, run: Run, score: int, days: float) -> None:
    """An analyst imports the survey tool's table, beside the running service."""
    Path("survey.csv").write_text(f"session_id,time,csat\none,{later(days)},{score}\n")
    assert run("import", "--outcomes", "survey.csv", "--data", served.where["data"]).returncode == 0


def by_span(served: Served, _run: Run, score: int, days: float) -> None:
    """The bot's code tells it: `feedback(session_id, csat=...)`."""
    at = int((CALL + timedelta(days=days)).timestamp()) * 10**9
    own: dict[str, wire.Value] = {s.SESSION_ID: "one", s.CSAT: score}
    served.export([wire.Span(bytes([score]) * 16, bytes([score]) * 8, b"", s.SPAN_FEEDBACK, 1, at, at, own)])


WAYS: Mapping[str, Callable[[Served, Run, int, float], None]] = {
    "endpoint": by_endpoint,
    "import": by_import,
    "span": by_span,
}

READERS: Mapping[str, Callable[[bytes], object]] = {
    "json": lambda text: json.loads(text)["kpis"]["csat_mean"]["value"],
    "csv": lambda text: float(_row(csv.DictReader(io.StringIO(text.decode())))["value"]),
    "jsonl": lambda text: _row(map(json.loads, text.splitlines()))["value"],
    "parquet": lambda text: _row(pq.read_table(io.BytesIO(text)).to_pylist())["value"],
    **dict.fromkeys(("table", "md", "html"), lambda text: _shown(text.decode())),
}


def _row(rows: Any) -> dict[str, Any]:
    (found,) = [row for row in rows if row["kpi"] == "csat_mean"]
    return dict(found)


def _shown(text: str) -> float:
    """The number that people see behind the name."""
    plain = re.sub(r"<[^>]*>|[|]", " ", text).replace("\\", "")
    found = re.search(r"csat_mean\s+([\d.]+)", plain)
    assert found is not None
    return float(found[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service that has seen a call from its start to its end, and counted it."""
    with Served(tmp_path / "data") as service:
        service.export(call("one", 10))
        until(lambda: service.total("voicebot_sessions_total") == 1)
        yield service


@pytest.mark.parametrize("way", WAYS)
def test_a_late_survey_is_in_every_output(served: Served, run: Run, tmp_path: Path, way: str) -> None:
    """Report in each format, exported sessions, KPI snapshot and Jaeger's view have it; the call is counted once."""
    data, where = served.where["data"], served.where["web"]

    def report(kind: str) -> object:
        run("report", "--data", data, "--format", kind, "--output", f"report.{kind}")
        return READERS[kind]((tmp_path / f"report.{kind}").read_bytes())

    def exported() -> list[tuple[object, ...]]:
        lines = run("export", "sessions", "--format", "jsonl", "--data", data).stdout.splitlines()
        return [(row["session_id"], row["csat"], row["duration_s"]) for row in map(json.loads, lines)]

    assert report("json") is None
    assert exported() == [("one", None, 30e-9)]
    WAYS[way](served, run, 4, 1)
    assert {kind: report(kind) for kind in READERS} == dict.fromkeys(READERS, 4.0)
    assert exported() == [("one", 4, 30e-9)]
    snapshot = get(where, "/api/v1/kpis")[1]["kpis"]
    assert (snapshot["csat_mean"]["value"], snapshot["sessions"]["value"]) == (4.0, 1)
    then = get(where, "/api/v1/kpis", as_of=later(0.5))[1]["kpis"]
    assert (then["csat_mean"]["value"], then["sessions"]["value"]) == (None, 1)
    services = get(where, "/api/services")[1]["data"]
    tags = json.dumps({s.SESSION_ID: "one", s.CSAT: "4"})
    found = [
        span["operationName"]
        for service in services
        for trace in get(where, "/api/traces", service=service, start=0, tags=tags)[1]["data"]
        for span in trace["spans"]
    ]
    assert found == [s.SPAN_FEEDBACK]


@pytest.mark.parametrize("way", ["endpoint", "span"])
def test_metrics_say_that_a_call_was_restated(served: Served, run: Run, way: str) -> None:
    """The answer is counted, the call isn't counted again, and nothing counts as under way."""
    assert served.total("voicebot_csat_total") == served.total("voicebot_restated_total") == 0
    WAYS[way](served, run, 2, 1)
    until(lambda: served.total("voicebot_restated_total") == 1)
    found = served.metrics()
    assert found["voicebot_restated_total", (("kind", "session"),)] == 1
    bot = "bank" if way == "endpoint" else ""  # a span by hand carries what its sender put on it
    assert found["voicebot_csat_total", (("bot", bot), ("score", "2"), ("variant", ""))] == 1
    assert served.total("voicebot_sessions_total") == 1
    assert served.total("voicebot_sessions_active") == 0


def test_the_last_answer_counts_by_whichever_way_it_came(served: Served, run: Run) -> None:
    """Endpoint, then import, then span: each restates what was before; an answer of an earlier time doesn't."""
    data = served.where["data"]
    for way, score, days in (("endpoint", 2, 1), ("import", 3, 2), ("span", 5, 3), ("endpoint", 1, 0.5)):
        WAYS[way](served, run, score, days)
        expected = max(score, 5 if days < 1 else 0)
        kpis = json.loads(run("report", "--json", "--data", data).stdout)["kpis"]
        assert (kpis["csat_mean"]["value"], kpis["csat_mean"]["denominator"]) == (expected, 1)


def test_a_repeat_counts_once(served: Served) -> None:
    """The same fact has the same id, is stored once and counted once; a batch is recorded as a whole."""
    fact = {"session_id": "one", "csat": 4, "time": later(1)}
    answers = [post(served.where["web"], fact) for _ in range(2)]
    answers.append(post(served.where["web"], [fact, {"session_id": "one", "nps": 9, "time": later(1)}]))
    ids = [[one["id"] for one in answer.document["facts"]] for answer in answers]
    assert ids[0] == ids[1] == ids[2][:1]
    until(lambda: served.total("voicebot_nps_total") == 1)
    assert served.total("voicebot_csat_total") == 1
    assert served.total("voicebot_restated_total") in (1, 2)  # once for all that is computed at one time
    kpis = get(served.where["web"], "/api/v1/kpis")[1]["kpis"]
    assert (kpis["csat_mean"]["denominator"], kpis["nps"]["denominator"]) == (1, 1)


def test_a_call_that_is_open_may_be_scored(tmp_path: Path) -> None:
    """Its score is part of the call when it ends, and nothing is restated."""
    *spans, own = call("one", 10)
    with Served(tmp_path / "data") as served:
        served.export(spans)
        assert post(served.where["web"], {"session_id": "one", "csat": 5}).status == 200
        assert served.total("voicebot_sessions_total") == 0
        served.export([own])
        until(lambda: served.total("voicebot_sessions_total") == 1)
        assert (served.total("voicebot_csat_total"), served.total("voicebot_restated_total")) == (1, 0)
        assert served.total("voicebot_sessions_active") == 0


def test_a_survey_after_a_restart_opens_no_call(tmp_path: Path) -> None:
    """A process that has never seen the call counts an answer, and no session: neither then nor when it idles."""
    with Served(tmp_path / "data") as first:
        first.export(call("one", 10))
        until(lambda: first.total("voicebot_sessions_total") == 1)
        assert first.stop() == 0
    environment = {"OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT": "1s"}
    for score in (3, 4):
        with Served(tmp_path / "data", env=environment) as served:
            assert post(served.where["web"], {"session_id": "one", "csat": score, "time": later(score)}).status == 200
            until(lambda: served.total("voicebot_csat_total") == 1)
            served.export(call(f"other {score}", 1))
            until(lambda: served.total("voicebot_sessions_total") == 1)  # the other one
            assert served.total("voicebot_restated_total") == 1
    rows = get_rows(tmp_path / "data")
    assert sorted(rows) == ["one", "other 3", "other 4"]


def get_rows(data: Path) -> list[str]:
    """The sessions that have a stored row, once for each row."""
    files = sorted((data / "hot" / "sessions").rglob("*.parquet"))
    return [name for file in files for name in pq.ParquetFile(file).read(["session_id"])["session_id"].to_pylist()]
