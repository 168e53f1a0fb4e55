"""Fetching what a service serves to Prometheus (FEATURES A10)."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from otel_voicebot.errors import UnreachableError
from otel_voicebot.reports import scrape

PAGE = b'voicebot_turns_total{bot="a"} 123\n'


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server of the page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_a_page_that_is_too_long_is_not_read_in_part(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut in the middle of a number it would be another number."""
    monkeypatch.setattr(scrape, "_MOST_BYTES", len(PAGE))
    assert scrape.fetch(url).encode() == PAGE
    monkeypatch.setattr(scrape, "_MOST_BYTES", len(PAGE) - 2)
    with pytest.raises(UnreachableError, match="has more than 32 bytes: ask the data directory instead"):
        scrape.fetch(url)
