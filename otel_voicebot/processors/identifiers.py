"""What an identifier looks like: a text that names something, and not one that somebody said.

A sentence under the key of an identifier is a mistake of whoever wrote it (an exception's text as ``error.type``, an
utterance as intent). It gets no column, and without content capture it is withheld like any other text.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Mask

__all__ = [
    "NAME_COLUMNS",
    "are_identifiers",
    "are_names",
    "are_safe",
    "are_safe_lists",
    "are_safe_names",
    "is_ascii",
]

_LONGEST: Final = 200
"""Characters: what names something is no longer,"""
_SPACE: Final = r"\s\p{Z}\p{C},;!?\x{3001}\x{3002}\x{FF0C}\x{FF01}\x{FF1F}"
_THREE_WORDS: Final = rf"[^{_SPACE}][{_SPACE}]+[^{_SPACE}]+[{_SPACE}]+[^{_SPACE}]"
"""and what a program makes up at run time has no three words, by any white space of Unicode or a sentence's marks."""

_ASCII_SPACE: Final = r"\x00-\x20\x7f,;!?"
_THREE_ASCII_WORDS: Final = rf"[^{_ASCII_SPACE}][{_ASCII_SPACE}]+[^{_ASCII_SPACE}]+[{_ASCII_SPACE}]+[^{_ASCII_SPACE}]"
"""The same of texts in ASCII, several times faster to find."""

_IS_SPACE: Final = np.isin(np.arange(256), [*range(0x21), 0x7F, *b",;!?"])
"""Which bytes are separators of ASCII text."""

_UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Yi}"
)
_UNSPACED_TEXT: Final = rf"[{_UNSPACED}][^{_UNSPACED}]*[{_UNSPACED}][^{_UNSPACED}]*[{_UNSPACED}]"
"""Three letters of scripts that write sentences without spaces may be one."""

_LONGEST_NAME: Final = 60
_TITLE_WORD: Final = r"(?:[(]?\p{Lu}[^\s\p{Z}\p{C}]*|[^\s\p{Z}\p{C}]*\p{Nd}[^\s\p{Z}\p{C}]*)"
_TITLE: Final = (
    rf"^{_TITLE_WORD}(?: (?:{_TITLE_WORD}|of|and|the|for|de|la|du|der|von|bot|agent|assistant|service|&)){{0,3}}$"
)
"""Up to four words, each with a capital letter or a digit: "First National Bank", "Whisper Large v3 Turbo";"""
_LOWER: Final = r"\p{Ll}"
"""but not in capitals only, as some recognisers write."""

NAME_COLUMNS: Final = frozenset({"agent", "bot", "channel", "model", "provider", "variant"})
"""Columns of names that a developer configures: "First National Bank" and "Whisper Large v3" are names."""


def _matching(texts: pa.StringArray, pattern: str) -> Mask:
    found: Mask = np.asarray(pc.fill_null(pc.match_substring_regex(texts, pattern), False))  # noqa: FBT003
    return found


def _are_short(texts: pa.StringArray) -> Mask:
    length = np.diff(_ends(texts)) if is_ascii(texts) else np.asarray(pc.fill_null(pc.utf8_length(texts), 0))
    short: Mask = (length > 0) & (length <= _LONGEST)
    return short if not texts.null_count else short & np.asarray(pc.is_valid(texts))


def _ends(texts: pa.StringArray) -> npt.NDArray[np.int32]:
    """Where each text ends in the array's bytes, from the start of the first on."""
    if not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]


def are_identifiers(texts: pa.StringArray) -> Mask:
    """Which texts may be an identifier: a name of at most two words. A null may not."""
    wordy = _wordy_ascii(texts) if is_ascii(texts) else _matching(texts, _THREE_WORDS)
    identifiers: Mask = _are_short(texts) & ~wordy
    return identifiers


def _wordy_ascii(texts: pa.StringArray) -> Mask:
    """Which texts, all ASCII, have three words. Only one with two separators can: the others need no pattern."""
    ends, data = _ends(texts), texts.buffers()[2]
    wordy = np.zeros(len(texts), dtype=bool)
    if data is not None:
        before = np.zeros(int(ends[-1]) + 1, np.int32)
        np.cumsum(_IS_SPACE[np.frombuffer(data, np.uint8)[: ends[-1]]], out=before[1:])
        unsure = np.flatnonzero(np.diff(before[ends]) > 1)
        if len(unsure):
            wordy[unsure] = _matching(texts.take(pa.array(unsure)), _THREE_ASCII_WORDS)
    return wordy


def are_names(texts: pa.StringArray) -> Mask:
    """Which texts may be a configured name: identifiers, and titles of up to four words and 60 characters."""
    names = are_identifiers(texts)
    # Compiling the patterns takes milliseconds: only where a text is left that they are to judge.
    short = np.asarray(pc.fill_null(pc.less_equal(pc.utf8_length(texts), _LONGEST_NAME), False))  # noqa: FBT003
    unsure = np.flatnonzero(~names & short)
    if len(unsure):
        rest = texts.take(pa.array(unsure))
        names[unsure] = _matching(rest, _TITLE) & _matching(rest, _LOWER)
    return names


def are_safe(texts: pa.StringArray) -> Mask:
    """Which texts may be stored without content capture: identifiers that are no sentence of an unspaced script."""
    return are_identifiers(texts) & _spaced(texts)


def are_safe_names(texts: pa.StringArray) -> Mask:
    """The same of configured names."""
    return are_names(texts) & _spaced(texts)


def _spaced(texts: pa.StringArray) -> Mask:
    return np.ones(len(texts), dtype=bool) if is_ascii(texts) else ~_matching(texts, _UNSPACED_TEXT)


def are_safe_lists(texts: pa.StringArray) -> Mask:
    """Which JSON texts may be stored: lists of at most two words; no map, no bytes, nothing escaped."""
    words = pc.replace_substring_regex(texts, r'[\[\]",:]', " ")
    safe: Mask = are_safe(words) & ~_matching(texts, r"[{}\\]")
    return safe


def is_ascii(texts: pa.StringArray) -> bool:
    """Whether no text has a character beyond ASCII."""
    data = texts.buffers()[2]
    return data is None or not (np.frombuffer(data, np.uint8) >= 128).any()
