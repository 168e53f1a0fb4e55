"""Following a file: what was not taken in is read again, and a damaged span costs only itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

from otel_voicebot.app.following import follow
from otel_voicebot.app.ingest import Ingestion, ingest
from otel_voicebot.errors import UsageError
from otel_voicebot.receivers.bodies import from_json
from otel_voicebot.receivers.requests import Request
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
    whole = Ingestion.add

    def breaks(self: Ingestion, requests: Sequence[Request]) -> None:
        assert len(requests) == 5
        whole(self, requests[:2])
        raise error

    monkeypatch.setattr(Ingestion, "add", breaks)
    with pytest.raises(error):
        follow([path], settings, stop, print)
    monkeypatch.setattr(Ingestion, "add", whole)
    follow([path], settings, stop, print)
    assert len(stored(tmp_path / "data")) == len(set(stored(tmp_path / "data"))) == 15


def one_of(call: str, written: str, other: bytes) -> bytes:
    """A call's line with one text replaced."""
    line = call.encode()
    assert line.count(written.encode()) == 1
    return line.replace(written.encode(), other)


@pytest.mark.parametrize("other", [b'"\\ud800"', b'"caf\xe9"', b"17"], ids=["half a surrogate", "latin-1", "a number"])
def test_a_text_that_can_not_be_decoded_costs_its_span(tmp_path: Path, other: bytes) -> None:
    """Of a call's three spans in JSON one is damaged: the others, and all of the next call, are stored."""
    path, settings, stop, told = tmp_path / "spans.jsonl", Settings(data=tmp_path / "data"), Event(), []
    first, second = calls(2)
    path.write_bytes(one_of(first, '"voicebot.session"', other) + second.encode())
    stop.set()
    done = follow([path], settings, stop, told.append)
    assert (done.spans, done.rejected, told) == (5, {"damaged": 1}, [])
    assert follow([path], settings, stop, told.append).spans == 0


def test_a_damaged_span_in_protobuf_costs_only_itself(tmp_path: Path) -> None:
    """A Collector passes texts on that are no UTF-8: the span is left out and counted, as the service does."""
    path, settings, stop, told = tmp_path / "spans.binpb", Settings(data=tmp_path / "data"), Event(), []
    content = b""
    for number, call in enumerate(calls(3)):
        encoded = from_json("traces", call.encode())[0]
        encoded = encoded.replace(b"voicebot.session", b"\xff" * 16) if number == 1 else encoded
        content += len(encoded).to_bytes(4, "big") + encoded
    path.write_bytes(content)
    stop.set()
    done = follow([path], settings, stop, told.append)
    assert (done.spans, done.rejected, told) == (8, {"damaged": 1}, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, UsageError("not permitted")])
def test_an_import_keeps_what_came_before_an_error(tmp_path: Path, error: BaseException | type[BaseException]) -> None:
    """A second file that may not be read, or Ctrl-C: what was read is stored."""

    def source() -> Iterator[Request]:
        for line in calls(5):
            yield Request("traces", from_json("traces", line.encode())[0])
        raise error

    with pytest.raises(type(error) if isinstance(error, BaseException) else error):
        ingest(source(), Settings(data=tmp_path / "data"))
    assert len(stored(tmp_path / "data")) == 15


def test_an_integer_of_thousands_of_digits_costs_its_line(tmp_path: Path) -> None:
    """Python refuses to read it, with an error of its own kind: the other lines are followed."""
    path, settings, stop, told = tmp_path / "spans.jsonl", Settings(data=tmp_path / "data"), Event(), []
    first, second = calls(2)
    path.write_text(first.replace('"1', "9" * 5000 + ', "x": "1', 1) + second)
    stop.set()
    assert follow([path], settings, stop, told.append).spans == 3
    assert len(told) == 1
