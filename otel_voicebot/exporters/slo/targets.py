"""Latency targets as limits of quantiles that Prometheus can read."""

from dataclasses import dataclass
from typing import Final

from otel_voicebot.exporters.promql import Labels
from otel_voicebot.exporters.slo.indicators import INDICATORS, Timed
from otel_voicebot.models.targets import Target, Targets, as_rows

__all__ = ["TARGETS", "Limit", "limits_of"]

TARGETS: Final = "targets"
"""The indicator of a rule: all latency targets of the targets file."""


@dataclass(frozen=True)
class Limit:
    """A quantile of a time, and what it is not to exceed."""

    indicator: Timed
    where: Labels
    quantile: float
    above_s: float
    name: str


def limits_of(targets: Targets) -> list[Limit]:
    """Each target and quantile, in the file's order."""
    limits = []
    for row in as_rows(targets):
        target = targets.targets[int(str(row["position"]))]
        indicator = _indicator(target)
        told = {"component": target.component, "bot": target.bot, "operation": target.operation}
        where = {name: value for name, value in told.items() if value is not None and name in indicator.labels}
        quantile = int(str(row["quantile"]).removeprefix("p")) / 100
        limits.append(Limit(indicator, where, quantile, float(str(row["target_s"])), _name(target)))
    return limits


def _indicator(target: Target) -> Timed:
    name = {"turn": "response_gap", "handoff": "handoff_time"}.get(target.component or "", "operation")
    found = INDICATORS[name]
    assert isinstance(found, Timed)  # noqa: S101 - the three are times
    return found


def _name(target: Target) -> str:
    named = [part for part in (target.bot, target.component, target.operation) if part]
    return " ".join(named) or "all operations"
