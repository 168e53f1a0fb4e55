"""What docs/waits.md tells people to paste into Prometheus is what Prometheus takes."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from otel_voicebot import semconv
from otel_voicebot.conventions import prometheus_name
from tests.prometheus.server import needs_prometheus

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus-waits.rules.yaml"


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language."""
    page = (ROOT / "docs" / "waits.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@needs_prometheus
def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """With the rules file beside it promtool finds nothing wrong."""
    [config] = [block for block in blocks("yaml") if "scrape_configs" in block]
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(RULES, tmp_path)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(yaml.safe_load(RULES.read_text())['groups'][0]['rules'])} rules found" in done.stdout


@needs_prometheus
def test_the_queries_are_valid_and_ask_for_what_is_served(tmp_path: Path) -> None:
    """Each parses, and every series in it is one of our metrics or recorded by the rules."""
    queries = [query for block in blocks("promql") for query in re.split(r"#.*\n|\n(?=\S)", block) if query.strip()]
    assert len(queries) == 4
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = {rule["record"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    suffixes = ("total", "bucket", "sum", "count")
    served = {f"{prometheus_name(metric)}_{suffix}" for metric in semconv.METRICS.values() for suffix in suffixes}
    for query in queries:
        assert set(re.findall(r"voicebot[_:][a-z_:]+", query)) <= recorded | served, query
