"""What bounds an answer of the web port: spans, time, memory, and how many may ask at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from otel_voicebot import semconv as s
from otel_voicebot.errors import TooSlowError
from otel_voicebot.reports import traces
from otel_voicebot.reports.deadline import Deadline
from otel_voicebot.reports.matching import Search
from otel_voicebot.reports.traces import Traces
from otel_voicebot.store import SpanStore
from otel_voicebot.store.layout import HOUR_NS
from otel_voicebot.store.marks import move_horizon
from otel_voicebot.web.asking import Asking
from tests.app.served import until
from tests.live.doors import rows_of
from tests.store.hours import LATER, maintain
from tests.store.rows import START
from tests.web.asked import get, is_error, is_trace
from tests.web.test_store import SEARCH, call, put, trace_of, web


def test_a_long_call_is_shown_whole(tmp_path: Path) -> None:
    """One trace of thousands of spans, with all their attributes."""
    put(tmp_path, call("long", 6000, **{f"own.{n}": n for n in range(8)}))
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('long').hex()}")[1]["data"]
    assert is_trace(trace)
    assert len(trace["spans"]) == 6000
    assert {tag["key"]: tag["value"] for tag in trace["spans"][-1]["tags"]}["own.7"] == 7


def test_a_trace_that_is_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first spans are shown, each once although it came twice, and it carries a warning; in both versions."""
    monkeypatch.setattr(traces, "MOST_SPANS", 10)
    spans = call("long", 30)
    put(tmp_path, spans[20:], spans[10:], spans)
    with web(tmp_path) as where:
        (trace,) = get(where, f"/api/traces/{trace_of('long').hex()}")[1]["data"]
        newer = get(where, f"/api/v3/traces/{trace_of('long').hex()}")[1]
    first = [span.span_id.hex() for span in spans[:10]]
    assert [span["spanID"] for span in trace["spans"]] == first
    assert "cut" in trace["warnings"][0]
    shown = [
        span for resource in newer["result"]["resourceSpans"] for one in resource["scopeSpans"] for span in one["spans"]
    ]
    assert [span["spanId"] for span in shown] == first
    warned = [tag["value"] for tag in shown[0]["attributes"] if tag["key"] == "@jaeger@warnings"]
    assert "cut" in warned[0]["arrayValue"]["values"][0]["stringValue"]
    assert not any(tag["key"] == "@jaeger@warnings" for span in shown[1:] for tag in span["attributes"])


@pytest.mark.parametrize("merged", [False, True], ids=["hot", "history"])
def test_traces_are_whole_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged: bool) -> None:
    """Beyond the bound no trace lacks spans: what does not fit is named, by id and in a search, in both versions."""
    monkeypatch.setattr(traces, "MOST_SPANS", 30)
    sizes = {"one": 12, "two": 12, "three": 12, "large": 57, "small": 2}
    # Each call in two files and twice: neither the order of the files nor repeats decide.
    put(tmp_path, *(call(name, size)[half::2] for half in (0, 1, 1, 0) for name, size in sizes.items()))
    if merged:
        maintain(tmp_path)
    ids = {trace_of(name).hex(): name for name in sizes}
    unknown = "f" * 32

    def told(where: str, *names: str) -> tuple[dict[str, int], list[str], list[str]]:
        document = get(where, "/api/traces", traceID=[*(trace_of(name).hex() for name in names), unknown])[1]
        errors = document["errors"]
        assert [one["traceID"] for one in errors if "not found" in one["msg"]] == [unknown]
        left = [ids[one["traceID"]] for one in errors if "left out" in one["msg"]]
        cut = [ids[one["traceID"]] for one in document["data"] if one["warnings"]]
        return {ids[one["traceID"]]: len(one["spans"]) for one in document["data"]}, left, cut

    with web(tmp_path) as where:
        assert told(where, "one", "two") == ({"one": 12, "two": 12}, [], [])
        assert told(where, "three", "one", "two", "small") == ({"three": 12, "one": 12}, ["two", "small"], [])
        assert told(where, "small", "large", "one") == ({"small": 2}, ["large", "one"], [])
        assert told(where, "large", "small") == ({"large": 30}, ["small"], ["large"])
        document = get(where, "/api/traces", **SEARCH)[1]
        shown = [one["traceID"] for one in document["data"]]
        left = [one["traceID"] for one in document["errors"]]
        assert sorted(shown + left) == sorted(ids)
        asked = {"query.serviceName": "voicebot", "query.startTimeMin": "2026-01-01T00:00:00Z"}
        status, newer = get(where, "/api/v3/traces", **asked)
        assert (status, newer["error"]["httpCode"]) == (200, 200)
        assert newer["error"]["message"].endswith(": " + ", ".join(left))
        assert {span["traceId"] for span in newer["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"]} == {*shown}
        summaries = get(where, "/api/v3/trace-summaries", **asked)[1]["summaries"]
        assert [one["traceId"] for one in summaries] == shown + left
        assert {ids[one["traceId"]]: one["spanCount"] for one in summaries} == sizes
        assert {ids[one["traceId"]]: one["services"][0]["spanCount"] for one in summaries} == sizes


def test_a_summary_counts_services_errors_and_lost_parents(tmp_path: Path) -> None:
    """By service, those without a name too; the first span is the root where all have a parent."""
    spans = [span._replace(error="timeout" if n in (2, 3) else None) for n, span in enumerate(call("one", 5))][1:]
    rows = rows_of(spans)
    services = pa.array(["bot", "speech", "speech", None])
    at = rows.schema.get_field_index("service_name")
    SpanStore(tmp_path, clock=lambda: START).commit([rows.set_column(at, rows.schema.field(at), services)])
    with web(tmp_path) as where:
        (summary,) = get(where, "/api/v3/trace-summaries", **{"query.startTimeMin": "2026-01-01T00:00:00Z"})[1][
            "summaries"
        ]
    assert summary == {
        "traceId": trace_of("one").hex(),
        "rootServiceName": "bot",
        "rootOperationName": s.SPAN_STT,
        "minStartTimeUnixNano": str(START + 1),
        "maxEndTimeUnixNano": str(START + 4 + 9),
        "spanCount": 4,
        "errorSpanCount": 2,
        "orphanSpanCount": 4,
        "services": [
            {"name": "bot", "spanCount": 1, "errorSpanCount": 0},
            {"name": "speech", "spanCount": 2, "errorSpanCount": 2},
            {"name": "unknown_service", "spanCount": 1, "errorSpanCount": 0},
        ],
    }


def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """It raises what is answered with 503, and the next question is answered."""
    put(tmp_path, call("one"))
    asked = Traces(tmp_path, timeout_s=2)
    endless = "SELECT count(*) FROM range(10_000_000_000) a, range(?) b WHERE a.range % 7 = b.range % 5"
    with pytest.raises(TooSlowError, match="less time"):
        asked._ask(endless, [10**9], asked._deadline())
    with pytest.raises(TooSlowError, match="less time"):  # it is too late before the query has begun
        asked._ask(endless, [10**9], Deadline(1e-9, clock=lambda: 0.0))
    assert asked.search(Search(0, START * 2, 5)) == [trace_of("one").hex()]
    asked.stop()
    with pytest.raises(TooSlowError, match="shutting down"):
        asked.search(Search(0, START * 2, 5))
    asked.close()
    asked.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda asked: asked.by_id([trace_of("one").hex()]),
        lambda asked: asked.matching(Search(0, START * 2, 5)),
        lambda asked: asked.summaries(Search(0, START * 2, 5)),
        lambda asked: asked.operations(),
        lambda asked: asked.dependencies(0, START * 2),
    ],
    ids=["by id", "matching", "summaries", "operations", "dependencies"],
)
def test_all_parts_of_a_question_share_its_time(tmp_path: Path, ask: Callable[[Traces], object]) -> None:
    """Whichever look at the clock finds it too late ends the question: before a listing, a file, or a query."""
    put(tmp_path, call("one"), call("two"))
    times: list[float] = []

    def asking(late_at: int) -> Traces:
        times.clear()
        return Traces(tmp_path, timeout_s=30, clock=lambda: times.append(0) or (60.0 if len(times) > late_at else 0.0))

    whole = asking(1000)
    ask(whole)
    whole.close()
    looks = len(times)
    assert looks >= 3  # the start, a listing, a query
    for late_at in range(1, looks):
        asked = asking(late_at)
        with pytest.raises(TooSlowError, match="longer than 30 s"):
            ask(asked)
        assert len(times) == late_at + 1
        asked.close()


def test_damage_is_looked_for_in_the_time_that_is_left(tmp_path: Path) -> None:
    """Finding out which of a trace's files can't be read is a part of its question."""
    spans = call("one", 300)
    put(tmp_path, *(spans[part::4] for part in range(4)))
    for torn in sorted(tmp_path.rglob("*.parquet"))[1:]:
        content = bytearray(torn.read_bytes())
        content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
        torn.write_bytes(content)
    times: list[float] = []
    asked = Traces(tmp_path, timeout_s=30, clock=lambda: times.append(0) or 0.0)
    assert asked.by_id([trace_of("one").hex()]).spans.num_rows == 75
    assert len(times) > 8  # each of the four files by itself, beside the whole
    asked.close()
    late = iter([0.0] * (len(times) - 2))
    asked = Traces(tmp_path, timeout_s=30, clock=lambda: next(late, 60.0))
    with pytest.raises(TooSlowError):
        asked.by_id([trace_of("one").hex()])
    asked.close()


def test_a_listing_of_names_keeps_no_trace_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask for names at once, as a viewer does that opens: they are read once, and a trace is shown."""
    put(tmp_path, call("one"))
    release, begun = threading.Event(), []
    real = Traces._ask

    def slow(self: Traces, query: str, *rest: Any) -> pa.Table:
        if "SELECT DISTINCT" in query:
            begun.append(query)
            assert release.wait(60)
        return real(self, query, *rest)

    monkeypatch.setattr(Traces, "_ask", slow)
    paths = ("/api/services", "/api/services/voicebot/operations", "/api/v3/services", "/api/services")
    found: list[int] = []
    with web(tmp_path) as where:
        threads = [threading.Thread(target=lambda path=path: found.append(get(where, path)[0])) for path in paths]
        for thread in threads:
            thread.start()
        until(lambda: len(begun) == 1)
        for _ in range(5):
            assert get(where, f"/api/traces/{trace_of('one').hex()}")[0] == 200
        assert found == []
        release.set()
        for thread in threads:
            thread.join()
        assert found == [200] * 4
        assert len(begun) == 1
        put(tmp_path, [span._replace(name="new work") for span in call("new")])
        assert "new work" in get(where, paths[1])[1]["data"]


def test_names_beyond_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones are listed; when files go that held some of them, others take their place."""
    monkeypatch.setattr(traces, "_MOST_OPERATIONS", 3)
    put(tmp_path, [span._replace(name=f"b{n}") for n, span in enumerate(call("late", 8))], at=LATER)
    asked = Traces(tmp_path)
    assert [one.name for one in asked.operations()] == ["b0", "b1", "b2"]
    put(tmp_path, [span._replace(name=f"a{n}") for n, span in enumerate(call("early", 2))])
    assert [one.name for one in asked.operations()] == ["a0", "a1", "b0"]
    late = max(tmp_path.rglob("*.parquet"), key=lambda path: path.parent.name)
    move_horizon(tmp_path, START + HOUR_NS)
    assert late.exists()
    assert [one.name for one in asked.operations()] == ["b0", "b1", "b2"]
    asked.close()


def test_a_service_of_many_names_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound each service has its first names, whether they came in together or one after the other."""
    monkeypatch.setattr(traces, "_MOST_OPERATIONS", 4)
    for at, services in ((START, ["a"] * 8), (LATER, ["z"] * 2 + ["a"] * 6)):
        rows = rows_of([span._replace(name=f"n{n}") for n, span in enumerate(call(str(at // HOUR_NS), 8))])
        column = rows.schema.get_field_index("service_name")
        named = rows.set_column(column, rows.schema.field(column), pa.array(services))
        SpanStore(tmp_path, clock=lambda at=at: at).commit([named])
    both = [("a", "n0"), ("a", "n1"), ("z", "n0"), ("z", "n1")]
    asked = Traces(tmp_path)
    assert [(one.service, one.name) for one in asked.operations()] == both
    move_horizon(tmp_path, START + HOUR_NS)
    assert [one.service for one in asked.operations()] == ["a", "a", "z", "z"]
    asked.close()


def test_a_question_that_needs_too_much_memory_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told to ask about less, and no file is suspected for it."""
    monkeypatch.setattr(traces, "_MEMORY", "20MB")
    put(tmp_path, call("one"))
    asked = Traces(tmp_path)
    asked._connection.execute("SET temp_directory = ''")
    with pytest.raises(TooSlowError, match="memory"):
        asked._ask("SELECT list(range) FROM range(?)", [20_000_000], asked._deadline())
    asked.close()


def test_too_many_questions_are_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are worked on and 32 wait; further ones get 503 at once, and a time to come again."""
    release = threading.Event()
    monkeypatch.setattr(Traces, "dependencies", lambda *_: release.wait(60) and ())
    found: list[tuple[int, bool]] = []

    def wonder(where: str) -> None:
        status, document = get(where, "/api/dependencies")
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
