"""Sections of a report that are computed only when somebody asks for them: one model each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.tables import Tables
from otel_voicebot.reports.values import quantity, seconds

__all__ = ["ON_REQUEST", "Asked", "Section", "section"]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Section:
    """What a section shows."""

    model: str
    title: str
    columns: tuple[Column, ...]
    empty: str
    whole: bool = False
    """It reads columns that a brief engine leaves out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A section that was asked for, and its rows."""

    name: str
    rows: tuple[Row, ...]

    def grid(self) -> Grid:
        """As a table."""
        wanted = ON_REQUEST[self.name]
        return Grid(self.name, wanted.title, wanted.columns, self.rows, empty=wanted.empty)


def section(name: str, tables: Tables) -> Asked:
    """Compute one of ``ON_REQUEST``."""
    return Asked(name, tuple(tables.table(ON_REQUEST[name].model).to_pylist()))


def _in(unit: str) -> Callable[[object], str]:
    return lambda value: quantity(value, unit)


def _usd(value: object) -> str:
    return quantity(value) if not isinstance(value, (int, float)) else f"{value:.6f}".rstrip("0").rstrip(".")


def _figure(value: object) -> str:
    return quantity(value) if not isinstance(value, float) or value.is_integer() else f"{value:.6g}"


def _rate(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else quantity(value)


def _held(value: object) -> str:
    return {True: "kept", False: "broken"}.get(value, "-") if isinstance(value, bool) else "-"


def _service(value: object) -> str:
    return "everything" if value is None else str(value)


def _state(value: object) -> str:
    return "unknown" if value is None else str(value).replace("_", " ")


def _limit(value: object) -> str:
    return quantity(value) if value is None else _state(value)


def _amount(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, (int, float)) else quantity(value)


def _day(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else quantity(value)


def _seen(value: object) -> str:
    return "all of it" if value else "a part: --since or a filter leaves some out"


def _hours(value: object) -> str:
    hours = value if isinstance(value, int) else 0
    return f"{hours} h" if hours <= 24 else f"{hours // 24} d"


def _text(key: str, title: str = "", style: str = "") -> Column:
    return Column(key, title or key.replace("_", " "), style=style)


def _number(key: str, title: str = "", show: Callable[[object], str] = quantity) -> Column:
    return Column(key, title or key.replace("_", " "), show, right=True)


def _share(key: str, title: str = "") -> Column:
    return _number(key, title, _in("ratio"))


_SERVICE: Final = (_text("component", style="bold"), _text("provider"), _text("model"))
_P: Final = tuple(_number(f"{name}_s", name, seconds) for name in ("p50", "p95", "p99"))
_N: Final = _number("operations", "n")
_SERVED: Final = (
    *(_number("turns"), *_P[:2], _share("abandoned_rate", "abandoned"), _number("sessions")),
    _share("resolved_share", "resolved"),
)
_WINDOW: Final = Column("hours", "last", _hours, right=True)

ON_REQUEST: Final[Mapping[str, Section]] = {
    "breakdowns": Section(
        "breakdown_shares",
        "The framework's own figures beside the segments of the wait; they overlap, and don't add up",
        (
            *(_text("dialect"), _text("part", style="bold"), _number("turns")),
            *(_number("framework_p50_s", "framework p50", seconds), _number("segments_p50_s", "ours p50", seconds)),
            *(
                _number("difference_p50_s", "difference p50", seconds),
                _number("difference_max_s", "largest", seconds),
            ),
        ),
        "no framework gives figures of its own",
        whole=True,
    ),
    "summary": Section(
        "summary",
        "Use and cost",
        (
            *(_text("name", "figure", "bold"), _number("value", show=_figure), _text("unit")),
            *(_number("numerator", "of", _figure), _number("denominator", "per", _figure)),
        ),
        "nothing was used",
    ),
    "costs": Section(
        "cost_by_model",
        "Costs by model",
        (
            *_SERVICE,
            _N,
            _number("priced"),
            _number("cost_usd", "USD", _usd),
            _number("cost_per_operation_usd", "USD each", _usd),
        ),
        "nothing that is paid for was seen",
    ),
    "cost_by_session": Section(
        "cost_by_session",
        "Costs by call",
        (
            *(_text("session_id", "session", "bold"), _text("outcome"), _number("duration_s", "length", seconds)),
            *(_number("turns"), _number("cost_usd", "USD", _usd), _share("priced_share", "priced")),
        ),
        "no session was seen",
    ),
    "agents": Section(
        "agents",
        "Agents and decisions",
        (
            *(_text("agent", style="bold"), _text("decision"), _N, _share("error_rate", "failed"), _number("tokens")),
            *(_number("mean_s", "mean", seconds), _number("cost_usd", "USD", _usd)),
            *(_number("cost_per_success_usd", "USD a success", _usd), _number("efficiency_rank", "rank")),
        ),
        "no operation names an agent or a decision (voicebot.agent, voicebot.decision)",
    ),
    "agent_costs": Section(
        "agent_costs",
        "Agents, and types of decision",
        (
            *(_text("kind"), _text("name", style="bold"), _N, _share("error_rate", "failed"), _number("tokens")),
            *(_number("mean_s", "mean", seconds), _P[1], _number("cost_usd", "USD", _usd)),
            *(_number("cost_per_success_usd", "USD a success", _usd), _number("efficiency_rank", "rank")),
        ),
        "no operation names an agent or a decision (voicebot.agent, voicebot.decision)",
    ),
    "services": Section(
        "services",
        "External services",
        (
            *(_text("service", style="bold"), _text("component"), _N, _share("success_rate", "succeeded")),
            *(_number("rate_limited", "rate limited"), *_P[:2], _number("tokens"), _number("cost_usd", "USD", _usd)),
            *(_share("quota_share", "of its quota"), Column("quota_state", "quota", _limit)),
        ),
        "no external service was called",
    ),
    "quotas": Section(
        "quota_use",
        "Quotas and budgets of this day and month (UTC)",
        (
            *(Column("service", "service", _service, style="bold"), _text("component"), _text("period")),
            *(_number("used", show=_amount), _number("allowed", show=_amount), _text("unit")),
            _share("used_share", "share"),
            *(Column("state", "state", _state), _share("projected_share", "by its end")),
            *(_number("used_up_at", "used up on", _day), Column("whole", "counted", _seen)),
        ),
        "no quota or budget is known: name a file with --quotas",
    ),
    "caches": Section(
        "caches",
        "Caches",
        (
            *(_text("cache", style="bold"), _text("level"), _number("lookups"), _number("hits")),
            *(_share("hit_rate", "hit rate"), _share("target"), Column("met", "target is", _held), _P[0]),
        ),
        "no cache was looked into",
    ),
    "cache_entries": Section(
        "cache_entries",
        "Cache entries, and the turns and calls that they served",
        (
            *(_text("cache"), _text("entry", style="bold"), _number("lookups"), _number("hits")),
            *_SERVED,
        ),
        "no lookup names an entry (voicebot.cache.entry)",
    ),
    "intents": Section(
        "intents",
        "Intents",
        (
            *(_text("intent", style="bold"), _number("classifications", "n"), _share("share"), _number("sessions")),
            *(
                _number("mean_confidence", "confidence"),
                _share("low_confidence_rate", "low confidence"),
                _number("fallbacks"),
            ),
        ),
        "no intent was classified",
    ),
    "workflows": Section(
        "workflows",
        "Workflows",
        (
            *(
                _text("workflow", style="bold"),
                _number("started"),
                _number("completed"),
                _number("failed"),
                _number("open"),
            ),
            _share("completion_rate", "completed of started"),
        ),
        "no workflow was started (event workflow_started)",
    ),
    "compliance": Section(
        "compliance",
        "Compliance prompts",
        (
            *(_text("prompt", style="bold"), _text("intent"), _number("deliveries", "delivered")),
            *(_number("delivered_sessions", "in calls"), _number("sessions", "of"), _share("delivered_rate", "share")),
        ),
        "no compliance prompt was delivered (event compliance_prompt)",
    ),
    "mos": Section(
        "mos_kinds",
        "Opinion scores by kind",
        (_text("mos_kind", "kind", "bold"), _number("scores", "n"), _number("mos", "mean"), _number("worst")),
        "nothing was scored",
    ),
    "latencies": Section(
        "latencies",
        "Latencies by window",
        (
            *(_WINDOW, *_SERVICE, _text("bot"), _text("operation"), _N, _share("success_rate", "succeeded")),
            *(*_P, _number("mean_s", "mean", seconds), _number("max_s", "longest", seconds)),
            _number("per_minute", "a minute", _rate),
        ),
        "no operation in the last 90 days",
    ),
    "sla": Section(
        "sla",
        "Service levels",
        (
            *(_WINDOW, _text("component", style="bold"), _text("bot"), _text("operation"), _text("quantile")),
            *(_number("target_s", "target", seconds), _number("measured_s", "measured", seconds)),
            *(Column("met", "target is", _held), _number("violations", "over it"), _number("n")),
        ),
        "nothing that has a target was measured in the last 7 days",
        whole=True,
    ),
    "load": Section(
        "load",
        "Load by minute",
        (
            *(_text("minute", style="bold"), _number("requests"), _N, _number("errors", "failed")),
            _share("error_rate_5m", "failed in 5 min"),
        ),
        "nothing happened",
    ),
    "concurrency": Section(
        "concurrency",
        "Callers at once, by hour",
        (_text("hour", style="bold"), _number("begun"), _number("peak")),
        "no session was seen",
    ),
    "conversation": Section(
        "conversation",
        "Length of conversations",
        (
            *(
                _text("bot", style="bold"),
                _number("sessions"),
                _number("mean_turns", "turns"),
                _number("median_turns", "median"),
            ),
            *(_number("mean_words", "words"), _number("mean_duration_s", "length", seconds)),
        ),
        "no session was seen",
        whole=True,
    ),
    "speech": Section(
        "speech",
        "Speech and silence",
        (
            *(_text("bot", style="bold"), _number("sessions"), _number("caller_s", "callers", seconds)),
            *(_number("bot_s", "bot", seconds), _share("talk_ratio", "talk ratio"), _number("dead_airs", "silences")),
            *(_number("dead_air_s", "dead air", seconds), _share("dead_air_share", "of the calls")),
            _number("longest_silence_s", "longest", seconds),
        ),
        "no turn has marks of speech",
        whole=True,
    ),
    "drop_off": Section(
        "drop_off",
        "Where callers drop off",
        (
            *(
                _text("last_intent", style="bold"),
                _number("dropped"),
                _share("share"),
                _share("of_intent", "of its calls"),
            ),
            *(_number("mean_turns", "turns"), _number("mean_duration_s", "length", seconds)),
        ),
        "no session was seen",
    ),
    "journey": Section(
        "journey",
        "Journeys",
        (
            *(_text("session_id", "session", "bold"), _number("position"), _number("after_s", "after", seconds)),
            *(_text("kind"), _text("what"), _number("turn_index", "turn")),
        ),
        "nothing happened",
    ),
    "adapters": Section(
        "adapters",
        "Adapters and intent schemas",
        (
            *(
                _text("component", style="bold"),
                _text("adapter"),
                _text("intent_schema"),
                _N,
                _share("error_rate", "failed"),
            ),
            *(_number("mean_confidence", "confidence"), _number("fallbacks"), *_P[:2]),
        ),
        "no operation names an adapter or an intent schema (voicebot.adapter, voicebot.intent.schema)",
    ),
    "intent_schemas": Section(
        "intent_schemas",
        "Versions of the intent schema, and the turns and calls that used them",
        (
            *(_text("intent_schema", style="bold"), _number("classifications", "n"), _number("intents")),
            *(_number("mean_confidence", "confidence"), _share("low_confidence_rate", "low confidence")),
            *(_share("fallback_rate", "fallbacks"), *_SERVED),
        ),
        "no classification names its schema (voicebot.intent.schema)",
    ),
    "bots": Section(
        "bots",
        "Bots",
        (
            *(
                _text("bot", style="bold"),
                _number("sessions"),
                _number("turns"),
                *_P,
                _N,
                _share("success_rate", "succeeded"),
            ),
            *(
                _share("cache_hit_rate", "cache hits"),
                _number("escalated"),
                _share("session_success_rate", "calls resolved"),
            ),
        ),
        "no session was seen",
        whole=True,
    ),
}
"""By name, as ``report --section`` takes them."""
