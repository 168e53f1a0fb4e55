"""Ten thousand calls through a real service: what Prometheus scrapes is what the report says (FEATURES A16)."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from bench.generate import MEAN_SPANS, requests
from bench.program import PROGRAM
from otel_voicebot import semconv as s
from tests.app.served import Served, until
from tests.prometheus.server import Prometheus
from tests.test_three_counts import SHARED, exact, total

CALLS: Final = 10_000
UNDER_WAY: Final = 4_000
"""Calls of which the service has the end and hasn't counted them yet: a session stays open for five seconds."""
SHORT_SESSION_S: Final = 40
"""Generated calls have four turns and more: some that were abandoned are shorter than this."""
PRICES: Final = {
    "date": "2026-01-01",
    "stt": [{"provider": "deepgram", "per_second": 0.001}],
    "tts": [{"provider": "elevenlabs", "per_character": 0.0003}],
    "telephony": [{"channel": "phone", "per_minute": 0.01}],
}
"""Of other speech services no price is known; those of models are genai-prices', which doesn't know the local one."""
LIMITS: Final = {"p50": 0.0067, "p95": 0.0095, "p99": 0.0098}
"""What linear interpolation in the buckets of the response gap may be off, as a share: DESIGN 7."""

GAP: Final = "voicebot_turn_response_gap_seconds"

Kpis = dict[str, dict[str, Any]]
Ask = Callable[[str], float]
"""The answer to a PromQL query of one number."""


@dataclass(frozen=True)
class Volume:
    """What both ends say of the same calls."""

    sent: int
    served: Served
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    kpis: Kpis


@contextmanager
def volume(directory: Path) -> Iterator[Volume]:
    """Calls sent to a service over OTLP, and counted as their sessions end; then the report in its own process."""
    data, prices = directory / "data", directory / "prices.json"
    prices.write_text(json.dumps(PRICES))
    settings = {"OTEL_VOICEBOT_SHORT_SESSION_S": str(SHORT_SESSION_S), "OTEL_VOICEBOT_PRICES": str(prices)}
    with Served(data, env=settings) as served:
        # it says a line about each call, and would wait for somebody to read them
        threading.Thread(target=deque, args=(served.process.stderr, 0), daemon=True).start()
        sent, counted = 0, 0.0
        with grpc.insecure_channel(served.where["grpc"]) as channel:
            for body in requests(int(CALLS * MEAN_SPANS * 1.02), seed=5):
                _send(channel, body)
                sent += body.count(s.SESSION_INTENT.encode())  # stands on the session's own span
                if sent - counted > UNDER_WAY:
                    until(lambda most=sent - UNDER_WAY: _counted(served) > most)  # type: ignore[misc]
                    counted = _counted(served)
        until(lambda: _counted(served) == sent)
        command = [sys.executable, "-c", PROGRAM, "report", "--json", "--data", str(data)]
        report = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **settings})
        samples = {(name, frozenset(labels)): value for (name, labels), value in served.metrics().items()}
        yield Volume(sent, served, samples, json.loads(report.stdout)["kpis"])


def _counted(served: Served) -> float:
    """Sessions in ``/metrics``; to parse all of its lines again and again would take longer than the calls."""
    lines = served.get("/metrics", "metrics").splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("voicebot_sessions_total{"))


def _send(channel: grpc.Channel, body: bytes) -> None:
    export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    deadline = time.monotonic() + 60
    while True:
        try:
            export(body, timeout=60)
        except grpc.RpcError as error:  # it has enough to do: what it refuses comes again, as from any sender
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - grpc's errors are calls
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def every_call_is_counted_once(found: Volume) -> None:
    """No call was given up, no span came after its call was counted, and nothing was restated."""
    assert found.sent >= CALLS
    assert found.kpis["sessions"]["value"] == found.sent == total(found.samples, "voicebot_sessions_total")
    for name in ("voicebot_restated_total", "voicebot_sessions_evicted_total", "voicebot_spans_late_total"):
        assert total(found.samples, name) == 0, name
    assert total(found.samples, "voicebot_sessions_active") == 0


def numerators_and_denominators_are_the_same(found: Volume) -> None:
    """Sessions, turns, error rate, handle time, containment, WER, cache hits, cost and more: sums over all series."""
    for kpi, (numerator, denominator) in SHARED.items():
        reported = found.kpis[kpi]
        assert reported["numerator"] > 0, kpi
        assert total(found.samples, numerator) == exact(reported["numerator"]), kpi
        if denominator is not None:
            assert total(found.samples, denominator) == exact(reported["denominator"]), kpi
    assert found.kpis["containment"]["excluded"] > 0
    assert 0 < found.kpis["priced_share"]["value"] < 1
    assert found.kpis["abandonment_rate"]["excluded"] > 0, "no short call: containment excludes none"


def the_mean_csat_is_the_same(found: Volume) -> None:
    """It follows from the answers by score."""
    scores = {int(dict(labels)["score"]) for name, labels in found.samples if name == "voicebot_csat_total"}
    assert scores == {1, 2, 3, 4, 5}
    answers = {score: total(found.samples, f"voicebot_csat_total{{score={score}}}") for score in scores}
    reported = found.kpis["csat_mean"]
    assert sum(answers.values()) == reported["denominator"]
    assert sum(score * count for score, count in answers.items()) / sum(answers.values()) == exact(reported["value"])


def handoffs_are_those_that_calls_are_escalated_by(found: Volume) -> None:
    """Transfers to a human that were made; planned ones lead to another bot here."""
    made = total(found.samples, f"{_HANDOFFS}{{target=human,outcome=completed}}")
    escalated = found.kpis["escalation_rate"]["numerator"]
    assert made == escalated > 0
    assert total(found.samples, f"{_HANDOFFS}{{target=bot,outcome=completed}}") > 0


_HANDOFFS: Final = "voicebot_handoffs_total"

_ASKED: Final = {
    "sessions": "sum(voicebot_sessions_total)",
    "turns": "sum(voicebot_turns_total)",
    "error_rate": "sum(voicebot_errors_total) / sum(voicebot_operation_duration_seconds_count)",
    "aht_s": "sum(voicebot_session_handle_time_seconds_sum) / sum(voicebot_session_handle_time_seconds_count)",
    "containment": 'sum(voicebot_sessions_eligible_total{contained="true"}) / sum(voicebot_sessions_eligible_total)',
    "csat_mean": " + ".join(f'{n} * sum(voicebot_csat_total{{score="{n}"}})' for n in range(1, 6)),
    "wer": "sum(voicebot_wer_errors_total) / sum(voicebot_wer_words_total)",
    "cost_usd": "sum(voicebot_cost_total)",
    "cache_hit_rate": 'sum(voicebot_cache_lookups_total{result="hit"}) / sum(voicebot_cache_lookups_total)',
}
"""KPIs as a dashboard asks for them."""
_ASKED["csat_mean"] = f"({_ASKED['csat_mean']}) / sum(voicebot_csat_total)"


def promql_gives_the_values_of_the_report(found: Volume, ask: Ask) -> None:
    """Each KPI, asked for in Prometheus' own language."""
    for kpi, query in _ASKED.items():
        assert ask(query) == exact(found.kpis[kpi]["value"]), kpi


def percentiles_are_within_the_error_that_the_buckets_have(found: Volume, ask: Ask) -> None:
    """p50, p95 and p99 of the response gap, as `histogram_quantile` has them."""
    for name, limit in LIMITS.items():
        read = ask(f"histogram_quantile(0.{name[1:]}, sum by (le) ({GAP}_bucket))")
        assert read == pytest.approx(found.kpis[f"response_gap_{name}_s"]["value"], rel=limit), name
    assert total(found.samples, f"{GAP}_count") == found.kpis["response_gap_p50_s"]["denominator"]


@contextmanager
def prometheus(directory: Path, found: Volume) -> Iterator[Ask]:
    """A real Prometheus that has scraped all of it."""
    with Prometheus(directory, found.served.where["metrics"]) as server:

        def ask(query: str) -> float:
            (one,) = server.wait("query", query=query)["result"]
            return float(one["value"][1])

        server.wait("query", query="voicebot_sessions_total")
        until(lambda: bool(server.wait("query", query="sum(voicebot_sessions_total)")["result"]))
        yield ask


@pytest.mark.slow
def test_the_report_equals_what_prometheus_scrapes(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Ten thousand calls give the same KPIs live and in batch, exactly; percentiles within the buckets' error."""
    with volume(tmp_path) as found:
        for agreement in (
            every_call_is_counted_once,
            numerators_and_denominators_are_the_same,
            the_mean_csat_is_the_same,
            handoffs_are_those_that_calls_are_escalated_by,
        ):
            with subtests.test(agreement.__name__):
                agreement(found)
        if shutil.which("prometheus") is None:
            pytest.skip("all but PromQL agrees; Prometheus is not installed (Debian's package prometheus)")
        with prometheus(tmp_path, found) as ask:
            for asked in (
                promql_gives_the_values_of_the_report,
                percentiles_are_within_the_error_that_the_buckets_have,
            ):
                with subtests.test(asked.__name__):
                    asked(found, ask)
