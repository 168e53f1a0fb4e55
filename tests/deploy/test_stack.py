"""Prometheus, Alertmanager, Grafana and the compose file, read as the programs that use them would: E3, E6."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.asking import loaded
from otel_voicebot.settings import Settings
from tests.prometheus.server import needs_prometheus

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROVISIONING = ROOT / "grafana" / "provisioning"
COMPOSE_GO = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
"""The reference implementation of the compose specification: its schema and its loader."""


def compose() -> dict[str, Any]:
    """As it is written."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def prometheus() -> dict[str, Any]:
    """Its configuration."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    return document


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
@pytest.mark.slow
def test_the_compose_file_is_valid_and_each_file_that_it_mounts_exists() -> None:
    """The specification's own loader takes it against its schema; what it resolves as sources of mounts is there."""
    command = ["go", "run", COMPOSE_GO, "-format", "json", "compose.yaml"]
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert set(services) == set(compose()["services"])
    mounts = [volume for one in services.values() for volume in one.get("volumes", ())]
    bound = [Path(volume["source"]) for volume in mounts if volume["type"] == "bind"]
    assert len(bound) >= 6
    assert [path for path in bound if not path.exists()] == []
    assert all(
        (Path(one["build"]["context"]) / one["build"]["dockerfile"]).is_file()
        for one in services.values()
        if "build" in one
    )
    broken = DEPLOY.joinpath("compose.yaml").read_text().replace("restart: unless-stopped", "restarts: often", 1)
    refused = subprocess.run(
        [*command[:-1], "-"], cwd=DEPLOY, input=broken, capture_output=True, text=True, check=False, timeout=280
    )
    assert refused.returncode != 0
    assert "restarts" in refused.stderr + refused.stdout


def test_images_are_pinned_and_ports_are_the_hosts_own() -> None:
    """A version on each image, no `latest`; each published port is on 127.0.0.1; all share one network."""
    services = compose()["services"]
    for name, one in services.items():
        assert re.search(r":v?\d+\.\d+", one["image"]), name
        assert name in ("network", "queue-owner") or one["network_mode"] == "service:network"
    ports = [port for one in services.values() for port in one.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_addresses_are_the_same_with_and_without_containers() -> None:
    """Prometheus scrapes where the service serves by default, and where the compose file has it serve."""
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    jobs = {one["job_name"]: one["static_configs"][0]["targets"] for one in prometheus()["scrape_configs"]}
    assert jobs == {"voicebot": [settings["metrics_addr"]], "prometheus": ["127.0.0.1:9090"]}
    command = compose()["services"]["otel-voicebot"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    for option, name in (("--metrics", "metrics_addr"), ("--web", "web_addr")):
        assert options[option].rpartition(":")[2] == settings[name].rpartition(":")[2]
    assert f"VOICEBOT_GRPC:-{options['--grpc']}" in (DEPLOY / "otel-collector.yaml").read_text()


@needs_prometheus
def test_prometheus_takes_its_configuration_and_the_rules_beside_it() -> None:
    """`promtool check config` finds the rules by their pattern and nothing wrong."""
    done = subprocess.run(
        ["promtool", "check", "config", "deploy/prometheus.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for path in DEPLOY.glob("prometheus-*.rules.yaml"):
        assert path.name in done.stdout


@pytest.mark.skipif(shutil.which("amtool") is None, reason="needs amtool")
def test_alertmanager_takes_its_configuration() -> None:
    """`amtool check-config` finds nothing wrong, and Prometheus sends to its port."""
    done = subprocess.run(
        ["amtool", "check-config", str(DEPLOY / "alertmanager.yml")], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    [manager] = prometheus()["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["127.0.0.1:9093"]}]


def test_prometheus_keeps_the_period_of_the_objectives() -> None:
    """The period and a day: in the compose file, and in the commands of both texts. Its own default is 15 days."""
    period = yaml.safe_load((DEPLOY / "slo.yaml").read_text())["period"]
    kept = f"--storage.tsdb.retention.time={int(period.removesuffix('d')) + 1}d"
    assert kept in compose()["services"]["prometheus"]["command"]
    for name in ("README.md", "prometheus.yml"):
        [command] = re.findall(r"prometheus --config.file=deploy/prometheus.yml.*", (DEPLOY / name).read_text())
        assert kept in command.split(), name


def test_grafana_finds_its_data_sources_and_dashboards() -> None:
    """Exemplars lead to the service's Jaeger API; intervals agree; the dashboards are where the variable says."""
    sources = yaml.safe_load((PROVISIONING / "datasources" / "voicebot.yaml").read_text())["datasources"]
    metrics, traces = sources
    assert (metrics["type"], traces["type"]) == ("prometheus", "jaeger")
    [link] = metrics["jsonData"]["exemplarTraceIdDestinations"]
    assert (link["name"], link["datasourceUid"]) == ("trace_id", traces["uid"])
    assert traces["url"] == f"http://{Settings.model_fields['web_addr'].default}"
    assert metrics["jsonData"]["timeInterval"] == prometheus()["global"]["scrape_interval"]
    [provider] = yaml.safe_load((PROVISIONING / "dashboards" / "voicebot.yaml").read_text())["providers"]
    grafana = compose()["services"]["grafana"]
    assert provider["options"]["path"] == "${VOICEBOT_DASHBOARDS}"
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in grafana["volumes"]}
    assert (
        DEPLOY / mounted[grafana["environment"]["VOICEBOT_DASHBOARDS"]]
    ).resolve() == ROOT / "grafana" / "dashboards"
    assert loaded()
