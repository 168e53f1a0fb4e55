"""The web port as an ASGI application: who may ask, which routers there are, and how errors are answered."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from otel_voicebot.errors import NoDataError, TooSlowError, UsageError, VoicebotError
from otel_voicebot.receivers.security import Security
from otel_voicebot.reports.traces import Traces
from otel_voicebot.web import jaeger, jaeger_v3
from otel_voicebot.web.answers import problem
from otel_voicebot.web.asking import Asking

__all__ = ["application"]

_RETRY_AFTER: Final = {"retry-after": "5"}


def application(traces: Traces, asking: Asking, security: Security) -> FastAPI:
    """The application.

    Args:
        traces: answers questions.
        asking: runs them.
        security: every request needs its token, where there is one.
    """
    # No pages of documentation: they load scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(jaeger_v3.router(traces, asking))
    app.include_router(jaeger.router(traces, asking))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(VoicebotError, _failed)
    app.add_exception_handler(Exception, _defect)

    @app.middleware("http")
    async def admit(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if not security.admits(request.headers.get("authorization")):
            message = "the bearer token is wrong or missing"
            return problem(request, 401, message, {"www-authenticate": "Bearer"})
        response = await answer(request)
        response.headers["x-content-type-options"] = "nosniff"  # texts of senders are in it
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


async def _defect(request: Request, error: Exception) -> Response:
    return problem(request, 500, f"a defect of otel-voicebot: {type(error).__name__}")
