"""What viewers ask, and what they read of the answers.

Grafana's requests are those of its Jaeger data source (grafana/grafana, pkg/tsdb/jaeger: ``client.go``,
``grpc_client.go``, ``querydata.go``; types in ``types/types.go``), Jaeger's those of its own UI
(jaegertracing/jaeger-ui, packages/jaeger-ui/src/api: ``jaeger.ts``, ``v3/client.ts``; schemas in
``v3/generated-client.ts``), as of 2026.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

__all__ = ["REQUESTS", "V3_REQUESTS", "ask", "get", "is_error", "is_trace"]


def ask(
    url: str, headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON document of a request."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=dict(headers or {})), timeout=60, context=context
        ) as page:
            return page.status, json.load(page)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def get(where: str, path: str, **parameters: object) -> tuple[int, dict[str, Any]]:
    """The same of a path and its parameters."""
    return ask(f"http://{where}{path}{'?' if parameters else ''}{urlencode(parameters, doseq=True)}")


def _grafana_search(first: int, last: int) -> str:
    # url.Values.Encode: sorted by name; tags were typed as logfmt and come as JSON
    tags = {"voicebot.bot": "bank", "component": "llm"}
    asked = {"end": last, "limit": 20, "minDuration": "1ms", "operation": "chat gpt-4o-mini", "service": "voicebot"}
    return f"/api/traces?{urlencode(dict(sorted({**asked, 'start': first, 'tags': json.dumps(tags)}.items())))}"


def _ui_search(first: int, last: int) -> str:
    asked = {"end": last, "limit": 20, "lookback": "1h", "maxDuration": "", "minDuration": "", "service": "voicebot"}
    return f"/api/traces?{urlencode({**asked, 'start': first})}"


REQUESTS: Mapping[str, Callable[[str, int, int], str]] = {
    "grafana: save & test, list of services": lambda _trace, _first, _last: "/api/services",
    "grafana: list of operations": lambda _trace, _first, _last: "/api/services/voicebot/operations",
    "grafana: search": lambda _trace, first, last: _grafana_search(first, last),
    "grafana: trace": lambda trace, _first, _last: f"/api/traces/{trace}",
    # its time range is in milliseconds, where Jaeger says microseconds
    "grafana: trace, time range on": lambda trace, first, last: (
        f"/api/traces/{trace}?end={last // 1000}&start={first // 1000}"
    ),
    "grafana: dependency graph": lambda _trace, first, last: (
        f"/api/dependencies?endTs={last // 1000}&lookback={(last - first) // 1000}"
    ),
    "jaeger ui: services": lambda _trace, _first, _last: "/api/services",
    "jaeger ui: operations": lambda _trace, _first, _last: f"/api/services/{quote('voicebot', safe='')}/operations",
    "jaeger ui: server operations": lambda _trace, _first, _last: "/api/operations?service=voicebot&spanKind=server",
    "jaeger ui: search": lambda _trace, first, last: _ui_search(first, last),
    "jaeger ui: search by ids": lambda trace, _first, _last: f"/api/traces?traceID={trace}",
    "jaeger ui: trace": lambda trace, _first, _last: f"/api/traces/{trace}",
    "jaeger ui: dependencies": lambda _trace, _first, last: (
        f"/api/dependencies?endTs={last // 1000}&lookback=604800000"
    ),
}
"""By a trace id, and the first and last microsecond."""

_MIN, _MAX = "query.start_time_min=2026-01-01T00%3A00%3A00.000Z", "query.start_time_max=2026-12-31T00%3A00%3A00.000Z"
V3_REQUESTS: Mapping[str, tuple[Callable[[str], str], str]] = {
    "jaeger ui: services": (lambda _: "/api/v3/services", "services"),
    "jaeger ui: operations": (lambda _: "/api/v3/operations?service=voicebot", "operations"),
    "jaeger ui: search": (
        lambda _: f"/api/v3/trace-summaries?query.service_name=voicebot&{_MIN}&{_MAX}&query.num_traces=20",
        "summaries",
    ),
    "grafana: trace": (lambda trace: f"/api/v3/traces/{trace}", "result"),
    # "all other parameters are encoded except for the start and end time"
    "grafana: trace, time range on": (
        lambda trace: (
            f"/api/v3/traces/{trace}?start_time=2026-01-01T00:00:00.123456789Z&end_time=2026-12-31T00:00:00+01:00"
        ),
        "result",
    ),
}
"""By a trace id; and the member of the answer that is read."""


def is_trace(trace: dict[str, Any]) -> bool:
    """Whether it has the types that Grafana's ``types.go`` decodes into; Go refuses a number with a point."""
    assert all(isinstance(one, str) for one in trace["warnings"] or [])
    for process in trace["processes"].values():
        assert isinstance(process["serviceName"], str)
        assert all(map(_is_tag, process["tags"]))
    for span in trace["spans"]:
        assert span["traceID"] == trace["traceID"]
        assert span["processID"] in trace["processes"]
        assert all(isinstance(span[name], str) for name in ("spanID", "operationName"))
        assert all(type(span[name]) is int for name in ("startTime", "duration", "flags"))
        assert all(map(_is_tag, span["tags"]))
        assert all(isinstance(one, str) for one in span["warnings"] or [])
        for log in span["logs"]:
            assert type(log["timestamp"]) is int
            assert all(map(_is_tag, log["fields"]))
        for reference in span["references"]:
            assert reference.keys() == {"refType", "traceID", "spanID"}
            assert reference["refType"] in ("CHILD_OF", "FOLLOWS_FROM")
    return len(trace["spans"]) > 0


def _is_tag(tag: dict[str, Any]) -> bool:
    types = {"string": str, "bool": bool, "int64": int, "float64": (int, float)}
    return isinstance(tag["key"], str) and isinstance(tag["value"], types[tag["type"]])


def is_error(document: dict[str, Any], status: int) -> bool:
    """Whether Jaeger's UI would show one clear sentence."""
    (error,) = document["errors"]
    sentence: str = error["msg"]
    return document["data"] is None and error["code"] == status and 0 < len(sentence) < 250 and "\n" not in sentence
