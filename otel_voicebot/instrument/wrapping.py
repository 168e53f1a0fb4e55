"""Decorated callables: each call gets a block of its own, and behaves as the callable did.

A generator's span covers its first ``next()`` to its exhaustion or close. The OTel context is attached while the
generator's own code runs and detached before each item is handed out, so that it never leaks into the consumer; what
the generator's code attached itself is kept for its next resumption.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

if TYPE_CHECKING:
    from contextvars import Token

    from otel_voicebot.instrument.block import SpanBlock

__all__ = ["Attached", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")


class Attached:
    """``with Attached(context):`` code inside runs in it; what it left attached is in ``context`` afterwards."""

    __slots__ = ("_token", "context")

    def __init__(self, context: Context) -> None:
        self.context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self.context)

    def __exit__(self, *_: object) -> None:
        self.context = otel_context.get_current()
        if self._token is not None:
            otel_context.detach(self._token)


def wrap(function: Callable[P, R], fresh: Callable[[], "SpanBlock"]) -> Callable[P, R]:
    """A callable like ``function`` whose calls are spans; ``fresh`` makes the block of one call."""
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return _streaming(cast("Callable[P, R]", function), fresh)
    if inspect.iscoroutinefunction(function):
        return cast("Callable[P, R]", _coroutine(function, fresh))
    return _plain(function, fresh)


def _streaming(function: Callable[P, R], fresh: Callable[[], "SpanBlock"]) -> Callable[P, R]:
    # A plain function around the generator, so that the caller's context is known even when an executor's thread
    # consumes it.
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        block = fresh()
        block._parent = otel_context.get_current()  # noqa: SLF001 - block and wrapping are one unit
        return cast("R", _stream(function(*args, **kwargs), block))

    return call


def _plain(function: Callable[P, R], fresh: Callable[[], "SpanBlock"]) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        block = fresh().start()
        try:
            with block.active():
                result = function(*args, **kwargs)
        except BaseException as error:
            block.end(error=error)
            raise
        return cast("R", _result(result, block))

    return call


def _coroutine(
    function: Callable[P, Coroutine[Any, Any, R]], fresh: Callable[[], "SpanBlock"]
) -> Callable[P, Coroutine[Any, Any, R]]:
    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", await _awaited(function(*args, **kwargs), fresh().start()))

    return call


async def _awaited(work: Awaitable[Any], block: "SpanBlock") -> Any:
    try:
        with block.active():
            result = await work
    except BaseException as error:
        block.end(error=error)
        raise
    return _result(result, block)


def _result(result: Any, block: "SpanBlock") -> Any:
    """A result ends the block; a stream or coroutine carries it on to its own end."""
    if isinstance(result, CoroutineType):
        return _awaited(result, block)
    if isinstance(result, (GeneratorType, AsyncGeneratorType)):
        return _stream(result, block)
    if result is not None:
        block._first_item()  # noqa: SLF001
    block.end()
    return result


def _stream(stream: Any, block: "SpanBlock") -> Any:
    return _items_async(stream, block) if isinstance(stream, AsyncGeneratorType) else _items(stream, block)


def _items(stream: Generator[Any, Any, Any], block: "SpanBlock") -> Generator[Any, Any, Any]:
    if not block._open:  # noqa: SLF001
        block.start()
    inside = block.active()
    resume: Callable[[], Any] = functools.partial(next, stream)
    try:
        while True:
            with inside:
                item = resume()
            block._first_item()  # noqa: SLF001
            try:
                sent = yield item
            except GeneratorExit:
                with inside:
                    stream.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's own code decides
                resume = functools.partial(stream.throw, error)
            else:
                resume = functools.partial(stream.send, sent)
    except StopIteration as done:
        block.end()
        return done.value
    except BaseException as error:
        block.end(error=error)
        raise


async def _items_async(stream: AsyncGenerator[Any, Any], block: "SpanBlock") -> AsyncGenerator[Any, Any]:
    if not block._open:  # noqa: SLF001
        block.start()
    inside = block.active()
    resume: Callable[[], Awaitable[Any]] = stream.__anext__
    try:
        while True:
            with inside:
                item = await resume()
            block._first_item()  # noqa: SLF001
            try:
                sent = yield item
            except GeneratorExit:
                with inside:
                    await stream.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's own code decides
                resume = functools.partial(stream.athrow, error)
            else:
                resume = functools.partial(stream.asend, sent)
    except StopAsyncIteration:
        block.end()
    except BaseException as error:
        block.end(error=error)
        raise
