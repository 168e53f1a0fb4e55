"""Recording rules for Prometheus: percentiles of all waits, from the histograms of answered and of abandoned ones.

PromQL can't multiply over the buckets of a histogram. A rule for each edge can: rules of a group run one after the
other and see what the one before has recorded. The estimate is the life table's, which is what becomes of Kaplan and
Meier's when all that is known of a wait is its bucket: of the waits given up in a bucket half count as at risk there.
"""

import itertools
from typing import Final

import yaml

from otel_voicebot import semconv
from otel_voicebot.conventions import Metric
from otel_voicebot.exporters.promql import selector, summed

__all__ = ["WINDOW", "waits_rules"]

WINDOW: Final = "1h"
"""Over which waits are put together: a p95 of few waits says little."""

_ANSWERED: Final = f"voicebot:turn_response_gap:rate{WINDOW}"
_ABANDONED: Final = f"voicebot:turn_abandoned_wait:rate{WINDOW}"
_ESTIMATE: Final = "voicebot:turn_wait_km_bucket"
_NONE, _ALL = "0.0", "+Inf"


def waits_rules() -> str:
    """The rules file (YAML), by bot: ``histogram_quantile(0.95, voicebot:turn_wait_km_bucket)`` is the p95."""
    edges = [_NONE, *(repr(float(edge)) for edge in semconv.RESPONSE_GAP.buckets)]
    rules = [
        # where nothing was answered the curve would be flat, and read as if all waited for ever
        _rule(_ANSWERED, f"{_rate(semconv.RESPONSE_GAP)} unless on (bot) {_rate(semconv.RESPONSE_GAP, _ALL)} == 0"),
        # a bot on which nobody gave up has no series of abandoned waits
        _rule(_ABANDONED, f"({_rate(semconv.ABANDONED_WAIT)}) or 0 * {_ANSWERED}"),
        *(_rule(name, f"0 * {_up_to(_ANSWERED, _ALL)}", _NONE) for name in (_ANSWERED, _ABANDONED, _ESTIMATE)),
        *(_share(before, edge) for before, edge in itertools.pairwise(edges)),
        _rule(_ESTIMATE, f"0 * {_up_to(_ESTIMATE, _NONE)} + 1", _ALL),
    ]
    groups = {"groups": [{"name": "voicebot_waits", "rules": rules}]}
    return yaml.safe_dump(groups, sort_keys=False, width=1000)


def _rule(record: str, expr: str, edge: str | None = None) -> dict[str, object]:
    return {"record": record, "expr": expr, **({"labels": {"le": edge}} if edge else {})}


def _rate(metric: Metric, edge: str | None = None) -> str:
    return summed("rate", selector(metric, "_bucket", {"le": edge} if edge else {}), WINDOW, ("bot", "le"))


def _up_to(series: str, edge: str) -> str:
    return f'{series}{{le="{edge}"}}'


def _minus(series: str, edge: str, before: str) -> str:
    return f"({_up_to(series, edge)} - ignoring (le) {_up_to(series, before)})"


def _share(before: str, edge: str) -> dict[str, object]:
    """The share of waits that are answered within ``edge`` seconds, from that of the edge before."""
    answered, abandoned = _minus(_ANSWERED, edge, before), _minus(_ABANDONED, edge, before)
    longer = f"{_minus(_ANSWERED, _ALL, before)} + {_minus(_ABANDONED, _ALL, before)}"
    # where none is at risk none is answered either: 0 / tiny
    hazard = f"{answered} / clamp_min({longer} - {abandoned} / 2, 1e-12)"
    return _rule(_ESTIMATE, f"1 - (1 - {_up_to(_ESTIMATE, before)}) * ignoring (le) (1 - {hazard})", edge)
