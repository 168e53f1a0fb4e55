"""Asks the OTLP/HTTP door."""

import http.client
import json
from typing import Any

from tests.receivers.service import CAPTURES, Doors

CAPTURE = (CAPTURES / "pipecat.otlp.pb").read_bytes()
AS_JSON = (CAPTURES / "pipecat.otlp.json").read_bytes()
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
SPAN: dict[str, Any] = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "name": "good",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": "1544712661000000000",
}


def ask(
    doors: Doors,
    body: Any = CAPTURE,
    headers: dict[str, str] = PROTOBUF,
    path: str = "/v1/traces",
    method: str = "POST",
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", doors.http_port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.headers.items()}
    finally:
        connection.close()


def spans(*found: Any) -> bytes:
    """An OTLP/JSON request with these spans."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(found)}]}]}).encode()
