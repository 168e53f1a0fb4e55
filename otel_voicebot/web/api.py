"""What the routes of otel_voicebot's own API share: where they are, and how they refuse."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["API", "RESPONSES", "RefusedError"]

API: Final = "/api/v1"

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
_MEANINGS: Final = {
    400: "A parameter is wrong, or the body no JSON.",
    401: "The bearer token is wrong or missing.",
    404: "There is no such session, or no data.",
    413: "The body is too large.",
    415: "The body is no JSON by its headers.",
    422: "A field is wrong: each is named in `errors`.",
    503: "Not now: come again after `Retry-After` seconds.",
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
    for status, text in _MEANINGS.items()
}
"""What a route may answer beside 200."""


class RefusedError(Exception):
    """A request that is answered with this status.

    Attributes:
        status: of HTTP.
        errors: what is wrong, one by one: ``index``, ``field``, ``message``.
        retry_s: seconds after which it may be accepted; None where the same request never will.
    """

    def __init__(
        self, status: int, message: str, errors: Sequence[Mapping[str, object]] = (), retry_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.retry_s = retry_s
