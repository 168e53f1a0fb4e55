"""Dashboards about calls and waits: the overview, and where the time of a turn goes."""

from typing import Final

from grafana.panels import Query, Sheet, heat, lines, number, rows
from grafana.promql import RANGE, heights, increase, level, mean, quantile, rate, total, within
from otel_voicebot import semconv as s
from otel_voicebot.exporters.promql import share

__all__ = ["LATENCY", "OVERVIEW"]

_GAPS: Final = "The caller's true end of speech to the first bot audio, of answered exchanges."
_READ: Final = "Read from buckets: within 1 % for usual distributions, else within the bucket."
_SEGMENTS: Final = (
    "What the wait consists of; the sums of all segments are the response gaps of turns that could be cut."
)

OVERVIEW: Final = Sheet(
    "voicebot-overview",
    "Voice overview",
    "Calls, how long callers wait for an answer and on what, who gives up, what fails.",
    (
        (
            "This time range",
            (
                number("Calls", "short", "Ended calls.", Query(increase(s.SESSIONS), "calls"), width=3),
                number(
                    "Exchanges",
                    "short",
                    "The caller spoke, answered or not.",
                    Query(increase(s.TURNS), "exchanges"),
                    width=3,
                ),
                number(
                    "Active calls", "short", "Calls under way now.", Query(level(s.SESSIONS_ACTIVE), "calls"), width=3
                ),
                number(
                    "Response gap",
                    "s",
                    f"{_GAPS} {_READ}",
                    Query(quantile(0.5, s.RESPONSE_GAP, window=RANGE), "p50"),
                    Query(quantile(0.95, s.RESPONSE_GAP, window=RANGE), "p95"),
                    width=5,
                ),
                number(
                    "Abandoned waits",
                    "percentunit",
                    "Exchanges without an answer / exchanges.",
                    Query(share(increase(s.TURNS, outcome="abandoned"), increase(s.TURNS)), "abandoned"),
                    width=3,
                ),
                number(
                    "Operations that fail",
                    "percentunit",
                    "Failed operations / operations.",
                    Query(share(increase(s.ERRORS), increase(s.OPERATION_DURATION)), "failed"),
                    width=3,
                ),
                number(
                    "Replies interrupted",
                    "percentunit",
                    "Replies that the caller spoke over and stopped / replies.",
                    Query(share(increase(s.INTERRUPTIONS), increase(s.REPLIES)), "interrupted"),
                    width=4,
                ),
            ),
        ),
        (
            "Waits",
            (
                lines(
                    "Response gap",
                    "s",
                    f"{_GAPS} {_READ} Dots are calls: click one to open its trace.",
                    Query(quantile(0.5, s.RESPONSE_GAP), "p50"),
                    Query(quantile(0.95, s.RESPONSE_GAP), "p95", exemplars=True),
                    Query(quantile(0.99, s.RESPONSE_GAP), "p99"),
                    width=12,
                ),
                lines(
                    "Where the wait goes",
                    "s",
                    f"{_SEGMENTS} Mean of an answered exchange, by segment.",
                    Query(
                        f"{total(s.SEGMENT_DURATION, 'segment')} / scalar({rate(s.RESPONSE_GAP, only=('bot',))})",
                        "{{segment}}",
                    ),
                    width=12,
                    stacked=True,
                ),
                lines(
                    "Waits given up",
                    "cpm",
                    "Exchanges without an answer, a minute, by why they ended.",
                    Query(f"60 * {rate(s.ABANDONED_WAIT, 'reason')}", "{{reason}}"),
                    width=12,
                    stacked=True,
                ),
                lines(
                    "How long they had waited",
                    "s",
                    f"Median wait when it was given up, by reason. {_READ}",
                    Query(quantile(0.5, s.ABANDONED_WAIT, "reason"), "{{reason}}"),
                    width=12,
                ),
            ),
        ),
        (
            "Calls",
            (
                lines(
                    "Calls ended",
                    "cpm",
                    "A minute, by outcome.",
                    Query(f"60 * {rate(s.SESSIONS, 'outcome')}", "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Active calls",
                    "short",
                    "Calls under way.",
                    Query(level(s.SESSIONS_ACTIVE, "bot"), "{{bot}}"),
                    stacked=True,
                ),
                lines(
                    "Failures",
                    "cpm",
                    "Failed operations a minute, by component.",
                    Query(f"60 * {rate(s.ERRORS, 'component')}", "{{component}}"),
                    stacked=True,
                ),
            ),
        ),
    ),
)

_NAMED: Final = ("component", "provider", "model")
_LEGEND: Final = "{{component}} {{provider}} {{model}}"

LATENCY: Final = Sheet(
    "voicebot-latency",
    "Turn latency",
    "Which part of the wait takes the time, and whose it is.",
    (
        (
            "The wait",
            (
                heat(
                    "Response gaps",
                    "s",
                    f"{_GAPS} Exchanges by bucket. Dots are calls: click one to open its trace.",
                    Query(heights(s.RESPONSE_GAP), "{{le}}", exemplars=True),
                ),
                lines(
                    "Answered in time",
                    "percentunit",
                    "Answered exchanges whose gap is at most so long. Exact: these are edges of buckets.",
                    *(Query(within(edge, s.RESPONSE_GAP), f"within {edge:g} s") for edge in (1.0, 2.0, 3.5)),
                    width=12,
                ),
                rows(
                    "Slowest bots",
                    "s",
                    f"{_GAPS} Highest p95 of the time range. {_READ}",
                    Query(
                        f"topk(10, {quantile(0.95, s.RESPONSE_GAP, 'bot', 'channel', 'variant', window=RANGE)})", "p95"
                    ),
                ),
                rows(
                    "Slowest services",
                    "s",
                    f"Highest p95 of operations, of the time range. {_READ}",
                    Query(f"topk(10, {quantile(0.95, s.OPERATION_DURATION, 'bot', *_NAMED, window=RANGE)})", "p95"),
                ),
            ),
        ),
        (
            "Segments and their owners",
            (
                lines(
                    "By segment",
                    "s",
                    f"{_SEGMENTS} Mean, by segment, where it occurs.",
                    Query(mean(s.SEGMENT_DURATION, "segment"), "{{segment}}"),
                    width=8,
                ),
                lines(
                    "By segment, p95",
                    "s",
                    f"{_SEGMENTS} {_READ}",
                    Query(quantile(0.95, s.SEGMENT_DURATION, "segment"), "{{segment}}"),
                    width=8,
                ),
                lines(
                    "By owner",
                    "percentunit",
                    "The share of all waiting that is put down to an owner: a service as provider/model; "
                    "nobody's has no name. The ten largest.",
                    Query(
                        f"topk(10, {total(s.SEGMENT_DURATION, 'owner')} / scalar({total(s.SEGMENT_DURATION)}))",
                        "{{owner}}",
                    ),
                    width=8,
                    stacked=True,
                ),
            ),
        ),
        (
            "Components, providers, models",
            (
                *(
                    lines(
                        f"Operations, p{part:.0%}"[:-1],
                        "s",
                        f"Start to end, by component. {_READ}",
                        Query(quantile(part, s.OPERATION_DURATION, "component"), "{{component}}"),
                    )
                    for part in (0.5, 0.95, 0.99)
                ),
                lines(
                    "By provider and model, p95",
                    "s",
                    f"Start to end of an operation. {_READ}",
                    Query(quantile(0.95, s.OPERATION_DURATION, *_NAMED), _LEGEND),
                    width=12,
                ),
                lines(
                    "First transcript, token or audio, p95",
                    "s",
                    f"Start of an operation to the first of it. {_READ}",
                    Query(quantile(0.95, s.TIME_TO_FIRST, *_NAMED), _LEGEND),
                    width=12,
                ),
            ),
        ),
    ),
)
