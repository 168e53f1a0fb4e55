"""The API of Jaeger's query service that its own UI and Grafana's Jaeger data source ask (v1, "internal")."""

from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response

from otel_voicebot.errors import NoDataError
from otel_voicebot.reports.matching import Search
from otel_voicebot.reports.traces import Found, Traces
from otel_voicebot.web import parameters
from otel_voicebot.web.answers import NO_ROOM, pieces, structured
from otel_voicebot.web.asking import Asking
from otel_voicebot.web.jaeger_spans import traces as as_json

__all__ = ["router"]

_DAY_NS: Final = 86_400_000_000_000


def router(traces: Traces, asking: Asking) -> APIRouter:
    """Routes below ``/api``."""
    routes = APIRouter(prefix="/api")

    @routes.get("/services")
    async def services() -> Response:
        names = sorted({one.service for one in await asking.shared(traces.operations)})
        return structured(names, len(names))

    @routes.get("/services/{service:path}/operations")
    async def operations_of(service: str) -> Response:
        names = sorted({one.name for one in await asking.shared(traces.operations) if one.service == service})
        return structured(names, len(names))

    @routes.get("/operations")
    async def operations(request: Request) -> Response:
        service, kind = parameters.required(request.query_params, "service"), request.query_params.get("spanKind", "")
        found = [
            one for one in await asking.shared(traces.operations) if one.service == service and kind in ("", one.kind)
        ]
        return structured([{"name": one.name, "spanKind": one.kind} for one in found], len(found))

    @routes.get("/traces")
    async def search(request: Request) -> Response:
        given = request.query_params
        if given.getlist("traceID"):
            wanted = [parameters.trace_id(text) for text in given.getlist("traceID")]
            return await asking.run(partial(_some, traces, wanted))
        return await asking.run(partial(_matching, traces, parameters.search(given)))

    @routes.get("/traces/{trace}")
    async def trace(trace: str, request: Request) -> Response:
        wanted = parameters.trace_id(trace)
        for name in ("start", "end"):  # a hint to find it by; the index needs none
            parameters.integer(request.query_params, name)
        return await asking.run(partial(_one, traces, wanted))

    @routes.get("/dependencies")
    async def dependencies(request: Request) -> Response:
        first, last = parameters.window_ms(request.query_params, _DAY_NS)
        found = await asking.run(partial(traces.dependencies, first, last))
        service = request.query_params.get("service", "")
        return structured(
            [
                {"parent": parent, "child": child, "callCount": calls}
                for parent, child, calls in found
                if service in ("", parent, child)
            ]
        )

    return routes


def _one(traces: Traces, wanted: str) -> Response:
    found = list(as_json(traces.by_id([wanted])))
    if not found:
        raise NoDataError("trace not found")
    return pieces(found)


def _some(traces: Traces, wanted: list[str]) -> Response:
    found = traces.by_id(wanted)
    known = {*found.spans["trace_id"].unique().to_pylist(), *found.left_out}
    missing = [{"msg": "trace not found", "traceID": one} for one in wanted if one not in known]
    return _answered(found, missing)


def _matching(traces: Traces, search: Search) -> Response:
    return _answered(traces.matching(search), [])


def _answered(found: Found, errors: list[dict[str, str]]) -> Response:
    """Jaeger's UI shows such errors beside traces; what isn't here for want of room can be asked for by its id."""
    left = [{"msg": NO_ROOM, "traceID": one} for one in found.left_out]
    return pieces(as_json(found), [*errors, *left] or None)
