"""The shipped configurations, read by the real Collector."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import collector
from tests.collector.conftest import MakeCollector

pytestmark = pytest.mark.timeout(1500)  # the Collector may have to be built first

CONFIGS = (collector.CONFIG, collector.REPLICAS_CONFIG)


def read(path: Path) -> dict[str, Any]:
    """A configuration as a tree."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text())
    return tree


def exporter_of(tree: dict[str, Any]) -> dict[str, Any]:
    """What leads to the service."""
    exporters = tree["exporters"]
    (found, *others) = (exporter for name, exporter in exporters.items() if name.startswith("otlp_grpc/"))
    assert all({**other, "endpoint": ""} == {**found, "endpoint": ""} for other in others)
    return dict(found)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_the_real_collector_accepts_it(config: Path, make_collector: MakeCollector) -> None:
    """`validate` of the real program finds nothing wrong, with every variable at its default."""
    assert make_collector(config=config, env={}).check() == ""


def test_validation_would_find_a_mistake(make_collector: MakeCollector) -> None:
    """A setting that doesn't exist is refused: what the test above accepts has been read."""
    wrong = "yaml:exporters::otlp_grpc/voicebot::sending_queue::queue_sise: 1"
    assert "queue_sise" in make_collector(env={}, extra=[wrong]).check()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_nothing_that_loses_spans_is_left_at_its_default(config: Path) -> None:
    """Endless retry, a queue on disk that is fsynced and blocks when it is full, the memory limiter first, gzip."""
    tree = read(config)
    exporter = exporter_of(tree)
    assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    queue = exporter["sending_queue"]
    assert (queue["enabled"], queue["block_on_overflow"]) == (True, True)
    assert tree["extensions"][queue["storage"]]["fsync"] is True
    assert queue["storage"] in tree["service"]["extensions"]
    assert queue["batch"]["max_size"] <= 8 << 20
    assert queue["batch"]["sizer"] == "bytes"
    assert exporter["compression"] == "gzip"
    assert float(exporter["timeout"].removesuffix("s")) > 5
    for pipeline in tree["service"]["pipelines"].values():
        assert pipeline.get("processors") == (["memory_limiter"] if pipeline["receivers"] == ["otlp"] else None)
    assert tree["receivers"]["otlp"]["protocols"]["grpc"]["max_recv_msg_size_mib"] == 64


def test_both_configurations_say_the_same_of_what_they_share() -> None:
    """The one for replicas differs in how it spreads, in nothing else."""
    one, replicas = map(read, CONFIGS)
    for part in ("extensions", "processors"):
        assert one[part] == replicas[part]
    assert one["receivers"]["otlp"] == replicas["receivers"]["otlp"]
    single = exporter_of(one)
    assert {**single, "endpoint": ""} == {**exporter_of(replicas), "endpoint": ""}


def test_nothing_is_acknowledged_in_memory_on_its_way_to_a_replica() -> None:
    """load_balancing hands over to receivers of its own Collector, without a queue and without giving up by itself."""
    tree = read(collector.REPLICAS_CONFIG)
    spreading = tree["exporters"]["load_balancing"]
    assert spreading["protocol"]["otlp"]["sending_queue"]["enabled"] is False
    inside = [tree["receivers"][f"otlp/{number}"]["protocols"]["grpc"]["endpoint"] for number in (1, 2)]
    assert spreading["resolver"]["static"]["hostnames"] == inside
    for number in (1, 2):
        for signal in ("traces", "logs"):
            pipeline = tree["service"]["pipelines"][f"{signal}/{number}"]
            assert pipeline == {"receivers": [f"otlp/{number}"], "exporters": [f"otlp_grpc/{number}"]}


def test_the_hardened_settings_are_each_explained() -> None:
    """Every setting of the exporter and the queue has a comment on its line or above it."""
    lines = collector.CONFIG.read_text().splitlines()
    inside = lines[lines.index("extensions:") : lines.index("service:")]
    groups = {"tls:", "retry_on_failure:", "compaction:", "sending_queue:"}
    told = {"enabled: true", "directory:", "endpoint:", "create_directory"}
    bare = []
    for before, line in itertools.pairwise(inside):
        setting = line.strip()
        is_setting = ":" in setting and not setting.startswith("#") and line.startswith("    ")
        if is_setting and "#" not in line and not before.strip().startswith("#") and setting not in groups:
            bare.append(setting)
    assert [setting for setting in bare if not any(setting.startswith(known) for known in told)] == []


def test_the_manifest_holds_all_that_the_configurations_use() -> None:
    """Each component that a configuration names is built in, at one version."""
    modules = [part["gomod"] for parts in collector.components().values() if isinstance(parts, list) for part in parts]
    assert {module.split()[1] for module in modules} == {"v0.159.0"}
    built = " ".join(modules)
    for config in CONFIGS:
        tree = read(config)
        for part in ("receivers", "processors", "exporters", "extensions"):
            for name in tree[part]:
                kind = {"otlp_grpc": "otlp"}.get(name.partition("/")[0], name.partition("/")[0]).replace("_", "")
                kind = {"healthcheck": "healthcheckextension", "filestorage": "filestorage"}.get(kind, kind)
                assert kind in built, name
