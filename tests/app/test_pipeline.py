"""What the embedded pipeline does when, and while the disk refuses."""

from pathlib import Path

import pytest

from otel_voicebot.app import computed, pipeline
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_ROWS_DROPPED
from otel_voicebot.settings import Settings
from otel_voicebot.store import GroupCommit
from tests.live.doors import rows_of
from tests.live.test_bounds import call


def test_rows_that_wait_for_the_disk_are_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each table the newest stay, what was dropped is counted, and what stayed is written once the disk is back."""
    monkeypatch.setattr(computed, "_ROWS_KEPT", 2)
    (tmp_path / "data").write_text("in the way")
    metrics = SelfMetrics()
    made = pipeline.Pipeline(Settings(data=tmp_path / "data"), metrics)
    for name in ("a", "b", "c"):
        made._derived.add(rows_of(call(name, 7)))
        made.drain()
        assert not made.flush()
    assert [metrics.get(SELF_ROWS_DROPPED, table) for table in ("turns", "sessions")] == [1, 1]
    (tmp_path / "data").unlink()
    assert made.flush()
    assert sorted(path.parts[-4] for path in (tmp_path / "data" / "hot").rglob("*.parquet")) == ["sessions", "turns"]
    made.close()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 5),
        ({"tick_interval": 0.1}, 0.1),
        ({"tick_interval": 60}, 5),
        ({"tick_interval": 3}, 2.5),
        ({"commit_interval": 12}, 4),
        ({"commit_interval": 1}, 0.5),
        ({"commit_interval": 1e-6}, 0.05),
    ],
)
def test_a_commit_interval_is_a_number_of_looks(given: dict[str, float], seconds: float) -> None:
    """A span waits for the look that takes it, and for the last one in time, which commits."""
    assert pipeline.look_interval(Settings(**given)) == pytest.approx(seconds)  # type: ignore[arg-type] # of any setting


def test_who_looks_commits_in_the_last_look_that_comes_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are taken up to a look after they came: two looks later would be too late."""
    seconds = [0.0]
    usual = GroupCommit.__init__.__kwdefaults__
    monkeypatch.setattr(GroupCommit.__init__, "__kwdefaults__", {**usual, "clock": lambda: int(seconds[0] * 1e9)})
    committed: list[float] = []
    settings = Settings(data=tmp_path / "data")
    made = pipeline.Pipeline(settings, SelfMetrics(), lambda _: committed.append(seconds[0]))
    made._commits.add(rows_of(call("a", 7)))
    while not committed:
        seconds[0] += pipeline.look_interval(settings)
        made.tick()
    assert committed == [settings.commit_interval - pipeline.look_interval(settings)]
    made.close()
