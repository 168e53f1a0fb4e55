"""From a bucket in Prometheus to the call behind it."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import wire
from bench.generate import calls
from bench.program import PROGRAM
from tests.app.served import Served, until
from tests.prometheus.server import Prometheus, needs_prometheus

_GAP = "voicebot_turn_response_gap_seconds_bucket"


def just_now(spans: Sequence[wire.Span]) -> list[wire.Span]:
    """The same call, as if it had ended this second."""
    by = time.time_ns() - max(one.end for one in spans)
    return [
        one._replace(
            start=one.start + by, end=one.end + by, events=[(at + by, name, more) for at, name, more in one.events]
        )
        for one in spans
    ]


def trace(data: Path, identifier: str) -> dict[str, Any]:
    """What ``otel-voicebot trace ID --json`` prints."""
    command = [sys.executable, "-c", PROGRAM, "trace", identifier, "--json", "--data", str(data)]
    document: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return document


def jaeger(served: Served, identifier: str, at: float) -> list[dict[str, Any]]:
    """The spans that Grafana's Jaeger data source gets for a trace around that time (unix seconds)."""
    start, end = (round((at + apart) * 1e6) for apart in (-3600, 3600))
    [found] = json.loads(served.get(f"/api/traces/{identifier}?start={start}&end={end}", "web"))["data"]
    assert found["traceID"] == identifier
    spans: list[dict[str, Any]] = found["spans"]
    return spans


@needs_prometheus
@pytest.mark.slow
def test_the_trace_that_prometheus_names_opens(tmp_path: Path) -> None:
    """A Prometheus scrapes a service; an exemplar's trace id opens the call, on the command line and as Jaeger's."""
    data, sent = tmp_path / "data", [just_now(one.spans) for one in calls(300, seed=11)]
    began = time.time()
    with Served(data) as served, Prometheus(tmp_path, served.where["metrics"]) as prometheus:
        for spans in sent:
            served.export(spans)
        until(lambda: served.total("voicebot_sessions_total") == len(sent))
        window = {"start": began, "end": time.time() + 60}
        found = prometheus.wait("query_exemplars", query=_GAP, **window)
        exemplars = [(series["seriesLabels"], one) for series in found for one in series["exemplars"]]
        twins = prometheus.wait("query_exemplars", query="orchestrator_request_latency_seconds_bucket", **window)
        exemplars.sort(key=lambda one: float(one[0]["le"]))
        assert len(exemplars) > 5
        for labels, one in exemplars[:: len(exemplars) // 3]:  # a quick, a usual and a slow one
            assert set(one["labels"]) == {"trace_id"}
            identifier, value = one["labels"]["trace_id"], float(one["value"])
            assert value <= float(labels["le"])
            assert began <= one["timestamp"] <= time.time()
            document = trace(data, identifier)
            assert {span["trace_id"] for span in document["spans"]} == {identifier}
            assert any(turn["response_gap_s"] == pytest.approx(value) for turn in document["turns"])
            opened = jaeger(served, identifier, one["timestamp"])
            assert {span["spanID"] for span in opened} == {span["span_id"] for span in document["spans"]}
    named = {one["labels"]["trace_id"] for series in twins for one in series["exemplars"]}
    assert named <= {spans[0].trace_id.hex() for spans in sent}
