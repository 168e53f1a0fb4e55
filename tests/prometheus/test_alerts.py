"""From slow answers to a message: the compiled rules in a real Prometheus, sent by a real Alertmanager (A16)."""

import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import wire
from bench.generate import calls
from otel_voicebot.exporters import slo
from otel_voicebot.models.targets import DEFAULTS
from tests.app.served import Served, until
from tests.prometheus.server import Prometheus, needs_prometheus
from tests.prometheus.test_exemplars import just_now

needs_alertmanager = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="Alertmanager is not installed (Debian's package prometheus-alertmanager; .ci/run installs it)",
)
OBJECTIVES: dict[str, Any] = {
    "period": "1h",
    "minimum_calls": 2,
    "channels": {"critical": ["webhook"], "warning": ["webhook"]},
    "slos": [
        {
            "name": "quick",
            "indicator": "response_gap",
            "within_s": 5.0,
            "objective": 0.8,
            "alerts": [{"severity": "critical", "long": "2m", "short": "1m", "budget": 0.04}],
        }
    ],
    "rules": [
        {
            "name": "slow_answers",
            "indicator": "response_gap",
            "quantile": 0.95,
            "above_s": 10.0,
            "severity": "critical",
        },
        {
            "name": "too_few_to_tell",
            "indicator": "response_gap",
            "quantile": 0.95,
            "above_s": 10.0,
            "severity": "critical",
            "minimum_calls": 100_000,
        },
    ],
}


class Inbox:
    """What a webhook was sent: alerts by name."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        inbox = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in told["alerts"]:
                    inbox.alerts[alert["labels"]["alertname"]] = {**alert, "receiver": told["receiver"]}
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def alertmanager(directory: Path, config: str) -> Iterator[str]:
    """A running Alertmanager; its HOST:PORT."""
    (directory / "alertmanager.yml").write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus-alertmanager",
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    log = (directory / "alertmanager.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _is_ready(address))
        yield address
    finally:
        process.kill()
        process.wait()
        log.close()


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def slower(spans: Sequence[wire.Span], times: float) -> list[wire.Span]:
    """The same call in slow motion: everything takes so many times as long."""
    first = min(one.start for one in spans)

    def at(moment: int) -> int:
        return round(first + (moment - first) * times)

    return [
        one._replace(
            start=at(one.start), end=at(one.end), events=[(at(when), name, more) for when, name, more in one.events]
        )
        for one in spans
    ]


def send(served: Served, sample: Sequence[Sequence[wire.Span]], times: float) -> None:
    """Send calls in slow motion, and wait until they are counted."""
    before = served.total("voicebot_sessions_total")
    for spans in sample:
        served.export(just_now(slower(spans, times)))
    until(lambda: served.total("voicebot_sessions_total") == before + len(sample))


def firing(prometheus: Prometheus) -> set[str]:
    """The alerts that fire."""
    found = prometheus.ask("alerts")
    return {one["labels"]["alertname"] for one in found["alerts"] if one["state"] == "firing"} if found else set()


def largest_segment(served: Served, prometheus: Prometheus, bot: str) -> str:
    """The segment that has most of the waits of an hour, asked for in other words than the alert does."""
    query = f'sort_desc(sum by (segment) (increase(voicebot_turn_segment_duration_seconds_sum{{bot="{bot}"}}[1h])))'
    name: str = prometheus.wait("query", query=query)["result"][0]["metric"]["segment"]
    return name


@needs_prometheus
@needs_alertmanager
@pytest.mark.slow
def test_slow_answers_fire_the_right_alert_and_reach_a_webhook(tmp_path: Path) -> None:
    """While answers are quick nothing fires; made slow, the right alerts reach a webhook and name the segment.

    The rule that asks for more calls than there are stays silent.
    """
    (tmp_path / "slo.yaml").write_text(yaml.safe_dump(OBJECTIVES))
    compiled = slo.compile_objectives(slo.read_objectives(tmp_path / "slo.yaml"), DEFAULTS)
    (tmp_path / "rules.yaml").write_text(slo.rules_file(compiled))
    inbox = Inbox()
    config = yaml.safe_load(slo.alertmanager_file(compiled))
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            hook["url"] = inbox.url
    sample = [[one.spans for one in calls(900, seed=seed)] for seed in (5, 6, 7)]
    with (
        alertmanager(tmp_path, yaml.safe_dump(config)) as manager,
        Served(tmp_path / "data") as served,
        Prometheus(
            tmp_path, served.where["metrics"], rules=[tmp_path / "rules.yaml"], alertmanager=manager
        ) as prometheus,
    ):
        # what rises between two scrapes is seen, what a new series begins with is not: the first calls are only that
        for quick in sample[:2]:
            send(served, quick, 0.3)
            time.sleep(3)
            assert not firing(prometheus)
        send(served, sample[2], 12.0)
        until(lambda: {"slow_answers", "slo_burn"} <= set(inbox.alerts))
        assert firing(prometheus) == {"slow_answers", "slo_burn"}
        slow = inbox.alerts["slow_answers"]
        assert slow["receiver"] == "webhook"
        assert slow["labels"]["bot"] in {bot_of(spans) for spans in sample[2]}
        assert "the p95 of slow_answers is" in slow["annotations"]["summary"]
        assert slow["annotations"]["owner"].startswith(largest_segment(served, prometheus, slow["labels"]["bot"]))
        assert f"otel-voicebot slow --bot {slow['labels']['bot']}" in slow["annotations"]["runbook"]
        assert inbox.alerts["slo_burn"]["labels"]["slo"] == "quick"
    inbox.close()


def bot_of(spans: Sequence[wire.Span]) -> str:
    """The bot of a call."""
    return next(str(one.attributes["voicebot.bot"]) for one in spans if "voicebot.bot" in one.attributes)
