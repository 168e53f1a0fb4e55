"""Jaeger's newer API (v3), which its UI asks for services, operations and searches, and Grafana where it is told to.

Traces are OTLP as JSON, times ISO 8601. Parameters have a name in camel case and an older one in snake case.
"""

import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.reports.matching import UNKNOWN_SERVICE, Search
from otel_voicebot.reports.traces import Traces
from otel_voicebot.web import parameters
from otel_voicebot.web.answers import answer
from otel_voicebot.web.asking import Asking
from otel_voicebot.web.jaeger_spans import rows
from otel_voicebot.web.otlp_json import document

__all__ = ["router"]

_DEFAULT_LIMIT: Final = 100


def router(traces: Traces, asking: Asking) -> APIRouter:
    """Routes below ``/api/v3``."""
    routes = APIRouter(prefix="/api/v3")

    @routes.get("/services")
    async def services() -> Response:
        return answer({"services": sorted({one.service for one in await asking.run(traces.operations)})})

    @routes.get("/operations")
    async def operations(request: Request) -> Response:
        given = request.query_params
        service, kind = given.get("service", ""), _either(given, "spanKind", "span_kind") or ""
        found = [
            one for one in await asking.run(traces.operations) if one.service == service and kind in ("", one.kind)
        ]
        return answer({"operations": [{"name": one.name, "spanKind": one.kind or "internal"} for one in found]})

    @routes.get("/traces/{trace}")
    async def trace(trace: str) -> Response:
        return await asking.run(partial(_traces, traces, [parameters.trace_id(trace, "trace_id")]))

    @routes.get("/traces")
    async def search(request: Request) -> Response:
        return await asking.run(partial(_search, traces, _wanted(request.query_params)))

    @routes.get("/trace-summaries")
    async def summaries(request: Request) -> Response:
        return await asking.run(partial(_summaries, traces, _wanted(request.query_params)))

    return routes


def _traces(traces: Traces, wanted: list[str]) -> Response:
    found = traces.by_id(wanted)
    if not found.spans.num_rows:
        raise NoDataError("No traces found")
    return answer(b'{"result":%b}' % document(rows(found.spans)))


def _search(traces: Traces, search: Search) -> Response:
    return _traces(traces, traces.search(search))


def _summaries(traces: Traces, search: Search) -> Response:
    spans = traces.by_id(traces.search(search)).spans
    grouped: dict[str, list[dict[str, Any]]] = {}
    if spans.num_rows:
        needed = ("trace_id", "span_id", "parent_span_id", "service_name", "name", "status")
        for row in rows(spans.select([*needed, "start_unix_nano", "end_unix_nano"])):
            grouped.setdefault(row["trace_id"], []).append(row)
    return answer({"summaries": [_summary(trace, found) for trace, found in grouped.items()]})


def _summary(trace: str, spans: list[dict[str, Any]]) -> dict[str, object]:
    known = {span["span_id"] for span in spans}
    orphans = [span for span in spans if span.get("parent_span_id") and span["parent_span_id"] not in known]
    root = next((span for span in spans if not span.get("parent_span_id")), spans[0])
    starts = [span["start_unix_nano"] for span in spans if span.get("start_unix_nano") is not None]
    ends = [span["end_unix_nano"] for span in spans if span.get("end_unix_nano") is not None]
    services, failed = _count(spans), _count(span for span in spans if span.get("status") == "error")
    return {
        "traceId": trace,
        "rootServiceName": _service(root),
        "rootOperationName": root.get("name") or "",
        "minStartTimeUnixNano": str(min(starts, default=0)),
        "maxEndTimeUnixNano": str(max([*ends, *starts], default=0)),
        "spanCount": len(spans),
        "errorSpanCount": failed.total(),
        "orphanSpanCount": len(orphans),
        "services": [
            {"name": name, "spanCount": count, "errorSpanCount": failed[name]}
            for name, count in sorted(services.items())
        ],
    }


def _count(spans: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(_service(span) for span in spans)


def _service(span: dict[str, Any]) -> str:
    return span.get("service_name") or UNKNOWN_SERVICE


def _wanted(given: QueryParams) -> Search:
    """The query of a search; names as of ``TraceQueryParameters``."""
    if given.get("query.filter"):
        raise UsageError("parameter query.filter is not known here; use query.attributes")
    limit = next((text for name in _LIMITS if (text := given.get(name))), "")
    if limit and not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
        raise UsageError(f"parameter query.searchDepth {limit[:40]!r} must be a whole number")
    shortest, longest = (
        parameters.duration_ns(text, f"query.duration{end}")
        if (text := _either(given, f"query.duration{end}", f"query.duration_{end.lower()}"))
        else None
        for end in ("Min", "Max")
    )
    tags = given.get("query.attributes")
    operation = _either(given, "query.operationName", "query.operation_name") or given.get("query.span_name")
    now = time.time_ns()
    first, last = (
        parameters.instant_ns(text, f"query.startTime{end}")
        if (text := _either(given, f"query.startTime{end}", f"query.start_time_{end.lower()}"))
        else default
        for end, default in (("Min", now - 2 * 86_400_000_000_000), ("Max", now))
    )
    return parameters.checked(
        Search(
            first,
            last,
            int(limit) if limit else _DEFAULT_LIMIT,
            _either(given, "query.serviceName", "query.service_name"),
            operation or None,
            parameters.attributes(tags, "query.attributes") if tags else {},
            shortest,
            longest,
        )
    )


_LIMITS: Final = ("query.searchDepth", "query.search_depth", "query.num_traces")


def _either(given: QueryParams, name: str, older: str) -> str | None:
    return given.get(name) or given.get(older) or None
