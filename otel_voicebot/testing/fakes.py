"""A fake STT, LLM and TTS: what they give, when, and in which calls they fail is written in a script."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from otel_voicebot import semconv
from otel_voicebot.instrument import components
from otel_voicebot.instrument.operation import Llm, Streaming, Stt, Tts, current_operation

if TYPE_CHECKING:
    from otel_voicebot.instrument.runtime import Attributes
    from otel_voicebot.testing.record import DeterministicClock

__all__ = ["FakeLLM", "FakeSTT", "FakeTTS"]

_SYNTHETIC: Final["Attributes"] = {semconv.SYNTHETIC: True}
_SAMPLES_A_SECOND: Final = 16_000
Asked = TypeVar("Asked")
Piece = TypeVar("Piece")


class _Fake(ABC, Generic[Asked, Piece]):
    """A component that follows a script: which pieces it gives, when, and in which calls it fails."""

    def __init__(
        self,
        *,
        first_chunk_s: float,
        chunk_s: float,
        failures: Mapping[int, Exception] | None,
        clock: "DeterministicClock | None",
    ) -> None:
        self._first_chunk_s = first_chunk_s
        self._chunk_s = chunk_s
        self._failures = dict(failures or {})
        self._clock = clock
        self.calls = 0

    @abstractmethod
    def _block(self) -> Streaming: ...

    @abstractmethod
    def _pieces(self, asked: Asked) -> list[Piece]: ...

    @abstractmethod
    def _whole(self, pieces: list[Piece]) -> Piece: ...

    @abstractmethod
    def _say(self, asked: Asked, pieces: list[Piece]) -> None:
        """Record what was done on the current operation."""

    def _begin(self, asked: Asked) -> list[tuple[float, Piece]]:
        """Pieces with the seconds before each; raises what the script says."""
        self.calls += 1
        pieces = self._pieces(asked)
        if self.calls in self._failures:
            self._pass(self._first_chunk_s)
            raise self._failures[self.calls]
        return [(self._chunk_s if number else self._first_chunk_s, piece) for number, piece in enumerate(pieces)]

    def _pass(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.advance(seconds)
        elif seconds:
            time.sleep(seconds)

    async def _pass_async(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.advance(seconds)
        await asyncio.sleep(0 if self._clock is not None else seconds)

    def _run(self, asked: Asked) -> Iterator[Piece]:
        script = self._begin(asked)
        for seconds, piece in script:
            self._pass(seconds)
            yield piece
        self._say(asked, [piece for _, piece in script])

    async def _run_async(self, asked: Asked) -> AsyncIterator[Piece]:
        script = self._begin(asked)
        for seconds, piece in script:
            await self._pass_async(seconds)
            yield piece
        self._say(asked, [piece for _, piece in script])

    def _all(self, asked: Asked) -> Piece:
        return self._whole(list(self._run(asked)))

    async def _all_async(self, asked: Asked) -> Piece:
        return self._whole([piece async for piece in self._run_async(asked)])

    def _decorated(self, work: Callable[[Asked], Any], asked: Asked) -> Any:
        return self._block()(work)(asked)


class FakeSTT(_Fake[bytes, str]):
    """Understands what its script says, whatever it hears.

    Args:
        transcripts: given one per call, from the start again when they are used up.
        confidence: of every transcript, 0 to 1.
        first_chunk_s: seconds to the first word.
        chunk_s: seconds to each further word.
        failures: exceptions by number of the call (from 1).
        clock: moves by the script's seconds instead of waiting for them.
    """

    def __init__(
        self,
        transcripts: Sequence[str] = ("hello",),
        *,
        confidence: float = 0.9,
        first_chunk_s: float = 0.0,
        chunk_s: float = 0.0,
        failures: Mapping[int, Exception] | None = None,
        clock: "DeterministicClock | None" = None,
    ) -> None:
        super().__init__(first_chunk_s=first_chunk_s, chunk_s=chunk_s, failures=failures, clock=clock)
        self._transcripts = cycle(transcripts)
        self._confidence = confidence

    def recognise(self, audio: bytes) -> str:
        """The transcript of 16-bit audio at 16 kHz."""
        return str(self._decorated(self._all, audio))

    async def recognise_async(self, audio: bytes) -> str:
        """As ``recognise``."""
        return str(await self._decorated(self._all_async, audio))

    def stream(self, audio: bytes) -> Iterator[str]:
        """Partial transcripts, one word more each time; the last is final."""
        stream: Iterator[str] = self._decorated(self._run, audio)
        return stream

    def stream_async(self, audio: bytes) -> AsyncIterator[str]:
        """As ``stream``."""
        stream: AsyncIterator[str] = self._decorated(self._run_async, audio)
        return stream

    def _block(self) -> Streaming:
        return components.stt(provider="fake", model="scripted", attributes=_SYNTHETIC)

    def _pieces(self, asked: bytes) -> list[str]:  # noqa: ARG002 - it does not listen
        words = next(self._transcripts).split()
        return [" ".join(words[: count + 1]) for count in range(len(words))] or [""]

    def _whole(self, pieces: list[str]) -> str:
        return pieces[-1]

    def _say(self, asked: bytes, pieces: list[str]) -> None:
        seconds = len(asked) / 2 / _SAMPLES_A_SECOND
        current_operation(Stt).transcript(pieces[-1], confidence=self._confidence, audio_s=seconds)


class FakeLLM(_Fake[str, str]):
    """Answers what its script says, whatever it is asked.

    Args:
        replies: given one per call, from the start again when they are used up.
        first_chunk_s: seconds to the first word.
        chunk_s: seconds to each further word.
        failures: exceptions by number of the call (from 1).
        clock: moves by the script's seconds instead of waiting for them.
    """

    def __init__(
        self,
        replies: Sequence[str] = ("How can I help you?",),
        *,
        first_chunk_s: float = 0.0,
        chunk_s: float = 0.0,
        failures: Mapping[int, Exception] | None = None,
        clock: "DeterministicClock | None" = None,
    ) -> None:
        super().__init__(first_chunk_s=first_chunk_s, chunk_s=chunk_s, failures=failures, clock=clock)
        self._replies = cycle(replies)

    def complete(self, prompt: str) -> str:
        """The whole reply."""
        return str(self._decorated(self._all, prompt))

    async def complete_async(self, prompt: str) -> str:
        """As ``complete``."""
        return str(await self._decorated(self._all_async, prompt))

    def stream(self, prompt: str) -> Iterator[str]:
        """The reply, word by word."""
        stream: Iterator[str] = self._decorated(self._run, prompt)
        return stream

    def stream_async(self, prompt: str) -> AsyncIterator[str]:
        """As ``stream``."""
        stream: AsyncIterator[str] = self._decorated(self._run_async, prompt)
        return stream

    def _block(self) -> Streaming:
        return components.llm(provider="fake", model="scripted", attributes=_SYNTHETIC)

    def _pieces(self, asked: str) -> list[str]:  # noqa: ARG002 - it does not read
        words = next(self._replies).split()
        return [word if number == 0 else f" {word}" for number, word in enumerate(words)]

    def _whole(self, pieces: list[str]) -> str:
        return "".join(pieces)

    def _say(self, asked: str, pieces: list[str]) -> None:
        block = current_operation(Llm)
        block.tokens(input=len(asked.split()), output=len(pieces))
        block.messages(input=asked, output="".join(pieces))


class FakeTTS(_Fake[str, bytes]):
    """Makes silence of a plausible length: 16-bit audio at 16 kHz, one piece per word.

    Args:
        word_s: seconds of audio per word.
        first_chunk_s: seconds to the first piece.
        chunk_s: seconds to each further piece.
        failures: exceptions by number of the call (from 1).
        clock: moves by the script's seconds instead of waiting for them.
    """

    def __init__(
        self,
        *,
        word_s: float = 0.3,
        first_chunk_s: float = 0.0,
        chunk_s: float = 0.0,
        failures: Mapping[int, Exception] | None = None,
        clock: "DeterministicClock | None" = None,
    ) -> None:
        super().__init__(first_chunk_s=first_chunk_s, chunk_s=chunk_s, failures=failures, clock=clock)
        self._word_s = word_s

    def synthesise(self, text: str) -> bytes:
        """The whole audio."""
        return bytes(self._decorated(self._all, text))

    async def synthesise_async(self, text: str) -> bytes:
        """As ``synthesise``."""
        return bytes(await self._decorated(self._all_async, text))

    def stream(self, text: str) -> Iterator[bytes]:
        """The audio in pieces."""
        stream: Iterator[bytes] = self._decorated(self._run, text)
        return stream

    def stream_async(self, text: str) -> AsyncIterator[bytes]:
        """As ``stream``."""
        stream: AsyncIterator[bytes] = self._decorated(self._run_async, text)
        return stream

    def _block(self) -> Streaming:
        return components.tts(provider="fake", model="scripted", attributes=_SYNTHETIC)

    def _pieces(self, asked: str) -> list[bytes]:
        return [bytes(2 * round(self._word_s * _SAMPLES_A_SECOND)) for _ in asked.split()]

    def _whole(self, pieces: list[bytes]) -> bytes:
        return b"".join(pieces)

    def _say(self, asked: str, pieces: list[bytes]) -> None:
        block = current_operation(Tts)
        block.text(asked)
        block.audio(seconds=sum(map(len, pieces)) / 2 / _SAMPLES_A_SECOND)
