"""Speech recognition: a small pool of decoder processes (``decoder.py``) that all calls share."""

import json
import queue
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Recogniser", "Transcript"]

_ROOT: Final = str(Path(__file__).parents[2])
_START: Final = "import sys; sys.path.insert(0, sys.argv[1]); from otel_voicebot.demo.decoder import main; main()"

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood, and how sure the recogniser is (mean word posterior, 0 to 1)."""

    text: str
    confidence: float


class Recogniser:
    """Decoders in ``processes`` processes; ``recognise`` may be called from any thread and waits for a free one."""

    provider: Final = "pocketsphinx"
    model: Final = "en-us"

    def __init__(self, processes: int) -> None:
        self._processes = [_start() for _ in range(processes)]
        self._free: queue.SimpleQueue[Process] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        for process in self._processes:
            _answer(process)  # it has loaded its model
            self._free.put(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.communicate()

    def recognise(self, pcm: bytes) -> Transcript:
        """The words in 16 kHz PCM. Raises RuntimeError when the decoder has died."""
        if not pcm:
            return Transcript("", 0.0)
        process = self._free.get()
        try:
            _ask(process, pcm)
            return Transcript(**_answer(process))
        finally:
            self._free.put(process)


def _start() -> Process:
    return subprocess.Popen([sys.executable, "-c", _START, _ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _ask(process: Process, pcm: bytes) -> None:
    if process.stdin is None or process.poll() is not None:
        raise RuntimeError(f"the speech decoder has ended with code {process.returncode}")
    process.stdin.write(len(pcm).to_bytes(4, "little") + pcm)
    process.stdin.flush()


def _answer(process: Process) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        raise RuntimeError("the speech decoder has died")
    answer: dict[str, Any] = json.loads(line)
    return answer
