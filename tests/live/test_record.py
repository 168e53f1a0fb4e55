"""What rows of turns feed: waits that were given up, segments by owner, and the trace behind a bucket."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from otel_voicebot import semconv as s
from otel_voicebot.exporters import VoicebotCollector
from otel_voicebot.live import Aggregator
from otel_voicebot.live.aggregate import EXEMPLAR_AGE_S
from otel_voicebot.live.record import record_turns

Row = dict[str, Any]

SEGMENT = pa.struct(
    [
        *((name, pa.string()) for name in ("segment", "owner", "owner_kind", "provider", "model", "span_id")),
        ("start_unix_nano", pa.int64()),
        ("duration_s", pa.float64()),
        ("detail", pa.string()),
    ]
)
TURNS = pa.schema(
    [
        *((name, pa.string()) for name in ("bot", "channel", "variant", "environment", "trace_id", "kind", "outcome")),
        ("abandon_reason", pa.string()),
        ("response_gap_s", pa.float64()),
        ("wait_s", pa.float64()),
        ("interrupted", pa.bool_()),
        ("segments", pa.list_(SEGMENT)),
        ("quality", pa.list_(pa.string())),
    ]
)
BANK = ("bank", "", "", "")


def turn(trace: int, gap: float | None = None, *segments: tuple[str, str | None, float], **columns: Any) -> Row:
    """An exchange of the bank's bot; its segments are (segment, owner, seconds)."""
    parts = [{"segment": name, "owner": owner, "duration_s": seconds} for name, owner, seconds in segments]
    outcome = "answered" if gap is not None else "abandoned"
    known = {"bot": "bank", "kind": "exchange", "outcome": outcome, "quality": []}
    return {**known, "trace_id": f"{trace:032x}", "response_gap_s": gap, "segments": parts or None, **columns}


def recorded(*ticks: Sequence[Row], clock: list[float] | None = None) -> Aggregator:
    """The series after these rows came, tick by tick."""
    now = clock or [1000.0]
    into = Aggregator(clock=lambda: now[0])
    for rows in ticks:
        record_turns(into, pa.Table.from_pylist(list(rows), TURNS))
    return into


def registry(aggregator: Aggregator) -> CollectorRegistry:
    """With our collector in it."""
    found = CollectorRegistry()
    found.register(VoicebotCollector(aggregator.read, dict, dict))
    return found


def test_abandoned_waits_are_counted_by_reason_and_never_with_answered_ones() -> None:
    """Each goes into its own histogram; one of unknown length goes into none."""
    given_up = {"abandon_reason": "hung_up", "wait_s": 3.0}
    into = recorded([turn(1, 1.0), turn(2, **given_up), turn(3, abandon_reason="error", wait_s=9.5), turn(4)])
    series = into.read()
    waits = {key: (one.total, int(one.counts.sum())) for key, one in series[s.ABANDONED_WAIT.name].items()}
    assert waits == {(*BANK, "hung_up"): (3.0, 1), (*BANK, "error"): (9.5, 1)}
    gaps = series[s.RESPONSE_GAP.name][BANK]
    assert (gaps.total, int(gaps.counts.sum())) == (1.0, 1)
    assert s.ABANDONED_WAIT.buckets == s.RESPONSE_GAP.buckets


ANSWERED = [
    turn(
        1, 1.25, ("endpointing", "silence", 0.5), ("llm_first_token", "openai/gpt", 0.5), ("unattributed", None, 0.25)
    ),
    turn(2),
    turn(3, 2.0, ("endpointing", "silence", 0.75), ("llm_first_token", "groq/llama", 1.25), bot="shop"),
    turn(4, None, ("llm_first_token", "openai/gpt", 30.0), abandon_reason="error", wait_s=30.0),
    turn(5, 0.5, ("endpointing", "silence", 0.5)),
    turn(6, 1.0),  # its cut is unknown
]


def test_segments_are_summed_by_bot_and_owner_of_answered_exchanges() -> None:
    """What an abandoned wait consisted of is in none; what nobody owns has an empty owner."""
    series = recorded(ANSWERED).read()[s.SEGMENT_DURATION.name]
    assert {key: (one.total, int(one.counts.sum())) for key, one in series.items()} == {
        ("bank", "endpointing", "silence"): (1.0, 2),
        ("bank", "llm_first_token", "openai/gpt"): (0.5, 1),
        ("bank", "unattributed", ""): (0.25, 1),
        ("shop", "endpointing", "silence"): (0.75, 1),
        ("shop", "llm_first_token", "groq/llama"): (1.25, 1),
    }


def test_segments_add_up_to_the_response_gap() -> None:
    """Over the exchanges that were cut, the segments' sums are the gap's, bot by bot."""
    series = recorded([row for row in ANSWERED if row["segments"]]).read()
    for bot in ("bank", "shop"):
        parts, whole = (
            sum(one.total for key, one in series[metric.name].items() if key[0] == bot)
            for metric in (s.SEGMENT_DURATION, s.RESPONSE_GAP)
        )
        assert parts == pytest.approx(whole, abs=1e-9)


def test_each_bucket_names_the_trace_of_its_latest_turn() -> None:
    """The last turn of a tick, and of later ticks, that fell into the bucket; one without a trace replaces none."""
    clock = [100.0]
    into = recorded([turn(1, 0.7), turn(2, 0.75), turn(3, 20.0), turn(4, 1.2, trace_id=None)], clock=clock)
    clock[0] = 200.0
    record_turns(into, pa.Table.from_pylist([turn(5, 20.0), turn(6, 0.7, trace_id=None)], TURNS))
    for metric, key in ((s.RESPONSE_GAP, BANK), (s.ORCHESTRATOR_LATENCY, ("bank",))):
        found = into.read()[metric.name][key].exemplars
        assert {bucket: (int(one.trace_id, 16), one.value, one.at) for bucket, one in found.items()} == {
            2: (2, 0.75, 100.0),
            30: (5, 20.0, 200.0),
        }


def test_exemplars_are_given_out_for_a_quarter_of_an_hour() -> None:
    """So the trace of somebody who was erased is named no longer than that."""
    clock = [100.0]
    into = recorded([turn(1, 0.7)], clock=clock)
    clock[0] += EXEMPLAR_AGE_S
    assert into.read()[s.RESPONSE_GAP.name][BANK].exemplars
    clock[0] += 1
    assert not into.read()[s.RESPONSE_GAP.name][BANK].exemplars


def test_openmetrics_has_exemplars_and_the_text_format_is_as_without() -> None:
    """Both say the same numbers; only where the scraper asked for OpenMetrics a bucket names a trace."""
    named = recorded([turn(1, 0.7), turn(2, 20.0)])
    unnamed = recorded([turn(1, 0.7, trace_id=None), turn(2, 20.0, trace_id=None)])
    assert generate_latest(registry(named)) == generate_latest(registry(unnamed))
    families = text_string_to_metric_families(generate_openmetrics(registry(named)).decode())
    shown = {
        (one.name, one.labels["le"]): (one.exemplar.labels, one.exemplar.value, float(one.exemplar.timestamp))
        for family in families
        for one in family.samples
        if one.exemplar is not None
    }
    gap, twin = "voicebot_turn_response_gap_seconds_bucket", "orchestrator_request_latency_seconds_bucket"
    first, second = ({"trace_id": f"{1:032x}"}, 0.7, 1000.0), ({"trace_id": f"{2:032x}"}, 20.0, 1000.0)
    assert shown == {(gap, "0.8"): first, (gap, "+Inf"): second, (twin, "0.8"): first, (twin, "+Inf"): second}
