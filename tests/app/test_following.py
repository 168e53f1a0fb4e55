"""Following a file: what was read but not taken in, as something of ours failed in between, is read again."""

from pathlib import Path
from threading import Event

import pytest

from otel_voicebot.app import follow
from otel_voicebot.app.ingest import Ingestion
from otel_voicebot.settings import Settings
from tests.cli.test_import import calls, stored


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_was_read_and_not_taken_in_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """A second Ctrl-C, or a defect, in the middle of what was read at once: the next follower has all of it, once."""
    path, settings, stop = tmp_path / "spans.jsonl", Settings(data=tmp_path / "data"), Event()
    path.write_text("".join(calls(5)))
    stop.set()
    whole, taken = Ingestion.add, []

    def breaks(self: Ingestion, request: object) -> None:
        taken.append(request)
        if len(taken) == 3:
            raise error
        whole(self, request)  # type: ignore[arg-type]

    monkeypatch.setattr(Ingestion, "add", breaks)
    with pytest.raises(error):
        follow([path], settings, stop, print)
    monkeypatch.setattr(Ingestion, "add", whole)
    follow([path], settings, stop, print)
    assert len(stored(tmp_path / "data")) == len(set(stored(tmp_path / "data"))) == 15
