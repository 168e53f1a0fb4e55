"""The web port beside those who change the store: compaction, erasure, retention, damage, and older files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import wire
from otel_voicebot import semconv as s
from otel_voicebot.receivers.security import Security
from otel_voicebot.store import SpanStore, reader
from otel_voicebot.store.erase import erase
from otel_voicebot.store.layout import HOUR_NS, hour_of, table_directory
from otel_voicebot.store.marks import move_horizon
from otel_voicebot.web import WebServer
from tests.live.doors import rows_of
from tests.store.hours import LATER, maintain
from tests.store.rows import START
from tests.web.asked import get, is_error, is_trace

SEARCH = {"service": "voicebot", "start": 1, "end": 2_000_000_000_000_000}


@contextmanager
def web(data: Path) -> Iterator[str]:
    """Where a web port over this directory answers."""
    server = WebServer(data, "127.0.0.1:0", Security())
    try:
        yield f"127.0.0.1:{server.start()}"
    finally:
        server.stop(1)


def call(name: str, spans: int = 5, **attributes: wire.Value) -> list[wire.Span]:
    """A call of so many spans below its session's."""
    trace = trace_of(name)
    own: dict[str, wire.Value] = {s.SESSION_ID: f"call {name}", s.BOT: "bank"}
    root = wire.Span(trace, b"root" * 2, b"", s.SPAN_SESSION, 1, START, START + spans * 1000, own)
    ids = range(1, spans)
    return [
        root,
        *(
            wire.Span(trace, n.to_bytes(8), b"root" * 2, s.SPAN_STT, 3, START + n, START + n + 9, {**own, **attributes})
            for n in ids
        ),
    ]


def trace_of(name: str) -> bytes:
    """The trace id of a call."""
    return name.encode().ljust(16, b"-")


def put(data: Path, *calls: list[wire.Span], at: int = START) -> None:
    """Commit each call in a file of its own."""
    store = SpanStore(data, clock=lambda: at)
    for spans in calls:
        store.commit([rows_of(spans)])


def test_compaction_changes_no_answer(tmp_path: Path) -> None:
    """A trace is the same in hot files, in history, and while the one becomes the other."""
    calls = {name: call(name, 40) for name in ("one", "two", "three")}
    put(tmp_path, *(spans[half::2] for half in (0, 1) for spans in calls.values()))  # each call in two files
    paths = [f"/api/traces/{trace_of(name).hex()}" for name in calls]
    with web(tmp_path) as where:
        before = [get(where, path) for path in paths]
        assert all(status == 200 and is_trace(found["data"][0]) for status, found in before)
        assert [len(found["data"][0]["spans"]) for _, found in before] == [40] * 3
        found_before = get(where, "/api/traces", **SEARCH)
        stop, answers = threading.Event(), []

        def look() -> None:
            while not stop.is_set():
                answers.append([get(where, path) for path in paths] == before)

        looking = threading.Thread(target=look)
        looking.start()
        done, failed = maintain(tmp_path)
        put(tmp_path, call("four"), at=LATER)
        stop.set()
        looking.join()
        assert (len(done), failed) == (1, [])
        assert not list(table_directory(tmp_path, "hot", "spans").glob(f"{hour_of(START)}/*"))
        assert answers
        assert all(answers)
        assert [get(where, path) for path in paths] == before
        after = get(where, "/api/traces", **SEARCH)[1]["data"]
        assert [trace["traceID"] for trace in after if trace in found_before[1]["data"]] == [
            trace["traceID"] for trace in found_before[1]["data"]
        ]
        assert get(where, f"/api/traces/{trace_of('four').hex()}")[0] == 200


@pytest.mark.parametrize("merged", [False, True], ids=["hot", "history"])
def test_who_is_erased_is_not_found(tmp_path: Path, merged: bool) -> None:
    """From the moment of the erasure: 404 by id, nothing in a search; another call is found as before."""
    put(tmp_path, call("gone"), call("stays"))
    if merged:
        maintain(tmp_path)
    with web(tmp_path) as where:
        gone, stays = (f"/api/traces/{trace_of(name).hex()}" for name in ("gone", "stays"))
        assert [get(where, path)[0] for path in (gone, stays)] == [200, 200]
        erase(tmp_path, sessions=["call gone"], clock=lambda: LATER)
        status, document = get(where, gone)
        assert (status, is_error(document, 404)) == (404, True)
        assert get(where, stays)[0] == 200
        assert [trace["traceID"] for trace in get(where, "/api/traces", **SEARCH)[1]["data"]] == [
            trace_of("stays").hex()
        ]
        assert get(where, "/api/traces", traceID=trace_of("gone").hex())[1]["data"] == []
        assert get(where, f"/api/v3/traces/{trace_of('gone').hex()}")[0] == 404


def test_what_only_an_erased_call_did_is_no_operation_any_more(tmp_path: Path) -> None:
    """Names of operations go with the last call that has them, although files are looked through once."""
    odd = [span._replace(name="odd work") for span in call("gone")]
    put(tmp_path, odd, call("stays"))
    with web(tmp_path) as where:
        path = "/api/services/voicebot/operations"
        assert get(where, path)[1]["data"] == ["odd work", s.SPAN_SESSION, s.SPAN_STT]
        erase(tmp_path, sessions=["call gone"], clock=lambda: START)
        assert get(where, path)[1]["data"] == [s.SPAN_SESSION, s.SPAN_STT]
        put(tmp_path, [span._replace(name="new work") for span in call("new")])
        assert get(where, path)[1]["data"] == ["new work", s.SPAN_SESSION, s.SPAN_STT]


def test_what_retention_dropped_is_not_found(tmp_path: Path) -> None:
    """An hour before the horizon is 404, though its files are still there."""
    put(tmp_path, call("old"))
    put(tmp_path, call("new"), at=LATER)
    with web(tmp_path) as where:
        move_horizon(tmp_path, START + HOUR_NS)
        assert get(where, f"/api/traces/{trace_of('old').hex()}")[0] == 404
        assert get(where, f"/api/traces/{trace_of('new').hex()}")[0] == 200


def test_a_span_that_came_twice_is_shown_once(tmp_path: Path) -> None:
    """In the same hour and in two hours."""
    spans = call("twice")
    put(tmp_path, spans, spans)
    put(tmp_path, spans, at=LATER)
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('twice').hex()}")[1]["data"]
    assert len(trace["spans"]) == len(spans)


def test_files_without_a_note_are_found(tmp_path: Path) -> None:
    """What an older version wrote says nothing about itself and may hold anything."""
    put(tmp_path, call("old"), call("other"))
    for path in tmp_path.rglob("*.parquet"):
        rows = pq.read_table(path)
        path.unlink()
        pq.write_table(rows.replace_schema_metadata({}), path)
    put(tmp_path, call("new"))
    with web(tmp_path) as where:
        for name in ("old", "other", "new"):
            assert get(where, f"/api/traces/{trace_of(name).hex()}")[0] == 200
        maintain(tmp_path)
        for name in ("old", "other", "new"):
            assert get(where, f"/api/traces/{trace_of(name).hex()}")[0] == 200


def test_a_damaged_file_hides_only_itself(tmp_path: Path) -> None:
    """The other files are read; a question that needs it gets what can be read, and is told that it may not be all."""
    put(tmp_path, call("whole"), call("torn"))
    torn = max(tmp_path.rglob("*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-100])
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('whole').hex()}")[1]["data"]
        assert "1 of the files that may hold the trace" in trace["warnings"][0]  # a torn file says nothing about itself
        assert len(get(where, "/api/traces", **SEARCH)[1]["data"]) == 1


def test_a_directory_without_data_is_empty_and_no_error(tmp_path: Path) -> None:
    """Before the first call there are no services, no traces."""
    with web(tmp_path / "none") as where:
        assert get(where, "/api/services")[1]["data"] == []
        assert get(where, "/api/traces", **SEARCH)[1]["data"] == []
        assert get(where, "/api/dependencies")[1]["data"] == []
        assert get(where, f"/api/traces/{'a' * 32}")[0] == 404


def test_services_that_call_each_other(tmp_path: Path) -> None:
    """A span below one of another service is a call; within a service it is none; other times don't count."""
    rows = rows_of(call("one", 5))
    services = pa.array(["bot", "bot", "speech", "speech", None])
    at = rows.schema.get_field_index("service_name")
    SpanStore(tmp_path, clock=lambda: START).commit([rows.set_column(at, rows.schema.field(at), services)])
    end = START // 1_000_000 + 1
    with web(tmp_path) as where:
        links = [
            {"parent": "bot", "child": "speech", "callCount": 2},
            {"parent": "bot", "child": "unknown_service", "callCount": 1},
        ]
        assert get(where, "/api/dependencies", endTs=end, lookback=60_000)[1]["data"] == links
        assert get(where, "/api/dependencies", endTs=end, lookback=60_000, service="speech")[1]["data"] == links[:1]
        assert get(where, "/api/dependencies", endTs=end - 10_000, lookback=5)[1]["data"] == []
        assert get(where, "/api/services")[1]["data"] == ["bot", "speech", "unknown_service"]
        assert len(get(where, "/api/traces", **{**SEARCH, "service": "unknown_service"})[1]["data"]) == 1


def test_names_of_an_hour_that_was_merged_anew_are_read_anew(tmp_path: Path) -> None:
    """The file of an hour that is rewritten has the name that it had before."""
    put(tmp_path, call("one"))
    maintain(tmp_path)
    (merged,) = tmp_path.rglob("*.parquet")
    with web(tmp_path) as where:
        path = "/api/services/voicebot/operations"
        assert get(where, path)[1]["data"] == [s.SPAN_SESSION, s.SPAN_STT]
        rows = pq.read_table(merged)
        late = pa.array(["late work"] * rows.num_rows)
        pq.write_table(rows.set_column(rows.schema.get_field_index("name"), "name", late), tmp_path / "late")
        (tmp_path / "late").rename(merged)
        assert get(where, path)[1]["data"] == ["late work"]


def test_damage_inside_a_file_is_told_and_others_are_not_read_in_full_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search over damaged pages is an error with a sentence; a trace by its id is shown from what can be read."""
    part = call("both", 300)
    put(tmp_path, [*call("whole", 300), *part[:100]], [*call("torn", 300), *part[100:]])
    torn = max(tmp_path.rglob("*.parquet"))
    content = bytearray(torn.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    torn.write_bytes(content)
    checked: list[Path] = []
    real = reader._check_pages
    monkeypatch.setattr(reader, "_check_pages", lambda path: checked.append(path) or real(path))
    with web(tmp_path) as where:
        status, document = get(where, "/api/traces", **SEARCH)
        assert (status, document["errors"][0]["code"]) == (500, 500)
        assert checked == []
        assert get(where, f"/api/traces/{trace_of('whole').hex()}")[0] == 200
        assert get(where, f"/api/traces/{trace_of('torn').hex()}")[0] == 500
        (trace,) = get(where, f"/api/traces/{trace_of('both').hex()}")[1]["data"]
        assert len(trace["spans"]) == 100
        assert "1 of the files that may hold the trace" in trace["warnings"][0]
        assert checked == []  # that would take as long as there is data
