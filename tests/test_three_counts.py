"""``/metrics``, the report and a script that reads the raw files count the same calls, and agree exactly."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.program import PROGRAM
from otel_voicebot import semconv as s
from otel_voicebot.conventions import prometheus_name

Sample = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Sample, float]

CALLS = 8
RAW_COUNTS = Path(__file__).with_name("raw_counts.py")

MOVED = {
    *(s.RESPONSE_GAP, s.TURNS, s.REPLIES, s.OPERATION_DURATION, s.TIME_TO_FIRST, s.ERRORS, s.TOKENS, s.CACHE_LOOKUPS),
    *(s.WER_ERROR_COUNT, s.WER_WORD_COUNT, s.CLASSIFICATIONS, s.HANDOFFS, s.HANDOFF_DURATION, s.SESSIONS),
    *(s.SESSIONS_ACTIVE, s.SESSION_DURATION, s.HANDLE_TIME, s.ELIGIBLE, s.CSAT_SCORES, s.NPS_SCORES),
    *(s.INTERRUPTIONS, s.ORCHESTRATOR_REQUESTS),
    *(s.ORCHESTRATOR_LATENCY, s.SELF_RECEIVED, s.SELF_COMMITTED, s.BROKEN_RULES, s.ABANDONED_WAIT, s.SEGMENT_DURATION),
    *(s.COST, s.COST_OPERATIONS, s.PRICES_DATE),
}
"""What these calls move; ``voicebot.sessions.active`` while they run."""
UNMOVED = {
    s.MOS_SCORES: "nothing rates the audio",
    s.RESTATED: "no span came after its turn or session was counted",
    s.SERIES_OVERFLOW: "no metric has thousands of series",
    s.SELF_REJECTED: "every span has ids and times",
    s.SELF_ROWS_DROPPED: "the disk refuses nothing",
    s.SELF_DROPPED: "the queue never filled",
    s.SELF_LATE: "no span came after its session was closed",
    s.SELF_UNMAPPED: "only our own API made spans",
    **dict.fromkeys((s.SELF_UNKNOWN_SPANS, s.SELF_UNKNOWN_ATTRIBUTES), "only our own API made spans"),
    s.SELF_WITHHELD: "with content capture off our API puts no text on spans",
    s.SELF_FAILURES: "nothing failed",
    s.SELF_LIMITED: "no span has too many or too long attributes",
    **dict.fromkeys((s.SELF_REQUESTS, s.SELF_REFUSED, s.SELF_REPEATED), "only a service takes requests"),
    **dict.fromkeys((s.SELF_LOGS_RECEIVED, s.SELF_LOGS_COMMITTED), "only a service takes logs"),
    **dict.fromkeys((s.SELF_LOGS_FORWARDED, s.SELF_LOGS_DROPPED), "only a service takes logs"),
    s.SELF_QUESTIONS: "only a service has a web port",
    **dict.fromkeys(s.STORED_KPIS, "only a service computes from what is stored"),
    s.SELF_MERGED: "an hour is merged after its end",
    s.SELF_REMOVED: "nothing is old",
    s.SELF_QUEUE: "a depth, 0 when all is worked off",
    s.SELF_EVICTED: "few calls were open at a time",
}

NOT_SHARED = (
    *(s.SESSIONS_ACTIVE, *UNMOVED, s.SELF_RECEIVED, s.SELF_COMMITTED, s.BROKEN_RULES, s.SEGMENT_DURATION),
    s.PRICES_DATE,
)
"""Metrics that the raw script doesn't count; what breaks a rule stands in each turn's ``quality``. It doesn't cut waits
into segments either: that they add up to the waits is checked here, the cut by tests of its own."""

COUNTED_ELSEWHERE = {
    *("fcr_1d", "fcr_7d", "fcr_30d", "strict_containment_24h", "mos"),
}
"""KPIs of callers and scores, which these calls don't have: a script of its own counts them in the twelve calls
of ``tests/data/kpis``."""

PRICES = {
    "date": "2026-03-01",
    "stt": [{"per_second": 0.5}],
    "tts": [{"per_character": 0.25}],
    "llm": [{"per_million_input": 1_000_000, "per_million_output": 2_000_000}],
    "telephony": [{"channel": "phone", "per_minute": 6.0}],
}
"""Large, so that what is rounded to 1e-12 is the same to nine digits."""

_NLU = "voicebot_nlu_classifications_total"
SHARED = {
    "sessions": ("voicebot_sessions_total", None),
    "turns": ("voicebot_turns_total", None),
    "abandoned_wait_rate": ("voicebot_turns_total{outcome=abandoned}", "voicebot_turns_total"),
    "interruption_rate": ("voicebot_interruptions_total", "voicebot_replies_total"),
    "error_rate": ("voicebot_errors_total", "voicebot_operation_duration_seconds_count"),
    "wer": ("voicebot_wer_errors_total", "voicebot_wer_words_total"),
    "aht_s": ("voicebot_session_handle_time_seconds_sum", "voicebot_session_handle_time_seconds_count"),
    "containment": ("voicebot_sessions_eligible_total{contained=true}", "voicebot_sessions_eligible_total"),
    "csat_share": ("voicebot_csat_total{score=4} + voicebot_csat_total{score=5}", "voicebot_csat_total"),
    "cache_hit_rate": ("voicebot_cache_lookups_total{result=hit}", "voicebot_cache_lookups_total"),
    "input_tokens": ("voicebot_tokens_total{direction=input}", None),
    "output_tokens": ("voicebot_tokens_total{direction=output}", None),
    "cost_usd": ("voicebot_cost_total", None),
    "priced_share": ("voicebot_cost_operations_total{priced=true}", "voicebot_cost_operations_total"),
    "low_confidence_rate": (
        f"{_NLU}{{result=low_confidence}}",
        f"{_NLU}{{result=low_confidence}} + {_NLU}{{result=confident}}",
    ),
    "fallback_rate": (f"{_NLU}{{fallback=true}}", _NLU),
}
"""KPI to its numerator and denominator, as Prometheus sums them over all series."""


def exact(value: float) -> Any:
    """The same count; sums of seconds to nine digits."""
    return pytest.approx(value, rel=1e-9, abs=0)


def scrape(url: str) -> Samples:
    """Every sample but creation times."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [one for family in families for one in family.samples if not one.name.endswith("_created")]
    ours = [one for one in samples if one.name.startswith(("voicebot_", "orchestrator_"))]
    return {(one.name, frozenset(one.labels.items())): one.value for one in ours}


def total(samples: Samples, terms: str) -> float:
    """Sum of series, written ``name{label=value} + ...``."""
    found = 0.0
    for term in terms.split(" + "):
        name, labels = re.fullmatch(r"(\w+)(?:{(.*)})?", term).groups()  # type: ignore[union-attr]
        wanted = {tuple(pair.split("=")) for pair in labels.split(",")} if labels else set()
        found += sum(value for (key, known), value in samples.items() if key == name and wanted <= known)
    return found


@dataclass(frozen=True)
class Counts:
    """What the three say, and what ``/metrics`` said while the calls were held."""

    metrics: Samples
    report: Mapping[str, Any]
    raw: Mapping[str, Any]
    polled: list[Samples]


@contextmanager
def counted_demo(data: Path) -> Iterator[Counts]:
    """A demo in a fresh directory, drained, and counted by all three while its endpoint is still up."""
    options = ["demo", "--calls", str(CALLS), "--concurrency", str(CALLS), "--data", str(data), "--linger", "300"]
    command = [sys.executable, "-c", PROGRAM, *options, "--metrics-addr", "127.0.0.1:0"]
    data.with_name("prices.json").write_text(json.dumps(PRICES))
    priced = {**os.environ, "OTEL_VOICEBOT_PRICES": str(data.with_name("prices.json"))}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=priced) as demo:
        try:
            yield _count(demo, data)
        finally:
            demo.kill()


def _count(demo: "subprocess.Popen[str]", data: Path) -> Counts:
    assert demo.stderr is not None
    polled, url, ended = [], "", 0
    for line in demo.stderr:
        if found := re.search(r"curl (\S+)", line):
            url = found[1]
        if url and line.startswith("call"):
            polled.append(scrape(url))
            ended += "calls ended)" in line or " of " in line
        if "is served for" in line:
            break
    else:
        pytest.fail("the demo ended early")
    metrics = scrape(url)
    prices = str(data.with_name("prices.json"))
    asked = ["report", "--json", "--data", str(data), "--prices", prices]
    report = subprocess.run([sys.executable, "-c", PROGRAM, *asked], capture_output=True, check=True)
    raw = subprocess.run([sys.executable, str(RAW_COUNTS), str(data), prices], capture_output=True, check=True)
    return Counts(metrics, json.loads(report.stdout), json.loads(raw.stdout), polled)


def the_report_and_the_raw_files_agree_on_every_kpi(counts: Counts) -> None:
    """Value, numerator, denominator and exclusions of every shared KPI are those counted without our code."""
    assert counts.report["kpis"].keys() > COUNTED_ELSEWHERE
    parts = ("value", "numerator", "denominator", "excluded")
    kpis = {name: kpi for name, kpi in counts.report["kpis"].items() if name not in COUNTED_ELSEWHERE}
    reported = {name: {part: kpi[part] for part in parts} for name, kpi in kpis.items()}
    expected = {
        name: {part: value if value is None else exact(value) for part, value in kpi.items()}
        for name, kpi in counts.raw["kpis"].items()
    }
    assert reported == expected


def metrics_and_the_raw_files_agree_on_every_series(counts: Counts) -> None:
    """Every series of every derived metric is there and has the value counted without our code, and no other is."""
    own = {prometheus_name(metric) for metric in NOT_SHARED}
    own |= {f"{name}_{suffix}" for name in own for suffix in ("total", "bucket", "count", "sum")}
    expected = {(name, frozenset(labels.items())): exact(value) for name, labels, value in counts.raw["metrics"]}
    assert {key: value for key, value in counts.metrics.items() if key[0] not in own} == expected


def metrics_and_the_report_agree_on_what_they_share(counts: Counts) -> None:
    """A KPI's numerator and denominator are sums over the series of ``/metrics``."""
    for kpi, (numerator, denominator) in SHARED.items():
        reported = counts.report["kpis"][kpi]
        assert total(counts.metrics, numerator) == exact(reported["numerator"]), kpi
        if denominator is not None:
            assert total(counts.metrics, denominator) == exact(reported["denominator"]), kpi


def scores_and_gaps_agree_with_the_report(counts: Counts) -> None:
    """Mean CSAT and NPS follow from the counts per score; the gap histogram holds the gaps that percentiles are of."""
    kpis = counts.report["kpis"]
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    for (name, labels), value in counts.metrics.items():
        if name in ("voicebot_csat_total", "voicebot_nps_total"):
            score = int(dict(labels)["score"])
            scores[name][score] = scores[name].get(score, 0) + value
    csat, nps = scores["voicebot_csat_total"], scores["voicebot_nps_total"]
    assert sum(score * answers for score, answers in csat.items()) == kpis["csat_mean"]["numerator"]
    points = sum(answers * ((score >= 9) - (score <= 6)) for score, answers in nps.items())
    assert (points, sum(nps.values())) == (kpis["nps"]["numerator"], kpis["nps"]["denominator"])
    for name in ("voicebot_turn_response_gap_seconds_count", "orchestrator_request_latency_seconds_count"):
        assert total(counts.metrics, name) == kpis["response_gap_p95_s"]["denominator"]


def segments_add_up_to_the_response_gap(counts: Counts) -> None:
    """Over all segments and owners of a bot the seconds are those of its response gaps."""
    bots = {value for _, labels in counts.metrics for name, value in labels if name == "bot"}
    for bot in bots:
        parts, whole = (
            total(counts.metrics, f"voicebot_turn_{name}_seconds_sum{{bot={bot}}}")
            for name in ("segment_duration", "response_gap")
        )
        assert parts == pytest.approx(whole, abs=1e-6), bot


def abandoned_waits_are_those_that_the_estimate_censors(counts: Counts) -> None:
    """Gaps and abandoned waits together are the waits that Kaplan-Meier's percentiles are of; its section has both."""
    gaps, given_up = (
        total(counts.metrics, f"voicebot_turn_{name}_seconds_count") for name in ("response_gap", "abandoned_wait")
    )
    assert gaps + given_up == counts.report["kpis"]["wait_km_p95_s"]["denominator"]
    for row in counts.report["sections"]["waits"]:
        reason = f"{{reason={row['abandon_reason']}}}"
        of = f"abandoned_wait_seconds_count{reason}" if row["abandon_reason"] else "response_gap_seconds_count"
        assert total(counts.metrics, f"voicebot_turn_{of}") == row["timed"]


def every_span_is_received_committed_and_stored_once(counts: Counts) -> None:
    """What came in is on disk, row by row."""
    assert total(counts.metrics, "voicebot_spans_received_total{door=sdk}") == counts.raw["rows"]
    assert total(counts.metrics, "voicebot_spans_committed_total") == counts.raw["rows"]


def every_metric_is_moved_or_has_a_reason_not_to_be(counts: Counts) -> None:
    """No metric of ``semconv`` is missing in this test; what should have moved has, what should not have is 0."""
    assert {metric.name for metric in (*MOVED, *UNMOVED)} == set(s.METRICS)
    values: dict[str, float] = defaultdict(float)
    for samples in (*counts.polled, counts.metrics):
        for (name, _), value in samples.items():
            values[name] = max(values[name], value)

    def peak(metric: s.Metric) -> float:
        name = prometheus_name(metric)
        return max(values.get(name + suffix, 0) for suffix in ("", "_total", "_count"))

    assert [metric.name for metric in MOVED if not peak(metric)] == []
    assert [metric.name for metric in UNMOVED if metric not in (s.SELF_QUEUE, s.SELF_MERGED) and peak(metric)] == []


def metrics_move_during_a_call_not_at_its_end(counts: Counts) -> None:
    """Before any session has ended, sessions are active, turns are counted and components have latencies."""
    before_any_end = [one for one in counts.polled if not total(one, "voicebot_sessions_total")]
    assert max(total(one, "voicebot_sessions_active") for one in before_any_end) > 1
    turns = [total(one, "voicebot_turns_total") for one in before_any_end]
    latencies = [total(one, "voicebot_operation_duration_seconds_count") for one in before_any_end]
    assert turns == sorted(turns)
    assert latencies == sorted(latencies)
    assert turns[-1] > turns[0]
    assert latencies[-1] > latencies[0]
    assert total(counts.metrics, "voicebot_sessions_active") == 0


AGREE = (
    the_report_and_the_raw_files_agree_on_every_kpi,
    metrics_and_the_raw_files_agree_on_every_series,
    metrics_and_the_report_agree_on_what_they_share,
    scores_and_gaps_agree_with_the_report,
    segments_add_up_to_the_response_gap,
    abandoned_waits_are_those_that_the_estimate_censors,
    every_span_is_received_committed_and_stored_once,
    every_metric_is_moved_or_has_a_reason_not_to_be,
    metrics_move_during_a_call_not_at_its_end,
)


@pytest.mark.slow
def test_three_counts_agree(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Real calls are counted the same by ``/metrics``, by the report and by a script that knows nothing of us."""
    with counted_demo(tmp_path / "data") as counts:
        for agreement in AGREE:
            with subtests.test(agreement.__name__):
                agreement(counts)
