"""Values that a framework reports and that can't be: set aside, named in ``quality``, counted, in no figure.

The calls are the captures, with one attribute changed wherever it stands.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_voicebot import semconv as s
from otel_voicebot.models import Engine
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.dialects.captured import Spans, derived, rows_of, spans_of
from tests.live.doors import Fed, latest

FIRST, HEARD, DECIDED = "time_to_first_chunk_s", "transcription_delay_s", "endpointing_delay_s"
FIGURES = ("turns", "sessions", "operations", "observations", "breakdowns", "kpis", "components", "segments")
TTFB = "metrics.ttfb"
CASES = [
    ("livekit", "llm_request", s.TIME_TO_FIRST_CHUNK, 75.125, FIRST),
    ("livekit", "llm_node", "lk.response.ttft", 75.125, FIRST),
    ("livekit", "tts_node", "lk.response.ttfb", 75.125, FIRST),
    ("livekit", "user_turn", "lk.transcription_delay", 75.125, HEARD),
    ("livekit", "user_turn", "lk.end_of_turn_delay", 75.125, DECIDED),
    ("livekit", "eou_wait", "lk.eou.wait_duration", 75.125, DECIDED),
    *(("pipecat", name, TTFB, value, FIRST) for name in ("llm", "tts") for value in (-1.125, 75.125)),
    *(("pipecat", "stt", TTFB, value, HEARD) for value in (-1.125, 75.125, 1e9)),
]


def changed(name: str, span: str, key: str, value: float) -> Spans:
    """A capture in which these spans have this value for that attribute."""
    spans = spans_of(name)
    given = [one for _, made in spans if made.name == span for one in made.attributes if one.key == key]
    assert given
    for one in given:
        one.value.double_value = value
    return spans


def numbers(value: object) -> Iterator[float]:
    """All doubles in a row, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, float):
        yield value


def turns_with(data: Path, name: str, span: str, column: str) -> set[int]:
    """The turns in which a sound span of this name has a value in the column, as the capture is."""
    rows = derived(data, rows_of(spans_of(name)), model="steps")
    return {row["turn_index"] for row in rows if row["name"] == span and row[column] is not None and row["turn_index"]}


def check(data: Path, spans: Spans, value: float, rule: str, wanted: set[int]) -> list[dict[str, Any]]:
    """Assert that the rule stands in these turns, in the metric so often, and the value nowhere; gives the turns."""
    SpanStore(data).commit([rows_of(spans)])
    with Engine(snapshot(data)) as engine:
        tables = {model: engine.table(model).to_pylist() for model in FIGURES}
    rows: list[dict[str, Any]] = sorted(tables["turns"], key=lambda row: row["turn_index"])
    assert {row["turn_index"] for row in rows if rule in row["quality"]} == wanted
    assert [model for model, found in tables.items() if value in numbers(found)] == []
    fed = Fed()
    fed.live.add(rows_of(spans))
    fed.after(700)
    assert fed.rows("turns") == latest(rows, "turns")
    assert fed.total(s.BROKEN_RULES, rule) == len(wanted)
    assert fed.total(s.BROKEN_RULES) == sum(len(row["quality"]) for row in rows)
    first = [one for row in tables["operations"] if (one := row[FIRST]) is not None]
    assert (fed.observations(s.TIME_TO_FIRST), fed.total(s.TIME_TO_FIRST)) == (len(first), pytest.approx(sum(first)))
    gaps = [one for row in rows if (one := row["response_gap_s"]) is not None]
    assert (fed.observations(s.RESPONSE_GAP), fed.total(s.RESPONSE_GAP)) == (len(gaps), pytest.approx(sum(gaps)))
    return rows


@pytest.mark.parametrize(("name", "span", "key", "value", "column"), CASES)
def test_a_stage_that_is_negative_or_over_a_minute_is_set_aside(
    name: str, span: str, key: str, value: float, column: str, tmp_path: Path
) -> None:
    """Its turn names the one column that it would have filled, batch and live; the gaps are what they were."""
    wanted = turns_with(tmp_path / "a", name, span, column)
    assert len(wanted) >= 6
    rule = f"{column}_out_of_range"
    spans = changed(name, span, key, value)
    rows = check(tmp_path / "b", spans, value, rule, wanted)
    assert {one for row in rows for one in row["quality"] if one.endswith("_out_of_range")} == {rule}
    whole = derived(tmp_path / "a")
    for row, before in zip(rows, whole, strict=True):
        assert row["response_gap_s"] == pytest.approx(before["response_gap_s"], abs=0.025), row["turn_index"]
        assert (row["kind"], row["outcome"]) == (before["kind"], before["outcome"])


@pytest.mark.parametrize("value", [75.125, 1e5, 1e300, -3.125])
@pytest.mark.parametrize(
    ("name", "span", "key"),
    [("livekit", "agent_turn", "lk.e2e_latency"), ("pipecat", "turn", "turn.user_bot_latency_seconds")],
)
def test_a_gap_that_the_framework_reports_is_judged_as_a_derived_one(
    name: str, span: str, key: str, value: float, tmp_path: Path
) -> None:
    """The bot was heard, and nobody knows after what time: the derived gap stands beside it, to compare.

    Of LiveKit a negative one says that it doesn't know.
    """
    whole = derived(tmp_path / "a", rows_of(spans_of(name)))
    wanted = {row["turn_index"] for row in whole if row["gap_source"] == "reported"}
    unknown = name == "livekit" and value < 0
    rule = "bot_before_caller" if value < 0 else "gap_over_60_s"
    rows = check(tmp_path / "b", changed(name, span, key, value), value, rule, set() if unknown else wanted)
    assert len(wanted) >= 6
    for row, before in zip(rows, whole, strict=True):
        assert (row["kind"], row["outcome"]) == (before["kind"], before["outcome"])
        assert row["response_gap_derived_s"] == before["response_gap_derived_s"]
        if row["turn_index"] in wanted:
            gap = (row["response_gap_derived_s"], "derived") if unknown else (None, None)
            assert (row["response_gap_s"], row["gap_source"]) == gap


@pytest.mark.parametrize(
    ("name", "span", "key", "column"),
    [
        ("livekit", "llm_node", "lk.response.ttft", FIRST),
        ("livekit", "user_turn", "lk.transcription_delay", HEARD),
        ("livekit", "user_turn", "lk.end_of_turn_delay", DECIDED),
    ],
)
def test_what_livekit_does_not_know_breaks_no_rule(name: str, span: str, key: str, column: str) -> None:
    """0 or less says so."""
    for value in (0.0, -1.0):
        rows = [row for row in rows_of(changed(name, span, key, value)).to_pylist() if row["name"] == span]
        assert {(row[column], *row["quality"]) for row in rows} == {(None,)}


@pytest.mark.parametrize(
    ("first", "second", "found", "rules"),
    [
        (75.125, 0.25, 0.25, [f"{FIRST}_out_of_range"]),
        (75.125, -1.0, None, [f"{FIRST}_out_of_range"]),
        (75.125, None, None, [f"{FIRST}_out_of_range"]),  # JSON is read where no attribute stands
        (0.5, 75.125, 0.5, []),
    ],
)
def test_the_next_attribute_stands_in_for_one_that_is_out_of_range(
    first: float, second: float | None, found: float | None, rules: list[str]
) -> None:
    """The rule is named all the same; and what stands behind a good one is not asked."""
    spans = changed("livekit", "llm_request", s.TIME_TO_FIRST_CHUNK, first)
    asked = [made for _, made in spans if any(one.key == s.TIME_TO_FIRST_CHUNK for one in made.attributes)]
    for made in asked if second is not None else []:
        made.attributes.append(KeyValue(key="lk.response.ttft", value=AnyValue(double_value=second)))
    rows = {row["span_id"]: row for row in rows_of(spans).to_pylist()}
    assert len(asked) >= 6
    assert [(rows[made.span_id][FIRST], rows[made.span_id]["quality"]) for made in asked] == [(found, rules)] * len(
        asked
    )


@pytest.mark.parametrize("value", [-1.0, 75.0])
def test_a_failed_call_breaks_its_own_rule_only(value: float) -> None:
    """What Pipecat gives as its first chunk is none, in range or not."""
    rows = rows_of(changed("pipecat", "llm", TTFB, value)).to_pylist()
    failed = [row for row in rows if row["name"] == "llm" and row["status"] == "error"]
    assert [(row[FIRST], row["quality"]) for row in failed] == [(None, ["llm_ttfb_of_error"])]
