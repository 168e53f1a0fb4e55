"""What a running service says of itself on ``/metrics``, as findings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from otel_voicebot import conventions, semconv
from otel_voicebot.reports.findings import Finding, counted, lines, meaning_of, of_unread
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.samples import Samples, parse
from otel_voicebot.reports.scrape import address, fetch, not_ours

__all__ = ["Service", "ask", "diagnose", "document", "grids", "head"]

Counts = Mapping[tuple[str, str], float]
"""By metric and its last label's value; summed over what other labels there are."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service at one moment.

    Attributes:
        endpoint: where it was asked.
        counts: its counters and gauges, by (metric, label).
        findings: what is wrong with it.
    """

    endpoint: str
    counts: Counts
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No finding is trouble."""
        return not any(one.level == "trouble" for one in self.findings)


def ask(endpoint: str) -> Service:
    """Read a service's metrics.

    Args:
        endpoint: URL of the service's metrics, with or without ``/metrics``; without a scheme it is http.

    Raises:
        UsageError: it is no URL.
        UnreachableError: nothing answers there, or something else does.
    """
    url = address(endpoint, "--endpoint")
    samples = parse(fetch(url))
    if samples is None:
        raise not_ours(url)
    counts = _counts(samples)
    return Service(url, counts, tuple(diagnose(counts)))


def _counts(samples: Samples) -> dict[tuple[str, str], float]:
    """Counters and gauges of things; those in seconds (a date, an age) are no counts."""
    found: dict[tuple[str, str], float] = {}
    for metric in semconv.METRICS.values():
        if metric.kind == "histogram" or metric.unit == "s":
            continue
        part = "_total" if metric.kind == "counter" else ""
        if metric.labels:
            by = samples.by(metric, metric.labels[-1], part, partly=True)
            found |= {(metric.name, label): value for label, value in by.items()}
        else:
            found[metric.name, ""] = samples.total(metric, part)
    return found


def _of(counts: Counts, metric: conventions.Metric) -> dict[str, float]:
    return {label: value for (name, label), value in sorted(counts.items()) if name == metric.name and value}


def diagnose(counts: Counts) -> list[Finding]:
    """What the counters tell, trouble first. They count since the service was started."""
    committed = sum(_of(counts, semconv.SELF_COMMITTED).values())
    found = [
        *of_unread(_of(counts, semconv.SELF_REJECTED).items()),
        *of_unread(_of(counts, semconv.SELF_DROPPED).items(), "dropped"),
        *_of_doors(counts),
        *_of_pipeline(counts),
        *_of_names(counts, committed),
        *_of_quality(counts),
    ]
    turns = sum(_of(counts, semconv.TURNS).values())
    ended = sum(_of(counts, semconv.SESSIONS).values())
    if committed and ended and not turns:
        text = f"no turn came of {counted(committed, 'span')} in {counted(ended, 'ended call')}"
        advice = "ask the data itself: otel-voicebot doctor --data DIR says which fields are missing"
        found.append(Finding("trouble", "no_turns", text, advice))
    if not committed:
        found.append(Finding("note", "idle", "no span has come in since the service was started"))
    return sorted(found, key=lambda one: one.level != "trouble")


def _of_doors(counts: Counts) -> list[Finding]:
    found = []
    for reason, number in _of(counts, semconv.SELF_REFUSED).items():
        text = f"{counted(number, 'request')} refused at the door: {reason}"
        found.append(Finding("trouble", "refused", text, "see docs/wiring.md: what a sender is told", (reason,)))
    answers = _of(counts, semconv.SELF_REQUESTS)
    bad = {"unreadable": "no OTLP", "disk": "the disk refused: the sender comes again", "failed": "a defect of ours"}
    for answer, meaning in bad.items():
        if number := answers.get(answer, 0):
            text = f"{counted(number, 'request')} answered with {answer}: {meaning}"
            found.append(Finding("trouble", "refused", text, "the service's log has the reason", (answer,)))
    if number := answers.get("turned_away", 0):
        text = f"{counted(number, 'request')} turned away: the sender was asked to come again"
        found.append(Finding("note", "turned_away", text, "where it goes on, give it more memory or a replica"))
    return found


def _of_pipeline(counts: Counts) -> list[Finding]:
    found = []
    for stage, number in _of(counts, semconv.SELF_FAILURES).items():
        text = f"{counted(number, 'failure')} at stage {stage} contained"
        found.append(Finding("trouble", "failures", text, "the service's log has the reason", (stage,)))
    if number := sum(_of(counts, semconv.SELF_EVICTED).values()):
        text = f"{counted(number, 'open call')} given up: their metrics are incomplete"
        found.append(Finding("trouble", "evicted", text, "raise max_sessions or max_spans, or add a replica"))
    for metric, kind, what, advice in _NOTES:
        for label, number in _of(counts, metric).items():
            named = f" ({label})" if label else ""
            found.append(Finding("note", kind, f"{counted(number, what)}{named}", advice, (label,) if label else ()))
    return found


_NOTES: Final = (
    (semconv.SELF_LIMITED, "limited", "attribute beyond a limit", "settings max_attributes, max_attribute_length"),
    (
        semconv.SELF_LATE,
        "late",
        "late span",
        "they came after their call was closed; reports have them, counters don't",
    ),
    (semconv.SELF_WITHHELD, "content_off", "text withheld", "content capture is off: OTEL_VOICEBOT_CAPTURE_CONTENT=1"),
)


def _of_quality(counts: Counts) -> list[Finding]:
    return [
        Finding("note", "quality", f"{counted(number, 'turn')} broke rule {rule}", meaning_of(rule), (rule,))
        for rule, number in _of(counts, semconv.BROKEN_RULES).items()
    ]


def _of_names(counts: Counts, committed: float) -> list[Finding]:
    """Names that no table has."""
    found = []
    unmapped = _of(counts, semconv.SELF_UNMAPPED)
    if unmapped:
        number, names = sum(unmapped.values()), tuple(one or "(none)" for one in unmapped)
        none = number >= committed > 0
        text = f"{counted(number, 'span')} of no known framework: scopes {', '.join(names[:8])}"
        advice = "a voice framework can be described in a YAML file (setting dialects)"
        found.append(Finding("trouble" if none else "note", "not_recognised", text, advice, names[:100]))
    for metric, what in ((semconv.SELF_UNKNOWN_SPANS, "span name"), (semconv.SELF_UNKNOWN_ATTRIBUTES, "attribute")):
        if names := tuple(_of(counts, metric)):
            text = f"{counted(len(names), what)} that the framework's table doesn't have: {', '.join(names[:8])}"
            advice = "a newer version? otel-voicebot doctor --data DIR says what is missing instead"
            found.append(Finding("note", "new", text, advice, names[:100]))
    return found


def head(found: Service) -> list[str]:
    """The lines above the tables."""
    return [f"service {found.endpoint}", *lines(found.findings)]


def grids(found: Service) -> list[Grid]:
    """The counters that aren't 0."""
    rows = tuple({"metric": n, "label": k, "value": v} for (n, k), v in sorted(found.counts.items()) if v)
    columns = (Column("metric", "metric"), Column("label", "label"), Column("value", "value", right=True))
    return [Grid("counts", "Since it was started", columns, rows, empty="nothing came in")]


def document(found: Service) -> dict[str, object]:
    """As JSON."""
    return {
        "schema": "otel_voicebot.doctor/1",
        "endpoint": found.endpoint,
        "ok": found.ok,
        "counts": [{"metric": n, "label": k, "value": v} for (n, k), v in sorted(found.counts.items()) if v],
        "findings": [asdict(one) for one in found.findings],
    }
