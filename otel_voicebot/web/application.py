"""The web port as an ASGI application: who may ask, which routers there are, and how errors are answered."""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from otel_voicebot.errors import NoDataError, TooSlowError, UsageError, VoicebotError
from otel_voicebot.receivers.security import Security
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_QUESTIONS
from otel_voicebot.web.answers import problem
from otel_voicebot.web.api import API, RefusedError

__all__ = ["application"]

_OUTCOMES: Final = {
    200: "answered",
    400: "wrong",
    401: "unauthenticated",
    404: "not_found",
    405: "wrong",
    413: "wrong",
    415: "wrong",
    422: "wrong",
    503: "later",
}
_RETRY_AFTER: Final = {"retry-after": "5"}


def application(
    own: Iterable[APIRouter], others: Iterable[APIRouter], security: Security, metrics: SelfMetrics
) -> FastAPI:
    """The application.

    Args:
        own: routes of our own API, which its OpenAPI description tells of.
        others: routes of APIs that others describe: Jaeger's.
        security: every request needs its token, where there is one.
        metrics: counts requests by outcome.
    """
    # No pages of documentation: they load scripts from elsewhere.
    app = FastAPI(
        title="otel_voicebot",
        version="1",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for routes in own:
        app.include_router(routes)
    for routes in others:
        app.include_router(routes, include_in_schema=False)
    app.add_exception_handler(RefusedError, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(VoicebotError, _failed)

    @app.middleware("http")
    async def admit(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if security.admits(request.headers.get("authorization")):
            try:
                response = await answer(request)
            except Exception as error:  # noqa: BLE001 - who asks gets an answer
                metrics.contained("web", error)
                response = problem(request, 500, f"a defect of otel-voicebot: {type(error).__name__}")
        else:
            bearer = {"www-authenticate": "Bearer"}
            response = problem(request, 401, "the bearer token is wrong or missing", bearer)
        response.headers["x-content-type-options"] = "nosniff"  # texts of senders are in it
        metrics.add(SELF_QUESTIONS, 1, _OUTCOMES.get(response.status_code, "failed"))
        return response

    return app


async def _told(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    headers = {} if error.retry_s is None else {"retry-after": str(math.ceil(error.retry_s))}
    return problem(request, error.status, str(error), headers, error.errors)


async def _invalid(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    name = str(first.get("loc", ("", "parameter"))[-1])
    return problem(request, 400, f"parameter {name} {str(first.get('input'))[:60]!r}: {first.get('msg', 'is wrong')}")


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"there is no {request.method} {request.url.path} here" if status in (404, 405) else str(error)
    return problem(request, status, message)


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, UsageError):
        return problem(request, 400, str(error))
    if isinstance(error, NoDataError):
        return problem(request, 404, str(error))
    if isinstance(error, TooSlowError):
        return problem(request, 503, str(error), _RETRY_AFTER)
    return problem(request, 500, str(error))
