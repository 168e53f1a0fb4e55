"""A call's own span that comes to a real service after the idle timeout: stored rows, reports and metrics."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench import wire
from otel_voicebot import semconv as s
from otel_voicebot.models import Selection, Terms
from otel_voicebot.reports.kept import Kept
from otel_voicebot.store import snapshot
from tests.app.served import Served, until
from tests.cli.conftest import Run, run
from tests.dialects.golden import DATA
from tests.live.doors import RESOURCE
from tests.live.test_bounds import call

__all__ = ["run"]

IDLE = {"OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT": "1s"}
ROOTS = (s.SPAN_SESSION, "conversation", "agent_session")
RESTATED = ("voicebot_restated_total", (("kind", "session"),))


def parts(name: str) -> tuple[bytes, bytes]:
    """A call without its root, and the root."""
    own = wire.request([(RESOURCE, s.SCOPE_NAME, map(wire.span, call("one", 10)))])
    whole = own if name == "native" else (DATA / "captures" / f"{name}.otlp.pb").read_bytes()
    rest, root = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    for request in (rest, root):
        request.ParseFromString(whole)
        for scope in (scope for resource in request.resource_spans for scope in resource.scope_spans):
            kept = [one for one in scope.spans if (one.name in ROOTS) == (request is root)]
            del scope.spans[:]
            scope.spans.extend(kept)
    return rest.SerializeToString(), root.SerializeToString()


def send(served: Served, body: bytes) -> None:
    """As an exporter does over HTTP."""
    url = f"http://{served.where['http']}/v1/traces"
    with urlopen(Request(url, body, {"content-type": "application/x-protobuf"}), timeout=10) as answer:
        assert answer.status == 200


def stored(data: Path) -> list[dict[str, Any]]:
    """Rows of sessions by revision."""
    rows: list[dict[str, Any]] = snapshot(data, "sessions").read().to_pylist()
    return sorted(rows, key=lambda row: row["revision"])


def told(run: Run, data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one session that `export` gives, and the KPIs of `report`."""
    (line,) = run("export", "sessions", "--format", "jsonl", "--data", str(data)).stdout.splitlines()
    return json.loads(line), json.loads(run("report", "--json", "--data", str(data)).stdout)["kpis"]


def taken(data: Path) -> int:
    """How many calls a report takes as they were stored."""
    with Kept(snapshot(data), Selection(), Terms()) as engine:
        return engine.kept


@pytest.mark.parametrize("name", ["native", "pipecat", "livekit"])
def test_a_root_after_the_idle_timeout_makes_the_call_whole(name: str, tmp_path: Path, run: Run) -> None:
    """The stored row gets a revision that says what `export` computes; `report` has one call, counted once."""
    data = tmp_path / "data"
    rest, root = parts(name)
    with Served(data, env=IDLE) as served:
        send(served, rest)
        until(lambda: served.total("voicebot_sessions_total") == 1)
        before = served.total("voicebot_turns_total")
        assert told(run, data)[0]["complete"] is False
        send(served, root)
        until(lambda: served.metrics().get(RESTATED) == 1)
        assert (served.total("voicebot_sessions_total"), served.total("voicebot_turns_total")) == (1, before)
        assert served.total("voicebot_spans_late_total") == 1
        assert served.total("voicebot_sessions_active") == 0
    first, last = stored(data)
    assert (first["revision"], first["complete"], first["quality"]) == (1, False, ["no_session_span"])
    assert (last["revision"], last["complete"], last["quality"]) == (2, True, [])
    session, kpis = told(run, data)
    same = ("session_id", "complete", "quality", "end_reason", "outcome", "duration_s", "turns", "operations")
    assert {column: session[column] for column in same} == {column: last[column] for column in same}
    assert kpis["sessions"]["value"] == 1
    assert taken(data) == (name == "native")  # a framework's spans have no id until they are compacted: computed


@pytest.mark.parametrize("name", ["native", "pipecat"])
def test_a_root_of_a_call_that_was_let_go_is_in_reports_only(name: str, tmp_path: Path, run: Run) -> None:
    """After a restart nothing is kept of a call that was counted: its row is out of date, and reports know."""
    data = tmp_path / "data"
    rest, root = parts(name)
    with Served(data, env=IDLE) as served:
        send(served, rest)
        until(lambda: served.total("voicebot_sessions_total") == 1)
        assert served.stop() == 0
    with Served(data, env=IDLE) as served:
        send(served, root)
        until(lambda: served.metrics().get(RESTATED) == 1)
        assert (served.total("voicebot_spans_late_total"), served.total("voicebot_sessions_total")) == (1, 0)
    assert [(row["revision"], row["complete"]) for row in stored(data)] == [(1, False)]
    session, kpis = told(run, data)
    assert (session["complete"], session["quality"], kpis["sessions"]["value"]) == (True, [], 1)
    assert taken(data) == 0
