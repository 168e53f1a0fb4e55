"""What the recogniser knows of the language: a dictionary cut to the bank's words and an n-gram model of its sentences.

Both are made from ``training.toml`` when a decoder starts. The dictionary of all English takes 3.5 s to load, the cut
one 10 ms.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

__all__ = ["arpa", "cut_dictionary", "words"]

START, STOP = "<s>", "</s>"
ORDER = 3
DISCOUNT = 0.6
"""Taken from each n-gram's count and given to the shorter history (absolute discounting, interpolated)."""

NGram = tuple[str, ...]


def words(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without punctuation."""
    return "".join(c if c.isalnum() or c == "'" else " " for c in sentence.lower()).split()


def cut_dictionary(lines: Iterable[str], vocabulary: Iterable[str]) -> list[str]:
    """The lines of a CMU pronunciation dictionary for the words of ``vocabulary``, with their alternatives."""
    wanted = set(vocabulary)
    return [line.rstrip("\n") for line in lines if line.split(" ", 1)[0].split("(", 1)[0] in wanted]


def arpa(sentences: Iterable[Sequence[str]]) -> str:
    """A trigram model of ``sentences`` (lists of words) in the ARPA format."""
    counts = _count(sentences)
    history, kinds = _histories(counts)
    probability = _unigrams(counts[0])
    for n in range(1, ORDER):
        for gram, count in counts[n].items():
            past = gram[:-1]
            reserved = DISCOUNT * kinds[past] / history[past]
            probability[gram] = (count - DISCOUNT) / history[past] + reserved * probability[gram[1:]]
    backoff = {past: DISCOUNT * kinds[past] / history[past] for past in history if past}
    return _render(probability, backoff)


def _count(sentences: Iterable[Sequence[str]]) -> list[Counter[NGram]]:
    counts: list[Counter[NGram]] = [Counter() for _ in range(ORDER)]
    for sentence in sentences:
        padded = (START, *sentence, STOP)
        for n in range(ORDER):
            counts[n].update(padded[i : i + n + 1] for i in range(len(padded) - n))
    return counts


def _histories(counts: Sequence[Counter[NGram]]) -> tuple[Counter[NGram], Counter[NGram]]:
    """How often each history was followed by a word, and by how many different ones."""
    total: Counter[NGram] = Counter()
    kinds: Counter[NGram] = Counter()
    for gram, count in chain.from_iterable(level.items() for level in counts[1:]):
        total[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    return total, kinds


def _unigrams(counts: Counter[NGram]) -> dict[NGram, float]:
    spoken = {gram: count for gram, count in counts.items() if gram != (START,)}
    total = sum(spoken.values())
    return {gram: count / total for gram, count in spoken.items()} | {(START,): 0.0}


def _render(probability: Mapping[NGram, float], backoff: Mapping[NGram, float]) -> str:
    levels = [sorted(gram for gram in probability if len(gram) == n) for n in range(1, ORDER + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, 1))]
    for n, level in enumerate(levels, 1):
        lines += ["", f"\\{n}-grams:"]
        lines += [_line(gram, probability[gram], backoff.get(gram) if n < ORDER else None) for gram in level]
    return "\n".join([*lines, "", "\\end\\", ""])


def _line(gram: NGram, probability: float, backoff: float | None) -> str:
    tail = "" if backoff is None else f"\t{math.log10(backoff):.4f}"
    return f"{math.log10(probability) if probability else -99:.4f}\t{' '.join(gram)}{tail}"
