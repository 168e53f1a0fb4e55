"""Dashboards about what calls achieve, cost, and how good speech and understanding are."""

from collections.abc import Callable
from functools import partial
from typing import Final

from grafana.panels import Panel, Query, Sheet, lines, number, rows
from grafana.promql import RANGE, increase, level, mean, quantile, rate
from otel_voicebot import semconv as s
from otel_voicebot.exporters.promql import Other, Pattern, share

__all__ = ["BUSINESS", "QUALITY"]

_STORED: Final = "Computed from stored calls every few minutes, by the report's own models."
_BEFORE: Final = "Beside it the same of the time range before."


def _with_change(title: str, unit: str, about: str, value: Callable[..., str], width: int = 4) -> Panel:
    """A number, that of the period before, and by how much it changed (in its own unit)."""
    now, before = value(before=False), value(before=True)
    queries = (Query(now, "now"), Query(before, "before"), Query(f"({now}) - ({before})", "change"))
    return number(title, unit, f"{about} {_BEFORE}", *queries, width=width)


def _fcr(window: str, *by: str, before: bool = False) -> str:
    solved = level(s.FCR_ISSUES, *by, before=before, window=window, state="solved")
    return f"{solved} / {level(s.FCR_ISSUES, *by, before=before, window=window, state=Other('provisional'))}"


def _contained(*by: str, before: bool = False) -> str:
    return share(increase(s.ELIGIBLE, *by, before=before, contained="true"), increase(s.ELIGIBLE, *by, before=before))


def _dead_air(*by: str) -> str:
    return f"{level(s.SPEECH_DURATION, *by, part='dead_air')} / {level(s.SPEECH_DURATION, *by, part='call')}"


def _csat(*, before: bool) -> str:
    return share(increase(s.CSAT_SCORES, before=before, score=Pattern("4|5")), increase(s.CSAT_SCORES, before=before))


def _nps(*, before: bool) -> str:
    answers = increase(s.NPS_SCORES, before=before)
    happy, unhappy = (increase(s.NPS_SCORES, before=before, score=Pattern(one)) for one in ("9|10", "0|1|2|3|4|5|6"))
    return f"100 * (({happy} or 0 * {answers}) - ({unhappy} or 0 * {answers})) / {answers}"


BUSINESS: Final = Sheet(
    "voicebot-business",
    "Business KPIs",
    "What calls achieve, and by how much that changed against the time range before.",
    (
        (
            "This time range and the one before",
            (
                _with_change("Calls", "short", "Ended calls.", partial(increase, s.SESSIONS)),
                _with_change(
                    "First call resolution, 7 days",
                    "percentunit",
                    f"Issues of the last 14 days that one call solved / those whose 7 days have passed. {_STORED}",
                    partial(_fcr, "7d"),
                ),
                _with_change(
                    "Containment",
                    "percentunit",
                    "Calls without an unplanned handoff to a human, not abandoned, failed or escalated / eligible "
                    "calls: not short, and no planned handoff.",
                    _contained,
                ),
                _with_change(
                    "Average handle time",
                    "s",
                    "Mean length of calls with an answered exchange.",
                    partial(mean, s.HANDLE_TIME, window=RANGE),
                ),
                _with_change(
                    "Customer satisfaction",
                    "percentunit",
                    "Answers of 4 or 5 / answers. Who answers isn't everybody.",
                    _csat,
                ),
                _with_change(
                    "Net promoter score",
                    "short",
                    "Answers of 9 or 10 minus those of 0 to 6, in percent of answers: points.",
                    _nps,
                ),
            ),
        ),
        (
            "Over time",
            (
                lines(
                    "How calls end",
                    "cpm",
                    "Calls a minute, by outcome.",
                    Query(f"60 * {rate(s.SESSIONS, 'outcome')}", "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Containment by bot",
                    "percentunit",
                    "Contained / eligible calls.",
                    Query(share(rate(s.ELIGIBLE, "bot", contained="true"), rate(s.ELIGIBLE, "bot")), "{{bot}}"),
                ),
                lines(
                    "First call resolution by bot",
                    "percentunit",
                    f"Of issues of the last 14 days, at each moment, by window of 1 and 7 days. {_STORED}",
                    *(Query(_fcr(window, "bot"), f"{{{{bot}}}} {window}") for window in ("1d", "7d")),
                ),
                lines(
                    "Issues",
                    "short",
                    f"Of the last 14 days, by what became of them in 7 days; provisional ones are in no rate. "
                    f"{_STORED}",
                    Query(level(s.FCR_ISSUES, "state", window="7d"), "{{state}}"),
                    stacked=True,
                ),
                lines(
                    "Handle time",
                    "s",
                    "Length of calls with an answered exchange.",
                    Query(mean(s.HANDLE_TIME), "mean"),
                    Query(quantile(0.95, s.HANDLE_TIME), "p95"),
                ),
                lines(
                    "Cost per call",
                    "currencyUSD",
                    "Cost of what has a known price / ended calls: a lower bound where something has none.",
                    Query(f"{rate(s.COST)} / {rate(s.SESSIONS)}", "cost per call"),
                ),
                lines(
                    "Satisfaction answers",
                    "cpm",
                    "A minute, by score.",
                    Query(f"60 * {rate(s.CSAT_SCORES, 'score')}", "{{score}}"),
                    stacked=True,
                ),
            ),
        ),
        (
            "Beside each other",
            (
                rows(
                    "Bots and variants",
                    "short",
                    "Of the time range: calls, answers of 4 or 5 among satisfaction answers.",
                    Query(increase(s.SESSIONS, "bot", "variant"), "calls"),
                    Query(increase(s.CSAT_SCORES, "bot", "variant"), "answers"),
                    Query(increase(s.CSAT_SCORES, "bot", "variant", score=Pattern("4|5")), "satisfied"),
                ),
                rows(
                    "Transfers to humans",
                    "short",
                    "Handoffs of the time range by bot and outcome.",
                    Query(increase(s.HANDOFFS, "bot", "outcome", target="human"), "handoffs"),
                ),
            ),
        ),
    ),
)

_MODELS: Final = ("provider", "model")
_SPOKEN: Final = "Of calls with speech marks that began in the last 24 h."

QUALITY: Final = Sheet(
    "voicebot-quality",
    "Quality",
    "How well callers are heard and understood, how the bot sounds, and who talks.",
    (
        (
            "This time range",
            (
                number(
                    "Word error rate",
                    "percentunit",
                    "Wrong words / reference words, all together.",
                    Query(share(increase(s.WER_ERROR_COUNT), increase(s.WER_WORD_COUNT)), "WER"),
                ),
                number(
                    "Reference words",
                    "short",
                    "What the word error rate is measured on.",
                    Query(increase(s.WER_WORD_COUNT), "words"),
                ),
                number(
                    "Opinion score",
                    "short",
                    "Mean opinion score of audio, 1 to 5, by how it was made: kinds are never mixed.",
                    Query(mean(s.MOS_SCORES, "kind", window=RANGE), "{{kind}}"),
                ),
                number(
                    "Replies interrupted",
                    "percentunit",
                    "Replies that the caller spoke over and stopped / replies.",
                    Query(share(increase(s.INTERRUPTIONS), increase(s.REPLIES)), "interrupted"),
                ),
                number(
                    "Dead air",
                    "percentunit",
                    f"Silences of both of 3 s or more / length of the calls. {_SPOKEN} {_STORED}",
                    Query(
                        _dead_air(),
                        "dead air",
                    ),
                ),
                number(
                    "Intents not understood",
                    "percentunit",
                    "Classifications in which no intent was good enough / classifications.",
                    Query(share(increase(s.CLASSIFICATIONS, fallback="true"), increase(s.CLASSIFICATIONS)), "fallback"),
                ),
            ),
        ),
        (
            "Hearing and speaking",
            (
                lines(
                    "Word error rate",
                    "percentunit",
                    "Wrong words / reference words, by model.",
                    Query(
                        share(rate(s.WER_ERROR_COUNT, *_MODELS), rate(s.WER_WORD_COUNT, *_MODELS)),
                        "{{provider}} {{model}}",
                    ),
                ),
                lines(
                    "Opinion score",
                    "short",
                    "Mean opinion score of audio, 1 to 5, by voice and by how it was made.",
                    Query(mean(s.MOS_SCORES, *_MODELS, "kind"), "{{provider}} {{model}} ({{kind}})"),
                ),
                lines(
                    "Opinion score, lowest tenth",
                    "short",
                    "p10 of the scores, read from buckets of 0.5.",
                    Query(quantile(0.1, s.MOS_SCORES, "kind"), "{{kind}}"),
                ),
            ),
        ),
        (
            "Conversation",
            (
                lines(
                    "Replies interrupted",
                    "percentunit",
                    "Replies that the caller spoke over and stopped / replies, by bot.",
                    Query(share(rate(s.INTERRUPTIONS, "bot"), rate(s.REPLIES, "bot")), "{{bot}}"),
                ),
                lines(
                    "Dead air",
                    "percentunit",
                    f"Silences of both of 3 s or more / length of the calls. {_SPOKEN} {_STORED}",
                    Query(
                        _dead_air("bot"),
                        "{{bot}}",
                    ),
                ),
                lines(
                    "Who talks",
                    "s",
                    f"Seconds of speech by caller and bot, and of dead air. {_SPOKEN} {_STORED}",
                    Query(level(s.SPEECH_DURATION, "part", part=Other("call")), "{{part}}"),
                    stacked=True,
                ),
            ),
        ),
        (
            "Understanding",
            (
                lines(
                    "Classifications",
                    "cpm",
                    "A minute: sure, below 0.7, or without a confidence.",
                    Query(f"60 * {rate(s.CLASSIFICATIONS, 'result')}", "{{result}}"),
                    stacked=True,
                ),
                lines(
                    "Fallbacks",
                    "percentunit",
                    "Classifications in which no intent was good enough / classifications, by bot.",
                    Query(
                        share(rate(s.CLASSIFICATIONS, "bot", fallback="true"), rate(s.CLASSIFICATIONS, "bot")),
                        "{{bot}}",
                    ),
                ),
                lines(
                    "Turns that break a quality rule",
                    "cpm",
                    "A minute, by rule. What the rule sets aside is in no other metric.",
                    Query(f"60 * {rate(s.BROKEN_RULES, 'rule')}", "{{rule}}"),
                    stacked=True,
                ),
            ),
        ),
    ),
)
