"""Two replicas behind the load_balancing exporter count what one replica counts."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench import generate, wire
from bench.collector import REPLICAS_CONFIG, free_address
from bench.faults_tally import stored_keys
from bench.program import PROGRAM
from bench.sending import Ledger, Request, Sender
from bench.serving import Server, wait_until
from otel_voicebot import semconv as s
from otel_voicebot.conventions import prometheus_name
from tests.collector.conftest import MakeCollector

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the Collector may have to be built first

SPANS = 6_000
OWN = (
    *(prometheus_name(metric) for name, metric in vars(s).items() if name.startswith("SELF_")),
    prometheus_name(s.PRICES_DATE),
    prometheus_name(s.KPIS_COMPUTED),
)
"""What is said of the service, not of calls: how spans were batched on their way, how old its prices and KPIs are."""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def whole_calls() -> list[Request]:
    """Requests of one whole call each, so that both ways a call is complete when it is first seen."""
    requests = []
    for call in generate.calls(SPANS, seed=4):
        payload = wire.request([(call.resource, s.SCOPE_NAME, map(wire.span, call.spans))])
        requests.append(Request(payload, frozenset((row.trace_id.hex(), row.span_id.hex()) for row in call.spans)))
    return requests


def series(*servers: Server) -> Series:
    """Every sample that is derived from calls, added up."""
    found: Series = defaultdict(float)
    for server in servers:
        for family in text_string_to_metric_families(server.scrape()):
            for one in family.samples:
                derived = one.name.startswith(("voicebot_", "orchestrator_")) and not one.name.startswith(OWN)
                if derived and not one.name.endswith("_created"):
                    found[one.name, frozenset(one.labels.items())] += one.value
    return found


def sessions(*servers: Server) -> float:
    """Sessions counted so far."""
    return sum(value for (name, _), value in series(*servers).items() if name == "voicebot_sessions_total")


def one_directory(target: Path, *sources: Path) -> Path:
    """The files of several stores in one: names never repeat, so they lie beside one another."""
    for source in sources:
        for path in source.rglob("*.parquet"):
            link = target / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
    return target


def report(data: Path) -> dict[str, Any]:
    """`otel-voicebot report --json`, without when it was made and of which directory."""
    command = [sys.executable, "-c", PROGRAM, "report", "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    document: dict[str, Any] = json.loads(done.stdout)
    for name in ("as_of", "data"):
        document.pop(name, None)
        document.get("scope", {}).pop(name, None)
    return document


def in_order(document: Any) -> Any:
    """Lists sorted by all but their floats: the order of rows that rank alike is nobody's promise."""
    if isinstance(document, dict):
        return {name: in_order(value) for name, value in document.items()}
    if isinstance(document, list):
        return sorted(map(in_order, document), key=lambda value: re.sub(r"[0-9]+[.e][-+0-9e]*", "", json.dumps(value)))
    return document


def about(document: Any) -> Any:
    """The same with tolerance: sums depend on the order of the rows in their last digits."""
    if isinstance(document, dict):
        return {name: about(value) for name, value in document.items()}
    if isinstance(document, list):
        return [about(value) for value in document]
    return pytest.approx(document, rel=1e-9) if isinstance(document, float) else document


def test_metrics_and_report_of_two_add_up_to_one(tmp_path: Path, make_collector: MakeCollector) -> None:
    """The same calls to one service, and through a real Collector to two: all series add up and the report is equal.

    The second replica is down at first: the first one's calls don't wait for it.
    """
    requests = whole_calls()
    expected = {key for request in requests for key in request.keys}
    alone, *replicas = (Server(tmp_path / name, grpc=free_address()) for name in ("alone", "first", "second"))
    env = {f"VOICEBOT_GRPC_{number}": server.grpc for number, server in enumerate(replicas, 1)}
    with alone, replicas[0], make_collector(config=REPLICAS_CONFIG, env=env) as collector, ExitStack() as later:
        for address in (alone.grpc, collector.grpc):
            with Sender(address, Ledger()) as sender:
                sender.start(requests).join(120)
        wait_until(lambda: stored_keys(replicas[0].data).total() > len(expected) / 4, 60)
        later.enter_context(replicas[1])
        wait_until(lambda: sum(stored_keys(server.data).total() for server in replicas) >= len(expected), 60)
        for group in ([alone], replicas):
            wait_until(lambda group=group: sessions(*group) == len(requests), 60)
        one, two = series(alone), series(*replicas)
    assert one == {key: pytest.approx(value, rel=1e-9) for key, value in two.items()}
    shares = [stored_keys(server.data) for server in replicas]
    assert all(len(share) > len(expected) / 4 for share in shares)
    assert not {trace for trace, _ in shares[0]} & {trace for trace, _ in shares[1]}
    both = one_directory(tmp_path / "both", *(server.data for server in replicas))
    assert stored_keys(both) == stored_keys(alone.data)
    assert in_order(report(both)) == about(in_order(report(alone.data)))
