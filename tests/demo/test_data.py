"""The demo's data: small, complete, and no test sentence among the training sentences."""

import tomllib
from collections import defaultdict

import pytest

from otel_voicebot.demo.audio import RATE, audible, silence
from otel_voicebot.demo.caller import plans
from otel_voicebot.demo.knowledge import SemanticCache
from otel_voicebot.demo.language import arpa, cut_dictionary, words
from otel_voicebot.demo.line import Line, Pace
from otel_voicebot.demo.recordings import DATA, texts
from otel_voicebot.demo.understanding import Understanding

TRAINING = tomllib.loads((DATA / "training.toml").read_text())
SENTENCES = [line for lines in TRAINING["intents"].values() for line in lines] + TRAINING["outside"]["sentences"]


def test_the_data_is_at_most_three_megabytes():
    """Recordings and texts together fit into 3 MB."""
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 3_000_000


def test_every_text_is_recorded_and_every_recording_is_audible(recordings):
    """Each utterance has its file, with speech in it; no file is without text."""
    assert {path.stem for path in (DATA / "callers").glob("*.flac")} == set(texts())
    for recording in recordings.values():
        assert 0.5 < recording.speech[-1].end - recording.speech[0].start < 6, recording.name


def test_no_caller_says_a_training_sentence():
    """Recognition is measured on sentences that the language model has not seen."""
    seen = {tuple(words(line)) for line in SENTENCES}
    assert [name for name, text in texts().items() if tuple(words(text)) in seen and len(words(text)) > 3] == []


def test_every_plan_names_recordings_that_exist():
    """Nobody is left without words."""
    missing = {f"{p.voice}.{line}" for p in plans() for lines in p.says.values() for line in lines} - set(texts())
    assert missing == set()


def test_a_pause_in_a_sentence_is_in_its_recording(recordings):
    """The three dots of a text are half a second of silence."""
    first, second = recordings["rms.months"].speech
    assert 0.4 < second.start - first.end < 0.6


def test_the_intents_of_what_callers_say_are_understood():
    """The classifier finds the intent in the callers' own words, and none in what is not the bank's business."""
    understanding = Understanding()
    for name, text in texts().items():
        expected = name.split(".")[1].removesuffix("_again")
        expected = {"bye": "goodbye", "stop": "agent", "loan_rate": "faq_rate", "outside": None}.get(expected, expected)
        assert understanding.read(" ".join(words(text))).intent == expected, text
    assert understanding.read("").fallback


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("i need eight thousand dollars please", {"amount": "8000"}),
        ("twenty four months please", {"months": "24"}),
        ("it is seven two four one", {"account": "7241"}),
        ("yes please do that", {}),
    ],
)
def test_numbers_are_read_from_words(text, entities):
    """Amounts, months and account digits are found in what was said."""
    assert Understanding().read(text).entities == entities


def test_a_similar_question_is_a_hit_and_another_is_not():
    """The cache answers a question that is worded differently, and no other."""
    cache = SemanticCache(
        [line for key, lines in TRAINING["intents"].items() if key.startswith("faq") for line in lines]
    )
    assert cache.find("when is your branch open on saturday") is None
    cache.keep("when is your branch open on saturday", "from ten to one")
    assert cache.find("are you open on saturday morning").text == "from ten to one"
    assert cache.find("what interest do i get on my savings") is None


def test_the_language_model_is_a_distribution():
    """After every history the probabilities of all words, backed off as ARPA says, add up to 1."""
    text = arpa([words(line) for line in SENTENCES[:40]])
    probability, backoff = {}, defaultdict(float)
    for line in text.splitlines():
        if "\t" in line:
            logp, gram, *rest = line.split("\t")
            key = tuple(gram.split(" "))
            probability[key] = float(logp)
            backoff[key] = float(rest[0]) if rest else 0.0

    def p(gram):
        if gram in probability:
            return probability[gram]
        return backoff[gram[:-1]] + p(gram[1:])

    vocabulary = [gram[0] for gram in probability if len(gram) == 1 and gram != ("<s>",)]
    for history in [(), ("i",), ("<s>", "i"), ("want", "to"), ("no", "such")]:
        assert sum(10 ** p((*history, word)) for word in vocabulary) == pytest.approx(1, abs=0.01), history


def test_the_dictionary_keeps_all_pronunciations_of_its_words():
    """Alternatives stay, other words go."""
    lines = ["a AH\n", "a(2) EY\n", "abbey AE B IY\n"]
    assert cut_dictionary(lines, ["a"]) == ["a AH", "a(2) EY"]


def test_silence_is_not_audible():
    """Nobody can be heard in silence, nor in no audio at all."""
    assert audible(silence(1)) == audible(silence(0)) == ()


def test_the_line_delivers_the_recording_at_its_time(recordings):
    """What is said arrives unchanged, after the reaction time; its true length is told on the clock."""
    said, line = recordings["slt.yes"], Line(Pace(200))
    line.say(said, after=0.3)
    heard = b"".join(line.frame() for _ in range(120))
    assert said.pcm.tobytes() in heard
    start = heard.index(said.pcm.tobytes()) / 2 / RATE
    assert start >= 0.25
    length = (line.speech_end - line.speech_start) * 200
    assert length == pytest.approx(said.speech[-1].end - said.speech[0].start, abs=0.01)
