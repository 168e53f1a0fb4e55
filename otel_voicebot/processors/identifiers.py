"""What an identifier looks like: a text that names something, and not one that somebody said.

A sentence under the key of an identifier is a mistake of whoever wrote it (an exception's text as ``error.type``, an
utterance as intent). It gets no column, and without content capture it is withheld like any other text.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.attributes import Mask

__all__ = ["NAME_COLUMNS", "are_identifiers", "are_short"]

_LONGEST: Final = 200
"""Characters: what names something is no longer,"""
_THREE_WORDS: Final = r"[^\s\p{Z}][\s\p{Z}]+[^\s\p{Z}]+[\s\p{Z}]+[^\s\p{Z}]"
"""and what a program makes up at run time has no three words, by any white space of Unicode."""

NAME_COLUMNS: Final = frozenset({"agent", "bot", "channel", "model", "provider", "variant"})
"""Columns of names that a developer configures: "First National Bank" and "Whisper Large v3" are names."""


def are_short(texts: pa.StringArray) -> Mask:
    """Which texts may be a configured name: not empty, not long. A null may not."""
    length = pc.fill_null(pc.utf8_length(texts), 0)
    short: Mask = np.asarray(pc.and_(pc.greater(length, 0), pc.less_equal(length, _LONGEST)))
    return short


def are_identifiers(texts: pa.StringArray) -> Mask:
    """Which texts may be an identifier: a name of at most two words. A null may not."""
    sentence = pc.fill_null(pc.match_substring_regex(texts, _THREE_WORDS), False)  # noqa: FBT003
    identifiers: Mask = are_short(texts) & ~np.asarray(sentence)
    return identifiers
