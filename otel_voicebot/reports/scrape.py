"""Fetches what a service serves to Prometheus."""

import http.client
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from otel_voicebot.errors import UnreachableError, UsageError

__all__ = ["address", "fetch", "not_ours"]

_TIMEOUT_S: Final = 10
_MOST_BYTES: Final = 64 << 20


def address(endpoint: str, option: str) -> str:
    """The URL of a service's metrics.

    Args:
        endpoint: as a user wrote it: with or without ``/metrics``; without a scheme it is http.
        option: where it was written.

    Raises:
        UsageError: it is no URL.
    """
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{option} {endpoint!r} is no http or https URL, such as http://127.0.0.1:8000/metrics")
    return url if parts.path.strip("/") else f"{url.rstrip('/')}/metrics"


def fetch(url: str) -> str:
    """The page.

    Raises:
        UnreachableError: nothing answers there in ten seconds, or not with a page, or with one that is too long.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as page:  # noqa: S310 - http and https only
            content: bytes = page.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:  # a part of the series would be figures of a part of the calls
            raise UnreachableError(f"{url} has more than {_MOST_BYTES} bytes: ask the data directory instead (--data)")
        text = content.decode()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"{url} doesn't answer: {reason}; is it what serve says at `metrics`?") from None
    return text


def not_ours(url: str) -> UnreachableError:
    """The error of a page that none of our metrics stands on."""
    return UnreachableError(f"{url} answers, and it isn't a service of otel_voicebot: none of its metrics is there")
