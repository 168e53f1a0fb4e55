"""What the embedded pipeline does when, and while the disk refuses."""

from pathlib import Path

import pytest

from otel_voicebot.app import computed, pipeline
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_ROWS_DROPPED
from otel_voicebot.settings import Settings
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
    [({}, 5), ({"tick_interval": 0.1}, 0.1), ({"tick_interval": 60}, 5), ({"commit_interval": 1}, 0.5)],
)
def test_looks_are_as_far_apart_as_commits_and_ticks_allow(given: dict[str, float], seconds: float) -> None:
    """Half a commit interval at most: a span waits for the look that takes it, and for the next one, which commits."""
    assert pipeline.look_interval(Settings(**given)) == seconds  # type: ignore[arg-type] # of any setting
