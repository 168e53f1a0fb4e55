"""What the bank knows: answers to common questions, found by similarity, and the cache of those already given."""

import threading
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Answer", "Knowledge", "SemanticCache"]

_SIMILAR: Final = 0.35
"""Cosine similarity from which two questions count as the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A cached answer: the id of its entry, and the text."""

    entry: str
    text: str


class SemanticCache:
    """Answers by the meaning of the question: a lookup finds one given to a similar question.

    All calls share it; any thread may use it.
    """

    def __init__(self, questions: list[str]) -> None:
        """``questions`` teach which words matter."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - of the extra [demo]

        self._vectors: Any = TfidfVectorizer(sublinear_tf=True).fit(questions)
        self._entries: list[tuple[Any, Answer]] = []
        self._lock = threading.Lock()

    def find(self, question: str) -> Answer | None:
        """The answer to the most similar question, if it is similar enough."""
        with self._lock:
            entries = list(self._entries)
        asked = self._vectors.transform([question])
        scored = [(float((asked @ vector.T).sum()), answer) for vector, answer in entries]
        score, best = max(scored, key=lambda found: found[0], default=(0.0, None))
        return best if score >= _SIMILAR else None

    def keep(self, question: str, text: str) -> None:
        """Remember an answer."""
        vector = self._vectors.transform([question])
        with self._lock:
            self._entries.append((vector, Answer(f"faq-{len(self._entries) + 1}", text)))


class Knowledge:
    """The answers to common questions; ``find`` ranks them by similarity to the question."""

    def __init__(self, passages: dict[str, str], questions: dict[str, list[str]]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - of the extra [demo]

        self._texts = list(passages.values())
        documents = [" ".join([text, *questions[key]]) for key, text in passages.items()]
        self._vectors: Any = TfidfVectorizer(sublinear_tf=True)
        self._documents: Any = self._vectors.fit_transform(documents)

    def find(self, question: str) -> str:
        """The passage that fits best."""
        scores = (self._documents @ self._vectors.transform([question]).T).toarray().ravel()
        return self._texts[int(scores.argmax())]
