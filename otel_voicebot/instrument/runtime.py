"""Process-wide settings of the instrumentation: where spans go, which clock they use, what they may carry.

The composition root sets them once with ``runtime.configure``. Nothing here raises into the bot: what fails is
contained, and the first failure of each kind is logged by its class only, because its text may quote what a caller
said.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from otel_voicebot import semconv

__all__ = ["Attributes", "Runtime", "runtime"]

Attributes = Mapping[str, AttributeValue | None]
"""Attributes as a bot passes them: a None is left out, because missing is missing."""

_CONTENT = frozenset(name for name, attribute in semconv.ATTRIBUTES.items() if attribute.content)
_log = logging.getLogger("otel_voicebot")


def _version() -> str:
    try:
        return version("otel-voicebot")
    except PackageNotFoundError:
        return "0"


class Runtime:
    """Settings of the instrumentation in this process.

    Attributes:
        capture_content: whether transcripts, replies, prompts and exception texts may stand on spans; off by default.
        clock: gives nanoseconds since 1970; start, end and first chunk of our spans are all taken from it.
    """

    def __init__(self) -> None:
        self.capture_content = False
        self.clock: Callable[[], int] = time.time_ns
        self._hash_key: bytes | None = None
        self._on_session_start: Callable[[], None] | None = None
        self._tracer: trace.Tracer | None = None
        self._told: set[str] = set()

    def configure(
        self,
        *,
        capture_content: bool = False,
        hash_key: bytes | None = None,
        on_session_start: Callable[[], None] | None = None,
    ) -> None:
        """Set what spans may carry; a later call replaces an earlier one.

        Args:
            capture_content: put texts on spans.
            hash_key: HMAC key of ``user.hash``; without one no caller is marked at all.
            on_session_start: called in the bot's thread before each session starts; keep it cheap. A failure is
                contained.
        """
        self.capture_content = capture_content
        self._hash_key = hash_key or None
        self._on_session_start = on_session_start

    def tracer(self) -> trace.Tracer:
        """The tracer of our spans; it follows the global provider even when that is set up later."""
        if self._tracer is None:
            self._tracer = trace.get_tracer(semconv.SCOPE_NAME, _version())
        return self._tracer

    @contextmanager
    def using(
        self, provider: trace.TracerProvider, clock: Callable[[], int], *, capture_content: bool
    ) -> Iterator[None]:
        """Send the spans of the whole process to ``provider`` for the length of the block (tests)."""
        before = self._tracer, self.clock, self.capture_content
        self._tracer = provider.get_tracer(semconv.SCOPE_NAME, _version())
        self.clock, self.capture_content = clock, capture_content
        try:
            yield
        finally:
            self._tracer, self.clock, self.capture_content = before

    def start_span(
        self, name: str, context: Context, *, attributes: Attributes, start_ns: int, links: list[trace.Link]
    ) -> trace.Span:
        """Start a span; when a tracer fails the bot gets one that records nothing."""
        try:
            return self.tracer().start_span(
                name, context=context, attributes=self.allowed(attributes), start_time=start_ns, links=links
            )
        except Exception as error:  # noqa: BLE001 - a broken sampler or processor must not end a call
            self.contained("start of a span", error)
            return trace.INVALID_SPAN

    def allowed(self, attributes: Attributes) -> dict[str, AttributeValue]:
        """What may stand on a span: known values, and content only when its capture is on."""
        capture = self.capture_content
        return {
            key: value for key, value in attributes.items() if value is not None and (capture or key not in _CONTENT)
        }

    def user_hash(self, caller: str | None) -> str | None:
        """HMAC-SHA256 of the caller in hex; None without a caller or a key."""
        if caller is None or self._hash_key is None:
            return None
        return hmac.new(self._hash_key, str(caller).encode(), hashlib.sha256).hexdigest()

    def session_starts(self) -> None:
        """Call the hook of the composition root."""
        if self._on_session_start is not None:
            try:
                self._on_session_start()
            except Exception as error:  # noqa: BLE001 - wiring trouble must not end a call
                self.contained("the session hook", error)

    def contained(self, what: str, error: BaseException) -> None:
        """Note a failure that was kept from the bot; the first of each kind is logged."""
        self.warn(what, f"otel_voicebot: {what} failed with {type(error).__qualname__}; the bot goes on")

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, once per kind."""
        if kind not in self._told:
            self._told.add(kind)
            _log.warning("%s", message)


runtime = Runtime()
"""The one of this process."""
