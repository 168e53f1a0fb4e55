"""Values out of their range become no column."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from opentelemetry.sdk.trace import Event

from otel_voicebot import semconv
from otel_voicebot.processors.ranges import CHOICES, RANGES, with_rules
from otel_voicebot.spans.schema import SPANS
from tests.processors.test_normalise import EVERY_COLUMN, normalised, span

OWN = {column: bounds for column, bounds in RANGES.items() if column in EVERY_COLUMN}
OUTSIDE = {column: [low - 1, high + 1] for column, (low, high) in OWN.items()}
CASES = [(column, EVERY_COLUMN[column][0], value) for column, found in OUTSIDE.items() for value in found] + [
    ("confidence", semconv.INTENT_CONFIDENCE, 100.0),
    ("csat", semconv.CSAT, 2**62),
    ("mos", semconv.MOS, 0.999),
    ("outcome", semconv.SESSION_OUTCOME, "committed"),
    ("outcome", semconv.SESSION_OUTCOME, "great"),
    ("outcome", semconv.ENDPOINTING_OUTCOME, "resolved"),
    ("handoff_requested_by", semconv.HANDOFF_REQUESTED_BY, "nobody"),
]


@pytest.mark.parametrize(("column", "key", "value"), CASES)
def test_what_is_out_of_range_stays_an_attribute_and_is_named(column: str, key: str, value: Any) -> None:
    """Also between spans whose values are in range, which keep theirs."""
    good = span(attributes=dict(EVERY_COLUMN.values()))
    before, row, after = normalised(good, span(attributes={key: value}), good)
    assert (row[column], row["quality"]) == (None, [f"{column}_out_of_range"])
    assert key in {**row["attributes"], **row["attributes_typed"]}
    for other in (before, after):
        assert (other[column], other["quality"]) == (EVERY_COLUMN[column][1], [])


@pytest.mark.parametrize(("column", "bounds"), OWN.items())
def test_the_bounds_themselves_are_in_range(column: str, bounds: tuple[float, float]) -> None:
    """As integers and as doubles."""
    for bound in bounds:
        for value in (int(bound), float(bound)):
            (row,) = normalised(span(attributes={EVERY_COLUMN[column][0]: value}))
            assert (row[column], row["quality"]) == (bound, [])


@pytest.mark.parametrize(("key", "choices"), CHOICES.items())
def test_each_word_of_a_choice_is_taken(key: str, choices: tuple[str, ...]) -> None:
    """The outcomes of sessions and endpointing, and who asked for a handoff."""
    for word in choices:
        (row,) = normalised(span(attributes={key: word}))
        assert (word in row.values(), row["quality"], row["attributes"]) == (True, [], {})


OF_FRAMEWORKS = {
    "transcription_delay_s": ("stt", "metrics.ttfb", "pipecat"),
    "endpointing_delay_s": ("user_turn", "lk.end_of_turn_delay", "livekit-agents"),
}


@pytest.mark.parametrize("value", [75.0, 1e9, -1.0])
@pytest.mark.parametrize("column", OF_FRAMEWORKS)
def test_a_framework_s_stage_of_over_a_minute_is_set_aside(column: str, value: float) -> None:
    """As the models do with those that spans' times say; LiveKit's negative ones say that it doesn't know."""
    name, key, scope = OF_FRAMEWORKS[column]
    good, row = normalised(*(span(name, {key: one}, scope=scope) for one in (0.5, value)))
    assert (good[column], good["quality"]) == (0.5, [])
    unknown = value < 0 and scope == "livekit-agents"
    assert (row[column], row["quality"]) == (None, [] if unknown else [f"{column}_out_of_range"])


def test_every_ranged_column_is_one_of_spans() -> None:
    """So that no rule is for nothing."""
    assert set(RANGES) <= set(SPANS.names)
    assert set(RANGES) == {*OWN, *OF_FRAMEWORKS}
    assert set(CHOICES) <= set(semconv.ATTRIBUTES)


def test_a_second_attribute_in_range_fills_the_column() -> None:
    """The rule is named once, however many values break it, behind those that the span broke before."""
    (row,) = normalised(span(attributes={semconv.STT_CONFIDENCE: 7.0, semconv.INTENT_CONFIDENCE: 0.5}))
    assert (row["confidence"], row["quality"]) == (0.5, ["confidence_out_of_range"])
    both = {semconv.STT_CONFIDENCE: 7.0, semconv.INTENT_CONFIDENCE: -1.0, semconv.MOS: 9.0}
    first, second = normalised(span(), span(attributes=both))
    assert first["quality"] == []
    assert sorted(second["quality"]) == ["confidence_out_of_range", "mos_out_of_range"]
    assert with_rules(pa.array([["old"], [], None]), {"new": np.array([True, True, False])}).to_pylist() == [
        ["old", "new"],
        ["new"],
        [],
    ]


def test_values_of_other_libraries_break_no_rule() -> None:
    """What isn't read isn't judged."""
    (row,) = normalised(span("GET", {semconv.MOS: 99.0}, scope="urllib"))
    assert (row["mos"], row["quality"]) == (None, [])


def test_an_answer_out_of_range_on_an_event_does_not_count() -> None:
    """The last in range does."""
    events = [Event(semconv.FEEDBACK, {semconv.CSAT: score, semconv.NPS: -1}, at) for at, score in ((1, 4), (2, 500))]
    _, row = normalised(span(), span(events=events))
    assert (row["csat"], row["nps"]) == (4, None)
    assert sorted(row["quality"]) == ["csat_out_of_range", "nps_out_of_range"]
    assert "500" in row["events"][1]["attributes"]


@pytest.mark.parametrize(("at", "value"), [(61_000_000_000, None), (999, None), (500_001_000, 0.5)])
def test_a_first_chunk_that_an_event_tells_is_judged_too(at: int, value: float | None) -> None:
    """Over a minute after the span's start at 1 us, or before it; not where an attribute says it."""
    chunk = [Event("First Token Stream Event", {}, at)]
    scope = "openinference.instrumentation.openai"
    row, other = normalised(
        span("ChatCompletion", scope=scope, events=chunk),
        span("ChatCompletion", {semconv.TIME_TO_FIRST_CHUNK: 0.25}, events=chunk),
    )
    rules = [] if value else ["time_to_first_chunk_s_out_of_range"]
    assert (row["time_to_first_chunk_s"], row["quality"]) == (value, rules)
    assert (other["time_to_first_chunk_s"], other["quality"]) == (0.25, [])
