"""What a service computes from stored calls: first call resolution and who spoke (A9, C16)."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otel_voicebot import semconv as s
from otel_voicebot.app.stored_kpis import StoredKpis
from otel_voicebot.models import Selection
from otel_voicebot.reports.source import ask
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import load
from otel_voicebot.store import SpanStore
from tests.live.doors import rows_of
from tests.prometheus.traffic import DAY_S, everything, shifted


def stored(data: Path, age_s: float) -> Path:
    """Calls that ended so long ago."""
    SpanStore(data).commit([rows_of(shifted(call, age_s)) for call in everything(600, 3)])
    return data


def test_issues_are_those_that_the_kpi_counts(tmp_path: Path) -> None:
    """By bot, window and state; over all bots they are numerator, denominator and provisional of fcr_1d and fcr_7d."""
    data = stored(tmp_path, 9 * DAY_S)
    kpis = StoredKpis(load(data=data), SelfMetrics())
    assert not kpis.read()
    kpis.round()
    found = kpis.read()[s.FCR_ISSUES.name]
    now = time.time()

    def of(window: str, state: str) -> float:
        return sum(one.total for labels, one in found.items() if labels[1:] == (window, state))

    at = datetime.fromtimestamp(now, UTC)
    asked = Selection(since=at - timedelta(days=14))
    rows = ask(data, asked, at, lambda opened: opened.engine.table("fcr").to_pylist())
    for row in rows:
        if (window := row["name"].removeprefix("fcr_")) in ("1d", "7d"):
            assert row["numerator"] == of(window, "solved")
            assert row["denominator"] == of(window, "solved") + of(window, "unsolved") > 0
            assert row["provisional"] == of(window, "provisional") == 0
    assert s.SPEECH_DURATION.name not in kpis.read()  # of the last day, and there was no call


def test_who_spoke_is_of_the_last_day(tmp_path: Path) -> None:
    """Caller, bot and dead air of calls with speech marks lie within these calls' length; issues are provisional."""
    kpis = StoredKpis(load(data=stored(tmp_path, 60.0)), SelfMetrics())
    kpis.round()
    found = kpis.read()[s.SPEECH_DURATION.name]
    for bot in {labels[0] for labels in found}:
        parts = {labels[1]: one.total for labels, one in found.items() if labels[0] == bot}
        assert 0 < parts["caller"] < parts["call"]
        assert 0 < parts["bot"] < parts["call"]
        assert 0 <= parts["dead_air"] < parts["call"]
    issues = kpis.read()[s.FCR_ISSUES.name]
    assert sum(one.total for labels, one in issues.items() if labels[2] == "provisional") > 0
    assert not sum(one.total for labels, one in issues.items() if labels[2] != "provisional")


def test_it_runs_in_the_background_and_ends(tmp_path: Path) -> None:
    """The first round comes at once, also without data; 0 switches it off; it ends when told."""
    kpis = StoredKpis(load(data=tmp_path, kpi_interval=1.0), SelfMetrics())
    kpis.start()
    while s.KPIS_COMPUTED.name not in kpis.read():
        time.sleep(0.05)
    assert kpis.stop(60)
    assert kpis.stop(0)
    off = StoredKpis(load(data=tmp_path, kpi_interval=0), SelfMetrics())
    off.start()
    assert off.stop(0)
    assert not off.read()


def test_a_round_is_given_up_when_it_is_to_end(tmp_path: Path) -> None:
    """Who stops a service doesn't wait for a round, and that is no failure."""
    metrics = SelfMetrics()
    kpis = StoredKpis(load(data=stored(tmp_path, 60.0)), metrics)
    kpis.stop(0)
    kpis.round()
    assert not kpis.read()
    assert metrics.get(s.SELF_FAILURES, "kpis") == 0


def test_a_failure_is_counted_and_the_last_values_stay(tmp_path: Path) -> None:
    """What can't be read costs a round, nothing else."""
    metrics = SelfMetrics()
    data = stored(tmp_path / "data", 60.0)
    kpis = StoredKpis(load(data=data), metrics)
    kpis.round()
    before = kpis.read()
    for path in data.rglob("*.parquet"):
        path.write_bytes(b"no Parquet")
    kpis.round()
    assert metrics.get(s.SELF_FAILURES, "kpis") == 1
    assert kpis.read() == before
