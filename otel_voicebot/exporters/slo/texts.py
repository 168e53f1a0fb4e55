"""What an alert tells whoever is woken: how bad, whose part of the wait, and what to do first."""

from dataclasses import dataclass
from typing import Final

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric
from otel_voicebot.exporters.promql import Labels, matchers, selector, summed
from otel_voicebot.exporters.slo.indicators import Indicator

__all__ = ["SEGMENT_MEAN", "About", "annotations", "segment_mean"]

SEGMENT_MEAN: Final = "voicebot:turn_segment:mean1h"
"""Recorded: seconds of each segment and owner in an answer's wait, on the average of an hour."""
_SERVICES: Final = ("component", "provider", "model")
_SERVICE: Final = "{{ .Labels.component }} {{ .Labels.provider }} {{ .Labels.model }}"
_LENGTH: Final = "{{ .Value | humanizeDuration }}"


def segment_mean() -> str:
    """The expression behind ``SEGMENT_MEAN``."""
    parts = summed("rate", selector(semconv.SEGMENT_DURATION, "_sum", {}), "1h", ("bot", "segment", "owner"))
    answered = summed("rate", selector(semconv.RESPONSE_GAP, "_count", {}), "1h", ("bot",))
    return f"{parts} / on (bot) group_left () ({answered} > 0)"


def annotations(said: str, about: "About", look: str, url: str | None) -> dict[str, str]:
    """Summary, owner, what to do first, and where to read on.

    Args:
        said: what is wrong, a template: ``{{ $value }} ...``.
        about: what was judged.
        look: the command that shows more.
        url: of a runbook of the user's own.
    """
    bot, asked = ("{{ $labels.bot }}", " --bot {{ $labels.bot }}") if "bot" in about.by else ("all bots", "")
    found = {"summary": f"{bot}: {said}"}
    names = about.owner()
    if names is not None:
        found["owner"] = names
    found["runbook"] = (
        f"1. {look}{asked} --since 1h\n2. otel-voicebot why{asked} --since 1h says whose part of the wait grew.\n"
        "3. otel-voicebot trace ID shows one of its calls."
    )
    if url:
        found["runbook_url"] = url
    return found


def _literal(text: str) -> str:
    """The text as ``printf`` writes it: a model may have ``%`` in its name."""
    return text.replace("%", "%%")


@dataclass(frozen=True)
class About:
    """What an alert judges."""

    indicator: Indicator | None
    """None: silence."""
    by: tuple[str, ...]
    where: Labels

    @property
    def bad_labels(self) -> Labels:
        """Labels of what is bad; none of a time."""
        return getattr(self.indicator, "bad_labels", {})

    def owner(self) -> str | None:
        """A template that names who has the largest part in it as the alert is sent; None where nobody can be named."""
        metric = self.indicator.metrics[0] if self.indicator is not None else None
        if metric in (semconv.RESPONSE_GAP, semconv.TURNS):
            return self._largest_segment()
        if metric is semconv.ERRORS:
            series = self._of_bot(semconv.ERRORS, "_total", self.bad_labels)
            told = f"{_SERVICE}: {{{{ .Labels.error_type }}}}"
            failed = summed("rate", series, "1h", (*_SERVICES, "error_type"))
            return self._topmost(failed, told, "nothing failed in the last hour")
        if metric is semconv.OPERATION_DURATION or metric is semconv.TIME_TO_FIRST:
            spent = summed("rate", self._of_bot(metric, "_sum", {}), "1h", _SERVICES)
            times = summed("rate", self._of_bot(metric, "_count", {}), "1h", _SERVICES)
            told = f"{_SERVICE}, {_LENGTH} on the average"
            return self._topmost(f"{spent} / ({times} > 0)", told, "nothing was timed in the last hour")
        return None

    def _largest_segment(self) -> str:
        """The largest segment, and the one that is largest above what it was a day before."""
        bot = {name: value for name, value in self.where.items() if name == "bot"}
        chosen = "bot=%q" if "bot" in self.by else _literal(matchers(bot))
        here = SEGMENT_MEAN + (f"{{{chosen}}}" if chosen else "")
        named = "{{ .Labels.segment }}{{ with .Labels.owner }} ({{ . }}){{ end }}"
        largest = self._topmost(here, f"{named}, {_LENGTH} of an answer", "no wait could be cut in the last hour")
        grown = self._topmost(f"{here} - {here} offset 1d > 0", f"; most above the day before: {named}, by {_LENGTH}")
        return largest + grown

    def _of_bot(self, metric: Metric, suffix: str, labels: Labels) -> str:
        """The series of the alert's bot: ``%q`` is put in when it is sent."""
        head, _, rest = selector(metric, suffix, {**self.where, **labels}).rstrip("}").partition("{")
        alone = "bot" in self.by and "bot" not in self.where
        chosen = [*(["bot=%q"] if alone else []), *([_literal(rest)] if rest else [])]
        return f"{head}{{{','.join(chosen)}}}" if chosen else head

    @staticmethod
    def _topmost(series: str, told: str, otherwise: str = "") -> str:
        """Template: the series with the largest value, which Prometheus asks for when the alert is sent."""
        text = f"topk(1, {series})".replace("\\", "\\\\").replace('"', '\\"')
        query = f'printf "{text}"{" $labels.bot" * series.count("%q")} | query'
        rest = f"{{{{ else }}}}{otherwise}" if otherwise else ""
        return f"{{{{ with {query} }}}}{{{{ with first . }}}}{told}{{{{ end }}}}{rest}{{{{ end }}}}"
