"""The KPIs that a service's counters tell, under the names and by the definitions of the report.

Percentiles come from histograms, so they are as exact as their buckets; everything else equals the report of the same
calls. KPIs that need single calls, such as first call resolution, can't be told from counters.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from otel_voicebot import semconv as s
from otel_voicebot.conventions import Metric
from otel_voicebot.reports.kpis import Kpi
from otel_voicebot.reports.samples import NotSplitError, Samples

__all__ = ["BEYOND", "ELSEWHERE", "component_rows", "service_kpis", "unknown_to_services"]

Row = Mapping[str, object]

BEYOND: Final = "or more: beyond the last bucket"
ELSEWHERE: Final = "the data directory knows (--data)"


def service_kpis(samples: Samples) -> tuple[Kpi, ...]:
    """Every KPI of which the service has the counts. One that it doesn't count by what is asked for says so."""
    return tuple(_kpi(name, make, samples) for name, make in _MADE.items())


def _kpi(name: str, make: "Callable[[str, Samples], Kpi]", samples: Samples) -> Kpi:
    try:
        return make(name, samples)
    except NotSplitError as error:
        return Kpi(name, None, "1", None, None, None, None, f"{error}; {ELSEWHERE}")


def unknown_to_services(name: str, unit: str = "1") -> Kpi:
    """A KPI that counters don't tell."""
    return Kpi(name, None, unit, None, None, None, None, "a service's counters don't tell it; the data does (--data)")


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _count(name: str, samples: Samples, metric: Metric, unit: str, part: str = "_total") -> Kpi:
    value = _whole(float(samples.total(metric, part)))
    return Kpi(name, value, unit, value, None, None, None, None)


def _ended(name: str, samples: Samples) -> Kpi:
    return replace(_count(name, samples, s.SESSIONS, "{session}"), note="ended ones")


def _tokens(name: str, samples: Samples, direction: str) -> Kpi:
    value = _whole(float(samples.total(s.TOKENS, direction=direction)))
    note = None if value else "no model call says its tokens"
    return Kpi(name, value or None, "{token}", value or None, None, None, None, note)


def _ratio(name: str, top: float, bottom: float, missing: str, unit: str = "1") -> Kpi:
    value = top / bottom if bottom else None
    return Kpi(name, value, unit, _whole(float(top)), _whole(float(bottom)), None, None, None if bottom else missing)


def _gap(name: str, samples: Samples, quantile: float) -> Kpi:
    value, beyond = samples.quantile(s.RESPONSE_GAP, quantile)
    n = _whole(float(samples.total(s.RESPONSE_GAP, "_count")))
    note = "no answered turn" if value is None else BEYOND if beyond else None
    return Kpi(name, value, "s", value, n, None, None, note)


def _abandoned(name: str, samples: Samples) -> Kpi:
    return _ratio(name, samples.total(s.TURNS, outcome="abandoned"), samples.total(s.TURNS), "no exchange")


def _interrupted(name: str, samples: Samples) -> Kpi:
    return _ratio(name, samples.total(s.INTERRUPTIONS), samples.total(s.REPLIES), "no bot speech")


def _failed(name: str, samples: Samples) -> Kpi:
    return _ratio(name, samples.total(s.ERRORS), samples.total(s.OPERATION_DURATION, "_count"), "no operation")


def _wer(name: str, samples: Samples) -> Kpi:
    return _ratio(name, samples.total(s.WER_ERROR_COUNT), samples.total(s.WER_WORD_COUNT), "no reference texts")


def _mos(name: str, samples: Samples) -> Kpi:
    counts = {kind: n for kind, n in samples.by(s.MOS_SCORES, "kind", "_count").items() if n}
    if len(counts) > 1:
        kinds = ", ".join(sorted(kind or "unknown" for kind in counts))
        return Kpi(name, None, "1", None, None, None, None, f"scores of several kinds ({kinds}) are never mixed")
    found = _ratio(name, samples.total(s.MOS_SCORES, "_sum"), sum(counts.values()), "no opinion scores")
    return replace(found, note=next(iter(counts)) or "unknown") if counts else found


def _aht(name: str, samples: Samples) -> Kpi:
    top, bottom = (samples.total(s.HANDLE_TIME, part) for part in ("_sum", "_count"))
    return _ratio(name, top, bottom, "no ended session with an answered turn", "s")


def _scores(samples: Samples, metric: Metric) -> dict[float, float]:
    return {float(score): n for score, n in samples.by(metric, "score").items() if n}


def _csat_mean(name: str, samples: Samples) -> Kpi:
    found = _scores(samples, s.CSAT_SCORES)
    return _ratio(name, sum(score * n for score, n in found.items()), sum(found.values()), "no survey answers")


def _csat_share(name: str, samples: Samples) -> Kpi:
    found = _scores(samples, s.CSAT_SCORES)
    return _ratio(name, sum(n for score, n in found.items() if score >= 4), sum(found.values()), "no survey answers")


def _nps(name: str, samples: Samples) -> Kpi:
    found = _scores(samples, s.NPS_SCORES)
    top = sum(n if score >= 9 else -n for score, n in found.items() if score >= 9 or score <= 6)
    bottom = sum(found.values())
    value = 100 * top / bottom if bottom else None
    return Kpi(name, value, "{point}", _whole(float(top)), _whole(float(bottom)), None, None,
               None if bottom else "no survey answers")  # fmt: skip


def _cached(name: str, samples: Samples) -> Kpi:
    return _ratio(
        name, samples.total(s.CACHE_LOOKUPS, result="hit"), samples.total(s.CACHE_LOOKUPS), "no cache lookups"
    )


def _contained(name: str, samples: Samples) -> Kpi:
    top, bottom = samples.total(s.ELIGIBLE, contained="true"), samples.total(s.ELIGIBLE)
    return _ratio(name, top, bottom, "no eligible session")


def _unsure(name: str, samples: Samples) -> Kpi:
    low = samples.total(s.CLASSIFICATIONS, result="low_confidence")
    sure = samples.total(s.CLASSIFICATIONS, result="confident")
    return _ratio(name, low, low + sure, "no intent was classified")


def _fallback(name: str, samples: Samples) -> Kpi:
    top, bottom = samples.total(s.CLASSIFICATIONS, fallback="true"), samples.total(s.CLASSIFICATIONS)
    return _ratio(name, top, bottom, "no intent was classified")


_MADE: Final[dict[str, Callable[[str, Samples], Kpi]]] = {
    "active_sessions": partial(_count, metric=s.SESSIONS_ACTIVE, unit="{session}", part=""),
    "sessions": _ended,
    "turns": partial(_count, metric=s.TURNS, unit="{turn}"),
    "response_gap_p50_s": partial(_gap, quantile=0.5),
    "response_gap_p95_s": partial(_gap, quantile=0.95),
    "response_gap_p99_s": partial(_gap, quantile=0.99),
    "abandoned_wait_rate": _abandoned,
    "interruption_rate": _interrupted,
    "error_rate": _failed,
    "wer": _wer,
    "mos": _mos,
    "aht_s": _aht,
    "containment": _contained,
    "csat_share": _csat_share,
    "csat_mean": _csat_mean,
    "nps": _nps,
    "cache_hit_rate": _cached,
    "input_tokens": partial(_tokens, direction="input"),
    "output_tokens": partial(_tokens, direction="output"),
    "low_confidence_rate": _unsure,
    "fallback_rate": _fallback,
}


def component_rows(samples: Samples) -> tuple[Row, ...]:
    """As the model ``component_latencies`` has them.

    ``beyond`` names the percentiles that lie beyond the last bucket, of which the edge is given.

    Raises:
        NotSplitError: the service doesn't count them by what is asked for.
    """
    counts = samples.by(s.OPERATION_DURATION, "component", "_count")
    errors = samples.by(s.ERRORS, "component")
    return tuple(
        {
            "component": component,
            "operations": _whole(float(count)),
            "errors": _whole(float(errors.get(component, 0))),
            "timed": _whole(float(count)),
            **_percentiles(samples, component),
        }
        for component, count in sorted(counts.items())
        if count
    )


def _percentiles(samples: Samples, component: str) -> dict[str, object]:
    found = {
        f"p{percent}_s": samples.quantile(s.OPERATION_DURATION, percent / 100, component=component)
        for percent in (50, 95, 99)
    }
    beyond = [name for name, (_, last) in found.items() if last]
    return {**{name: value for name, (value, _) in found.items()}, **({"beyond": beyond} if beyond else {})}
