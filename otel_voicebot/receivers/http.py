"""The OTLP/HTTP door, and pages for probes: ``/healthz`` (all its threads live), ``/readyz`` (it takes requests)."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from otel_voicebot.receivers.answers import Accepted, Answer, Intake, Refused
from otel_voicebot.receivers.bodies import ENCODINGS
from otel_voicebot.receivers.connection import BoundedConnection, SlowSenderError
from otel_voicebot.receivers.door import BusyError, Door, Lease, Pending
from otel_voicebot.receivers.limits import Budget, Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.serving import HttpServer, Named
from otel_voicebot.receivers.statuses import DOORS, accepted, refused
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["HttpReceiver"]

_WORKERS: Final = 4
"""Bodies of protobuf that are unpacked at once; one of JSON beside them, so that the others don't wait behind it."""
_JSON_SHARE: Final = 4
"""One in so many of the requests at once may be JSON: they wait for each other, up to seconds each."""
_CONNECTIONS: Final = 1000
_NAMED: Final = Named("OTLP/HTTP", "otel-voicebot-http", "OTEL_VOICEBOT_HTTP_ADDR")
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"


class HttpReceiver:
    """Serves ``/v1/traces``, ``/v1/logs`` and ``/v1/metrics``, in a thread with an event loop of its own.

    Args:
        intake: where requests go.
        address: HOST:PORT; port 0 picks a free one.
        security: who may send. The pages for probes need no token.
        limits: what a sender may cost.
        metrics: counts refusals, and failures that were contained.
    """

    def __init__(
        self, intake: Intake, address: str, security: Security, limits: Limits, metrics: SelfMetrics | None = None
    ) -> None:
        self._app = _App(Door("http", intake, security, limits, metrics or SelfMetrics()))
        connection = BoundedConnection.within(limits.receive_s, _CONNECTIONS)
        self._server = HttpServer(self._app.router, address, _NAMED, security, connection)

    def start(self) -> int:
        """Listen; the port.

        Raises:
            CannotStartError: the address can't be used.
        """
        return self._server.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; also before start and after stop."""
        return self._server.alive

    def stop(self, grace_s: float) -> None:
        """Take nothing new, answer what was taken within so many seconds, and end. Idempotent; safe before start."""
        if self._server.stop(grace_s):
            self._app.close()


class _Problem(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with this status."""

    def __init__(self, status: int, answer: Refused, **headers: str) -> None:
        super().__init__(answer.message)
        self.status = status
        self.answer = answer
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _App:
    """The pages, as an ASGI application."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._limits = door.limits
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otel-voicebot-http-body")
        self._json = ThreadPoolExecutor(1, thread_name_prefix="otel-voicebot-http-json")
        self._json_places = Budget(max(1, door.limits.concurrent // _JSON_SHARE))
        pages = [Route(f"/v1/{signal}", self._export, methods=["POST"]) for signal in DOORS]
        pages += [Route("/healthz", self._alive, methods=["GET"]), Route("/readyz", self._ready, methods=["GET"])]
        self.router = Router(pages, redirect_slashes=False)

    def close(self) -> None:
        for pool in (self._workers, self._json):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _alive(self, _request: Request) -> Response:
        return _page("ok", self._door.intake.broken())

    async def _ready(self, _request: Request) -> Response:
        try:
            reason = self._door.intake.unready()
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            reason = self._door.failed(error).message
        return _page("ready", reason)

    async def _export(self, request: Request) -> Response:
        signal = request.url.path.rpartition("/")[2]
        as_json = _media_type(request) == _JSON
        try:
            answer = await self._answer(signal, request, is_json=as_json)
        except _Problem as problem:
            return _refusal(problem.answer, problem.status, as_json=as_json, headers=problem.headers)
        except BusyError as error:
            answer = self._door.later("busy", str(error))
        except SlowSenderError:
            # 408 would make a Collector drop the batch
            late = self._door.later("slow_sender", "the body took too long to arrive")
            return _refusal(late, 503, as_json=as_json, headers={"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=503)  # to nobody
        except asyncio.CancelledError:  # the server stops and its grace is over
            answer = self._door.later("shutdown", "shutting down")
        except BaseException as error:  # noqa: BLE001 - anything else would be answered with 500
            answer = self._door.failed(error)
        if isinstance(answer, Accepted):
            media_type = _JSON if as_json else _PROTOBUF
            return Response(accepted(signal, answer, as_json=as_json), media_type=media_type)
        return _refusal(answer, 400 if answer.retry_after_s is None else 503, as_json=as_json)

    async def _answer(self, signal: str, request: Request, *, is_json: bool) -> Answer:
        door = self._door
        if not door.security.admits(request.headers.get("authorization")):
            refusal = door.never("unauthenticated", "the bearer token is wrong or missing")
            raise _Problem(401, refusal, www_authenticate="Bearer")
        if not is_json and _media_type(request) != _PROTOBUF:
            raise _Problem(415, door.never("media_type", f"content-type must be {_PROTOBUF} or {_JSON}"))
        encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
        if encoding not in ENCODINGS:
            known = ", ".join(ENCODINGS)
            refusal = door.never("media_type", f"content-encoding must be one of {known}")
            raise _Problem(415, refusal, accept_encoding=known)
        closed = door.closed()
        if closed is not None:
            return closed
        with door.place() as lease:
            body = await self._body(request, lease)
            work = partial(door.take, signal, body, lease, encoding=encoding, is_json=is_json)
            workers = self._json if is_json else self._workers
            with self._json_place(taken=is_json):
                pending = await asyncio.get_running_loop().run_in_executor(workers, work)
            del body, work
            lease.release()  # while it waits for the disk, the intake knows what it costs
            return await self._wait(pending)

    @contextlib.contextmanager
    def _json_place(self, *, taken: bool) -> Iterator[None]:
        if taken and not self._json_places.take(1):
            raise BusyError("too many JSON requests at once; protobuf is read much faster")
        try:
            yield
        finally:
            if taken:
                self._json_places.give(1)

    async def _body(self, request: Request, lease: Lease) -> bytes:
        most = self._limits.body_bytes
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > most:
            raise _Problem(400, self._door.too_large())
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._limits.receive_s):
                async for piece in request.stream():
                    size += len(piece)
                    if size > most:
                        raise _Problem(400, self._door.too_large())
                    lease.take(len(piece))
                    pieces.append(piece)
        except TimeoutError:
            raise SlowSenderError from None
        return b"".join(pieces)

    async def _wait(self, pending: Pending) -> Answer:
        loop, known = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the receiver was stopped
                loop.call_soon_threadsafe(known.set)

        # not asyncio.wrap_future: whoever stops waiting for it cancels the intake's future
        pending.future.add_done_callback(tell)
        try:
            await asyncio.wait_for(known.wait(), self._limits.answer_s)
        except TimeoutError:
            return self._door.later("slow", "the disk did not take it in time; try again")
        return pending.complete(pending.future.result())


def _page(good: str, reason: str | None) -> Response:
    return PlainTextResponse(f"{good}\n") if reason is None else PlainTextResponse(f"{reason}\n", 503)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refusal(answer: Refused, status: int, *, as_json: bool, headers: dict[str, str] | None = None) -> Response:
    body = refused(answer, authentic=status != 401, as_json=as_json)
    response = Response(body, status, headers, media_type=_JSON if as_json else _PROTOBUF)
    if answer.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, math.ceil(answer.retry_after_s)))
    return response
