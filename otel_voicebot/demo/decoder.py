"""A speech decoder in a process of its own: audio in on stdin, one JSON line per utterance out on stdout.

pocketsphinx holds the interpreter lock while it decodes; in the bot's process it would stop every other call. The
process ends when its stdin does, so it never outlives the bot, however the bot dies.

A request is the length in bytes (uint32, little endian) and that much PCM; the answer is
``{"text": ..., "confidence": 0..1}``.
"""

import contextlib
import json
import sys
import tempfile
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from otel_voicebot.demo.language import arpa, cut_dictionary, words

__all__ = ["main"]

_SPEECH_FRAMES: Final = 5
"""So many frames of 30 ms with speech in them are an utterance."""

_TRAINING: Final = Path(__file__).with_name("data") / "training.toml"


def main() -> None:
    """Answer requests until stdin ends."""
    decoder = _decoder()
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    while pcm := _request(sys.stdin.buffer):
        sys.stdout.write(json.dumps(_decode(decoder, pcm)) + "\n")
        sys.stdout.flush()


def _decoder() -> Any:
    from pocketsphinx import Decoder, get_model_path  # noqa: PLC0415 - of the extra [demo]

    training = tomllib.loads(_TRAINING.read_text())
    sentences = [words(line) for line in chain(*training["intents"].values(), training["outside"]["sentences"])]
    with tempfile.TemporaryDirectory() as folder:
        model, lm, dictionary = Path(get_model_path()) / "en-us", Path(folder, "lm"), Path(folder, "dict")
        lm.write_text(arpa(sentences))
        with (model / "cmudict-en-us.dict").open() as english:
            dictionary.write_text(
                "\n".join(cut_dictionary(english, {word for line in sentences for word in line})) + "\n"
            )
        return Decoder(hmm=str(model / "en-us"), lm=str(lm), dict=str(dictionary), loglevel="FATAL", cmn="batch")


def _request(stream: BinaryIO) -> bytes:
    size = int.from_bytes(stream.read(4), "little")
    return stream.read(size)


def _decode(decoder: Any, pcm: bytes) -> dict[str, Any]:
    if not _speech(pcm):
        return {"text": "", "confidence": 0.0}
    decoder.start_stream()  # forget the noise of the last caller
    decoder.start_utt()
    decoder.process_raw(pcm, no_search=False, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    if found is None:
        return {"text": "", "confidence": 0.0}
    posteriors = [segment.prob for segment in decoder.seg() if segment.word[0] not in "<["]
    return {"text": found.hypstr, "confidence": min(1.0, sum(posteriors) / max(1, len(posteriors)))}


def _speech(pcm: bytes) -> bool:
    """Whether anybody speaks: the decoder finds words in silence too."""
    from pocketsphinx import Vad  # noqa: PLC0415 - of the extra [demo]

    vad = Vad(mode=Vad.MEDIUM_STRICT)
    size = vad.frame_bytes
    frames = [bool(vad.is_speech(pcm[start : start + size])) for start in range(0, len(pcm) - size + 1, size)]
    return frames.count(True) >= _SPEECH_FRAMES


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
