"""Records the callers anew: ``python -m otel_voicebot.demo.record`` lets flite's voices speak ``callers.toml``.

Needed only after a change of the texts. flite (the Debian package) must be installed.
"""

from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from otel_voicebot.demo.audio import RATE, Pcm, audible, silence
from otel_voicebot.demo.recordings import DATA, texts
from otel_voicebot.demo.voice import Flite

__all__ = ["main"]

_EDGE_S: Final = 0.1
"""Silence kept before and after the speech."""
_PAUSE_S: Final = 0.5


def main(data: Path = DATA) -> None:
    """Write one FLAC file per utterance and remove those of utterances that are gone."""
    target = data / "callers"
    target.mkdir(exist_ok=True)
    wanted = texts(data)
    for name, text in wanted.items():
        soundfile.write(target / f"{name}.flac", _spoken(name.split(".")[0], text), RATE, subtype="PCM_16")
    for path in target.glob("*.flac"):
        if path.stem not in wanted:
            path.unlink()


def _spoken(voice: str, text: str) -> Pcm:
    parts: list[Pcm] = []
    for phrase in text.split("..."):
        pcm = Flite(voice).speak(phrase.strip(), bool)
        heard = audible(pcm)
        parts += [silence(_PAUSE_S), pcm[round(heard[0].start * RATE) : round(heard[-1].end * RATE)]]
    return np.concatenate([silence(_EDGE_S), *parts[1:], silence(_EDGE_S)])


if __name__ == "__main__":
    main()
