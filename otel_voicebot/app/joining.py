"""Many requests read at once: reading one costs some 10 ms of its own, however few spans are in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.receivers.salvage import salvage

__all__ = ["DAMAGED", "Joined", "decode_together"]

DAMAGED: Final = "damaged"
"""Why a span or log record was rejected that can't be read: a text that is not UTF-8, a value nested too deep."""

_FIELDS: Final = 4096
"""Resources of a request, beyond which it is read alone: looking at more of them costs more than it saves."""


class Batch(Protocol):
    """What a decoder makes of one request, or of several that were put together."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """What could not be kept, by reason."""
        ...


B = TypeVar("B", bound=Batch)


@dataclass(frozen=True, slots=True)
class Joined(Generic[B]):
    """What was read.

    Attributes:
        batches: all of it, in as few batches as possible.
        outcomes: for each payload what was rejected, or why none of it could be read.
        blame: whether it is found out whose the rejected ones are.
    """

    batches: list[B]
    outcomes: list[Mapping[str, int] | UnreadableDataError]
    blame: bool = True


def decode_together(decode: Callable[[bytes], B], payloads: Sequence[bytes], *, blame: bool = True) -> Joined[B]:
    """Decode OTLP requests of one signal. A damaged one harms no other, and what can be read of it is kept.

    Args:
        decode: OTLP bytes to a batch.
        payloads: the requests.
        blame: find out whose the rejected ones are, which takes reading some of it again; else only what is damaged
            stands in the outcomes.
    """
    joined: Joined[B] = Joined([], [{} for _ in payloads], blame)
    together = [index for index, payload in enumerate(payloads) if _is_framed(payload)]
    _read(decode, payloads, together, joined)
    for index in sorted(set(range(len(payloads))) - set(together)):
        _read(decode, payloads, [index], joined)
    return joined


def _read(decode: Callable[[bytes], B], payloads: Sequence[bytes], indexes: list[int], into: Joined[B]) -> None:
    if not indexes:
        return
    try:
        batch = decode(_join(payloads, indexes))
    except UnreadableDataError as error:
        if len(indexes) == 1:
            _rescue(decode, payloads[indexes[0]], indexes[0], into, error)
            return
        for half in _halves(indexes):
            _read(decode, payloads, half, into)
        return
    into.batches.append(batch)
    if into.blame:
        _blame(decode, payloads, indexes, into, batch.rejected)


def _rescue(
    decode: Callable[[bytes], B], payload: bytes, index: int, into: Joined[B], error: UnreadableDataError
) -> None:
    """Keep what can be read of a request that can't be read as a whole."""
    saved = salvage(payload, partial(_is_readable, decode))
    if saved is None:
        into.outcomes[index] = error
        return
    batch = decode(saved[0])
    into.batches.append(batch)
    into.outcomes[index] = {**batch.rejected, DAMAGED: saved[1]}


def _is_readable(decode: Callable[[bytes], B], payload: bytes) -> bool:
    try:
        decode(payload)
    except UnreadableDataError:
        return False
    return True


def _blame(
    decode: Callable[[bytes], B],
    payloads: Sequence[bytes],
    indexes: list[int],
    into: Joined[B],
    rejected: Mapping[str, int],
) -> None:
    """Find out whose the rejected ones are."""
    if not rejected:
        return
    if len(indexes) == 1:
        into.outcomes[indexes[0]] = rejected
        return
    for half in _halves(indexes):
        _blame(decode, payloads, half, into, decode(_join(payloads, half)).rejected)


def _halves(indexes: list[int]) -> tuple[list[int], list[int]]:
    middle = len(indexes) // 2
    return indexes[:middle], indexes[middle:]


def _join(payloads: Sequence[bytes], indexes: list[int]) -> bytes:
    """Protobuf messages one after the other are one message with the repeated fields of all."""
    return payloads[indexes[0]] if len(indexes) == 1 else b"".join(payloads[index] for index in indexes)


def _is_framed(payload: bytes) -> bool:
    """Whether the message is a row of delimited fields that ends where the bytes end.

    Else its last field would swallow the beginning of the message behind it.
    """
    position, size = 0, len(payload)
    for _ in range(_FIELDS):
        if position == size:
            return True
        if payload[position] & 0x87 != 0x02:  # a field number below 16, with a length
            return False
        length, shift = 0, 0
        while True:
            position += 1
            if position >= size or shift > 28:
                return False
            byte = payload[position]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        position += 1 + length
        if position > size:
            return False
    return False
