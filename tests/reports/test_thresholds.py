"""Thresholds (FEATURES A12): which direction is bad, and what a threshold may be."""

from pathlib import Path

import pytest

from otel_voicebot.errors import UsageError
from otel_voicebot.reports.observed import Observed, of_directory, spelled
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened
from otel_voicebot.reports.thresholds import WATCHED, limit
from otel_voicebot.store.reader import snapshot
from tests.models.twelve import AS_OF, opened


@pytest.fixture(scope="module")
def seen(twelve: Path) -> Observed:
    """The figures of the twelve calls."""
    with opened(twelve, brief=True) as engine:
        return of_directory(Opened(snapshot(twelve), engine, Scope(str(twelve), AS_OF)))


@pytest.mark.parametrize(
    ("metric", "quantile", "threshold", "state"),
    [
        ("latency", None, "500", "crossed"),
        ("latency", None, "2.8s", "quiet"),
        ("latency", "p99", "2.8s", "crossed"),
        ("latency", "p50", "1000", "quiet"),  # a second is not above a second
        ("llm_latency", None, "2400ms", "quiet"),
        ("llm_latency", None, "2300", "crossed"),
        ("error_rate", None, "1%", "crossed"),
        ("error_rate", None, "0.1", "quiet"),
        ("wer", None, "9%", "crossed"),
        ("wer", None, "10%", "quiet"),
        ("cache_hit_rate", None, "51%", "crossed"),
        ("cache_hit_rate", None, "0.5", "quiet"),
        ("mos", None, "4", "crossed"),
        ("mos", None, "3.5", "quiet"),
        ("csat", None, "3.6", "crossed"),
        ("csat", None, "3.5", "quiet"),
        ("nps", None, "50", "crossed"),
        ("containment", None, "75%", "crossed"),
        ("containment", None, "70%", "quiet"),
    ],
)
def test_each_metric_has_its_bad_direction(
    seen: Observed, metric: str, quantile: str | None, threshold: str, state: str
) -> None:
    """Latencies and error rates are bad above, hit rates and scores below; exactly on the threshold isn't beyond it."""
    assert limit(metric, threshold, quantile, 1).evaluate(seen).state == state


@pytest.mark.parametrize("metric", WATCHED)
def test_every_metric_is_a_figure(seen: Observed, metric: str) -> None:
    """None is a name that no KPI has: there is a value, or the reason why there is none."""
    found = limit(metric, "3", None, 1) if WATCHED[metric].unit != "share" else limit(metric, "0.3", None, 1)
    kpi = found.evaluate(seen).kpi
    assert kpi.value is not None or kpi.note in ("no rag operation", "no api operation")


@pytest.mark.parametrize("threshold", ["1e3", "nan", "inf", "", " ", "5 min", "10%", "-1", "86400001"])
def test_what_is_no_latency(threshold: str) -> None:
    """A number of milliseconds, or a time in s or ms, up to a day."""
    with pytest.raises(UsageError, match=r"milliseconds, or a time such as 500ms or 0\.5s"):
        limit("latency", threshold, None, 1)


@pytest.mark.parametrize(("text", "seconds"), [("500", 0.5), ("500ms", 0.5), ("0.5s", 0.5), ("2 s", 2.0), (".5s", 0.5)])
def test_latencies(text: str, seconds: float) -> None:
    """Milliseconds unless told."""
    assert limit("latency", text, None, 1).threshold == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (60, "1 min"),
        (60.02, "1 min"),
        (90, "90 s"),
        (7200, "2 h"),
        (86_400, "1 day"),
        (604_800, "7 days"),
    ],
)
def test_lengths_of_time_are_spelled(seconds: float, text: str) -> None:
    """In the largest unit that fits."""
    assert spelled(seconds) == text
