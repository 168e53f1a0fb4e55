"""Which direction of each KPI is bad; the KPIs that groups of calls are compared by, and how each is made of calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["BAD", "MEASURES", "PRIMARY", "Measure"]

_NO_GAP: Final = "no answer, or no speech marks"
_NOT_ELIGIBLE: Final = "short, or planned handoff"


@dataclass(frozen=True, slots=True)
class Measure:
    """One KPI. Its columns in the model ``per_call`` are ``name``, ``name_of`` and ``name_out``.

    Attributes:
        name: as in the model ``kpis``.
        unit: as there.
        bad: which direction is worse; None where neither is (a shorter call isn't a better one).
        exclusion: what its definition leaves out.
        share: it is a share of things that happened or not.
        factor: what the ratio is multiplied by.
        quantile: of a percentile of the response gap its share; its column is ``response_gaps_s``.
    """

    name: str
    unit: str
    bad: Literal["up", "down"] | None
    exclusion: str | None = None
    share: bool = False
    factor: float = 1.0
    quantile: float | None = None


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure("response_gap_mean_s", "s", "up", _NO_GAP),
        Measure("response_gap_p50_s", "s", "up", _NO_GAP, quantile=0.5),
        Measure("response_gap_p95_s", "s", "up", _NO_GAP, quantile=0.95),
        Measure("response_gap_p99_s", "s", "up", _NO_GAP, quantile=0.99),
        Measure("abandoned_wait_rate", "1", "up", share=True),
        Measure("interruption_rate", "1", "up", "unknown", share=True),
        Measure("error_rate", "1", "up", share=True),
        Measure("wer", "1", "up", "no reference", share=True),
        Measure("aht_s", "s", None, "no answered exchange"),
        *(
            Measure(f"fcr_{days}d", "1", "down", "short, or caller or intent unknown", share=True)
            for days in (1, 7, 30)
        ),
        Measure("containment", "1", "down", _NOT_ELIGIBLE, share=True),
        Measure("escalation_rate", "1", "up", _NOT_ELIGIBLE, share=True),
        Measure("abandonment_rate", "1", "up", "short", share=True),
        Measure("csat_share", "1", "down", "no answer", share=True),
        Measure("csat_mean", "1", "down", "no answer"),
        Measure("nps", "{point}", "down", "no answer", factor=100),
        Measure("cache_hit_rate", "1", "down", share=True),
        Measure("input_tokens_per_session", "{token}", "up", "no token count"),
        Measure("output_tokens_per_session", "{token}", "up", "no token count"),
        Measure("cost_per_priced_session_usd", "USD", "up", "no price, or no usage"),
        Measure("low_confidence_rate", "1", "up", "no confidence", share=True),
        Measure("fallback_rate", "1", "up", share=True),
    )
}
"""By name, in the order in which they are told. Another one is three columns in ``per_call.sql`` and a line here."""

BAD: Final[Mapping[str, Literal["up", "down"]]] = {
    **{measure.name: measure.bad for measure in MEASURES.values() if measure.bad is not None},
    **dict.fromkeys(("strict_containment_24h", "automation_rate", "session_success_rate", "completion_rate"), "down"),
    **dict.fromkeys(("mos", "cost_savings_usd"), "down"),
    **dict.fromkeys(("wait_km_p50_s", "wait_km_p95_s", "wait_km_p99_s"), "up"),
    **dict.fromkeys(("cost_per_session_usd", "cost_per_resolved_usd", "cost_per_talk_minute_usd"), "up"),
}
"""Which direction is worse, by KPI; one that isn't there has none: more calls aren't better, nor are shorter ones."""

PRIMARY: Final = "response_gap_mean_s"
"""What decides unless told otherwise: p95 needs more than twice the calls to show the same relative difference, and the
percentiles are compared beside it."""
