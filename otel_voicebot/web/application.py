"""The web port as an ASGI application: who may ask, which routers there are, and how errors are answered."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from otel_voicebot.errors import NoDataError, TooSlowError, UsageError, VoicebotError
from otel_voicebot.receivers.security import Security
from otel_voicebot.reports.traces import Traces
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import SELF_QUESTIONS
from otel_voicebot.web import jaeger, jaeger_v3
from otel_voicebot.web.answers import problem
from otel_voicebot.web.asking import Asking

__all__ = ["application"]

_OUTCOMES: Final = {
    200: "answered",
    400: "wrong",
    401: "unauthenticated",
    404: "not_found",
    405: "wrong",
    503: "later",
}
_RETRY_AFTER: Final = {"retry-after": "5"}


def application(traces: Traces, asking: Asking, security: Security, metrics: SelfMetrics) -> FastAPI:
    """The application.

    Args:
        traces: answers questions.
        asking: runs them.
        security: every request needs its token, where there is one.
        metrics: counts requests by outcome.
    """
    # No pages of documentation: they load scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(jaeger_v3.router(traces, asking))
    app.include_router(jaeger.router(traces, asking))
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
