"""Jaeger's query API of a running service, as its viewers ask it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import pytest

from bench import wire
from bench.generate import Call, calls
from otel_voicebot import semconv as s
from tests.app.served import Served
from tests.web.asked import REQUESTS, V3_REQUESTS, ask, get, is_error, is_trace

CALLS = 12


@pytest.fixture(scope="module")
def sent() -> list[Call]:
    """Some calls."""
    return list(islice(calls(1000, seed=9), CALLS))


@pytest.fixture(scope="module")
def web(sent: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service that has taken them answers."""
    with Served(tmp_path_factory.mktemp("served") / "data") as served:
        for call in sent:
            served.export(call.spans)
        yield served.where["web"]


def _id(call: Call) -> str:
    return call.spans[0].trace_id.hex()


def _window(sent: list[Call]) -> tuple[int, int]:
    """Microseconds."""
    spans = [span for call in sent for span in call.spans]
    return min(span.start for span in spans) // 1000, max(span.start for span in spans) // 1000 + 1


@pytest.mark.parametrize("name", REQUESTS)
def test_viewers_requests_are_answered(web: str, sent: list[Call], name: str) -> None:
    """Each gets 200 and Jaeger's envelope; what it lists is there; traces have the types that Grafana decodes."""
    status, document = ask(f"http://{web}{REQUESTS[name](_id(sent[3]), *_window(sent))}")
    assert status == 200
    assert document.keys() == {"data", "total", "limit", "offset", "errors"}
    assert document["errors"] is None
    if "traces" in REQUESTS[name]("", 0, 0):
        assert document["data"]
        assert all(map(is_trace, document["data"]))
    elif "server" not in name and "depend" not in name:  # these calls have no server span, and one service
        assert document["total"] == len(document["data"]) > 0
        assert document["data"] == sorted(document["data"])


@pytest.mark.parametrize("name", V3_REQUESTS)
def test_viewers_requests_of_version_3_are_answered(web: str, sent: list[Call], name: str) -> None:
    """Each gets 200 and the member that its viewer reads."""
    path, member = V3_REQUESTS[name]
    status, document = ask(f"http://{web}{path(_id(sent[3]))}")
    assert status == 200
    assert document[member]


def test_a_trace_is_what_was_sent(web: str, sent: list[Call]) -> None:
    """Every span once, parents before children, with its name, times in microseconds, parent, attributes and error."""
    for call in sent:
        status, document = get(web, f"/api/traces/{_id(call)}")
        assert status == 200
        (trace,) = document["data"]
        found = {span["spanID"]: span for span in trace["spans"]}
        assert len(found) == len(trace["spans"]) == len(call.spans)
        starts = [span["startTime"] for span in trace["spans"]]
        assert starts == sorted(starts)
        for span in call.spans:
            shown = found[span.span_id.hex()]
            parents = [one["spanID"] for one in shown["references"] if one["refType"] == "CHILD_OF"]
            tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
            assert shown["operationName"] == span.name
            assert (shown["startTime"], shown["duration"]) == (span.start // 1000, (span.end - span.start) // 1000)
            assert parents == ([span.parent_id.hex()] if span.parent_id else [])
            assert tags[s.SESSION_ID] == span.attributes[s.SESSION_ID]
            assert tags.get(s.PROVIDER) == span.attributes.get(s.PROVIDER)
            assert tags.get("error", False) == (span.error is not None)
            assert [log["fields"][0]["value"] for log in shown["logs"]] == [name for _, name, _ in span.events]
    assert trace["processes"]["p1"]["serviceName"] == "voicebot"


def test_an_id_is_found_in_any_writing(web: str, sent: list[Call], tmp_path: Path) -> None:
    """Upper case is the same trace; 16 digits are an id whose first half is 0."""
    whole = _id(sent[0])
    assert get(web, f"/api/traces/{whole.upper()}")[1] == get(web, f"/api/traces/{whole}")[1]
    short = sent[0].spans[0]._replace(trace_id=bytes(8) + bytes.fromhex("00c0ffee00c0ffee"))
    with Served(tmp_path / "data") as served:
        served.export([short])
        for name in ("00c0ffee00c0ffee", "00C0FFEE00C0FFEE", "c0ffee00c0ffee", "0" * 16 + "00c0ffee00c0ffee"):
            status, document = get(served.where["web"], f"/api/traces/{name}")
            assert (status, document["data"][0]["traceID"]) == (200, "0" * 16 + "00c0ffee00c0ffee")


def _matches(span: wire.Span, wanted: dict[str, object]) -> bool:
    length = span.end - span.start
    return (
        wanted.get("operation") in (None, span.name)
        and length >= wanted.get("shortest", 0)
        and length <= wanted.get("longest", length)
        and all(str(span.attributes.get(key)).lower() == value for key, value in wanted.get("tags", {}).items())
        and wanted.get("failed", span.error is not None) == (span.error is not None)
    )


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, {}),
        ({"operation": "chat gpt-4o"}, {"operation": "chat gpt-4o"}),
        (
            {"operation": "voicebot.turn", "minDuration": "9.5s"},
            {"operation": "voicebot.turn", "shortest": 9_500_000_000},
        ),
        ({"operation": "voicebot.nlu", "maxDuration": "20ms"}, {"operation": "voicebot.nlu", "longest": 20_000_000}),
        ({"tags": '{"voicebot.bot":"shop"}'}, {"tags": {s.BOT: "shop"}}),
        ({"tag": ["voicebot.bot:bank", "voicebot.channel:phone"]}, {"tags": {s.BOT: "bank", s.CHANNEL: "phone"}}),
        ({"tags": '{"gen_ai.request.model":"gpt-4o"}'}, {"tags": {s.REQUEST_MODEL: "gpt-4o"}}),
        ({"tags": '{"voicebot.cache.hit":"true"}'}, {"tags": {s.CACHE_HIT: "true"}}),
        ({"tags": '{"voicebot.turn.index":"11"}'}, {"tags": {s.TURN_INDEX: "11"}}),
        ({"tags": '{"error":"true"}', "operation": "voicebot.cache"}, {"failed": True, "operation": "voicebot.cache"}),
        ({"tags": '{"error":"true"}'}, {"failed": True}),
        ({"tags": '{"nobody.says":"this"}'}, {"tags": {"nobody.says": "this"}}),
        ({"operation": "voicebot.session"}, {"operation": "voicebot.session"}),
    ],
    ids=str,
)
def test_a_search_finds_what_matches(
    web: str, sent: list[Call], asked: dict[str, object], wanted: dict[str, object]
) -> None:
    """Exactly the traces of which one span matches everything, the last first."""
    first, last = _window(sent)
    expected = {
        _id(call): max(found) for call in sent if (found := [x.start for x in call.spans if _matches(x, wanted)])
    }
    status, document = get(web, "/api/traces", service="voicebot", start=first, end=last, limit=50, **asked)
    assert status == 200
    assert [trace["traceID"] for trace in document["data"]] == sorted(expected, key=lambda one: -expected[one])
    for trace in document["data"]:  # whole traces, not the spans that match
        assert len(trace["spans"]) == next(len(call.spans) for call in sent if _id(call) == trace["traceID"])


def test_a_search_keeps_to_its_time_and_limit(web: str, sent: list[Call]) -> None:
    """Spans of another time match nothing; of many traces the last ones are shown."""
    first, last = _window(sent)
    middle = sent[5].spans[-1].start // 1000
    found = get(web, "/api/traces", service="voicebot", start=first, end=middle, operation="voicebot.session", limit=50)
    assert [trace["traceID"] for trace in found[1]["data"]] == [_id(call) for call in reversed(sent[:6])]
    few = get(web, "/api/traces", service="voicebot", start=first, end=last, operation="voicebot.session", limit=2)
    assert [trace["traceID"] for trace in few[1]["data"]] == [_id(sent[-1]), _id(sent[-2])]
    assert get(web, "/api/traces", service="voicebot", start=1, end=2)[1]["data"] == []
    assert get(web, "/api/traces", service="voicebot", lookback="1h")[1]["data"] == []  # the calls are older
    assert get(web, "/api/traces", service="another", start=first, end=last)[1]["data"] == []


def test_several_traces_by_id(web: str, sent: list[Call]) -> None:
    """In the order asked for; an id that nobody knows is an error beside them."""
    unknown = "f" * 32
    wanted = [_id(sent[4]), unknown, _id(sent[1])]
    status, document = get(web, "/api/traces", traceID=wanted)
    assert status == 200
    assert [trace["traceID"] for trace in document["data"]] == [_id(sent[4]), _id(sent[1])]
    assert document["errors"] == [{"msg": "trace not found", "traceID": unknown}]


@pytest.mark.parametrize(
    "path",
    [
        "/api/traces/zz",
        "/api/traces/" + "a" * 33,
        "/api/traces/%00",
        "/api/traces/' OR 1=1 --",
        "/api/traces/abc?start=yesterday",
        "/api/traces/abc?end=1.5",
        "/api/traces?traceID=xyz",
        "/api/traces",
        "/api/traces?service=",
        "/api/traces?service=a&limit=0",
        "/api/traces?service=a&limit=-3",
        "/api/traces?service=a&limit=many",
        "/api/traces?service=a&limit=" + "9" * 5000,
        "/api/traces?service=a&start=10&end=5",
        "/api/traces?service=a&start=٣",
        "/api/traces?service=a&minDuration=5",
        "/api/traces?service=a&minDuration=5 s",
        "/api/traces?service=a&minDuration=-5s",
        "/api/traces?service=a&minDuration=1.2.3s",
        "/api/traces?service=a&minDuration=5s&maxDuration=1s",
        "/api/traces?service=a&lookback=week",
        "/api/traces?service=a&tag=error",
        "/api/traces?service=a&tags=error=true",
        "/api/traces?service=a&tags=[]",
        '/api/traces?service=a&tags={"a":{"b":1}}',
        "/api/traces?service=a&tags=" + "[" * 20_000,
        "/api/traces?service=a" + "".join(f"&tag=k{n}:v" for n in range(21)),
        "/api/operations",
        "/api/dependencies?endTs=now",
        "/api/dependencies?endTs=5&lookback=-1",
    ],
    ids=lambda path: path[:60],
)
def test_a_wrong_parameter_is_one_sentence(web: str, path: str) -> None:
    """400, in the form in which Jaeger's UI shows errors."""
    status, document = ask(f"http://{web}{quote(path, safe='/?&=%:')}")
    assert (status, is_error(document, 400)) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        "/api/traces?service=a'%3B DROP TABLE spans%3B --",
        "/api/traces?service=%00%ff%fe",
        "/api/traces?service=a&operation=%22%5C%27&tags={%22a%27%22:%22%25_%5C%5C%22}",
        "/api/traces?service=a&limit=999999999&start=-1&end=99999999999999999999999",
        "/api/traces?service=a&start=-99999999999999999999999&end=5&minDuration=999999999h",
        '/api/traces?service=a&tags={"input_tokens":"x","voicebot.cache.hit":"maybe","quality":"1","events":"e"}',
        '/api/traces?service=a&tags={"confidence":"nan","voicebot.turn.index":"1e400","status":"","%5Cu0000":"%5Cu0000"}',
        "/api/services/%2e%2e%2f%2e%2e/operations",
        "/api/services/a%2Fb:c/operations",
        "/api/dependencies?endTs=99999999999999999999&lookback=99999999999999999999",
        "/api/operations?service=voicebot&spanKind='",
    ],
    ids=lambda path: path[:60],
)
def test_an_odd_parameter_finds_nothing(web: str, path: str) -> None:
    """200 and an empty list: whatever it is, it is a value and not a part of a question."""
    status, document = ask(f"http://{web}{quote(path, safe='/?&=%:')}")
    assert (status, document["data"]) == (200, [])


def test_what_is_not_there_is_told_as_jaeger_does(web: str) -> None:
    """An unknown trace is 404, so is an unknown page; version 3 has its own form of errors."""
    for path in (f"/api/traces/{'e' * 32}", "/api/archive", "/"):
        status, document = get(web, path)
        assert (status, is_error(document, 404)) == (404, True)
    for path, code in ((f"/api/v3/traces/{'e' * 32}", 404), ("/api/v3/traces/x", 400), ("/api/v3/nothing", 404)):
        status, document = get(web, path)
        assert status == document["error"]["httpCode"] == code
        assert document["error"]["message"]


def test_version_3_tells_the_same_spans(web: str, sent: list[Call]) -> None:
    """OTLP as JSON: ids hex, times texts of nanoseconds; and summaries count what the traces hold."""
    call = sent[2]
    document = get(web, f"/api/v3/traces/{_id(call)}")[1]
    (resource,) = document["result"]["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    found = {span["spanId"]: span for span in scope["spans"]}
    assert {"key": s.SERVICE_NAME, "value": {"stringValue": "voicebot"}} in resource["resource"]["attributes"]
    assert found.keys() == {span.span_id.hex() for span in call.spans}
    for span in call.spans:
        shown = found[span.span_id.hex()]
        assert (shown["startTimeUnixNano"], shown["endTimeUnixNano"]) == (str(span.start), str(span.end))
        assert (shown["name"], shown["kind"], shown["traceId"]) == (span.name, span.kind, _id(call))
        assert shown["status"].get("code", 0) == (2 if span.error is not None else 0)
    summaries = get(
        web,
        "/api/v3/trace-summaries",
        **{
            "query.serviceName": "voicebot",
            "query.startTimeMin": "2026-01-01T00:00:00Z",
            "query.span_name": "voicebot.turn",
        },
    )[1]["summaries"]
    (summary,) = (one for one in summaries if one["traceId"] == _id(call))
    failed = sum(span.error is not None for span in call.spans)
    assert summary == {
        "traceId": _id(call),
        "rootServiceName": "voicebot",
        "rootOperationName": s.SPAN_SESSION,
        "minStartTimeUnixNano": str(min(span.start for span in call.spans)),
        "maxEndTimeUnixNano": str(max(span.end for span in call.spans)),
        "spanCount": len(call.spans),
        "errorSpanCount": failed,
        "orphanSpanCount": 0,
        "services": [{"name": "voicebot", "spanCount": len(call.spans), "errorSpanCount": failed}],
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"query.start_time_min": "yesterday"},
        {"query.start_time_min": "2026-01-01"},
        {"query.duration_min": "5"},
        {"query.num_traces": "-1"},
        {"query.attributes": "x"},
        {"query.filter": "{}"},
    ],
    ids=str,
)
def test_wrong_parameters_of_version_3(web: str, parameters: dict[str, str]) -> None:
    """400 with a sentence that names the parameter."""
    status, document = get(web, "/api/v3/trace-summaries", **parameters)
    assert (status, document["error"]["httpCode"]) == (400, 400)
    assert "query." in document["error"]["message"]
