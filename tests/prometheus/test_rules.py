"""The recording rules, run by Prometheus' own promtool over what our endpoint serves."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from scipy import stats

from otel_voicebot import semconv as s
from otel_voicebot.exporters import VoicebotCollector
from otel_voicebot.exporters.rules import waits_rules
from otel_voicebot.live import Aggregator
from tests.prometheus.server import needs_prometheus

Floats = NDArray[np.float64]
_SESSION = {"channel": "phone", "variant": "", "environment": ""}
_KM = "histogram_quantile({share}, voicebot:turn_wait_km_bucket{{bot='{bot}'}})"
_ANSWERED = (
    "histogram_quantile({share}, sum by (le) (rate(voicebot_turn_response_gap_seconds_bucket{{bot='{bot}'}}[1h])))"
)
_MINUTES = 90


def observe(into: Aggregator, bot: str, gaps: Floats, patience: Floats) -> None:
    """Waits of callers who give up after ``patience`` seconds."""
    labels = {"bot": bot, **_SESSION}
    into.observe(s.RESPONSE_GAP, labels, pa.chunked_array([gaps[gaps <= patience]]))
    given_up = pa.chunked_array([pa.array(patience[patience < gaps], pa.float64())])
    into.observe(s.ABANDONED_WAIT, {**labels, "reason": "spoke_again"}, given_up)


def scraped(aggregator: Aggregator, *, moving: bool) -> Iterator[dict[str, str]]:
    """Our samples as promtool takes them: each rises by its value every minute, or stays."""
    registry = CollectorRegistry()
    registry.register(VoicebotCollector(aggregator.read, dict, dict))
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for one in family.samples:
            if one.name.startswith("voicebot_turn_"):
                labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
                step = one.value if moving else 0
                yield {"series": f"{one.name}{{{labels}}}", "values": f"{one.value:.0f}+{step:.0f}x{_MINUTES}"}


def verdicts(directory: Path, series: list[dict[str, str]], *expected: tuple[str, list[dict[str, Any]]]) -> str:
    """Run the rules over the series and compare; what promtool says, raises when it is not content."""
    (directory / "rules.yaml").write_text(waits_rules())
    asked = [{"expr": expr, "eval_time": f"{_MINUTES}m", "exp_samples": samples} for expr, samples in expected]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]
    (directory / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
    )
    command = ["promtool", "test", "rules", str(directory / "tests.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def near(expr: str, value: float, tolerance: float) -> tuple[str, list[dict[str, Any]]]:
    """The expression is within a share of the value."""
    return f"abs(({expr}) / {value} - 1) < bool {tolerance}", [{"labels": "{bot='bank'}", "value": 1}]


@needs_prometheus
def test_prometheus_finds_the_percentiles_that_abandoned_waits_hide(tmp_path: Path) -> None:
    """From buckets alone p50 and p95 of all waits are within 2 % of the truth, where the answered p95 is 15 % low."""
    rng = np.random.default_rng(6)
    gaps = 1.2 * np.exp(0.6 * rng.standard_normal(30_000))
    aggregator = Aggregator()
    observe(aggregator, "bank", gaps, 3.0 * np.exp(0.7 * rng.standard_normal(30_000)))
    observe(aggregator, "shop", gaps, np.full(30_000, 60.0))  # nobody gives up: it has no such series
    truth = {share: 1.2 * float(np.exp(0.6 * stats.norm.ppf(share))) for share in (0.5, 0.95)}
    low = _ANSWERED.format(share=0.95, bot="bank")
    shop, all_of_shop = (text.format(share=0.95, bot="shop") for text in (_KM, _ANSWERED))
    verdicts(
        tmp_path,
        list(scraped(aggregator, moving=True)),
        *(near(_KM.format(share=share, bot="bank"), value, 0.02) for share, value in truth.items()),
        (f"({low}) / {truth[0.95]} < bool 0.85", [{"labels": "{}", "value": 1}]),
        # without an abandoned wait the estimate is the plain one
        (f"abs(sum({shop}) / ({all_of_shop}) - 1) < bool 1e-9", [{"labels": "{}", "value": 1}]),
    )


@needs_prometheus
def test_a_percentile_that_is_not_reached_reads_as_the_last_edge(tmp_path: Path) -> None:
    """All who waited for more than 1 s gave up: the p95 is 13.5 s or longer, which is the last edge, and no less."""
    aggregator = Aggregator()
    observe(aggregator, "bank", np.array([0.4, 0.7, 5.0, 6.0]), np.array([60.0, 60.0, 2.0, 2.0]))
    last = [{"labels": "{bot='bank'}", "value": 13.5}]
    verdicts(tmp_path, list(scraped(aggregator, moving=True)), (_KM.format(share=0.95, bot="bank"), last))


@needs_prometheus
def test_a_bot_that_nobody_calls_has_no_percentile(tmp_path: Path) -> None:
    """With no wait in the window there is no estimate, in place of a wrong one."""
    aggregator = Aggregator()
    observe(aggregator, "bank", np.array([0.4, 5.0]), np.array([60.0, 2.0]))
    verdicts(tmp_path, list(scraped(aggregator, moving=False)), (_KM.format(share=0.95, bot="bank"), []))
