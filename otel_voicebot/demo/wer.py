"""Word error rate: counts against a reference, under one named normaliser."""

from typing import Final, NamedTuple

from otel_voicebot.demo.language import words

__all__ = ["NORMALISER", "Score", "score"]

NORMALISER: Final = "lowercase-words"
"""Lower case, punctuation removed but the apostrophe, split at white space (``language.words``)."""


class Score(NamedTuple):
    """Substitutions, deletions and insertions; words of the reference. A corpus' rate is the sum over the sum."""

    errors: int
    words: int


def score(reference: str, hypothesis: str) -> Score:
    """Compare what was understood with what was said; either may be empty."""
    import jiwer  # noqa: PLC0415 - of the extra [demo]

    said, understood = words(reference), words(hypothesis)
    if not said:
        return Score(len(understood), 0)
    result = jiwer.process_words(" ".join(said), " ".join(understood))
    return Score(result.substitutions + result.deletions + result.insertions, len(said))
