"""Endpointing: when the caller begins to speak and is done, by pocketsphinx's voice activity detection."""

from typing import Final, Literal

from otel_voicebot.demo.line import FRAME_S, Line

__all__ = ["Ears"]

_HOLD: Final = round(0.2 / FRAME_S)
"""Frames waited after the detector's own window (0.3 s) before the turn is taken,
so that a caller who goes on is not cut off."""
_SILENT: Final = round(15 / FRAME_S)
"""Frames of silence after which the bot takes it that nobody is there any more."""
_ENDLESS: Final = round(60 / FRAME_S)
_HINT: Final = 2
"""Frames of speech in a row that hint at a caller who goes on,"""
_CONFIRM: Final = round(0.4 / FRAME_S)
"""and within how many frames the detector must agree."""


class Ears:
    """Listens to one line and cuts what is said out of it."""

    def __init__(self, line: Line) -> None:
        from pocketsphinx import Endpointer, Vad  # noqa: PLC0415 - of the extra [demo]

        self._line = line
        self._endpointer = Endpointer(window=0.3, ratio=0.9, vad_mode=Vad.MEDIUM_LOOSE)
        self._vad = Vad(mode=Vad.MEDIUM_STRICT)
        self._said: list[bytes] = []

    def speech_starts(self) -> bool:
        """Take one frame; True while somebody speaks."""
        self._take()
        return bool(self._endpointer.in_speech)

    def wait_for_speech(self) -> bool:
        """Listen until somebody speaks; False when the caller hangs up instead, or says nothing for 15 s."""
        for _ in range(_SILENT):
            if self._endpointer.in_speech:
                return True
            if self._line.gone:
                return False
            self._take()
        return bool(self._endpointer.in_speech)

    def wait_for_silence(self) -> None:
        """Listen until nobody speaks any more, or somebody has spoken for a minute: then it is noise."""
        for _ in range(_ENDLESS):
            if not self._endpointer.in_speech:
                return
            self._take()

    def decide(self) -> Literal["committed", "resumed"]:
        """Wait a little longer until the turn is decided: the caller is done, or goes on after a pause."""
        speaking = 0
        for _ in range(_HOLD):
            speaking = speaking + 1 if self._vad.is_speech(self._take()) else 0
            if speaking == _HINT:
                return "resumed" if self._confirmed() else "committed"
        return "committed"

    def utterance(self) -> bytes:
        """What was said since the last call, as PCM; the next one begins empty."""
        said, self._said = b"".join(self._said), []
        return said

    def _confirmed(self) -> bool:
        """Whether the frames just heard were the beginning of speech and no noise."""
        return any(self.speech_starts() for _ in range(_CONFIRM))

    def _take(self) -> bytes:
        frame = self._line.frame()
        speech = self._endpointer.process(frame)
        if speech is not None:
            self._said.append(speech)
        return frame
