"""The bot's voice: flite where it is installed, else espeak-ng from the wheel ``espeakng-loader``."""

import ctypes
import functools
import shutil
import subprocess
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np

from otel_voicebot.demo.audio import Pcm, resampled

__all__ = ["Espeak", "Flite", "Voice", "pick"]

_WAV_HEADER: Final = 44
_making: Final = threading.Lock()


class Voice(Protocol):
    """A synthesiser. ``speak`` may be called from several threads; an error means that nothing was said."""

    provider: str
    model: str

    def speak(self, text: str, first_chunk: Callable[[], object]) -> Pcm:
        """``text`` as 16 kHz audio; ``first_chunk`` is called as soon as the first audio is there."""
        ...


class Flite:
    """The program flite, one process per sentence."""

    provider = "flite"

    def __init__(self, model: str = "slt") -> None:
        self.model = model

    def speak(self, text: str, first_chunk: Callable[[], object]) -> Pcm:
        """See ``Voice``. Raises RuntimeError when flite fails."""
        command = ["flite", "-voice", self.model, "-t", text, "-o", "/dev/stdout"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            head = process.stdout.read(_WAV_HEADER) if process.stdout else b""
            first_chunk()
            sound = process.stdout.read() if process.stdout else b""
        if process.returncode or len(head) < _WAV_HEADER:
            raise RuntimeError(f"flite ended with code {process.returncode}")
        return resampled(np.frombuffer(sound, dtype="<i2"), int.from_bytes(head[24:28], "little"))


class Espeak:
    """The library espeak-ng, in this process. It has one global state, so sentences wait for each other."""

    provider = "espeak-ng"

    def __init__(self, model: str = "en-us") -> None:
        self.model = model

    def speak(self, text: str, first_chunk: Callable[[], object]) -> Pcm:
        """See ``Voice``. Raises RuntimeError when the library refuses."""
        engine = _espeak()
        chunks = engine.speak(text, self.model, first_chunk)
        return resampled(np.frombuffer(b"".join(chunks), dtype=np.int16), engine.rate)


def pick() -> Voice:
    """Flite where it is on PATH, else espeak-ng."""
    return Flite() if shutil.which("flite") else Espeak()


def _espeak() -> "_Engine":
    with _making:  # the cache alone would let two calls that begin together set the library up twice
        return _engine()


@functools.cache
def _engine() -> "_Engine":
    return _Engine()


class _Engine:
    """espeak-ng behind ctypes (``speak_lib.h``), in its synchronous mode: audio comes through a callback."""

    _SYNCHRONOUS: Final = 2
    _BUFFER_MS: Final = 60
    _CHARACTERS: Final = 1
    _UTF8: Final = 1
    _Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def __init__(self) -> None:
        import espeakng_loader  # noqa: PLC0415 - of the extra [demo]

        self._lock = threading.Lock()
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = str(espeakng_loader.get_data_path()).encode()
        self.rate: int = self._library.espeak_Initialize(self._SYNCHRONOUS, self._BUFFER_MS, folder, 0)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng does not find its data")

    def speak(self, text: str, voice: str, first_chunk: Callable[[], object]) -> list[bytes]:
        chunks: list[bytes] = []

        def take(samples: Any, count: int, _events: Any) -> int:
            if samples and count > 0:
                if not chunks:
                    first_chunk()
                chunks.append(ctypes.string_at(samples, count * 2))
            return 0

        callback, spoken = self._Callback(take), text.encode()
        with self._lock:
            self._library.espeak_SetSynthCallback(callback)
            refused = self._library.espeak_SetVoiceByName(voice.encode()) or self._library.espeak_Synth(
                spoken, len(spoken) + 1, 0, self._CHARACTERS, 0, self._UTF8, None, None
            )
        if refused:
            raise RuntimeError(f"espeak-ng refuses to speak with the voice {voice} (code {refused})")
        return chunks
