"""The Prometheus endpoint: what is scraped says what was observed."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from bench.generate import gaps
from otel_voicebot import semconv as s
from otel_voicebot.conventions import prometheus_name
from otel_voicebot.exporters import VoicebotCollector
from otel_voicebot.live import Aggregator
from otel_voicebot.selfmetrics import SelfMetrics

CALL = {"bot": "bank", "channel": "phone", "variant": "A", "environment": "test"}


def registry(aggregator: Aggregator, metrics: SelfMetrics | None = None) -> CollectorRegistry:
    """With our collector in it."""
    found = CollectorRegistry()
    own = (metrics or SelfMetrics()).read
    found.register(VoicebotCollector(aggregator.read, own, lambda: {"bank": 2}))
    return found


def samples(families: Iterable[Metric]) -> dict[tuple[str, str], float]:
    """Value by sample name and ``le`` (of other samples: the label values, by their names)."""
    return {
        (one.name, one.labels.get("le", ",".join(one.labels[name] for name in sorted(one.labels)))): one.value
        for family in families
        for one in family.samples
    }


def scraped(aggregator: Aggregator) -> dict[tuple[str, str], float]:
    """As Prometheus reads it."""
    return samples(parse_text(generate_latest(registry(aggregator)).decode()))


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """``histogram_quantile``: linear between the edges of the bucket that holds the rank."""
    rank = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for edge, count in buckets:
        if count >= rank:
            return low if math.isinf(edge) else low + (edge - low) * (rank - below) / (count - below)
        low, below = edge, count
    raise AssertionError


@pytest.mark.parametrize("median", [0.6, 1.2, 2.0])
@pytest.mark.parametrize("sigma", [0.4, 0.6, 0.8])
def test_the_p95_of_the_histogram_is_within_one_percent(median: float, sigma: float) -> None:
    """Read as Prometheus reads it, over 100,000 lognormal gaps, it is that close to the exact one."""
    values = gaps(100_000, median, sigma)
    aggregator = Aggregator()
    for part in np.array_split(values, 50):
        aggregator.observe(s.RESPONSE_GAP, CALL, pa.chunked_array([part]))
    found = scraped(aggregator)
    name = "voicebot_turn_response_gap_seconds"
    buckets = sorted((float(le), count) for (sample, le), count in found.items() if sample == f"{name}_bucket")
    assert len(buckets) == 31
    assert quantile(buckets, 0.95) == pytest.approx(np.quantile(values, 0.95), rel=0.01)
    assert found[f"{name}_sum", "bank,phone,test,A"] == pytest.approx(values.sum(), rel=1e-9)
    assert found[f"{name}_count", "bank,phone,test,A"] == 100_000


def test_a_value_on_an_edge_is_in_the_bucket_below_it() -> None:
    """``le`` means less or equal, so a threshold that is an edge is counted exactly; nulls are left out."""
    aggregator = Aggregator()
    aggregator.observe(s.RESPONSE_GAP, CALL, pa.chunked_array([[0.5, 0.8, None, 0.80001, 99.0]]))
    found = scraped(aggregator)
    name = "voicebot_turn_response_gap_seconds_bucket"
    assert [found[name, le] for le in ("0.5", "0.65", "0.8", "1.0", "13.5", "+Inf")] == [1, 1, 2, 3, 3, 4]


def test_series_are_made_when_they_are_created_and_say_so() -> None:
    """Counters and histograms carry ``_created``: the time of their first value, and it stays."""
    now = [100.0]
    aggregator = Aggregator(clock=lambda: now[0])
    for now[0] in (100.0, 200.0):
        aggregator.count(s.ORCHESTRATOR_REQUESTS, {"bot": "bank"}, rows=1)
        aggregator.observe(s.ORCHESTRATOR_LATENCY, {"bot": "bank"}, pa.chunked_array([[1.0]]))
    found = scraped(aggregator)
    assert found["orchestrator_requests_created", "bank"] == 100.0
    assert found["orchestrator_request_latency_seconds_created", "bank"] == 100.0
    assert found["orchestrator_requests_total", "bank"] == 2


def test_too_many_series_fold_into_one_and_are_counted() -> None:
    """The third bot of a metric that may have two goes to ``_overflow``; nothing is lost and the known ones go on."""
    aggregator = Aggregator(max_series=2)
    bots = pa.chunked_array([["a", "b", "c", "d", "a", "c"]])
    aggregator.count(s.ORCHESTRATOR_REQUESTS, {"bot": bots}, rows=6)
    aggregator.observe(s.ORCHESTRATOR_LATENCY, {"bot": bots}, pa.chunked_array([[1.0] * 6]))
    found = scraped(aggregator)
    shown = {labels: value for (name, labels), value in found.items() if name == "orchestrator_requests_total"}
    assert shown == {"a": 2, "b": 1, "_overflow": 3}
    assert found["orchestrator_request_latency_seconds_count", "_overflow"] == 3
    assert found["voicebot_metrics_overflow_total", "orchestrator.requests"] == 3


def test_too_many_owners_give_up_their_names_only() -> None:
    """What a tool that is one too many took stays with its bot and its segment, so that sums by them stay right."""
    aggregator = Aggregator(max_series=20)
    owners = [f"tool-{number}" for number in range(40)]
    labels = {"bot": "a", "segment": "tool", "owner": pa.chunked_array([owners])}
    aggregator.observe(s.SEGMENT_DURATION, labels, pa.chunked_array([[1.0] * 40]))
    found = scraped(aggregator)
    name = "voicebot_turn_segment_duration_seconds_count"
    counts = {key[1:]: value for key, value in found.items() if key[0] == name}
    assert sum(counts.values()) == 40
    assert len(counts) == 21
    assert max(counts.values()) == 20
    assert all("a" in str(key) and "tool" in str(key) for key in counts)
    assert found["voicebot_metrics_overflow_total", "voicebot.turn.segment.duration"] == 20


def test_a_known_zero_makes_a_series_and_an_unknown_does_not() -> None:
    """No wrong word against a reference is 0 wrong words; no reference is no series."""
    aggregator = Aggregator()
    labels = {"bot": "bank", "provider": pa.chunked_array([["a", "b", "c"]]), "model": "m"}
    aggregator.count(s.WER_ERROR_COUNT, labels, pa.chunked_array([pa.array([0, None, 2], pa.int64())]))
    found = scraped(aggregator)
    shown = {labels: value for (name, labels), value in found.items() if name == "voicebot_wer_errors_total"}
    assert sorted(shown.values()) == [0, 2]


def test_both_formats_name_every_metric_and_say_the_same() -> None:
    """The text and the OpenMetrics exposition parse, hold every metric of ``semconv``, and agree on every sample."""
    aggregator, metrics = Aggregator(), SelfMetrics()
    for metric in s.METRICS.values():
        labels = dict.fromkeys(metric.labels, 'quote " backslash \\ newline \n and é')
        if metric.kind == "histogram":
            aggregator.observe(metric, labels, pa.chunked_array([[0.3, 4.0]]))
        elif metric.name.startswith(
            ("voicebot.spans.", "voicebot.pipeline.", "voicebot.values.", "voicebot.queue.", "voicebot.prices.")
        ):
            metrics.add(metric, 3, "why" if metric.labels else "")
        elif metric.kind == "counter" or metric in s.STORED_KPIS:
            aggregator.count(metric, labels, rows=3)
    found = registry(aggregator, metrics)
    text = list(parse_text(generate_latest(found).decode()))
    open_text = openmetrics.generate_latest(found).decode()
    assert open_text.endswith("# EOF\n")
    opened = list(parse_openmetrics(open_text))
    # the text format has the creation times as families of their own
    assert {family.name for family in opened} == {prometheus_name(metric) for metric in s.METRICS.values()}
    assert samples(text) == samples(opened)
    families = {family.name: family for family in opened}
    for metric in s.METRICS.values():
        family = families[prometheus_name(metric)]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert family.samples, metric.name
        assert all(set(one.labels) - {"le"} == set(metric.labels) for one in family.samples)


def test_an_idle_process_names_every_metric() -> None:
    """Before any span came, names, types and help are there, so that a dashboard can be built."""
    text = generate_latest(registry(Aggregator())).decode()
    for metric in s.METRICS.values():
        assert f"# HELP {prometheus_name(metric)}" in text
