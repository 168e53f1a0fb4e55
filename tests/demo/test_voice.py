"""The bot's voice, with flite and without."""

import shutil
import subprocess
import sys
import threading

import pytest

from otel_voicebot.demo.audio import audible, duration
from otel_voicebot.demo.voice import Espeak, Flite, pick

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
VOICES = [pytest.param(Flite(), marks=needs_flite, id="flite"), pytest.param(Espeak(), id="espeak-ng")]


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_makes_audible_speech_of_a_plausible_length(voice):
    """A sentence of nine words is one to six seconds of sound, and the first chunk comes once."""
    chunks = []
    pcm = voice.speak("Hello, how can I help you with your account?", lambda: chunks.append(1))
    heard = audible(pcm)
    assert 1 < heard[-1].end - heard[0].start <= duration(pcm) < 6
    assert chunks == [1]


@pytest.mark.parametrize("voice", VOICES)
def test_more_text_takes_longer(voice):
    """A longer sentence is longer audio."""
    short, long = (
        duration(voice.speak(text, bool)) for text in ("Goodbye.", "Thank you for calling us today. Goodbye.")
    )
    assert long > 1.5 * short


def test_without_flite_the_wheel_speaks(monkeypatch, tmp_path):
    """With flite hidden from PATH the bot has espeak-ng's voice."""
    monkeypatch.setenv("PATH", str(tmp_path))
    voice = pick()
    assert voice.provider == "espeak-ng"
    assert audible(voice.speak("Hello.", bool))


@needs_flite
def test_with_flite_it_is_the_voice():
    """Flite is preferred where it is on PATH."""
    assert pick().provider == "flite"


def test_an_unknown_voice_is_an_error():
    """A voice that the library does not have is refused."""
    with pytest.raises(RuntimeError, match="no-such-voice"):
        Espeak("no-such-voice").speak("Hello.", bool)


def test_threads_may_speak_at_once():
    """Sentences from several threads come out whole."""
    lengths = []
    alone = duration(Espeak().speak("Please hold the line.", bool))
    threads = [
        threading.Thread(target=lambda: lengths.append(duration(Espeak().speak("Please hold the line.", bool))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == pytest.approx([alone] * 4, rel=0.05)


def test_threads_may_speak_first_at_once():
    """The library is set up once, also when the first sentences of a process come from several threads together."""
    program = """
import threading
from otel_voicebot.demo.voice import Espeak
start, spoken = threading.Barrier(6), []
def speak():
    start.wait()
    spoken.append(len(Espeak().speak("Please hold the line.", bool)))
threads = [threading.Thread(target=speak) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(spoken) == 6 and 0 < max(spoken) < 1.3 * min(spoken), spoken
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
