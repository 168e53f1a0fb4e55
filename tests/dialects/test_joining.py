"""Spans of frameworks become turns: what comes late or never, what is nested, retried, handed over, begun too early.

The calls are the captures, with spans changed, lost or added; or, where a capture has no such thing, spans written by
hand after the framework's source.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_voicebot import semconv as s
from otel_voicebot.models import Engine
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.dialects.captured import Spans, derived, rows_of, spans_of, without
from tests.live.doors import Fed, latest

SECOND = 1_000_000_000
NOON = 1_770_000_000 * SECOND
Value = str | bool | int | float


def span(
    name: str, number: int, start: float, end: float, parent: int = 0, /, failed: bool = False, **attributes: Value
) -> tuple[str, Span]:
    """A LiveKit span, from and to seconds after noon; ``lk__speech_id`` is `lk.speech_id`."""
    made = Span(
        trace_id=b"t" * 16,
        span_id=number.to_bytes(8),
        parent_span_id=parent.to_bytes(8) if parent else b"",
        name=name,
        start_time_unix_nano=NOON + round(start * SECOND),
        end_time_unix_nano=NOON + round(end * SECOND),
    )
    if failed:
        made.status.code = 2
    for key, value in attributes.items():
        put(made, key.replace("__", "."), value)
    return "livekit-agents", made


def put(made: Span, key: str, value: Value) -> None:
    """Add an attribute."""
    kinds: dict[type, str] = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    made.attributes.append(KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value})))


def named(*names: str) -> Callable[[Span], bool]:
    """Whether a span has one of these names."""
    return lambda one: one.name in names


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Kind, outcome and gap of each turn in order."""
    return [(row["kind"], row["outcome"], row["response_gap_s"]) for row in rows]


@pytest.mark.parametrize("name", ["pipecat", "livekit"])
def test_a_root_that_never_comes_costs_no_turn(name: str, tmp_path: Path) -> None:
    """Without the conversation's span the turns are the same; the session says that it is not complete."""
    spans = without(spans_of(name), named("conversation", "agent_session"))
    rows, whole = derived(tmp_path / "a", rows_of(spans)), derived(tmp_path / "b", rows_of(spans_of(name)))
    assert brief(rows) == brief(whole)
    (session,) = derived(tmp_path / "a", model="sessions")
    assert (session["complete"], session["quality"]) == (False, ["no_session_span"])
    assert session["session_id"] == whole[0]["session_id"]


@pytest.mark.parametrize("name", ["pipecat", "livekit"])
def test_a_root_that_comes_ten_minutes_late_restates_nothing(name: str) -> None:
    """Live, the turns are counted as they come, and the session when its own span has come at last."""
    spans = spans_of(name)
    root = [one for one in spans if one[1].name in ("conversation", "agent_session")]
    fed = Fed({"idle_timeout_s": 1800})
    fed.live.add(rows_of(without(spans, named("conversation", "agent_session"))))
    counted = fed.after(3).total(s.TURNS)
    assert fed.after(600).total(s.SESSIONS) == 0
    fed.live.add(rows_of(root))
    fed.after(5)
    assert (fed.total(s.SESSIONS), fed.restated, fed.late) == (1, 0, 0)
    assert fed.rows("sessions")[next(iter(fed.rows("sessions")))]["complete"] is True
    assert counted >= fed.total(s.TURNS) - 1  # the last may be open until the end


def counts(fed: Fed) -> dict[str, dict[tuple[str, ...], tuple[float, list[int]]]]:
    """What each series of each metric says."""
    return {
        metric: {key: (one.total, one.counts.tolist()) for key, one in by_labels.items()}
        for metric, by_labels in fed.aggregator.read().items()
    }


@pytest.mark.parametrize("name", ["pipecat", "pipecat_1_0_0", "livekit"])
@pytest.mark.parametrize("wait", [600, 610, 3000])
def test_a_root_that_comes_after_the_idle_timeout_writes_a_revision(name: str, wait: int, tmp_path: Path) -> None:
    """By default a call is counted after ten minutes of silence, incomplete; its root makes the row whole after that.

    Nothing is counted again, metrics say that a row was restated, and the rows are those of a rebuild.
    """
    spans = sorted(spans_of(name), key=lambda one: one[1].end_time_unix_nano)
    root = [one for one in spans if one[1].name in ("conversation", "agent_session")]
    fed, before = Fed(), spans[0][1].end_time_unix_nano
    for one in without(spans, named("conversation", "agent_session")):
        fed.after((one[1].end_time_unix_nano - before) / SECOND)
        before = one[1].end_time_unix_nano
        fed.live.add(rows_of([one]))
    turns = fed.after(600).rows("turns")
    first = fed.given["sessions"][-1]
    assert (first["revision"], first["complete"], first["quality"]) == (1, False, ["no_session_span"])
    before_root = counts(fed)
    fed.after(wait - 600).live.add(rows_of(root))
    fed.after(5)
    expected = {table: latest(derived(tmp_path / table, rows_of(spans), model=table), table) for table in fed.given}
    assert {table: fed.rows(table) for table in fed.given} == expected
    last = fed.given["sessions"][-1]
    assert (last["revision"], last["complete"], last["quality"]) == (2, True, [])
    changed = sum(turns[key] != row for key, row in fed.rows("turns").items())
    assert (fed.total(s.RESTATED, "session"), fed.total(s.RESTATED, "turn"), fed.late) == (1, changed, 1)
    assert {metric for metric, found in counts(fed).items() if found != before_root.get(metric)} == {s.RESTATED.name}


def test_a_turn_whose_span_never_comes_is_what_its_children_say(tmp_path: Path) -> None:
    """Pipecat's third turn is lost: its stt, llm and tts share a parent, and are a turn that says so."""
    spans = spans_of("pipecat")
    lost = [one for _, one in spans if one.name == "turn"][2]
    rows = derived(tmp_path, rows_of(without(spans, lambda one: one.span_id == lost.span_id)))
    assert len(rows) == 10
    assert rows[2]["quality"] == ["no_turn_span"]
    assert (rows[2]["gap_source"], rows[2]["tool_calls"]) == ("derived", 1)
    assert rows[2]["response_gap_s"] == pytest.approx(2.428, abs=0.001)
    assert rows[2]["interrupted"] is None
    fed = Fed()
    fed.live.add(rows_of(without(spans, lambda one: one.span_id == lost.span_id)))
    assert fed.after(700).total(s.TURNS) == 9


def lose(made: Span, *keys: str) -> None:
    """Take attributes away."""
    kept = [pair for pair in made.attributes if not pair.key.startswith(keys)]
    del made.attributes[:]
    made.attributes.extend(kept)


USAGE, CACHED = "gen_ai.usage", "gen_ai.usage.cache_read"
SERVICE = ("gen_ai.request.model", "gen_ai.provider.name")


@pytest.mark.parametrize(
    ("outer", "inner"),
    [((), ()), ((USAGE,), ()), ((), (USAGE,)), ((CACHED,), ("gen_ai.usage.output",)), ((*SERVICE, USAGE, "error"), ())],
    ids=["both tell all", "usage metrics off", "the client tells none", "each tells some", "only the client tells"],
)
def test_tokens_and_errors_count_once_with_the_official_instrumentation_inside(
    outer: tuple[str, ...], inner: tuple[str, ...], tmp_path: Path
) -> None:
    """Under each of Pipecat's model calls stands one of the OpenAI client; what either tells is counted, once.

    In turns, sessions, sections, costs and metrics; live as in batch.
    """
    spans, inside = spans_of("pipecat"), []
    for _, one in spans:
        if one.name == "llm" and one.status.code:
            lose(one, "metrics.ttfb")  # of a call that failed it is no first chunk, which nobody could tell below
    alone = rows_of(spans)
    for number, (_, one) in enumerate(spans):
        if one.name == "llm":
            made = copy.deepcopy(one)
            made.span_id, made.parent_span_id, made.name = (number + 1).to_bytes(8), one.span_id, "chat gpt-4.1"
            lose(made, *inner)
            inside.append(("opentelemetry.instrumentation.genai.openai", made))
            lose(one, *outer)
            if "error" in outer:
                one.ClearField("status")
                del one.events[:]
    models = ("turns", "sessions", "operations", "components", "errors", "cost_by_model", "kpis", "segments")
    found: list[dict[str, Any]] = []
    for rows in (alone, rows_of(spans + inside)):
        fed = Fed()
        fed.live.add(rows)
        fed.after(700)
        live = {metric.name: fed.aggregator.read().get(metric.name, {}) for metric in (s.ERRORS, s.TOKENS, s.COST)}
        totals = {(name, *key): one.total for name, series in live.items() for key, one in series.items()}
        found.append({"live": totals, "live turns": fed.rows("turns")})
        SpanStore(data := tmp_path / str(rows.num_rows)).commit([rows])
        with Engine(snapshot(data)) as engine:
            found[-1] |= {model: sorted(map(repr, engine.table(model).to_pylist())) for model in models}
    assert found[1] == found[0]
    assert (fed.total(s.ERRORS), fed.restated) == (1, 0)
    assert fed.total(s.TOKENS, "input") == sum(row["input_tokens"] or 0 for row in fed.rows("turns").values()) == 1692
    assert fed.total(s.COST) > 0


def test_retries_count_once(tmp_path: Path) -> None:
    """Four attempts of LiveKit's model call and four of its synthesis are one failed operation each."""
    rows = derived(tmp_path, rows_of(spans_of("livekit")))
    failed = [
        (row["turn_index"], row["errors"], row["abandon_reason"]) for row in rows if row["outcome"] == "abandoned"
    ]
    assert failed == [(6, 1, "error"), (10, 1, "error")]


def preemptive() -> Spans:
    """The reply is begun before the caller's turn is committed; a first attempt is thrown away."""
    return [
        span("agent_session", 1, 0, 20),
        span("user_turn", 2, 1, 3.5, 1, lk__transcription_delay=0.3),
        span("eou_wait", 3, 3, 3.5, 2, lk__eou__outcome="committed", lk__eou__wait_duration=0.5),
        span("agent_turn", 4, 3.2, 8, 1, lk__speech_id="a", lk__e2e_latency=1.1, lk__end_of_turn_delay=0.5),
        span("llm_node", 5, 3.2, 3.3, 4),
        span("llm_request", 6, 3.2, 3.3, 5, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=10),
        span("llm_node", 7, 3.3, 4, 4, lk__response__ttft=0.2),
        span("llm_request", 8, 3.3, 4, 7, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=12),
        span("tts_node", 9, 3.7, 6, 4, lk__response__ttfb=0.3),
        span("tts_request", 11, 3.7, 6, 9),
        span("agent_speaking", 10, 4.1, 8, 4),
    ]


def test_preemptive_generation_is_one_exchange_and_costs_both_attempts(tmp_path: Path) -> None:
    """The agent_turn that starts before the user_turn ends answers it; both attempts were paid for."""
    (row,) = derived(tmp_path, rows_of(preemptive()))
    assert (row["outcome"], row["response_gap_s"], row["gap_source"]) == ("answered", 1.1, "reported")
    assert row["response_gap_derived_s"] == pytest.approx(1.1)
    assert (row["input_tokens"], row["llm_first_token_s"], row["quality"]) == (22, 0.2, [])


def test_a_greeting_while_the_caller_speaks_is_no_answer(tmp_path: Path) -> None:
    """Of two replies within one caller's turn the one with a delay since the end of speech answers it."""
    spans = [
        *preemptive(),
        span("agent_turn", 20, 1.2, 2.5, 1, lk__speech_id="hello"),
        span("agent_speaking", 21, 1.5, 2.5, 20),
    ]
    rows = derived(tmp_path, rows_of(spans))
    assert brief(rows) == [("exchange", "answered", 1.1), ("greeting", None, None)]


def test_a_tool_round_before_1_8_is_one_exchange(tmp_path: Path) -> None:
    """LiveKit 1.6 opens an agent_turn for each model call: those of one speech are one reply, without eou_wait."""
    spans = [
        span("agent_session", 1, 0, 20),
        span("user_turn", 2, 1, 3.5, 1, lk__end_of_turn_delay=0.5),
        span("user_speaking", 3, 1, 3, 2),
        span("agent_turn", 4, 3.5, 5, 1, lk__speech_id="a"),
        span("llm_node", 5, 3.5, 4, 4, lk__response__ttft=0.2),
        span("llm_request", 6, 3.5, 4, 5, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=10),
        span("function_tool", 7, 4, 4.5, 4, gen_ai__operation__name="execute_tool"),
        span("agent_turn", 8, 5, 9.1, 1, lk__speech_id="a", lk__e2e_latency=3.1),
        span("llm_node", 9, 5, 5.5, 8, lk__response__ttft=0.3),
        span("llm_request", 10, 5, 5.5, 9, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=12),
        span("tts_node", 11, 5.5, 7, 8, lk__response__ttfb=0.3),
        span("agent_speaking", 12, 6.1, 9, 8),
    ]
    (row,) = derived(tmp_path, rows_of(spans))
    assert (row["outcome"], row["response_gap_s"], row["tool_calls"]) == ("answered", 3.1, 1)
    assert (row["input_tokens"], row["llm_first_token_s"]) == (22, 0.2)
    fed = Fed()
    for one in sorted(spans, key=lambda one: one[1].end_time_unix_nano):
        fed.live.add(rows_of([one]))
        fed.after(3)
    assert (fed.after(700).total(s.TURNS, "answered"), fed.restated) == (1, 0)


def spoken(number: int, start: float, end: float, /, parent: int, characters: int, audio: float) -> Spans:
    """A request to a synthesiser, with its own attempt inside, as LiveKit writes it of each sentence."""
    metrics = json.dumps({"ttfb": 0.2, "audio_duration": audio, "characters_count": characters})
    return [
        span("tts_request", number, start, end, parent, lk__tts__streaming=False, lk__tts_metrics=metrics),
        span("tts_request_run", number + 1, start, end, number, lk__retry_count=0),
    ]


@pytest.mark.parametrize("adapter", ["tts_stream_adapter", "tts_fallback_adapter"])
def test_what_an_adapter_says_before_1_8_is_counted(adapter: str, tmp_path: Path) -> None:
    """LiveKit 1.3 to 1.6: an adapter's attempt holds the requests of all sentences, and only they have the numbers.

    No capture has it. Read off livekit-agents 1.6.4, tts/tts.py and tts/stream_adapter.py: the adapter's own
    `_main_task` opens `tts_request_run`, and in it each sentence's stream opens `tts_request`, which gets the metrics.
    """
    spans = [
        span("agent_session", 1, 0, 20),
        span("user_turn", 2, 1, 3.5, 1, lk__end_of_turn_delay=0.5),
        span("agent_turn", 4, 3.5, 9, 1, lk__speech_id="a", lk__e2e_latency=1.5),
        span("tts_node", 5, 4, 7, 4, lk__response__ttfb=0.3),
        span(adapter, 6, 4, 7, 5, lk__tts__streaming=True),
        span("tts_request_run", 7, 4, 7, 6, lk__retry_count=0),
        *spoken(8, 4, 5, parent=7, characters=25, audio=1.5),
        *spoken(10, 5, 6.5, parent=7, characters=38, audio=2.25),
        span("agent_speaking", 12, 4.5, 8.5, 4),
    ]
    rows = rows_of(spans)
    (row,) = derived(tmp_path, rows)
    assert (row["characters"], row["tts_first_audio_s"], row["tts_s"], row["errors"]) == (63, 0.3, 2.5, 0)
    said = [one for one in rows.to_pylist() if one["audio_s"] is not None]
    assert [(one["component"], one["audio_s"]) for one in said] == [("tts", 1.5), ("tts", 2.25)]


def test_what_an_adapter_of_1_2_does_not_say_is_what_the_requests_in_it_say(tmp_path: Path) -> None:
    """LiveKit 1.2: an adapter's span has the name of the requests in it and none of their numbers; it is one operation.

    No capture has it.
    """
    spans = [
        span("agent_session", 1, 0, 20),
        span("agent_turn", 4, 3.5, 9, 1, lk__speech_id="a"),
        span("tts_node", 5, 4, 7, 4),
        span("tts_request", 6, 4, 7, 5, lk__tts__streaming=True),
        span("tts_request_run", 7, 4, 7, 6, lk__retry_count=0),
        *spoken(8, 4, 5, parent=7, characters=25, audio=1.5),
        *spoken(10, 5, 6.5, parent=7, characters=38, audio=2.25),
        span("agent_speaking", 12, 4.5, 8.5, 4),
    ]
    (row,) = derived(tmp_path, rows_of(spans))
    assert (row["characters"], row["operations"], row["tts_s"]) == (63, 1, 3.0)
    (one,) = derived(tmp_path, model="operations")
    assert (one["characters"], one["audio_s"], one["failed"]) == (63, 3.75, False)


def test_tokens_behind_a_fallback_before_1_8_are_counted(tmp_path: Path) -> None:
    """LiveKit 1.3 to 1.6: the adapter's attempt holds the model's own request, and only that one has the tokens.

    No capture has it; read off livekit-agents 1.6.4, llm/llm.py and llm/fallback_adapter.py.
    """
    metrics = json.dumps({"ttft": 0.2, "prompt_tokens": 40, "completion_tokens": 5})
    spans = [
        span("agent_session", 1, 0, 20),
        span("agent_turn", 4, 3.5, 9, 1, lk__speech_id="a"),
        span("llm_node", 5, 4, 7, 4),
        span("llm_fallback_adapter", 6, 4, 7, 5),
        span("llm_request_run", 7, 4, 7, 6, lk__retry_count=0),
        span("llm_request", 8, 4, 5, 7, lk__llm_metrics=metrics),
        span("llm_request_run", 9, 4, 5, 8, lk__retry_count=0),
        span("agent_speaking", 12, 4.5, 8.5, 4),
    ]
    (row,) = derived(tmp_path, rows_of(spans))
    assert (row["input_tokens"], row["output_tokens"], row["operations"], row["llm_first_token_s"]) == (40, 5, 1, 0.2)


def test_a_slow_recogniser_without_a_delay_has_its_gap_from_the_framework(tmp_path: Path) -> None:
    """Pipecat's stt span lacks metrics.ttfb when the transcript is slow: t0 is first audio minus the reported gap."""
    spans = spans_of("pipecat")
    for _, one in spans:
        if one.name == "stt":
            kept = [pair for pair in one.attributes if pair.key != "metrics.ttfb"]
            del one.attributes[:]
            one.attributes.extend(kept)
    rows = derived(tmp_path, rows_of(spans))
    assert [row["gap_source"] for row in rows if row["outcome"] == "answered"] == ["reported"] * 8
    abandoned = rows[7]
    assert (abandoned["outcome"], abandoned["response_gap_s"]) == ("abandoned", None)
    assert "lower_bound" in abandoned["quality"]
    assert abandoned["wait_s"] == pytest.approx(45.4048 - 40.7660, abs=0.001)


def test_a_close_reason_is_the_sessions(tmp_path: Path) -> None:
    """LiveKit says it on session_close; an error means that the call failed."""
    (session,) = derived(tmp_path / "a", rows_of(spans_of("livekit")), model="sessions")
    assert (session["end_reason"], session["outcome"], session["complete"]) == ("user_initiated", "unknown", True)
    spans = [*preemptive(), span("session_close", 30, 19, 20, 1, lk__close_reason="error")]
    (session,) = derived(tmp_path / "b", rows_of(spans), model="sessions")
    assert (session["end_reason"], session["outcome"]) == ("error", "failed")


def test_interruptions_that_are_unknown_are_in_no_rate(tmp_path: Path) -> None:
    """Pipecat flags the goodbye as interrupted: 2 of the 8 replies of which it is known were."""
    rows = derived(tmp_path, rows_of(spans_of("pipecat")), model="kpis")
    (rate,) = [row for row in rows if row["name"] == "interruption_rate"]
    assert (rate["numerator"], rate["denominator"], rate["excluded"]) == (2, 8, 1)
