"""What the caller means: intent by TF-IDF and logistic regression, and the numbers that were named."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otel_voicebot.demo.recordings import DATA

__all__ = ["FALLBACK_BELOW", "Meaning", "Understanding"]

FALLBACK_BELOW: Final = 0.3
"""Intents less likely than this are not acted on: the bot asks again."""
_OUTSIDE: Final = "outside"

_DIGITS: Final = {
    word: str(digit)
    for digit, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}
_NUMBERS: Final = {word: int(digit) for word, digit in _DIGITS.items()} | {
    "a": 1, "ten": 10, "twelve": 12, "fifteen": 15, "eighteen": 18, "twenty": 20, "thirty": 30, "forty": 40,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an utterance means.

    Attributes:
        intent: the most likely one; None when nothing fits.
        confidence: its probability, 0 to 1.
        entities: ``amount`` in dollars, ``months``, ``account`` as digits, those that were named.
    """

    intent: str | None
    confidence: float
    entities: dict[str, str] = field(default_factory=dict)

    @property
    def fallback(self) -> bool:
        """Nothing was likely enough to act on."""
        return self.intent is None


class Understanding:
    """The classifier, trained when it is made (some milliseconds) on ``training.toml``."""

    provider: Final = "scikit-learn"
    model: Final = "tfidf-logistic"

    def __init__(self, data: Path = DATA) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - of the extra [demo]
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with scikit-learn

        training = tomllib.loads((data / "training.toml").read_text())
        labelled = [(text, intent) for intent, texts in training["intents"].items() for text in texts]
        labelled += [(text, _OUTSIDE) for text in training["outside"]["sentences"]]
        self.schema: str = training["schema"]
        self._classifier: Any = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),  # noqa: S106 - words
            LogisticRegression(C=60, max_iter=1000),
        )
        with threadpool_limits(1):  # threads that wait for each other make so small a fit ten times as slow
            self._classifier.fit(*zip(*labelled, strict=True))

    def read(self, text: str) -> Meaning:
        """What ``text`` means; an empty one means nothing."""
        if not text:
            return Meaning(None, 0.0)
        likely = self._classifier.predict_proba([text])[0]
        best = int(likely.argmax())
        intent, confidence = str(self._classifier.classes_[best]), float(likely[best])
        if intent == _OUTSIDE or confidence < FALLBACK_BELOW:
            return Meaning(None, confidence)
        return Meaning(intent, confidence, _entities(text.split()))


def _entities(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    digits = "".join(_DIGITS.get(word, "") for word in words)
    if len(digits) >= 3:
        found["account"] = digits[-4:]
    for index, word in enumerate(words):
        if word == "thousand" and (count := _number(words[:index])):
            found["amount"] = str(count * 1000)
        elif word in ("months", "month") and (count := _number(words[:index])):
            found["months"] = str(count)
    return found


def _number(words: list[str]) -> int | None:
    """The number that the last words name: tens and units, as in ``twenty four``."""
    if not words or words[-1] not in _NUMBERS:
        return None
    last = _NUMBERS[words[-1]]
    tens = _NUMBERS.get(words[-2], 0) if len(words) > 1 else 0
    return tens + last if tens in (20, 30, 40) and last < 10 else last
