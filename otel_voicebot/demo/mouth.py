"""Speaking: sentences become audio while the model still writes, and are played until they end or are interrupted."""

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.demo.audio import RATE, Pcm, audible, duration
from otel_voicebot.demo.line import Pace
from otel_voicebot.demo.voice import Voice

__all__ = ["Mouth"]

_PAUSE_S: Final = 0.15
"""Between two sentences."""


class Mouth:
    """One reply. Two threads of the turn's context work on it: one makes audio, one plays it.

    ``voices`` are tried in order. ``began`` is called when the caller hears the first audio.

    Attributes:
        audible: the caller has heard something of it.
    """

    def __init__(self, turn: vb.Turn, voices: Sequence[Voice], pace: Pace, began: Callable[[], object]) -> None:
        self._turn = turn
        self._voices = voices
        self._pace = pace
        self._began = began
        self._words: list[str] = []
        self._sentences: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._audio: queue.SimpleQueue[Pcm | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self.audible = False
        self._threads = [self._thread(self._synthesise), self._thread(self._play)]

    def say(self, text: str) -> None:
        """Add words to the reply; a sentence is spoken as soon as it is complete."""
        for word in text.split():
            self._words.append(word)
            if word.endswith((".", "?", "!")):
                self._flush()

    def finish(self) -> None:
        """The reply is complete."""
        self._flush()
        self._sentences.put(None)

    @property
    def speaking(self) -> bool:
        """Audio is being made or played."""
        return self._threads[-1].is_alive()

    @property
    def stopped(self) -> bool:
        """``stop`` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Fall silent at once, in the middle of a word if need be."""
        self._stop.set()

    def close(self) -> None:
        """Wait until all is silent. Raises what kept every voice from speaking."""
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _flush(self) -> None:
        if self._words:
            self._sentences.put(" ".join(self._words))
            self._words = []

    @staticmethod
    def _thread(work: Callable[[], None]) -> threading.Thread:
        # A thread starts with an empty context; a copy of the turn's makes its spans children of the turn.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
        thread.start()
        return thread

    def _synthesise(self) -> None:
        try:
            while (sentence := self._sentences.get()) is not None and not self._stop.is_set():
                self._audio.put(self._spoken(sentence))
        except Exception as error:  # noqa: BLE001 - raised again in `close`, in the thread of the call
            self._error = error
        finally:
            self._audio.put(None)

    def _spoken(self, sentence: str) -> Pcm:
        for voice in self._voices[:-1]:
            try:
                return _speak(voice, sentence)
            except RuntimeError:
                vb.event("error", {semconv.ERROR_TYPE: "RuntimeError"})
        return _speak(self._voices[-1], sentence)

    def _play(self) -> None:
        pcm = self._audio.get()
        if pcm is None:
            return
        with vb.playout():
            self._turn.bot_speech_start()
            self.audible = True
            self._began()
            while pcm is not None:
                self._stop.wait(self._pace.real(duration(pcm)))
                silent_since = time.time()
                pcm = None if self.stopped else self._audio.get()
                if pcm is not None:
                    self._stop.wait(self._pace.real(_PAUSE_S))
            self._turn.bot_speech_end(silent_since)


def _speak(voice: Voice, sentence: str) -> Pcm:
    with vb.tts(provider=voice.provider, model=voice.model) as tts:
        tts.text(sentence)
        pcm = voice.speak(sentence, tts.first_chunk)
        tts.audio(seconds=duration(pcm))
    heard = audible(pcm)
    # The silence that synthesisers put around a sentence is not played: nobody should wait for it.
    return pcm[round(heard[0].start * RATE) : round(heard[-1].end * RATE)] if heard else pcm[:0]
