"""What a file says about itself, and the few files that are opened for a name."""

import base64
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_voicebot.spans.schema import SPANS
from otel_voicebot.store import SpanStore, contents, reading, snapshot
from otel_voicebot.store.contents import NOTE, Gathered, contents_of, key_of
from otel_voicebot.store.lookup import Lookup
from otel_voicebot.store.reader import Snapshot
from tests.store.hours import LATER, fill, maintain, rows_of
from tests.store.rows import START, span_id, span_rows, trace_id

names = st.text(min_size=1) | st.binary(min_size=16, max_size=16).map(bytes.hex)


def _note(rows: pa.Table) -> contents.Contents:
    gathered = Gathered()
    gathered.add(rows)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, pa.schema([("x", pa.int32())]), store_schema=False) as writer:
        writer.add_key_value_metadata(gathered.note())
    footer = sink.getvalue().to_pybytes()
    found = contents._parsed(footer)
    assert found is not None
    return found


@settings(deadline=None)
@given(st.lists(names), st.lists(st.binary(min_size=16, max_size=16), min_size=1))
def test_every_name_of_a_file_is_known(sessions: list[str], traces: list[bytes]) -> None:
    """Whatever a session is called: a file that holds it, or a trace, is never passed over."""
    rows = [
        {"trace_id": trace, "session_id": (sessions or [None])[n % max(1, len(sessions))]}
        for n, trace in enumerate(traces)
    ]
    found = _note(rows_of("spans", *rows))
    held = {row["session_id"] for row in rows if row["session_id"]}
    for name in [*held, *(trace.hex() for trace in traces)]:
        assert found.holds([key_of(name)])
        assert found.holds([1, key_of(name), 2])
    assert not found.holds([])


def test_a_name_that_is_not_there_opens_no_file(tmp_path: Path) -> None:
    """Of a thousand other names none is taken for one of the file's; in hot files and in history."""
    fill(tmp_path)
    for merged in (False, True):
        if merged:
            maintain(tmp_path)
        said = contents_of(min(tmp_path.rglob("*.parquet")))
        assert said is not None
        assert not any(said.holds([key_of(f"nobody-{n}")]) for n in range(1000))
        assert said.holds([key_of(trace_id(0).hex())])
        assert said.holds([key_of("call-0")])


def test_only_files_that_may_hold_it_are_opened(tmp_path: Path) -> None:
    """One of many hot files for a trace, all of a session's files for a session; after compaction, one of the hours."""
    fill(tmp_path, files=12)
    fill(tmp_path, first=10_000, files=3, at=LATER)
    lookup = Lookup()

    def files(name: str) -> int:
        return len(snapshot(tmp_path, choice=lookup.holding([name])).files)

    for _ in range(2):
        assert files(trace_id(50).hex()) == 1
        assert files("call-1") == 4  # spans 100 to 199 of files of 30
        assert files("call-100") == 3
    maintain(tmp_path, LATER)
    assert files(trace_id(50).hex()) == 1
    assert files("call-100") == 3
    assert files("call-1") == 1


def test_a_time_picks_files(tmp_path: Path) -> None:
    """By the first and the last start in a file."""
    store = SpanStore(tmp_path, clock=lambda: START)
    for first in (0, 1000, 2000):
        store.commit([span_rows(10, first=first)])
    lookup, at = Lookup(), START + 1000 * 1_000_000 + 1
    assert len(snapshot(tmp_path, choice=lookup.between(at, at)).files) == 1
    assert len(snapshot(tmp_path, choice=lookup.between(at, at + 1_000_000_000)).files) == 2
    assert len(snapshot(tmp_path, choice=lookup.between(0, 2 * START)).files) == 3


def test_rows_of_some_traces(tmp_path: Path) -> None:
    """Of the files only these rows are shown, ids as hex or as bytes; a vanished file is found in its new place."""
    fill(tmp_path, files=4)
    wanted = [trace_id(0).hex(), trace_id(70).hex()]
    lookup = Lookup()
    attempts: list[int] = []

    def use(source: Snapshot) -> list[str]:
        attempts.append(len(source.files))
        chosen = source.of_traces(wanted)
        if len(attempts) == 1:
            maintain(tmp_path)
        return sorted(chosen.read(["trace_id"])["trace_id"].to_pylist())

    assert reading(tmp_path, use, choice=lookup.holding(wanted)) == sorted(wanted * 10)
    assert attempts == [2, 1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda text: "!" + text[1:],
        lambda text: text[:10],
        lambda text: text[:-4],
        lambda text: text + "AAA=",
        lambda _: base64.b64encode(b"\xff" * 27).decode(),
    ],
)
def test_a_note_that_is_none_says_nothing(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    """A file with a broken note may hold anything: it is opened."""
    fill(tmp_path, files=1)
    (path,) = tmp_path.rglob("*.parquet")
    rows, text = pq.read_table(path), pq.read_metadata(path).metadata[NOTE.encode()].decode()
    path.unlink()
    with pq.ParquetWriter(path, rows.schema, store_schema=False) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({NOTE: spoil(text)})
    assert contents_of(path) is None
    assert len(snapshot(tmp_path, choice=Lookup().holding(["nobody"])).files) == 1


def test_what_is_no_parquet_says_nothing(tmp_path: Path) -> None:
    """A torn file, an empty one, a text, a directory."""
    for name, content in (("empty", b""), ("short", b"PAR1"), ("text", b"hello" * 100), ("torn", b"PAR1" * 5000)):
        (tmp_path / name).write_bytes(content)
        assert contents_of(tmp_path / name) is None
    assert contents_of(tmp_path) is None
    with pytest.raises(FileNotFoundError):
        contents_of(tmp_path / "gone")


def test_a_footer_that_is_longer_than_one_look_is_read(tmp_path: Path) -> None:
    """Many names make a long note; it is found all the same."""
    traces = [n.to_bytes(16) for n in range(20_000)]
    SpanStore(tmp_path, clock=lambda: START).commit(
        rows_of("spans", *({"trace_id": one} for one in traces)).to_batches()
    )
    (path,) = tmp_path.rglob("*.parquet")
    said = contents_of(path)
    assert said is not None
    assert said.keys is not None
    assert len(said.keys) > 19_990
    assert said.holds([key_of(traces[777].hex())])


def test_too_many_names_are_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may hold anything, and its times are still known."""
    monkeypatch.setattr(contents, "_MOST_KEYS", 10)
    fill(tmp_path, files=1)
    fill(tmp_path, first=200, files=1)
    said = [contents_of(path) for path in tmp_path.rglob("*.parquet")]
    assert all(one is not None and one.keys is not None for one in said)
    rows = pa.Table.from_batches([span_rows(300)])
    found = _note(rows)
    assert found.keys is None
    assert found.holds([1])
    assert not found.overlaps(0, START)


def test_too_many_names_are_not_kept_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes a huge file keeps no name of it once there are too many; repeats don't count."""
    monkeypatch.setattr(contents, "_MOST_KEYS", 100)
    gathered = Gathered()
    for _ in range(10):
        gathered.add(pa.Table.from_batches([span_rows(300)]))  # 30 traces in 3 calls
        assert sum(map(len, gathered._keys)) <= 300
    assert len(gathered._keys) > 0
    for number in range(50):
        gathered.add(pa.Table.from_batches([span_rows(300, first=300 * number)]))
        assert sum(map(len, gathered._keys)) <= 300
    assert gathered._keys == []
    said = contents._parsed(NOTE.encode() + b"\x18\x20" + gathered.note()[NOTE].encode())
    assert said is not None
    assert said.keys is None
    assert said.overlaps(START + 1, START + 1)


def test_what_a_sender_calls_a_session_can_not_hide_another(tmp_path: Path) -> None:
    """Names of sessions stand in the footer's statistics: one that looks like a note is not taken for it."""
    fake = base64.b64encode(contents._HEAD.pack(1, 2, True)).decode()
    hostile = f"{NOTE}\x18{chr(len(fake))}{fake}"
    rows = span_rows(30).set_column(
        SPANS.get_field_index("session_id"), SPANS.field("session_id"), pa.array([hostile] * 30)
    )
    SpanStore(tmp_path, clock=lambda: START).commit([rows])
    for merged in (False, True):
        if merged:
            maintain(tmp_path)
        (path,) = tmp_path.rglob("*.parquet")
        said = contents_of(path)
        assert said is not None
        assert said.holds([key_of(trace_id(0).hex())])
        assert said.holds([key_of(hostile)])


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A small one finds the same and forgets files that are gone; a rewritten file of the same name is read anew."""
    fill(tmp_path, files=8)
    small = Lookup(most_bytes=1500)
    for _ in range(2):
        for n in (0, 50, 200):
            assert len(snapshot(tmp_path, choice=small.holding([trace_id(n).hex()])).files) == 1
    assert 0 < small._bytes <= 1500
    before = set(small._known)
    assert len(before) == 2
    maintain(tmp_path)
    assert len(snapshot(tmp_path, choice=small.holding([trace_id(0).hex()])).files) == 1
    assert len(snapshot(tmp_path, choice=small.holding([trace_id(0).hex()])).files) == 1
    assert small._known
    assert not before & set(small._known)
    large = Lookup()
    assert len(snapshot(tmp_path, choice=large.holding([trace_id(0).hex()])).files) == 1
    fill(tmp_path, first=5000, files=1)  # comes late, and is merged into the same file
    maintain(tmp_path)
    wanted = trace_id(5000).hex()
    late = snapshot(tmp_path, choice=large.holding([wanted])).of_traces([wanted]).read(["span_id"])
    assert set(late["span_id"].to_pylist()) == {span_id(n).hex() for n in range(5000, 5010)}
