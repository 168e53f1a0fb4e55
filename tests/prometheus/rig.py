"""A real service that a real Prometheus scrapes, for tests of dashboards, rules and alerts."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.app.served import Served
from tests.exporters.test_otlp_logs import http_endpoint
from tests.prometheus.server import Prometheus
from tests.prometheus.traffic import accidents, planned, prime, stream

__all__ = ["FRAGILE", "Rig", "rig", "unlucky", "usual"]

KPIS_EVERY_S = 2
BACKGROUND_WAIT_S = 400.0
"""What works below the priority of all else takes its time on a busy machine; maintenance comes once a minute."""
FRAGILE = {"OTEL_VOICEBOT_MAX_SESSIONS": "20", "OTEL_VOICEBOT_MAX_ATTRIBUTES": "20"}
"""Limits that a few calls reach."""


@dataclass(frozen=True)
class Rig:
    """What runs, and the seconds (unix) between which calls came that had begun in the last hours."""

    data: Path
    served: Served
    prometheus: Prometheus
    began: float = 0.0
    ended: float = 0.0


@contextmanager
def rig(
    directory: Path, *options: str, rules: Sequence[Path] = (), env: Mapping[str, str] | None = None
) -> Iterator[Rig]:
    """A service without data, scraped every second; rules are evaluated as often."""
    data = directory / "data"
    settings = {"OTEL_VOICEBOT_KPI_INTERVAL": f"{KPIS_EVERY_S}s", **(env or {})}
    with (
        Served(data, *options, env=settings) as served,
        Prometheus(directory, served.where["metrics"], rules=rules) as prometheus,
    ):
        yield Rig(data, served, prometheus)


@contextmanager
def usual(directory: Path, seconds: int = 24) -> Iterator[Rig]:
    """The same after calls of so many seconds, of which some go badly; nothing is wrong with the service."""
    plan = planned(seconds)
    with rig(directory) as made:
        prime(made.served, plan)
        _computed(made)
        began = time.time()
        stream(made.served, plan)
        time.sleep(3)  # until the last is scraped
        ended = time.time()
        _computed(made)
        yield Rig(made.data, made.served, made.prometheus, began, ended)


@contextmanager
def unlucky(directory: Path) -> Iterator[Rig]:
    """One to which everything happens that ``traffic.accidents`` knows, and with an alert that fires."""
    rules = directory / "rules.yaml"
    alert = {"alert": "Always", "expr": "vector(1)", "labels": {"severity": "critical"}}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "always", "rules": [alert]}]}))
    with ExitStack() as stack:
        url, _ = stack.enter_context(http_endpoint((503, {}), *[(400, {})] * 100))
        made = stack.enter_context(rig(directory, "--logs-endpoint", url, rules=[rules], env=FRAGILE))
        accidents(made.served, made.data)
        _computed(made)
        _wait(lambda: made.served.total("voicebot_pipeline_failures_total") > 0, "no failure was contained")
        time.sleep(3)
        yield Rig(made.data, made.served, made.prometheus, 0.0, time.time())


def _computed(made: Rig) -> None:
    """Wait until KPIs of what is stored now were computed, and scraped twice."""
    now = time.time()
    _wait(lambda: made.served.total("voicebot_kpis_computed_seconds") > now, "stored calls are not computed")
    time.sleep(3)


def _wait(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + BACKGROUND_WAIT_S
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
