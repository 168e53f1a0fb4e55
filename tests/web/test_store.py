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
from otel_voicebot.errors import TooSlowError
from otel_voicebot.receivers.security import Security
from otel_voicebot.reports import traces
from otel_voicebot.reports.matching import Search
from otel_voicebot.reports.traces import Traces
from otel_voicebot.store import SpanStore, reader
from otel_voicebot.store.erase import erase
from otel_voicebot.store.layout import HOUR_NS, hour_of, table_directory
from otel_voicebot.store.marks import move_horizon
from otel_voicebot.web import WebServer
from otel_voicebot.web.asking import Asking
from tests.app.served import until
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
    """The other files are read; a question that needs it gets what can be read."""
    put(tmp_path, call("whole"), call("torn"))
    torn = max(tmp_path.rglob("*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-100])
    with web(tmp_path) as where:
        assert get(where, f"/api/traces/{trace_of('whole').hex()}")[0] == 200
        assert len(get(where, "/api/traces", **SEARCH)[1]["data"]) == 1


def test_a_directory_without_data_is_empty_and_no_error(tmp_path: Path) -> None:
    """Before the first call there are no services, no traces."""
    with web(tmp_path / "none") as where:
        assert get(where, "/api/services")[1]["data"] == []
        assert get(where, "/api/traces", **SEARCH)[1]["data"] == []
        assert get(where, "/api/dependencies")[1]["data"] == []
        assert get(where, f"/api/traces/{'a' * 32}")[0] == 404


def test_a_long_call_is_shown_whole(tmp_path: Path) -> None:
    """One trace of thousands of spans, with all their attributes."""
    put(tmp_path, call("long", 6000, **{f"own.{n}": n for n in range(8)}))
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('long').hex()}")[1]["data"]
    assert is_trace(trace)
    assert len(trace["spans"]) == 6000
    assert {tag["key"]: tag["value"] for tag in trace["spans"][-1]["tags"]}["own.7"] == 7


def test_a_trace_that_is_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut at the bound, and carries a warning."""
    monkeypatch.setattr(traces, "MOST_SPANS", 10)
    put(tmp_path, call("long", 30))
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('long').hex()}")[1]["data"]
    assert len(trace["spans"]) == 10
    assert "cut" in trace["warnings"][0]


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


def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """It raises what is answered with 503, and the next question is answered."""
    put(tmp_path, call("one"))
    asked = Traces(tmp_path, timeout_s=0.2)
    with pytest.raises(TooSlowError, match="less time"):
        asked._ask("SELECT count(*) FROM range(10_000_000_000) a, range(?) b WHERE a.range % 7 = b.range % 5", [10**9])
    assert asked.search(Search(0, START * 2, 5)) == [trace_of("one").hex()]
    asked.stop()
    with pytest.raises(TooSlowError, match="shutting down"):
        asked.search(Search(0, START * 2, 5))
    asked.close()
    asked.close()


def test_a_question_that_needs_too_much_memory_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told to ask about less, and no file is suspected for it."""
    monkeypatch.setattr(traces, "_MEMORY", "20MB")
    put(tmp_path, call("one"))
    asked = Traces(tmp_path)
    asked._connection.execute("SET temp_directory = ''")
    with pytest.raises(TooSlowError, match="memory"):
        asked._ask("SELECT list(range) FROM range(?)", [20_000_000])
    asked.close()


def test_damage_inside_a_file_is_told_and_others_are_not_read_in_full_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search over damaged pages is an error with a sentence; a trace by its id is shown from what can be read."""
    put(tmp_path, call("whole", 300), call("torn", 300))
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
        assert get(where, f"/api/traces/{trace_of('torn').hex()}")[0] in (404, 500)
        assert set(checked) == {torn}


def test_too_many_questions_are_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are worked on and 32 wait; further ones get 503 at once, and a time to come again."""
    release = threading.Event()
    monkeypatch.setattr(Traces, "operations", lambda _: release.wait(60) and ())
    found: list[tuple[int, bool]] = []

    def wonder(where: str) -> None:
        status, document = get(where, "/api/services")
        found.append((status, status == 200 or is_error(document, status)))

    with web(tmp_path) as where:
        threads = [threading.Thread(target=wonder, args=(where,)) for _ in range(40)]
        for thread in threads:
            thread.start()
        until(lambda: len(found) == 6)
        release.set()
        for thread in threads:
            thread.join()
    assert sorted(found) == [(200, True)] * 34 + [(503, True)] * 6


def test_a_closed_port_takes_no_more_questions() -> None:
    """Closing is idempotent."""
    asking = Asking()
    asking.close()
    asking.close()
