"""JSON answers in the forms of Jaeger's two APIs and of our own."""

import json
from collections.abc import Iterable, Mapping, Sequence

from fastapi import Request, Response
from pydantic_core import to_json

from otel_voicebot.reports.traces import MOST_SPANS, Found
from otel_voicebot.web.api import API

__all__ = ["NO_ROOM", "V3", "answer", "pieces", "problem", "structured", "warnings"]

V3 = "/api/v3/"
NO_ROOM = f"left out: an answer has {MOST_SPANS} spans at most; ask for this trace by its id"
"""What is said of a trace that would not fit any more."""
_JSON = "application/json"


def answer(content: object) -> Response:
    """A document. ``bytes`` are JSON already."""
    return Response(content if isinstance(content, bytes) else to_json(content), media_type=_JSON)


def structured(data: object, total: int = 0) -> Response:
    """Jaeger's envelope; it counts names and not traces."""
    return answer(_envelope(to_json(data), total))


def pieces(traces: Iterable[bytes], errors: object = None) -> Response:
    """The same around traces that are JSON already."""
    return answer(_envelope(b"[" + b",".join(traces) + b"]", 0, errors))


def warnings(found: Found) -> list[str]:
    """What each trace of an answer says where it may lack spans."""
    said = [f"cut: the trace has more than the {MOST_SPANS} spans that are shown"] if found.cut else []
    if found.unreadable:
        said.append(f"incomplete: {found.unreadable} of the files that may hold the trace can't be read")
    return said


def problem(
    request: Request,
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, object]] = (),
) -> Response:
    """What was wrong, in the form of the API that was asked; ``errors`` (our own API only): one by one."""
    if request.url.path.startswith(f"{API}/"):
        listed = {"errors": list(errors)} if errors else {}
        document: object = {"error": {"code": status, "message": message}, **listed}
    elif request.url.path.startswith(V3):
        document = {"error": {"httpCode": status, "message": message}}
    else:
        said = [{"code": status, "msg": message}]
        document = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": said}
    return Response(json.dumps(document), status, dict(headers or {}), media_type=_JSON)


def _envelope(data: bytes, total: int, errors: object = None) -> bytes:
    return b'{"data":%b,"total":%d,"limit":0,"offset":0,"errors":%b}' % (data, total, to_json(errors))
