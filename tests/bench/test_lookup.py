"""The store that the lookup benchmark asks."""

from pathlib import Path

import pytest

from bench import lookup_child
from otel_voicebot.reports.traces import Traces
from otel_voicebot.store import snapshot


def test_the_store_is_one_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """History and hot files, as many spans as it says; each trace that is told is there, whole, in one place."""
    monkeypatch.setattr(lookup_child, "HOUR_SPANS", 300)
    made = lookup_child.fill(1500, tmp_path)
    found = snapshot(tmp_path)
    assert found.rows == made["spans"] >= 1500
    assert len(found.history) == made["hours"] == 3
    assert len(found.hot) > 100
    traces = Traces(tmp_path)
    for tier, ids in made["ids"].items():
        assert ids
        for trace in set(ids):
            spans = traces.by_id([trace]).spans
            roots = [row for row in spans.to_pylist() if row["parent_span_id"] is None]
            assert [row["component"] for row in roots] == ["session"], tier
            assert {row["session_id"] for row in spans.to_pylist()} == {roots[0]["session_id"]}
    traces.close()
    assert len(found.read(["span_id"])["span_id"].unique()) == found.rows
