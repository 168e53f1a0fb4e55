"""What alerts tell, as Prometheus writes it when they fire (FEATURES C11 C12)."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from otel_voicebot.exporters import slo
from otel_voicebot.models.targets import DEFAULTS
from tests.prometheus.server import needs_prometheus

_MINUTES = 30


def rising(name: str, a_minute: int, **labels: str) -> dict[str, str]:
    """A counter."""
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{shown}}}", "values": f"0+{a_minute}x{_MINUTES}"}


def told(directory: Path, rule: dict[str, Any], series: list[dict[str, str]], **expected: str) -> str:
    """Fire a rule in promtool; what it says where an annotation isn't as expected."""
    (directory / "slo.yaml").write_text(yaml.safe_dump({"minimum_calls": 0, "rules": [rule]}))
    compiled = slo.compile_objectives(slo.read_objectives(directory / "slo.yaml"), DEFAULTS)
    (directory / "rules.yaml").write_text(slo.rules_file(compiled))
    [alert] = compiled.alerts
    annotations = {**alert.annotations, **expected}
    wanted = {"exp_labels": {**alert.labels}, "exp_annotations": annotations}
    asked = [{"eval_time": f"{_MINUTES}m", "alertname": alert.name, "exp_alerts": [wanted]}]
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": asked}]
    (directory / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    command = ["promtool", "test", "rules", str(directory / "tests.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@needs_prometheus
def test_an_alert_on_one_bot_names_the_owner_of_its_waits(tmp_path: Path) -> None:
    """Another bot whose waits are longer is not asked, also where the alert has no label of a bot."""
    rule = {"name": "gone", "indicator": "abandoned", "above": 0.2, "severity": "critical"}
    series = [
        rising("voicebot_turns_total", 60, bot="100% bank", outcome="abandoned"),
        *(rising("voicebot_turn_response_gap_seconds_count", 60, bot=bot) for bot in ("100% bank", "shop")),
        rising("voicebot_turn_segment_duration_seconds_sum", 60, bot="100% bank", segment="llm", owner="openai/gpt"),
        rising("voicebot_turn_segment_duration_seconds_sum", 600, bot="shop", segment="tts", owner="other"),
    ]
    wrong = told(
        tmp_path,
        {**rule, "by": [], "where": {"bot": "100% bank"}},
        series,
        summary="all bots: 100% of exchanges were abandoned in 5m",
        owner="llm (openai/gpt), 1s of an answer",
    )
    assert not wrong


@needs_prometheus
def test_a_model_with_a_percent_sign_is_asked_for_by_its_name(tmp_path: Path) -> None:
    """A template is a format, too: a name with ``%d`` in it is written as it is."""
    rule = {"name": "fails", "indicator": "errors", "above": 0.2, "severity": "critical", "by": []}
    labels = {"bot": "bank", "component": "llm", "provider": "own", "model": "a%d"}
    series = [
        rising("voicebot_errors_total", 60, **labels, error_type="timeout"),
        rising("voicebot_operation_duration_seconds_count", 60, **labels),
    ]
    wrong = told(
        tmp_path,
        {**rule, "where": {"model": "a%d"}},
        series,
        summary="all bots: 100% of operations failed in 5m",
        owner="llm own a%d: timeout",
    )
    assert not wrong
