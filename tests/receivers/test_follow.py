"""A growing file: whole requests as they come, through rotation, truncation and restarts."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers.follow import Follower, Position
from tests.receivers.test_files import line, otlp_json, packed, request


def framed(content: bytes) -> bytes:
    """Behind its length, as the exporter writes."""
    return len(content).to_bytes(4, "big") + content


def zstd(content: bytes) -> bytes:
    """As the exporter compresses."""
    return bytes(pa.compress(content, "zstd", asbytes=True))


WRITERS: dict[str, Callable[[int], bytes]] = {
    "json": lambda number: line(request(number)),
    "proto": lambda number: framed(packed(request(number))),
    "json, zstd": lambda number: framed(zstd(json.dumps(otlp_json(request(number))).encode())),
    "proto, zstd": lambda number: framed(zstd(packed(request(number)))),
}


def follower(path: Path, position: Position | None = None, told: list[str] | None = None) -> Follower:
    """A follower whose remarks go to ``told``."""
    return Follower(path, position, ([] if told is None else told).append)


def numbers(following: Follower) -> list[int]:
    """Read until there is nothing new; which requests came."""
    kind = type(request(1))
    found = []
    while requests := following.read():
        found += [PLACE[kind.FromString(payload).SerializeToString()] for _, payload, _ in requests]
    return found


PLACE = {packed(request(number)): number for number in range(300)}


@pytest.mark.parametrize("form", WRITERS)
def test_requests_come_once_whole_however_the_file_is_written(tmp_path: Path, form: str) -> None:
    """Written in pieces of any length, each request is given once, in order, when its last byte is there."""
    path, drawn = tmp_path / "spans.jsonl", random.Random(form)
    content = b"".join(map(WRITERS[form], range(40)))
    following, found = follower(path), []
    assert following.read() == []  # not there yet
    with path.open("ab", buffering=0) as file:
        while content:
            piece = drawn.randint(1, 900)
            file.write(content[:piece])
            content = content[piece:]
            found += numbers(following)
    assert found == list(range(40))
    assert following.read() == []


@pytest.mark.parametrize("form", WRITERS)
def test_a_restart_goes_on_where_the_position_says(tmp_path: Path, form: str) -> None:
    """With the position of an earlier follower nothing is given twice and nothing is left out."""
    path = tmp_path / "spans.jsonl"
    position, found = None, []
    for number in range(10):
        with path.open("ab") as file:
            file.write(WRITERS[form](number))
        following = follower(path, position)
        found += numbers(following)
        position = following.position()
        following.close()
    assert found == list(range(10))


@pytest.mark.parametrize("restart", [False, True])
def test_rotation_by_rename(tmp_path: Path, restart: bool) -> None:
    """A renamed file is read to its end before the next ones, however many, also by a follower that starts again."""
    path = tmp_path / "spans.jsonl"
    path.write_bytes(WRITERS["json"](0))
    following = follower(path)
    assert numbers(following) == [0]
    with path.open("ab") as old:
        path.rename(tmp_path / "spans-2026-11-21T10-00-00.000.jsonl")
        old.write(WRITERS["json"](1))
    if not restart:
        assert numbers(following) == [1]  # and there is no new file yet
    path.write_bytes(WRITERS["json"](2))
    path.rename(tmp_path / "spans-2026-11-21T11-00-00.000.jsonl")
    path.write_bytes(WRITERS["json"](3))
    (tmp_path / "spansomething-else.jsonl").write_bytes(WRITERS["json"](99))
    if restart:
        position = following.position()
        following.close()
        following = follower(path, position)
        assert numbers(following) == [1, 2, 3]
    else:
        assert numbers(following) == [2, 3]


def test_the_next_file_is_read_though_it_was_renamed_too(tmp_path: Path) -> None:
    """While there is no newest file, those that were renamed after the one that was read are given all the same."""
    path = tmp_path / "spans.jsonl"
    path.write_bytes(WRITERS["json"](0))
    following = follower(path)
    assert numbers(following) == [0]
    path.rename(tmp_path / "spans-2026-11-21T10.jsonl")
    path.write_bytes(WRITERS["json"](1))
    path.rename(tmp_path / "spans-2026-11-21T11.jsonl")
    assert numbers(following) == [1]
    path.write_bytes(WRITERS["json"](2))
    assert numbers(following) == [2]


def test_a_position_in_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """The rest of a file that was removed can't be had; those after it are given."""
    path, told = tmp_path / "spans.jsonl", list[str]()
    path.write_bytes(WRITERS["json"](0))
    following = follower(path)
    assert numbers(following) == [0]
    position = following.position()
    following.close()
    path.rename(tmp_path / "kept-so-that-its-inode-stays")
    path.write_bytes(WRITERS["json"](1))
    assert numbers(follower(path, position, told)) == [1]
    assert len(told) == 1
    assert "is gone" in told[0]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("longer", [False, True])
def test_truncation(tmp_path: Path, restart: bool, longer: bool) -> None:
    """A file that was cut to nothing and begun anew is read from its start, also when it is longer again already."""
    path = tmp_path / "spans.jsonl"
    path.write_bytes(WRITERS["json"](0) + WRITERS["json"](1))
    following = follower(path)
    assert numbers(following) == [0, 1]
    os.truncate(path, 0)
    again = range(5, 9) if longer else range(5, 6)
    with path.open("ab") as file:
        file.write(b"".join(map(WRITERS["json"], again)))
    if restart:
        position = following.position()
        assert position is not None
        old = Position(position.device, position.inode, 10**6 if not longer else 900, "of the old", position.modified)
        following = follower(path, old)
    assert numbers(following) == list(again)


def test_damage_is_told_and_the_rest_is_given(tmp_path: Path) -> None:
    """A line that is no JSON, and one that a rotation cut short, cost themselves only."""
    path, told = tmp_path / "spans.jsonl", list[str]()
    path.write_bytes(WRITERS["json"](0) + b"{broken\n" + WRITERS["json"](1) + WRITERS["json"](2)[:30])
    following = follower(path, told=told)
    assert numbers(following) == [0, 1]
    path.rename(tmp_path / "spans-2026.jsonl")
    path.write_bytes(WRITERS["json"](3))
    assert numbers(following) == [3]
    assert ["broken JSON" in told[0], "cut short" in told[1], len(told)] == [True, True, 2]


def test_a_wrong_length_ends_it_after_what_is_good(tmp_path: Path) -> None:
    """Behind a length that is none nothing can be found any more."""
    path = tmp_path / "spans.pb"
    path.write_bytes(WRITERS["proto"](0) + b"\xff" * 100)
    following = follower(path)
    assert len(following.read()) == 1
    with pytest.raises(UnreadableDataError, match="not a length"):
        following.read()


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\x00rest", zstd(b"x"), packed(request(1)), b"text"])
def test_what_can_not_grow_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whole-file compression, one protobuf request, and anything else."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="can't follow"):
        follower(path).read()


def test_a_line_larger_than_a_read_is_given_whole(tmp_path: Path) -> None:
    """Requests of many megabytes are put together."""
    path = tmp_path / "spans.jsonl"
    large = request(1, text="x" * 9_000_000)
    path.write_bytes(line(large) + WRITERS["json"](2))
    following = follower(path)
    ((_, payload, _),) = following.read()[:1]
    assert type(large).FromString(payload) == large
