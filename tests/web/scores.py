"""Scores as a back end sends them."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["FEEDBACK", "Answer", "post"]

FEEDBACK = "/api/v1/feedback"


class Answer(NamedTuple):
    """What came back."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        assert self.document["error"]["code"] == self.status
        return str(self.document["error"]["message"])


def post(where: str, body: object, path: str = FEEDBACK, **headers: str) -> Answer:
    """Send JSON, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    request = urllib.request.Request(f"http://{where}{path}", content, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as page:
            return Answer(page.status, json.load(page), dict(page.headers))
    except urllib.error.HTTPError as error:
        return Answer(error.code, json.load(error), dict(error.headers))
