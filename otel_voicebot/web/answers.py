"""JSON answers in the forms of Jaeger's two APIs."""

import json
from collections.abc import Iterable, Mapping

from fastapi import Request, Response
from pydantic_core import to_json

from otel_voicebot.reports.traces import MOST_SPANS

__all__ = ["CUT", "NO_ROOM", "V3", "answer", "pieces", "problem", "structured"]

V3 = "/api/v3/"
CUT = f"cut: the trace has more than the {MOST_SPANS} spans that are shown"
"""What a trace says that is too large for an answer."""
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


def problem(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """What was wrong, in the form of the API that was asked."""
    if request.url.path.startswith(V3):
        document: object = {"error": {"httpCode": status, "message": message}}
    else:
        errors = [{"code": status, "msg": message}]
        document = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": errors}
    return Response(json.dumps(document), status, dict(headers or {}), media_type=_JSON)


def _envelope(data: bytes, total: int, errors: object = None) -> bytes:
    return b'{"data":%b,"total":%d,"limit":0,"offset":0,"errors":%b}' % (data, total, to_json(errors))
