"""The callers' voices: what they say (``callers.toml``) and how it sounds (``callers/*.flac``)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_voicebot.demo.audio import RATE, Pcm, Span, audible

__all__ = ["DATA", "Recording", "load", "texts"]

DATA: Final = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One utterance of a caller.

    Attributes:
        name: voice and utterance, as in ``slt.loan``.
        text: what is said: the reference that recognition is measured against.
        pcm: the sound.
        speech: where in it the caller can be heard; the end of the last one is the true end of speech.
    """

    name: str
    text: str
    pcm: Pcm
    speech: tuple[Span, ...]


def texts(data: Path = DATA) -> dict[str, str]:
    """What is said in each recording, by name."""
    voices: dict[str, dict[str, str]] = tomllib.loads((data / "callers.toml").read_text())["voices"]
    return {f"{voice}.{key}": text for voice, lines in voices.items() for key, text in lines.items()}


def load(data: Path = DATA) -> dict[str, Recording]:
    """Every recording, by name."""
    return {name: _recording(name, text, data) for name, text in texts(data).items()}


def _recording(name: str, text: str, data: Path) -> Recording:
    import soundfile  # noqa: PLC0415 - of the extra [demo]

    pcm, rate = soundfile.read(data / "callers" / f"{name}.flac", dtype="int16")
    if rate != RATE:
        raise ValueError(f"{name}.flac has {rate} samples a second, not {RATE}")
    return Recording(name, " ".join(text.replace("...", " ").split()), pcm, audible(pcm))
