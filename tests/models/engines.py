"""One store for three engines, and how their answers are held against each other."""

import datetime as dt
from pathlib import Path
from typing import Any

from bench import generate
from bench.differences import differences
from otel_voicebot.app.ingest import ingest
from otel_voicebot.models.quotas import Moment, Quotas
from otel_voicebot.models.quotas import as_rows as quota_rows
from otel_voicebot.models.targets import DEFAULTS, as_rows, cache_rows
from otel_voicebot.processors import normalise, withhold
from otel_voicebot.receivers import payloads
from otel_voicebot.settings import Settings
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore
from tests.models.calls import NESTED, SERVED, batch
from tests.models.twelve import PRICES, tables, take_in

__all__ = ["AS_OF", "COMPARED", "differences", "give", "store"]

AS_OF = dt.datetime(2026, 1, 5, 20, tzinfo=dt.UTC)

CAPTURES = Path(__file__).parents[1] / "data" / "captures"

COMPARED = (
    *("summary", "priced_turns", "priced_sessions", "quota_use", "agent_costs", "cache_entries", "intent_schemas"),
    *("observations", "anomaly_bins", "issues", "active_sessions", "component_latencies"),
    *("all_kpis", "wait_ends", "components", "outcomes", "errors", "cost_by_model", "cost_by_session", "agents"),
    *("services", "caches", "intents", "workflows", "compliance", "mos_kinds", "latencies", "load", "concurrency"),
    *("conversation", "speech", "drop_off", "journey", "bots", "adapters", "operations"),
)
"""The models that reports and commands show, without those that cut waits."""

_QUOTAS = Quotas.model_validate(
    {
        "quotas": [
            {"service": "openai", "component": "llm", "period": "day", "tokens": 30_000, "calls": 100_000},
            {"service": "elevenlabs", "period": "month", "characters": 10_000, "warning_share": 0.1},
            {"service": "deepgram", "period": "day", "seconds": 60},
            {"service": "telephony", "period": "day", "calls": 20},
        ],
        "budgets": [{"period": "month", "usd": 5}],
    }
)


def store(directory: Path, generated: int = 1500) -> Path:
    """The twelve calls, generated spans, some twice, calls with cache entries, and captures of frameworks."""
    data = take_in(directory, tables.lines())
    for capture in sorted(CAPTURES.glob("*.otlp.pb")):
        ingest(payloads(capture), Settings(data=data))
    requests = list(generate.requests(generated, seed=3))
    writer = SpanStore(data)
    for payload in [*requests, requests[0]]:
        writer.commit([withhold(normalise(decode(payload)), ()).rows(1_767_600_000_000_000)])
    writer.commit([batch(SERVED), batch(NESTED)])
    return data


def give(engine: Any) -> None:
    """Prices, targets and quotas."""
    PRICES.give(engine)
    engine.give("targets", as_rows(DEFAULTS))
    engine.give("cache_targets", cache_rows(DEFAULTS))
    engine.give("quotas", quota_rows(_QUOTAS, Moment(AS_OF)))
