"""What a service's samples tell (FEATURES A10, A12): Prometheus' quantiles, and what was added between two scrapes."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from otel_voicebot import semconv as s
from otel_voicebot.conventions import prometheus_name
from otel_voicebot.errors import UsageError
from otel_voicebot.exporters import VoicebotCollector
from otel_voicebot.live import Aggregator
from otel_voicebot.reports.grid import as_text
from otel_voicebot.reports.observed import of_service
from otel_voicebot.reports.samples import NotSplitError, Samples, added, parse, together
from otel_voicebot.reports.service_kpis import service_kpis
from otel_voicebot.reports.thresholds import limit
from tests.prometheus.server import needs_prometheus

LABELS = {"bot": "bank", "channel": "phone", "variant": "", "environment": ""}


def page(*gaps: list[float], active: int = 0, started: float | None = None) -> str:
    """What a service serves after each of these lists of response gaps; they are of bots 0, 1, ..."""
    aggregator = Aggregator()
    for bot, values in enumerate(gaps):
        column = pa.chunked_array([pa.array(values, pa.float64())])
        aggregator.observe(s.RESPONSE_GAP, {**LABELS, "bot": str(bot)}, column)
        aggregator.count(s.TURNS, {**LABELS, "bot": str(bot), "outcome": "answered"}, rows=len(values))
    registry = CollectorRegistry()
    registry.register(VoicebotCollector(aggregator.read, dict, lambda: {"bank": active}))
    head = "" if started is None else f"process_start_time_seconds {started}\n"
    return head + generate_latest(registry).decode()


def read(*gaps: list[float], active: int = 0, started: float | None = None) -> Samples:
    """The samples of such a page."""
    found = parse(page(*gaps, active=active, started=started))
    assert found is not None
    return found


def kpis(samples: Samples) -> dict[str, float | None]:
    """The values."""
    return {kpi.name: kpi.value for kpi in service_kpis(samples)}


def labels(of: Mapping[str, str]) -> str:
    """As Prometheus writes them."""
    return ",".join(f'{name}="{value}"' for name, value in of.items())


@needs_prometheus
@pytest.mark.parametrize("seed", range(3))
def test_quantiles_are_those_of_prometheus(tmp_path: Path, seed: int) -> None:
    """Over two bots' histograms together, to the last digit: promtool runs Prometheus' own histogram_quantile."""
    gaps = np.random.default_rng(seed).lognormal(0.3, 0.7, (2, 200)).tolist()
    found = read(*gaps)
    series = [
        {"series": one.name + "{" + labels(one.labels) + "}", "values": f"{one.value:.0f}"}
        for family in text_string_to_metric_families(page(*gaps))
        for one in family.samples
        if one.name == "voicebot_turn_response_gap_seconds_bucket"
    ]
    asked = [
        {
            "expr": f"histogram_quantile({share}, sum by (le) (voicebot_turn_response_gap_seconds_bucket))",
            "eval_time": "0m",
            "exp_samples": [{"labels": "{}", "value": found.quantile(s.RESPONSE_GAP, share)[0]}],
        }
        for share in (0.01, 0.5, 0.95, 0.99)
    ]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": tests}))
    command = ["promtool", "test", "rules", str(tmp_path / "tests.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_beyond_the_last_edge_the_edge_is_given() -> None:
    """And said to be one; without observations there is no quantile."""
    assert read([99.0]).quantile(s.RESPONSE_GAP, 0.5) == (13.5, True)
    assert read([]).quantile(s.RESPONSE_GAP, 0.5) == (None, False)


def test_what_was_added_between_two_scrapes() -> None:
    """Counters and buckets are differences, gauges are as they are now; a bot that is new counts from 0."""
    step = added(read([1.0] * 9, active=5), read([1.0] * 9 + [4.0] * 3, [4.0], active=2))
    assert step.total(s.TURNS) == 4
    assert step.quantile(s.RESPONSE_GAP, 0.5) == (pytest.approx(4.05, abs=0.2), False)
    assert step.total(s.SESSIONS_ACTIVE, "") == 2


def test_a_service_that_was_started_again_counts_from_nothing() -> None:
    """Its counters fell, or its start is another: all that it counted is new."""
    assert added(read([1.0] * 9), read([1.0] * 2)).total(s.TURNS) == 2
    assert added(read([1.0] * 9, started=10.0), read([1.0] * 12, started=20.0)).total(s.TURNS) == 12
    assert added(read([1.0] * 9, started=10.0), read([1.0] * 12, started=10.0)).total(s.TURNS) == 3


def test_steps_add_up() -> None:
    """To what was added from the first scrape to the last."""
    scrapes = [read([1.0] * n, [2.0] * (n // 2), active=n) for n in (3, 10, 11)]
    steps = [added(*pair) for pair in pairwise(scrapes)]
    assert together(steps) == added(scrapes[0], scrapes[-1])


def test_a_label_that_a_metric_lacks_is_an_error_not_all_of_it() -> None:
    """Turns are counted by channel, tokens aren't."""
    found = read([1.0], [1.0])
    assert found.of(bot="1").total(s.TURNS) == 1
    assert found.of(channel="web").total(s.TURNS) == 0
    with pytest.raises(NotSplitError, match=r"doesn't count voicebot\.tokens by channel"):
        found.of(channel="web").total(s.TOKENS)


def test_what_is_no_page_of_ours() -> None:
    """Another program's metrics, and no metrics at all."""
    assert parse("up 1\n") is None
    assert parse("<html>") is None
    assert parse(page([1.0], started=float("inf"))) is None


def rows(into: Aggregator) -> Samples:
    """The samples of what is in it."""
    registry = CollectorRegistry()
    registry.register(VoicebotCollector(into.read, dict, dict))
    found = parse(generate_latest(registry).decode())
    assert found is not None
    return found


def test_what_a_service_folded_is_not_told_and_not_guessed() -> None:
    """Of more bots than a metric has series the rest lies in one, of which nobody knows score or component (A10)."""
    into = Aggregator(max_series=4)
    for bot in "abcdef":
        column = pa.chunked_array([pa.array(["5"])])
        into.count(s.CSAT_SCORES, {"bot": bot, "variant": "", "score": column}, rows=1)
        into.count(s.TURNS, {**LABELS, "bot": bot, "outcome": "answered"}, rows=1)
        served = dict.fromkeys(s.OPERATION_DURATION.labels, "") | {"bot": bot, "component": "llm"}
        into.observe(s.OPERATION_DURATION, served, pa.chunked_array([[1.0]]))
    found = {kpi.name: kpi for kpi in service_kpis(rows(into))}
    assert found["turns"].value == 6
    assert (found["csat_mean"].value, found["abandoned_wait_rate"].value) == (None, None)
    assert found["csat_mean"].note == (
        "voicebot.csat has so many series that the service no longer tells all by score; the data directory "
        "knows (--data)"
    )
    seen = of_service("url", rows(into), datetime.now(UTC), None)
    assert seen.components == ()
    assert "no longer tells all by component" in as_text(seen.latencies())
    assert "no longer tells all by component" in limit("llm_latency", "500", None, 1).evaluate(seen).line()


def test_an_older_service_that_lacks_a_label_is_said_to() -> None:
    """And isn't a defect of ours."""
    name = prometheus_name(s.CSAT_SCORES)
    found = parse(f'# TYPE {name}_total counter\n{name}_total{{bot="a"}} 5\n')
    assert found is not None
    (csat,) = [kpi for kpi in service_kpis(found) if kpi.name == "csat_mean"]
    assert csat.note == "the service doesn't count voicebot.csat by score; the data directory knows (--data)"


def test_percentiles_beyond_the_last_bucket_are_said_to_be_more() -> None:
    """Of components, too (A12): what is printed is the edge, and a threshold that lies there is refused."""
    into = Aggregator()
    served = dict.fromkeys(s.OPERATION_DURATION.labels, "") | {"component": "llm"}
    into.observe(s.OPERATION_DURATION, served, pa.chunked_array([[60.0] * 30]))
    seen = of_service("url", rows(into), datetime.now(UTC), None)
    assert "llm p50, p95, p99: or more: beyond the last bucket" in as_text(seen.latencies())
    assert (
        "llm_latency p95 8.00 s or more, above 7.99 s" in limit("llm_latency", "7990", None, 20).evaluate(seen).line()
    )
    for metric, edge in (("llm_latency", "8s"), ("latency", "13.5s")):
        with pytest.raises(UsageError, match=f"{metric} could never cross it: take less"):
            limit(metric, edge, None, 20).check_service()
    limit("llm_latency", "7.99s", None, 20).check_service()
    limit("wer", "1", None, 20).check_service()


def test_scores_and_shares() -> None:
    """CSAT, NPS, WER and MOS come of their counters; scores of two kinds are never mixed."""
    into = Aggregator()
    column = lambda *values: pa.chunked_array([pa.array(values)])  # noqa: E731
    served = {"bot": "bank", "provider": "p", "model": "m"}
    into.count(s.CSAT_SCORES, {"bot": "bank", "variant": "", "score": column("1", "4", "5", "5")}, rows=4)
    into.count(s.NPS_SCORES, {"bot": "bank", "variant": "", "score": column("0", "7", "9", "10", "10")}, rows=5)
    into.count(s.WER_ERROR_COUNT, served, column(3))
    into.count(s.WER_WORD_COUNT, served, column(12))
    into.observe(s.MOS_SCORES, {**served, "kind": "dnsmos"}, column(3.0, 4.0))
    registry = CollectorRegistry()
    registry.register(VoicebotCollector(into.read, dict, dict))
    found = parse(generate_latest(registry).decode())
    assert found is not None
    values = kpis(found)
    assert (values["csat_mean"], values["csat_share"], values["nps"]) == (3.75, 0.75, 40.0)
    assert (values["wer"], values["mos"]) == (0.25, 3.5)
    into.observe(s.MOS_SCORES, {**served, "kind": "survey"}, column(5.0))
    mixed = parse(generate_latest(registry).decode())
    assert mixed is not None
    (mos,) = [kpi for kpi in service_kpis(mixed) if kpi.name == "mos"]
    assert (mos.value, mos.note) == (None, "scores of several kinds (dnsmos, survey) are never mixed")
