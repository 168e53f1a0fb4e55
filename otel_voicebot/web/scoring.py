"""Scores from back ends: CSAT, NPS, corrected outcomes and callbacks of a session, recorded as spans like all else."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from otel_voicebot import semconv
from otel_voicebot.errors import VoicebotError
from otel_voicebot.receivers import facts
from otel_voicebot.receivers.answers import Accepted, Intake
from otel_voicebot.receivers.facts import FIELDS, MOST_ID, SCALES, Labels, Outcome, WrongFactError
from otel_voicebot.store.lookup import Lookup
from otel_voicebot.web.answers import answer
from otel_voicebot.web.api import API, RESPONSES, RefusedError
from otel_voicebot.web.asking import Asking

__all__ = ["MOST", "MOST_BYTES", "router"]

MOST: Final = 1_000
"""Facts of one request."""
MOST_BYTES: Final = 1 << 20
_TOLD: Final = 100
"""Errors that one answer lists."""
_LOOK_S: Final = 10.0
_DISK_S: Final = 30.0
_RETRY_S: Final = 1.0

_FACT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["session_id"],
    "additionalProperties": False,
    "properties": {
        "session_id": {"type": "string", "maxLength": MOST_ID, "description": "The session, also one still open."},
        **{name: {"type": "integer", "minimum": low, "maximum": high} for name, (_, low, high) in SCALES.items()},
        "outcome": {"enum": [*semconv.OUTCOMES]},
        "callback": {"type": "boolean", "description": "The caller came back by a way that has no spans."},
        "time": {"type": "string", "format": "date-time", "description": "When it became known; now if left out."},
    },
}
_BODY: Final = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"oneOf": [_FACT, {"type": "array", "items": _FACT, "minItems": 1, "maxItems": MOST}]}
        }
    },
}


def router(data: Path, intake: Intake, asking: Asking) -> APIRouter:
    """``POST /api/v1/feedback``.

    Args:
        data: the data directory: a fact about a session that isn't in it is refused.
        intake: takes the facts to the disk.
        asking: runs what blocks, beside the questions of viewers.
    """
    routes = APIRouter(prefix=API)
    lookup = Lookup()

    @routes.post(
        "/feedback",
        summary="Late facts of sessions: one object, or an array of them. All are recorded, or none.",
        openapi_extra={"requestBody": _BODY},
        responses={200: {"description": "All are on disk, fsynced."}, **RESPONSES},
    )
    async def feedback(request: Request) -> Response:
        _check_head(request)
        closed = intake.unready()
        if closed is not None:
            raise RefusedError(503, closed, retry_s=_RETRY_S)
        body = await _body(request)
        told, sessions = await asking.run(partial(_read, body, data, lookup))
        await _record(intake, facts.request(told, sessions, datetime.now(UTC)))
        rows = [{"session_id": one.session_id, "id": one.key[16:].hex()} for one in told]
        return answer({"schema": "otel_voicebot.feedback/1", "recorded": len(rows), "facts": rows})

    return routes


def _check_head(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "content-type must be application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RefusedError(415, "content-encoding must be identity: scores are small")


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MOST_BYTES:
                raise RefusedError(413, f"the body has more than {MOST_BYTES} bytes; send fewer facts at once")
            pieces.append(piece)
    except ClientDisconnect:
        raise RefusedError(400, "the body ended early") from None
    return b"".join(pieces)


def _read(body: bytes, data: Path, lookup: Lookup) -> tuple[list[Outcome], Mapping[str, Labels]]:
    """The facts of a body, each of a session that is there; and these."""
    now, found, wrong = datetime.now(UTC), list[Outcome](), list[dict[str, object]]()
    for index, one in enumerate(_objects(body)):
        errors = [(name, f"{name}: there is no such field; there are {', '.join(FIELDS)}") for name in _unknown(one)]
        try:
            found.append(facts.checked(one, now))
        except WrongFactError as error:
            errors += error.fields
        wrong += [{"index": index, "field": field, "message": text} for field, text in errors]
    if wrong:
        _refuse(422, wrong)
    known = facts.known(data, {one.session_id for one in found}, lookup, _LOOK_S)
    missing = [
        {
            "index": index,
            "field": "session_id",
            "message": f"session_id {one.session_id[:60]!r}: no such session; a call is known from its first span on",
        }
        for index, one in enumerate(found)
        if one.session_id not in known
    ]
    if missing:
        _refuse(404, missing)
    return found, known


def _unknown(one: Mapping[str, object]) -> list[str]:
    return [name[:60] for name in one if name not in FIELDS]


def _refuse(status: int, wrong: Sequence[Mapping[str, object]]) -> NoReturn:
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    raise RefusedError(status, f"{wrong[0]['message']}{more}; nothing was recorded", errors=wrong[:_TOLD])


def _objects(body: bytes) -> list[dict[str, object]]:
    try:
        found = json.loads(body, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _NotJsonError) else "it can't be read"
        raise RefusedError(400, f"the body is no JSON: {why}") from None
    listed = found if isinstance(found, list) else [found]
    if not listed or len(listed) > MOST or not all(isinstance(one, dict) for one in listed):
        raise RefusedError(400, f"the body must be one JSON object, or an array of 1 to {MOST} of them")
    return listed


class _NotJsonError(ValueError):
    pass


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotJsonError("an object has a key twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise _NotJsonError(f"{text} is no number")


async def _record(intake: Intake, payload: bytes) -> None:
    """On disk, fsynced, when this returns."""
    try:
        told = await asyncio.wait_for(asyncio.wrap_future(intake.offer("traces", payload)), _DISK_S)
    except TimeoutError:
        raise RefusedError(503, "the disk takes long; try again", retry_s=_RETRY_S) from None
    if isinstance(told, Accepted) and not told.rejected:
        return
    if isinstance(told, Accepted) or told.retry_after_s is None:
        raise VoicebotError(f"a defect of otel-voicebot: its own span was refused: {told.message}")
    raise RefusedError(503, told.message, retry_s=told.retry_after_s)
