"""Sections that are computed on request, over the twelve calls: each number can be counted in their tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.errors import UsageError
from otel_voicebot.models.targets import DEFAULTS, Targets, as_rows, cache_rows, read_targets
from otel_voicebot.reports.sections import ON_REQUEST, section
from tests.models.calls import NOON, Row, engine, span
from tests.models.twelve import opened

Cells = list[tuple[Any, ...]]


def cells(store: Path, name: str, columns: str, **options: Any) -> Cells:
    """These columns of a section's model."""
    wanted = ON_REQUEST[name]
    with opened(store, brief=not wanted.whole, **options) as models:
        found = models.table(wanted.model)
    return [tuple(row[column] for column in columns.split()) for row in found.to_pylist()]


def near(rows: Cells) -> Any:
    """The same; floats to twelve digits."""
    return [tuple(pytest.approx(one, rel=1e-12) if isinstance(one, float) else one for one in row) for row in rows]


def test_costs_by_model(twelve: Path) -> None:
    """Each service's operations, those with a price, their sum and the mean of the priced."""
    assert cells(twelve, "costs", "component model operations priced cost_usd cost_per_operation_usd") == near(
        [
            ("telephony", "phone", 11, 11, 0.0955, 0.0955 / 11),
            ("stt", "nova-3", 14, 14, 0.028, 0.002),
            ("llm", "gpt-4o-mini", 13, 12, 0.0144, 0.0012),
            ("tts", "flash_v2_5", 13, 13, 0.013, 0.001),
            ("llm", "house-1", 1, 0, None, None),
        ]
    )


def test_costs_by_call_add_up(twelve: Path) -> None:
    """Every call has its cost and its priced share; together they are the KPI."""
    found = {row[0]: row[1:] for row in cells(twelve, "cost_by_session", "session_id cost_usd priced operations")}
    assert sum(row[0] for row in found.values()) == pytest.approx(0.1509)
    # s09: a line for 3 s; s10: a voice, a recogniser, a line, and a model that nobody knows; s11: no line
    assert found["s09"] == (0.0005, 1, 1)
    assert found["s10"] == (pytest.approx(0.013), 3, 4)
    assert found["s11"] == (pytest.approx(0.0042), 3, 3)


def test_agents_are_ranked_by_what_a_success_costs(twelve: Path) -> None:
    """Two cost the same: the quicker is first. What has no price has no rank."""
    columns = "agent decision operations tokens cost_usd cost_per_success_usd efficiency_rank"
    assert cells(twelve, "agents", columns) == near(
        [
            ("lender", "approve", 2, 2200, 0.0024, 0.0012, 1),
            ("router", "escalate", 2, 2200, 0.0024, 0.0012, 2),
            ("lender", "reject", 1, 1100, None, None, None),
        ]
    )


def test_external_services(twelve: Path) -> None:
    """Calls, what they used and what that cost, provider by provider."""
    assert cells(
        twelve, "services", "service component operations success_rate tokens audio_s characters cost_usd"
    ) == near(
        [
            ("deepgram", "stt", 14, 1.0, 0, 28.0, None, 0.028),
            ("elevenlabs", "tts", 13, 1.0, 0, None, 1300, 0.013),
            ("openai", "llm", 13, 1.0, 13_200, None, None, 0.0144),
            ("telephony", "telephony", 11, None, None, 573.0, None, 0.0955),
            ("acme", "llm", 1, 1.0, 1_100, None, None, None),
        ]
    )


def test_caches(twelve: Path) -> None:
    """Hits of lookups, cache by cache."""
    assert cells(twelve, "caches", "cache lookups hits misses hit_rate target met") == near(
        [("semantic", 3, 2, 1, 2 / 3, None, None), ("audio", 1, 0, 1, 0.0, None, None)]
    )
    with opened(twelve) as models:
        models.give("cache_targets", cache_rows(DEFAULTS))
        found = {row["cache"]: (row["target"], row["met"]) for row in models.table("caches").to_pylist()}
    assert found == {"semantic": (None, None), "audio": (0.6, False)}


def test_intents(twelve: Path) -> None:
    """How often each was understood, how surely, and how often there was none good enough."""
    columns = "intent classifications share confident mean_confidence low_confidence fallbacks"
    assert cells(twelve, "intents", columns) == near(
        [
            ("loan", 5, 5 / 11, 4, (0.9 * 3 + 0.4) / 4, 1, 1),
            ("balance", 3, 3 / 11, 3, (0.9 + 0.6 + 0.9) / 3, 1, 0),
            ("complaint", 2, 2 / 11, 2, 0.8, 0, 0),
            ("payment_plan", 1, 1 / 11, 1, 0.9, 0, 0),
        ]
    )


def test_workflows_and_compliance(twelve: Path) -> None:
    """Loans and payment plans that came to their end; prompts that were owed to a call and delivered."""
    assert cells(twelve, "workflows", "workflow started completed failed open completion_rate") == [
        ("loan", 5, 3, 1, 1, 0.6),
        ("payment_plan", 1, 1, 0, 0, 1.0),
    ]
    assert cells(twelve, "compliance", "prompt intent deliveries delivered_sessions sessions delivered_rate") == [
        ("recording", "loan", 2, 2, 5, 0.4)
    ]


def test_speech_and_silence(twelve: Path) -> None:
    """Callers spoke 14 times for 2 s; s05 holds two silences of 6 s and 3 s, the second a wait for an answer."""
    found = cells(twelve, "speech", "bot sessions caller_s bot_s talk_ratio dead_airs dead_air_s longest_silence_s")
    assert found == near([("bank", 11, 28.0, 70.0, 28 / 98, 2, 9.0, 6.0)])


def test_length_of_conversations(twelve: Path) -> None:
    """Eleven calls have 14 exchanges, 615 s, and 14 x 5 + 13 x 20 words."""
    found = cells(twelve, "conversation", "bot sessions conversations mean_turns mean_words mean_duration_s")
    assert found == near([("bank", 12, 11, 14 / 11, 330 / 11, 615 / 11)])


def test_drop_off(twelve: Path) -> None:
    """Of the calls that came to no end one wanted its balance last; the short one isn't asked."""
    assert cells(twelve, "drop_off", "last_intent dropped sessions share of_intent")[:2] == near(
        [("balance", 1, 3, 1.0, 1 / 3), ("complaint", 0, 2, 0.0, 0.0)]
    )


def test_a_journey(twelve: Path) -> None:
    """What happened in s10, in its order and in seconds after its start."""
    found = [
        row[1:]
        for row in cells(twelve, "journey", "session_id position after_s kind what turn_index")
        if row[0] == "s10"
    ]
    assert found == near(
        [
            (1, 3.0, "workflow_started", "loan", None),
            (2, 4.1, "intent", "loan", 1),
            (3, 5.0, "error", "tool timeout", None),
            (4, 11.0, "answer", None, 1),
            (5, 20.0, "workflow_failed", "loan", None),
        ]
    )


def test_one_bot_beside_others(twelve: Path) -> None:
    """A bot's own figures."""
    columns = "bot sessions turns p50_s operations errors success_rate cache_hit_rate escalated session_success_rate"
    assert cells(twelve, "bots", columns) == near([("bank", 12, 14, 1.0, 57, 1, 56 / 57, 0.5, 2, 7 / 11)])


def test_windows_end_at_the_moment_of_the_report(twelve: Path) -> None:
    """In the last hour nothing, in the last day one model call, in the last 30 days two, in 90 all of them."""
    found = cells(twelve, "latencies", "hours model operations p50_s per_minute")
    calls = {row[0]: row[2:] for row in found if row[1] == "gpt-4o-mini"}
    # 4.3 to 4.5 s in s12, 4.3 to 5 s in s11; s10's model is another
    assert calls == {
        24: (1, pytest.approx(0.2), 1 / (24 * 60)),
        720: (2, pytest.approx(0.45), 2 / (720 * 60)),
        2160: (13, pytest.approx(0.7), 13 / (2160 * 60)),
        168: (1, pytest.approx(0.2), 1 / (168 * 60)),
    }


def test_service_levels(twelve: Path) -> None:
    """A target is kept, broken, or nothing was measured; of targets that nobody asked for only what was is shown."""
    asked = Targets.model_validate(
        {
            "targets": [
                {"component": "stt", "p50_s": 2.0, "p95_s": 2.5},
                {"component": "turn", "p95_s": 0.5},
                {"component": "rag", "p95_s": 3},
            ]
        }
    )
    columns = "hours component quantile target_s measured_s met n violations"
    day = datetime(2026, 3, 4, tzinfo=UTC)
    with opened(twelve, as_of=day) as models:
        models.give("targets", as_rows(asked))
        found = [tuple(row[name] for name in columns.split()) for row in models.table("sla").to_pylist()]
    # s05 alone in that day, the morning of 3 March; recognition takes 2.1 s; gaps of 2 and 3 s
    assert [row[1:] for row in found if row[0] == 24] == near(
        [
            ("stt", "p50", 2.0, 2.1, False, 2, 2),
            ("stt", "p95", 2.5, 2.1, True, 2, 0),
            ("turn", "p95", 0.5, 2.95, False, 2, 2),
            ("rag", "p95", 3.0, None, None, 0, 0),
        ]
    )
    with opened(twelve, as_of=day) as models:
        models.give("targets", as_rows(DEFAULTS))
        shown = {row["component"] for row in models.table("sla").to_pylist()}
    assert shown == {"stt", "tts", "turn", "llm", "handoff"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets:\n  - {component: stt, p95_s: 0}", "targets[0].p95_s: 0: Input should be greater than 0"),
        ("targets:\n  - {component: stt}", "targets[0]: needs p50_s, p95_s or p99_s"),
        ("targets:\n  - {component: stt, p90_s: 1}", "targets[0].p90_s: 1: Extra inputs are not permitted"),
        ("targets: []", "names no target"),
        (
            "caches:\n  - {cache: audio, hit_rate: 60}",
            "caches[0].hit_rate: 60: Input should be less than or equal to 1",
        ),
    ],
)
def test_a_wrong_targets_file_is_refused_by_field_and_value(tmp_path: Path, text: str, says: str) -> None:
    """One sentence that names the file, the field, the value and what is allowed."""
    (tmp_path / "targets.yaml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_targets(tmp_path / "targets.yaml")
    assert says in str(refused.value)


def minutes(*failed: bool) -> list[Row]:
    """One API call a minute after noon."""
    status = {True: "error", False: "ok"}
    return [span("api", 60 * at, 60 * at + 1, status=status[bad]) for at, bad in enumerate(failed)]


def test_the_rolling_error_rate_is_of_five_minutes(tmp_path: Path) -> None:
    """A failure counts in its own minute and the four after it."""
    rows = [True, False, False, False, False, False, True]
    with engine(tmp_path, *minutes(*rows), span("turn", 130, 140, 1, user_end=131, bot_start=132)) as models:
        found = models.table("load").to_pylist()
    assert [row["minute"] - NOON for row in found] == [timedelta(minutes=at) for at in range(7)]
    assert [row["error_rate_5m"] for row in found] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 0, 1 / 5])
    assert [row["requests"] for row in found] == [0, 0, 1, 0, 0, 0, 0]


def test_callers_at_once(tmp_path: Path) -> None:
    """The most at one moment of each hour; one that begins as another ends isn't beside it."""
    times = ((0, 100), (50, 150), (60, 100), (100, 110), (3_500, 7_300), (7_250, 7_400))
    rows = [
        span("session", start, end, session_id=f"call {number}", trace=number + 1)
        for number, (start, end) in enumerate(times)
    ]
    with engine(tmp_path, *rows) as models:
        found = models.table("concurrency").to_pylist()
    assert [(row["hour"] - NOON, row["begun"], row["peak"]) for row in found] == [
        (timedelta(0), 5, 3),
        (timedelta(hours=2), 1, 2),
    ]


def test_scores_of_several_kinds_are_not_mixed(tmp_path: Path) -> None:
    """A survey's and a model's score stand apart; the KPI, which has one value, has none and says where they are."""
    rows = [
        span("tts", 0, 1, 1, mos=4.0, mos_kind="dnsmos"),
        span("tts", 1, 2, 1, mos=3.0, mos_kind="dnsmos"),
        span("other", 9, 9, name="voicebot.feedback", mos=1.0, mos_kind="survey"),
    ]
    with engine(tmp_path, *rows) as models:
        kinds = [(row["mos_kind"], row["scores"], row["mos"]) for row in models.table("mos_kinds").to_pylist()]
        (kpi,) = models.table("mos").to_pylist()
    assert kinds == [("dnsmos", 2, 3.5), ("survey", 1, 1.0)]
    assert (kpi["value"], kpi["numerator"], kpi["denominator"]) == (None, None, None)


def test_operations_are_grouped_by_adapter_and_intent_schema(tmp_path: Path) -> None:
    """What names neither stands in no group."""
    rows = [
        span("nlu", 0, 1, 1, adapter="lora-1", attributes=[("voicebot.intent.schema", "v2")], confidence=0.5),
        span("nlu", 1, 2, 1, adapter="lora-1", attributes=[("voicebot.intent.schema", "v2")], confidence=1.0),
        span("llm", 2, 3, 1, adapter="lora-2", status="error"),
        span("llm", 3, 4, 1),
    ]
    with engine(tmp_path, *rows) as models:
        found = models.table("adapters").to_pylist()
    names = ("component", "adapter", "intent_schema", "operations", "errors", "mean_confidence")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("nlu", "lora-1", "v2", 2, 0, 0.75),
        ("llm", "lora-2", None, 1, 1, None),
    ]


@pytest.mark.parametrize("name", sorted(ON_REQUEST))
def test_every_section_can_be_shown_and_says_when_it_is_empty(twelve: Path, name: str) -> None:
    """Its columns are those of its model; without a session it says what there was none of."""
    from otel_voicebot.models import Selection
    from otel_voicebot.reports.grid import as_text

    wanted = ON_REQUEST[name]
    with opened(twelve, brief=not wanted.whole) as models:
        columns = set(models.table(wanted.model).column_names)
        assert {column.key for column in wanted.columns} <= columns
    nobody = Selection(until=datetime(2026, 1, 1, tzinfo=UTC))
    with opened(twelve, nobody, brief=not wanted.whole) as models:
        assert wanted.empty in as_text(section(name, models).grid())
