"""Dashboards for those who run bots: tokens and cost, the bots' health."""

from typing import Final

from grafana.panels import Query, Sheet, lines, number, rows
from grafana.promql import ALERTS, RANGE, increase, latest, quantile, rate
from otel_voicebot import semconv as s
from otel_voicebot.exporters.promql import Other, share

__all__ = ["BOTS", "COST"]

_TOKENS: Final = "Tokens that model calls tell."

_MODEL_CALLS: Final = increase(s.OPERATION_DURATION, component="llm")

_COST: Final = "Of what has a known price: a lower bound where something has none."

_COSTS: Final = (
    number("Cost", "currencyUSD", f"{_COST} Of the time range.", Query(increase(s.COST), "cost"), width=6),
    number(
        "Cost per call",
        "currencyUSD",
        f"{_COST} All cost / ended calls.",
        Query(f"{increase(s.COST)} / {increase(s.SESSIONS)}", "per call"),
        width=6,
    ),
    number(
        "Priced",
        "percentunit",
        "Things with a known price and usage / things that are paid for.",
        Query(share(increase(s.COST_OPERATIONS, priced="true"), increase(s.COST_OPERATIONS)), "priced"),
        width=6,
    ),
    number(
        "Age of the prices",
        "s",
        "Since the day that the prices in use are of, by source.",
        Query(f"time() - {latest(s.PRICES_DATE, 'source')}", "{{source}}"),
        width=6,
    ),
    lines(
        "Cost by component",
        "currencyUSD",
        f"{_COST} An hour, by component; telephony is the line.",
        Query(f"3600 * {rate(s.COST, 'component')}", "{{component}}"),
        stacked=True,
    ),
    lines(
        "Cost by model",
        "currencyUSD",
        f"{_COST} An hour, by provider and model.",
        Query(f"3600 * {rate(s.COST, 'provider', 'model')}", "{{provider}} {{model}}"),
        stacked=True,
    ),
    lines(
        "Cost by bot",
        "currencyUSD",
        f"{_COST} An hour, by bot.",
        Query(f"3600 * {rate(s.COST, 'bot')}", "{{bot}}"),
        stacked=True,
    ),
    rows(
        "Cost by bot and model",
        "currencyUSD",
        f"{_COST} Of the time range.",
        Query(increase(s.COST, "bot", "component", "provider", "model"), "cost"),
    ),
    rows(
        "Without a price",
        "short",
        "Things that are paid for and have no known price, or don't tell their usage, of the time range: a price file "
        "(OTEL_VOICEBOT_PRICES) tells prices.",
        Query(increase(s.COST_OPERATIONS, "bot", "component", priced="false"), "operations"),
    ),
)

COST: Final = Sheet(
    "voicebot-cost",
    "Cost and tokens",
    "What calls cost, and which tokens their models use.",
    (
        ("Cost", _COSTS),
        (
            "Tokens of this time range",
            (
                number(
                    "Tokens",
                    "short",
                    f"{_TOKENS} By direction.",
                    Query(increase(s.TOKENS, "direction"), "{{direction}}"),
                    width=6,
                ),
                number(
                    "Tokens per call",
                    "short",
                    "All tokens / ended calls.",
                    Query(f"{increase(s.TOKENS)} / {increase(s.SESSIONS)}", "tokens"),
                    width=6,
                ),
                number(
                    "Model calls",
                    "short",
                    "Operations of the component llm.",
                    Query(_MODEL_CALLS, "calls"),
                    width=6,
                ),
                number(
                    "Tokens per model call",
                    "short",
                    "By direction.",
                    Query(
                        f"{increase(s.TOKENS, 'direction')} / scalar({_MODEL_CALLS})",
                        "{{direction}}",
                    ),
                    width=6,
                ),
            ),
        ),
        (
            "Tokens",
            (
                lines(
                    "Tokens",
                    "short",
                    f"{_TOKENS} A minute, by direction.",
                    Query(f"60 * {rate(s.TOKENS, 'direction')}", "{{direction}}"),
                    stacked=True,
                ),
                lines(
                    "Tokens by model",
                    "short",
                    f"{_TOKENS} A minute, by provider and model.",
                    Query(f"60 * {rate(s.TOKENS, 'provider', 'model')}", "{{provider}} {{model}}"),
                    stacked=True,
                ),
                lines(
                    "Tokens by bot",
                    "short",
                    f"{_TOKENS} A minute, by bot.",
                    Query(f"60 * {rate(s.TOKENS, 'bot')}", "{{bot}}"),
                    stacked=True,
                ),
                rows(
                    "Tokens by bot and model",
                    "short",
                    f"{_TOKENS} Of the time range.",
                    Query(increase(s.TOKENS, "bot", "provider", "model", direction="input"), "input"),
                    Query(increase(s.TOKENS, "bot", "provider", "model", direction="output"), "output"),
                    width=24,
                ),
            ),
        ),
    ),
)

_SHARES: Final = (0.5, 0.95, 0.99)

BOTS: Final = Sheet(
    "voicebot-bots",
    "Bot health",
    "Whether each bot answers, what fails, how fast its parts are, its caches, handoffs and alerts.",
    (
        (
            "Bots",
            (
                lines(
                    "Requests",
                    "cpm",
                    "Exchanges a minute, by bot.",
                    Query(f"60 * {rate(s.ORCHESTRATOR_REQUESTS, 'bot')}", "{{bot}}"),
                ),
                lines(
                    "Answers",
                    "percentunit",
                    "Exchanges that were answered / exchanges, by bot.",
                    Query(share(rate(s.TURNS, "bot", outcome="answered"), rate(s.TURNS, "bot")), "{{bot}}"),
                ),
                lines(
                    "Response time, p95",
                    "s",
                    "The caller's end of speech to the first bot audio, by bot. Read from buckets.",
                    Query(quantile(0.95, s.ORCHESTRATOR_LATENCY, "bot"), "{{bot}}"),
                ),
                rows(
                    "Percentiles by bot and component",
                    "s",
                    "Operations of the time range, read from buckets: what targets are held to.",
                    *(
                        Query(
                            quantile(part, s.OPERATION_DURATION, "bot", "component", window=RANGE), f"p{100 * part:g}"
                        )
                        for part in _SHARES
                    ),
                ),
                rows(
                    "Alerts",
                    "short",
                    "Alerts of Prometheus that are pending or fire: 1 each. Empty when there are none.",
                    Query(f"sum by (alertname, alertstate, severity) ({ALERTS})", "alerts"),
                ),
            ),
        ),
        (
            "Failures",
            (
                lines(
                    "Failure rate",
                    "percentunit",
                    "Failed operations / operations, by component.",
                    Query(share(rate(s.ERRORS, "component"), rate(s.OPERATION_DURATION, "component")), "{{component}}"),
                ),
                lines(
                    "Failures by type",
                    "cpm",
                    "A minute, by component and type of error.",
                    Query(f"60 * {rate(s.ERRORS, 'component', 'error_type')}", "{{component}} {{error_type}}"),
                    stacked=True,
                ),
                lines(
                    "Rate limits",
                    "percentunit",
                    "Operations refused by a rate limit / operations, by bot.",
                    Query(
                        share(rate(s.ERRORS, "bot", error_type="rate_limit"), rate(s.OPERATION_DURATION, "bot")),
                        "{{bot}}",
                    ),
                ),
                rows(
                    "Failures of the time range",
                    "short",
                    "By bot, component, provider and type.",
                    Query(increase(s.ERRORS, "bot", "component", "provider", "error_type"), "failures"),
                    width=24,
                ),
            ),
        ),
        (
            "Caches and handoffs",
            (
                lines(
                    "Cache hit rate",
                    "percentunit",
                    "Hits / lookups, by cache and level.",
                    Query(
                        share(
                            rate(s.CACHE_LOOKUPS, "cache", "level", result="hit"),
                            rate(s.CACHE_LOOKUPS, "cache", "level"),
                        ),
                        "{{cache}} {{level}}",
                    ),
                ),
                lines(
                    "Cache lookups",
                    "cpm",
                    "A minute, by result.",
                    Query(f"60 * {rate(s.CACHE_LOOKUPS, 'result')}", "{{result}}"),
                    stacked=True,
                ),
                lines(
                    "Handoffs",
                    "cpm",
                    "A minute, by target and outcome; blocked: it would have gone in a circle.",
                    Query(f"60 * {rate(s.HANDOFFS, 'target', 'outcome')}", "{{target}} {{outcome}}"),
                    stacked=True,
                ),
                number(
                    "Handoffs that succeed",
                    "percentunit",
                    "Completed / completed and failed, of the time range.",
                    Query(
                        share(
                            increase(s.HANDOFFS, outcome="completed"), increase(s.HANDOFFS, outcome=Other("blocked"))
                        ),
                        "completed",
                    ),
                    width=12,
                ),
                number(
                    "Handoffs blocked",
                    "short",
                    "Circular ones, of the time range.",
                    Query(increase(s.HANDOFFS, outcome="blocked"), "blocked"),
                    width=12,
                ),
            ),
        ),
    ),
)
