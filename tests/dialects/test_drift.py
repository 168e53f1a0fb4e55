"""What a known framework writes that its table doesn't have is counted by name."""

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_voicebot import semconv
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from tests.dialects.frameworks import payload
from tests.processors.batches import Made, batch
from tests.test_content import SAID, WORD

SPANS, ATTRIBUTES = semconv.SELF_UNKNOWN_SPANS, semconv.SELF_UNKNOWN_ATTRIBUTES


def counted(*spans: Made) -> SelfMetrics:
    """The counters after these spans."""
    metrics = SelfMetrics()
    prepare(batch(*spans), Policy(), metrics, "test", 0)
    return metrics


def test_unknown_span_names_and_attributes_are_counted_by_name() -> None:
    """Each as often as it came, under its framework; what the table has is not counted, nor what is ours."""
    metrics = counted(
        *[Made("tts2", {"metrics.ttfb": 0.1, "metrics2.ttfb": 0.2, semconv.BOT: "b"}, scope="pipecat")] * 3,
        Made("llm", {"metrics2.ttfb": 0.2, "settings.whatever": 1, "error.type": "x"}, scope="pipecat"),
        Made("agent_turn", {"metrics2.ttfb": 0.2, "lk.new_delay": 1.0}, scope="livekit-agents"),
    )
    assert {key: count for key, count in metrics.read().items() if key[0] in (SPANS.name, ATTRIBUTES.name)} == {
        (SPANS.name, "pipecat/tts2"): 3,
        (ATTRIBUTES.name, "pipecat/metrics2.ttfb"): 4,
        (ATTRIBUTES.name, "livekit/metrics2.ttfb"): 1,
        (ATTRIBUTES.name, "livekit/lk.new_delay"): 1,
    }


def test_spans_that_users_put_their_attributes_on_are_not_drift() -> None:
    """Pipecat's `additional_span_attributes` stand on the conversation; other libraries' spans have no table."""
    metrics = counted(
        Made("conversation", {"customer.tier": "gold"}, scope="pipecat.turn"),
        Made("x", {"gen_ai.operation.name": "chat", "own": 1}, scope="someone"),
    )
    assert not [key for key in metrics.read() if key[0] in (SPANS.name, ATTRIBUTES.name)]


def test_of_client_libraries_only_names_of_the_convention_are_drift() -> None:
    """Their spans are called what their users like, and carry what these like."""
    scope = "opentelemetry.instrumentation.genai.openai"
    metrics = counted(
        Made("chat m", {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.video_tokens": 1, "order.id": 1}, scope=scope),
        Made("anything", {"llm.input_messages.7.message.content": "x", "llm.cost.total": 0.1}, scope="openinference.x"),
        Made("anything", {"llm.input_messages.7.message.colour": "x", "order.id": 1}, scope="openinference.x"),
    )
    assert {key: count for key, count in metrics.read().items() if key[0] in (SPANS.name, ATTRIBUTES.name)} == {
        (ATTRIBUTES.name, "genai/gen_ai.usage.video_tokens"): 1,
        (ATTRIBUTES.name, "openinference/llm.input_messages.7.message.colour"): 1,
    }


def test_names_are_shown_as_if_texts_were_withheld() -> None:
    """A sentence as name is its length, also with content capture on."""
    metrics = SelfMetrics()
    made = batch(Made(SAID, {SAID: 1, f"{SAID} too": 2}, scope="pipecat"))
    prepare(made, Policy(capture_content=True), metrics, "test", 0)
    assert not [label for _, label in metrics.read() if WORD in label]
    assert metrics.get(SPANS, f"pipecat/(withheld, {len(SAID)} characters)") == 1


def test_names_that_somebody_makes_up_don_t_fill_the_memory() -> None:
    """Beyond a thousand they are counted together."""
    metrics = counted(*(Made(f"name{number}", scope="pipecat") for number in range(3000)))
    assert metrics.get(SPANS, semconv.OVERFLOW) >= 2000
    assert len(metrics.read()) <= 1005


def test_a_renamed_attribute_shows_and_breaks_nothing_else() -> None:
    """In a copy of a capture: the column is empty, the name is counted, all else is as it was."""
    raw = TracesData.FromString(payload("pipecat"))
    before = prepare(decode(payload("pipecat")), Policy(), SelfMetrics(), "test", 0)
    for resource in raw.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for attribute in span.attributes:
                    if attribute.key == "turn.user_bot_latency_seconds":
                        attribute.key = "turn.latency_seconds"
    metrics = SelfMetrics()
    after = prepare(decode(raw.SerializeToString()), Policy(), metrics, "test", 0)
    assert metrics.get(ATTRIBUTES, "pipecat/turn.latency_seconds") == 8
    assert after["reported_gap_s"].null_count == len(after)
    left = [name for name in before.schema.names if name not in ("reported_gap_s", "attributes_typed")]
    assert after.select(left).equals(before.select(left))
