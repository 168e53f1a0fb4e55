"""The waits of the captures, cut: against golden tables whose values are worked out without the package."""

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from tests.dialects.captured import copied, derived, rows_of, spans_of
from tests.dialects.golden import DATA, read_capture

CAPTURES = ("pipecat", "pipecat_1_0_0", "livekit")
MICROSECOND = 1e-6
# Pipecat's turn 3 and LiveKit's turn 3, by hand from the printed spans: ms after the caller's end of speech
PIPECAT_TOOL = [
    ("endpointing", 800.3),
    ("llm_first_token", 312.4),
    ("llm_speakable", 22.9),
    ("tool", 402.8),
    ("llm_first_token", 305.2),
    ("llm_speakable", 169.6),
    ("orchestration", 3.3),
    ("tts_first_audio", 411.9),
    ("playout_start", 5.5),
]
LIVEKIT_TOOL = [
    ("endpointing", 500.8),
    ("orchestration", 2.2),
    ("llm_first_token", 346.2),
    ("llm_speakable", 34.7),
    ("tool", 659.8),
    ("orchestration", 3.1),
    ("llm_first_token", 370.1),
    ("llm_speakable", 174.6),
    ("orchestration", 0.1),
    ("tts_first_audio", 289.9),
    ("playout_start", 0.4),
]
ABANDONED = {
    ("pipecat", 8): [("endpointing", 0.80), ("llm_first_token", 1.58), ("unattributed", 2.62)],
    ("livekit", 6): [("endpointing", 0.50), ("llm_first_token", 4.59), ("unattributed", 3.91)],
    ("livekit", 10): [
        *(("endpointing", 0.50), ("llm_first_token", 0.31), ("llm_speakable", 0.11)),
        *(("tts_first_audio", 5.02), ("unattributed", 6.05)),
    ],
}


def waits(name: str) -> list[dict[str, Any]]:
    """The golden waits of a capture."""
    found: list[dict[str, Any]] = json.loads((DATA / "golden" / "segments" / f"{name}.json").read_text())["waits"]
    return found


def cut(data: Path, name: str, *, seed: int | None = None) -> dict[int, dict[str, Any]]:
    """The turns of a capture that have segments, by index; of a copy with new ids, order and time where seeded."""
    spans = spans_of(name) if seed is None else copied(spans_of(name), seed)
    return {turn["turn_index"]: turn for turn in derived(data, rows_of(spans)) if turn["segments"] is not None}


@pytest.mark.parametrize("name", CAPTURES)
def test_golden_segments_stand_in_the_capture(name: str) -> None:
    """Each boundary's source gives, by itself, the length that the golden table says."""
    capture = read_capture(name)
    for wait in waits(name):
        begin = at = capture.evaluate(wait["begin"])
        for part in wait["segments"]:
            until = capture.evaluate(part["until"])
            assert float(until - at) * 1000 == pytest.approx(part["ms"], abs=0.0006)
            assert part["span"] is None or part["span"] in capture.spans
            at = until
        assert float(at - begin) == pytest.approx(wait["s"], abs=MICROSECOND)


@pytest.mark.parametrize("name", CAPTURES)
def test_segments_are_the_golden_ones(name: str, tmp_path: Path) -> None:
    """Segment, owner, span and length of each part of each wait, and nothing else is cut."""
    found, golden = cut(tmp_path, name), waits(name)
    assert list(found) == [wait["index"] for wait in golden]
    for wait in golden:
        turn = found[wait["index"]]
        assert turn["outcome"] == wait["outcome"]
        shown = [(part["segment"], part["owner"], part["span_id"]) for part in turn["segments"]]
        assert shown == [(part["segment"], part["owner"], part["span"]) for part in wait["segments"]]
        lengths = [part["duration_s"] * 1000 for part in turn["segments"]]
        assert lengths == pytest.approx([part["ms"] for part in wait["segments"]], abs=0.002)


@pytest.mark.parametrize("name", CAPTURES)
def test_the_parts_add_up_to_the_frameworks_own_gap(name: str, tmp_path: Path) -> None:
    """Of answered waits to the reported gap, of abandoned ones to the wait: within a microsecond."""
    for turn in cut(tmp_path, name).values():
        whole = turn["response_gap_s"] if turn["outcome"] == "answered" else turn["wait_s"]
        assert sum(part["duration_s"] for part in turn["segments"]) == pytest.approx(whole, abs=MICROSECOND)
        if turn["outcome"] == "answered":
            assert not [part for part in turn["segments"] if part["segment"] == "unattributed"]


@pytest.mark.parametrize(("name", "expected"), [("pipecat", PIPECAT_TOOL), ("livekit", LIVEKIT_TOOL)])
def test_a_tool_exchange_is_cut_as_by_hand(name: str, expected: list[tuple[str, float]], tmp_path: Path) -> None:
    """To the tenth of a millisecond; pauses beside a hook of the bot's code count as one."""
    merged: list[list[Any]] = []
    for part in cut(tmp_path, name)[3]["segments"]:
        if merged and merged[-1][0] == part["segment"] == "orchestration":
            merged[-1][1] += part["duration_s"] * 1000
        else:
            merged.append([part["segment"], part["duration_s"] * 1000])
    assert [segment for segment, _ in merged] == [segment for segment, _ in expected]
    assert [ms for _, ms in merged] == pytest.approx([ms for _, ms in expected], abs=0.1)


@pytest.mark.parametrize(("name", "index"), ABANDONED)
def test_abandoned_waits_of_the_captures(name: str, index: int, tmp_path: Path) -> None:
    """A failed model or voice has its time, what follows it belongs to nobody; 5.00, 9.00 and 12.01 s."""
    turn = cut(tmp_path, name)[index]
    assert (turn["outcome"], turn["abandon_reason"], turn["response_gap_s"]) == ("abandoned", "error", None)
    sums: dict[str, float] = {}
    for part in turn["segments"]:
        sums[part["segment"]] = sums.get(part["segment"], 0) + part["duration_s"]
    assert turn["wait_s"] == pytest.approx({8: 5.00, 6: 9.00, 10: 12.015}[index], abs=0.005)
    orchestration = sums.pop("orchestration", 0)
    assert orchestration < 0.02
    assert sums == pytest.approx(dict(ABANDONED[name, index]), abs=0.006)


@pytest.mark.parametrize("name", CAPTURES)
def test_order_ids_and_time_change_no_segment(name: str, tmp_path: Path) -> None:
    """A copy with new ids, in another order, at another time, is cut at the same places."""

    def shown(turns: dict[int, dict[str, Any]]) -> list[list[tuple[Any, ...]]]:
        keys = ("segment", "owner", "owner_kind", "provider", "model", "duration_s", "detail")
        return [[tuple(part[key] for key in keys) for part in turn["segments"]] for turn in turns.values()]

    assert shown(cut(tmp_path / "copy", name, seed=7)) == shown(cut(tmp_path / "capture", name))


def test_pipecats_setting_tells_what_slow_recognition_took(tmp_path: Path) -> None:
    """With the setting on the spans the deliberate wait ends 0.3 s after the caller, the transcript came at 0.36 s."""
    spans = spans_of("pipecat")
    for _, span in spans:
        span.attributes.add(key="voicebot.endpointing.delay").value.double_value = 0.3
    turn = next(one for one in derived(tmp_path, rows_of(spans)) if one["turn_index"] == 3)
    shown = [(part["segment"], round(part["duration_s"], 3)) for part in turn["segments"][:3]]
    assert shown == [("endpointing", 0.3), ("stt_tail", 0.061), ("endpointing", 0.439)]
    assert turn["segments"][1]["owner"] == "openai/gpt-transcribe"


@pytest.mark.parametrize(
    ("wait_ms", "before_ms", "slow"),
    [(300, 19, True), (300, 21, False), (800, 38, True), (800, 42, False), (2300, 98, True), (2300, 102, False)],
)
def test_the_decision_waited_for_a_transcript_that_came_right_before_it(
    wait_ms: int, before_ms: int, slow: bool, tmp_path: Path
) -> None:
    """Within a twentieth of the time up to it, 20 to 100 ms: the recogniser's. Earlier: a silence's, so a setting's."""
    spans = spans_of("pipecat")
    found = {span.span_id.hex(): span for _, span in spans}
    stt, model = found["6f59b33249b5a76a"], found["9a924ea7f5dcd7e0"]
    stt.end_time_unix_nano = model.start_time_unix_nano - before_ms * 1_000_000
    delay = next(one for one in stt.attributes if one.key == "metrics.ttfb")
    delay.value.double_value = (wait_ms - before_ms) / 1000
    turn = next(one for one in derived(tmp_path, rows_of(spans)) if one["turn_index"] == 3)
    shown = [(part["segment"], round(part["duration_s"] * 1000)) for part in turn["segments"]]
    expected = [("stt_tail", wait_ms - before_ms), ("endpointing", before_ms)] if slow else [("endpointing", wait_ms)]
    assert shown[: len(expected)] == expected
    assert {segment for segment, _ in shown[len(expected) :]}.isdisjoint({"stt_tail", "endpointing"})


@pytest.mark.parametrize(("said", "expected"), [("0.3", 0.3), ("soon", 0.8)])
def test_the_setting_may_stand_on_the_resource(said: str, expected: float, tmp_path: Path) -> None:
    """As a text, which is what ``OTEL_RESOURCE_ATTRIBUTES`` makes of it; what is no number says nothing."""
    request = ExportTraceServiceRequest()
    request.ParseFromString((DATA / "captures" / "pipecat.otlp.pb").read_bytes())
    for resource in request.resource_spans:
        resource.resource.attributes.add(key="voicebot.endpointing.delay").value.string_value = said
    found = prepare(decode(request.SerializeToString()), Policy(), SelfMetrics(), "otlp", 0)
    turn = next(one for one in derived(tmp_path, found) if one["turn_index"] == 3)
    assert turn["segments"][0]["duration_s"] == pytest.approx(expected, abs=0.001)


def test_a_frameworks_own_figures_stand_beside_the_segments(tmp_path: Path) -> None:
    """LiveKit's delay to the decision and first token agree with ours to 15 ms; so does the voice's first audio."""
    found = derived(tmp_path, rows_of(spans_of("livekit")), model="breakdowns")
    parts: dict[str, list[float]] = {}
    for row in found:
        assert row["difference_s"] == row["segments_s"] - row["framework_s"]
        parts.setdefault(row["part"], []).append(row["difference_s"])
    assert sorted(parts) == ["decision", "llm_first_token", "response_gap", "tts_first_audio"]
    assert max(abs(one) for ones in parts.values() for one in ones) < 0.015
    assert len(parts["decision"]) == 8
