"""Jaeger's newer API (v3), which its UI asks for services, operations and searches, and Grafana where it is told to.

Traces are OTLP as JSON, times ISO 8601. Parameters have a name in camel case and an older one in snake case.
"""

import time
from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.datastructures import QueryParams

from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.reports.matching import Search
from otel_voicebot.reports.trace_sql import Summary
from otel_voicebot.reports.traces import Found, Traces
from otel_voicebot.web import parameters
from otel_voicebot.web.answers import NO_ROOM, answer, warnings
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
        return answer({"services": sorted({one.service for one in await asking.shared(traces.operations)})})

    @routes.get("/operations")
    async def operations(request: Request) -> Response:
        given = request.query_params
        service, kind = given.get("service", ""), _either(given, "spanKind", "span_kind") or ""
        found = [
            one for one in await asking.shared(traces.operations) if one.service == service and kind in ("", one.kind)
        ]
        return answer({"operations": [{"name": one.name, "spanKind": one.kind or "internal"} for one in found]})

    @routes.get("/traces/{trace}")
    async def trace(trace: str) -> Response:
        wanted = parameters.trace_id(trace, "trace_id")
        return await asking.run(lambda: _told(traces.by_id([wanted])))

    @routes.get("/traces")
    async def search(request: Request) -> Response:
        wanted = _wanted(request.query_params)
        return await asking.run(lambda: _told(traces.matching(wanted)))

    @routes.get("/trace-summaries")
    async def summaries(request: Request) -> Response:
        found = await asking.run(partial(traces.summaries, _wanted(request.query_params)))
        return answer({"summaries": [_summary(one) for one in found]})

    return routes


def _told(found: Found) -> Response:
    """What lacks spans says so as Jaeger does, in an attribute of its first span; what is left out stands beside."""
    if not found.spans.num_rows:
        raise NoDataError("No traces found")
    result = document(rows(found.spans), warnings(found))
    if not found.left_out:
        return answer(b'{"result":%b}' % result)
    # Code 200: any other in an error would have viewers throw the result away.
    said = {"httpCode": 200, "message": f"{NO_ROOM}: {', '.join(found.left_out)}"}
    return answer(b'{"result":%b,"error":%b}' % (result, to_json(said)))


def _summary(one: Summary) -> dict[str, object]:
    return {
        "traceId": one.trace_id,
        "rootServiceName": one.root_service,
        "rootOperationName": one.root_name,
        "minStartTimeUnixNano": str(one.first),
        "maxEndTimeUnixNano": str(one.last),
        "spanCount": one.spans,
        "errorSpanCount": one.errors,
        "orphanSpanCount": one.orphans,
        "services": [
            {"name": each["name"], "spanCount": each["spans"], "errorSpanCount": each["errors"]}
            for each in one.services
        ],
    }


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
