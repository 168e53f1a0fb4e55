"""Real recognition of the recorded callers.

Exact texts are not asserted: they depend on the build of the recogniser.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jiwer
import numpy as np
import pytest

from otel_voicebot.demo.audio import noise_level, silence
from otel_voicebot.demo.language import words
from otel_voicebot.demo.wer import score

SOME = ("slt.loan", "slt.faq_card", "rms.balance", "rms.payment_plan", "rms.agent", "awb.balance", "awb.faq_card")


def understood(recogniser, pcm):
    """The transcript of some audio."""
    return recogniser.recognise(pcm.tobytes()).text


def noisy(recording, snr, seed=1):
    """A recording with white noise."""
    noise = np.random.default_rng(seed).normal(0, noise_level(recording.pcm, snr), len(recording.pcm))
    return np.clip(recording.pcm + noise, -32768, 32767).astype(np.int16)


def test_another_recording_gives_another_transcript(recogniser, recordings):
    """Each transcript is nearer to what was said in its recording than to what was said in any other."""
    for name in SOME:
        heard = understood(recogniser, recordings[name].pcm)
        rates = {other: jiwer.wer(recordings[other].text, heard) for other in SOME}
        assert min(rates, key=rates.__getitem__) == name, (name, heard)
        assert rates[name] <= 0.35


def test_the_same_recording_gives_the_same_transcript(recogniser, recordings):
    """What was recognised before has no influence."""
    first = recogniser.recognise(recordings["slt.loan"].pcm.tobytes())
    understood(recogniser, recordings["awb.complaint"].pcm)
    assert recogniser.recognise(recordings["slt.loan"].pcm.tobytes()) == first


@pytest.mark.parametrize("seconds", [0.0, 0.01, 2.0])
def test_silence_gives_no_words(recogniser, seconds):
    """Nobody speaks, nothing is understood, with no confidence."""
    heard = recogniser.recognise(silence(seconds).tobytes())
    assert (heard.text, heard.confidence) == ("", 0.0)


def test_noise_makes_recognition_worse(recogniser, recordings):
    """At 20 dB more words are wrong than without noise, and not all of them."""
    said = [recordings[name] for name in SOME]
    clean = sum(score(one.text, understood(recogniser, one.pcm)).errors for one in said)
    noise = sum(score(one.text, understood(recogniser, noisy(one, 20.0))).errors for one in said)
    total = sum(len(words(one.text)) for one in said)
    assert clean / total < 0.15
    assert clean < noise < total


def test_confidence_is_lower_with_noise(recogniser, recordings):
    """The recogniser is less sure of what it hears in noise."""
    clean = recogniser.recognise(recordings["slt.loan"].pcm.tobytes()).confidence
    noise = recogniser.recognise(noisy(recordings["slt.loan"], 15.0).tobytes()).confidence
    assert 0 < noise < clean <= 1


def test_decoders_die_with_the_bot(tmp_path):
    """A bot that is killed leaves no decoder process behind."""
    script = (
        "import time\n"
        "from otel_voicebot.demo.recogniser import Recogniser\n"
        "with Recogniser(2) as r:\n"
        "    print(*[p.pid for p in r._processes], flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    bot = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root)
    decoders = [int(pid) for pid in bot.stdout.readline().split()]
    assert len(decoders) == 2
    os.kill(bot.pid, signal.SIGKILL)
    bot.wait()
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in decoders) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in decoders)


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_counts_are_those_of_jiwer():
    """Errors over words, summed over utterances, is the corpus rate that jiwer gives for the same normalised texts."""
    pairs = [
        ("I'd like a loan, please.", "i'd like the loan please"),
        ("twelve months", "twelve months now"),
        ("it is seven two", "seven"),
        ("yes", ""),
    ]
    scores = [score(*pair) for pair in pairs]
    said, heard = ([" ".join(words(text)) for text in texts] for texts in zip(*pairs, strict=True))
    assert sum(s.errors for s in scores) / sum(s.words for s in scores) == pytest.approx(jiwer.wer(said, heard))


def test_an_empty_transcript_is_all_deletions_and_an_empty_reference_has_no_words():
    """Nothing understood counts every word said; words that nobody said are errors over no words."""
    assert score("yes i agree", "") == (3, 3)
    assert score("", "yes i agree") == (3, 0)
    assert score("", "") == (0, 0)
