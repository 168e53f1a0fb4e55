"""The dashboard of our own service."""

from typing import Final

from grafana.panels import Query, Sheet, lines, rows
from grafana.promql import increase, latest, level, rate
from otel_voicebot import semconv as s

__all__ = ["PIPELINE"]

PIPELINE: Final = Sheet(
    "voicebot-pipeline",
    "Pipeline health",
    "The service itself: what came in, what is on disk, what was refused, lost, late or not recognised. Most "
    "panels here are empty while all is well.",
    (
        (
            "In and on disk",
            (
                lines(
                    "Spans received",
                    "cps",
                    "A second, by door.",
                    Query(rate(s.SELF_RECEIVED, "door"), "{{door}}"),
                    stacked=True,
                ),
                lines(
                    "Spans on disk",
                    "cps",
                    "A second, fsynced; only these are acknowledged.",
                    Query(rate(s.SELF_COMMITTED), "committed"),
                ),
                lines(
                    "Waiting", "short", "Spans on disk that are not yet computed.", Query(level(s.SELF_QUEUE), "spans")
                ),
                lines(
                    "Requests",
                    "cps",
                    "A second, by how they were answered.",
                    Query(rate(s.SELF_REQUESTS, "answer"), "{{answer}}"),
                    stacked=True,
                ),
                lines(
                    "Logs on disk",
                    "cps",
                    "Log records a second, fsynced.",
                    Query(rate(s.SELF_LOGS_COMMITTED), "committed"),
                ),
                lines(
                    "Questions at the web port",
                    "cps",
                    "A second, by outcome.",
                    Query(rate(s.SELF_QUESTIONS, "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
            ),
        ),
        (
            "Not taken, lost",
            (
                lines(
                    "Spans rejected",
                    "cps",
                    "They can't be kept: by reason.",
                    Query(rate(s.SELF_REJECTED, "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Requests refused at the door",
                    "cps",
                    "By reason.",
                    Query(rate(s.SELF_REFUSED, "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Spans dropped",
                    "cps",
                    "Lost after they came in, by reason.",
                    Query(rate(s.SELF_DROPPED, "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Logs not sent on",
                    "cps",
                    "They are stored here all the same: by reason.",
                    Query(rate(s.SELF_LOGS_DROPPED, "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Contained failures",
                    "cpm",
                    "A minute, by stage: the service went on.",
                    Query(f"60 * {rate(s.SELF_FAILURES, 'stage')}", "{{stage}}"),
                    stacked=True,
                ),
                lines(
                    "Sessions given up",
                    "cpm",
                    "A minute: too many were open at once, or they could not be computed.",
                    Query(f"60 * {rate(s.SELF_EVICTED)}", "evicted"),
                ),
            ),
        ),
        (
            "Late, repeated, changed",
            (
                lines(
                    "Late spans",
                    "cps",
                    "Spans that came after their call was counted; of calls that are still in memory new turns are "
                    "counted, and rows written again.",
                    Query(rate(s.SELF_LATE), "late"),
                ),
                lines("Repeated spans", "cps", "Delivered twice, kept once.", Query(rate(s.SELF_REPEATED), "repeated")),
                lines(
                    "Restated",
                    "cpm",
                    "Rows a minute that changed after they were counted: reports know better.",
                    Query(f"60 * {rate(s.RESTATED, 'kind')}", "{{kind}}"),
                    stacked=True,
                ),
            ),
        ),
        (
            "Not recognised, cut",
            (
                rows(
                    "Spans of nobody's",
                    "short",
                    "No dialect recognises them: by instrumentation scope, of the time range.",
                    Query(increase(s.SELF_UNMAPPED, "scope"), "spans"),
                    width=8,
                ),
                rows(
                    "Unknown span names",
                    "short",
                    "Of known frameworks: a new version of one has renamed something. Of the time range.",
                    Query(increase(s.SELF_UNKNOWN_SPANS, "name"), "spans"),
                    width=8,
                ),
                rows(
                    "Unknown attributes",
                    "short",
                    "Of known frameworks, likewise.",
                    Query(increase(s.SELF_UNKNOWN_ATTRIBUTES, "name"), "attributes"),
                    width=8,
                ),
                lines(
                    "Values beyond a limit",
                    "cpm",
                    "Attributes dropped (count) and texts cut (length), a minute.",
                    Query(f"60 * {rate(s.SELF_LIMITED, 'limit')}", "{{limit}}"),
                    stacked=True,
                ),
                lines(
                    "Texts withheld",
                    "cpm",
                    "Not stored because content capture is off, a minute.",
                    Query(f"60 * {rate(s.SELF_WITHHELD)}", "withheld"),
                ),
                lines(
                    "Observations folded",
                    "cpm",
                    "A metric has too many series: a minute, by metric.",
                    Query(f"60 * {rate(s.SERIES_OVERFLOW, 'metric')}", "{{metric}}"),
                    stacked=True,
                ),
                lines(
                    "Age of KPIs from stored calls",
                    "s",
                    "Since first call resolution and speech were computed last.",
                    Query(f"time() - {latest(s.KPIS_COMPUTED)}", "age"),
                    width=24,
                ),
            ),
        ),
    ),
)
