"""What a sender may cost: bytes, requests at once, seconds. Each bound is answered, and counted."""

import threading
from dataclasses import dataclass

from otel_voicebot.errors import UsageError

__all__ = ["Budget", "Limits"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one door.

    Raises:
        UsageError: a bound is not positive.
    """

    body_bytes: int = 64 * _MIB
    """A request as it comes. gRPC's own default of 4 MiB refuses an ordinary batch of a Collector, for good."""
    decompressed_bytes: int = 64 * _MIB
    """The same when decompressed: what a small bomb may blow up to."""
    json_bytes: int = 64 * _MIB
    """A decompressed JSON request; what its objects take is bounded by how many values it has (``bodies``)."""
    in_flight_bytes: int = 256 * _MIB
    """Bodies that are being received or read, all together: beyond it senders are told to come again."""
    concurrent: int = 64
    """Requests at once, those that wait for the disk included: beyond it senders are told to come again."""
    receive_s: float = 20.0
    """Seconds that a request's body may take to arrive."""
    answer_s: float = 30.0
    """Seconds that a request may wait for the disk; then its sender is told to come again."""
    retry_after_s: float = 1.0
    """Seconds after which a sender that was told to come again should."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise UsageError(f"limit {name} must be more than 0, not {getattr(self, name)}")


class Budget:
    """Bytes that may be held at once. Safe to use from any thread; never blocks."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._left = size

    def take(self, size: int) -> bool:
        """Reserve this many bytes; False when there are not as many left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give reserved bytes back."""
        with self._lock:
            self._left += size
