"""What objectives are about: each a share of bad things among all, as Prometheus counts them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric
from otel_voicebot.exporters import promql
from otel_voicebot.exporters.promql import Labels, Pattern, selector, summed

__all__ = ["INDICATORS", "SILENCE", "Counted", "Indicator", "Timed"]

_FAILED: Final = "otel-voicebot report --section errors"


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """One thing that may go wrong."""

    bad: str
    """What is bad, in words: ``of operations failed``."""
    metrics: tuple[Metric, ...]
    """What it is counted from; labels that all of them have may be asked for."""
    look: str = _FAILED
    """The command that shows more."""
    components: tuple[str, ...] = semconv.OPERATIONS
    """The components of which it is counted."""
    beyond_one: bool = False
    """The share can be above 1."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that all its metrics have."""
        return tuple(
            name for name in self.metrics[0].labels if all(name in metric.labels for metric in self.metrics[1:])
        )


@dataclass(frozen=True, kw_only=True)
class Counted(Indicator):
    """A share of counters."""

    of: str = ""
    """The suffix under which what counts as all is scraped."""
    bad_labels: Labels = field(default_factory=dict)
    all_labels: Labels = field(default_factory=dict)

    @property
    def numerator(self) -> Metric:
        """What counts the bad ones."""
        return self.metrics[0]

    @property
    def denominator(self) -> Metric:
        """What counts all."""
        return self.metrics[-1]

    def share(self, window: str, by: Sequence[str], where: Labels) -> str:
        """The share of bad ones; no series where there was nothing at all."""
        whole = summed("rate", selector(self.denominator, self.of, {**where, **self.all_labels}), window, by)
        return promql.share(self.count("rate", window, by, where), whole)

    def count(self, function: str, window: str, by: Sequence[str], where: Labels) -> str:
        """How many bad ones there were (``increase``), or a second (``rate``)."""
        return summed(function, selector(self.numerator, "_total", {**where, **self.bad_labels}), window, by)


@dataclass(frozen=True, kw_only=True)
class Timed(Indicator):
    """A share of times that are too long, read from a histogram at one of its edges."""

    @property
    def histogram(self) -> Metric:
        """The times."""
        return self.metrics[0]

    def share(self, window: str, by: Sequence[str], where: Labels, within_s: float) -> str:
        """The share of longer ones; ``within_s`` is an edge.

        A caller who gave up after that time waited longer too. One who gave up earlier says nothing of it.
        """
        edge = {**where, "le": repr(float(within_s))}
        answered = summed("rate", selector(self.histogram, "_count", where), window, by)
        quick = summed("rate", selector(self.histogram, "_bucket", edge), window, by)
        if self.histogram is not semconv.RESPONSE_GAP:
            return f"1 - {quick} / {answered}"
        left = summed("rate", selector(semconv.ABANDONED_WAIT, "_count", where), window, by)
        soon = summed("rate", selector(semconv.ABANDONED_WAIT, "_bucket", edge), window, by)
        gone = f"({left} - {soon})"
        # a bot that answered everybody has no series of those who left, one that answered nobody none of gaps
        return f"1 - ({quick} or 0 * {gone}) / ({answered} + {gone} or {answered} or {gone})"


def _of_operations(bad: str, labels: Labels) -> Counted:
    return Counted(bad=bad, metrics=(semconv.ERRORS, semconv.OPERATION_DURATION), of="_count", bad_labels=labels)


def _of(metric: Metric, bad: str, labels: Labels, *, among: Labels | None = None, look: str = _FAILED) -> Counted:
    return Counted(bad=bad, metrics=(metric,), of="_total", bad_labels=labels, all_labels=among or {}, look=look)


_SLOW: Final = "otel-voicebot slow"

INDICATORS: Final[Mapping[str, Indicator]] = {
    "response_gap": Timed(
        bad="of callers waited longer than {within_s:g} s for an answer", metrics=(semconv.RESPONSE_GAP,), look=_SLOW
    ),
    "operation": Timed(
        bad="of operations took longer than {within_s:g} s",
        metrics=(semconv.OPERATION_DURATION,),
        look="otel-voicebot report --section components",
    ),
    "first_chunk": Timed(
        bad="of operations gave nothing for {within_s:g} s",
        metrics=(semconv.TIME_TO_FIRST,),
        components=("stt", "llm", "tts"),
        look="otel-voicebot report --section components",
    ),
    "handoff_time": Timed(
        bad="of transfers took longer than {within_s:g} s",
        metrics=(semconv.HANDOFF_DURATION,),
        look="otel-voicebot report --section sla",
    ),
    "errors": _of_operations("of operations failed", {}),
    "rate_limits": _of_operations("of operations were refused by a rate limit", {"error_type": "rate_limit"}),
    "abandoned": _of(semconv.TURNS, "of exchanges were abandoned", {"outcome": "abandoned"}, look=_SLOW),
    "interruptions": Counted(
        bad="of replies were interrupted", metrics=(semconv.INTERRUPTIONS, semconv.REPLIES), of="_total"
    ),
    "calls": _of(
        semconv.SESSIONS, "of calls ended {outcomes}", {"outcome": ""}, look="otel-voicebot report --section outcomes"
    ),
    "cache_misses": _of(
        semconv.CACHE_LOOKUPS,
        "of cache lookups found nothing",
        {"result": "miss"},
        look="otel-voicebot report --section caches",
    ),
    "handoffs": _of(
        semconv.HANDOFFS,
        "of transfers failed",
        {"outcome": "failed"},
        among={"outcome": Pattern("completed|failed")},
    ),
    "blocked_handoffs": _of(semconv.HANDOFFS, "of transfers were blocked as circular", {"outcome": "blocked"}),
    "low_confidence": _of(
        semconv.CLASSIFICATIONS,
        "of intents were uncertain",
        {"result": "low_confidence"},
        among={"result": Pattern("confident|low_confidence")},
        look="otel-voicebot report --section intents",
    ),
    "wer": Counted(
        bad="of words were recognised wrongly",
        metrics=(semconv.WER_ERROR_COUNT, semconv.WER_WORD_COUNT),
        of="_total",
        beyond_one=True,  # words may be inserted
    ),
}
"""By the name that stands in the file."""

SILENCE: Final = "silence"
"""Callers are there and the bot answers nobody: no share, but an indicator of a rule."""
