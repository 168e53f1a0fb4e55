"""What a column's values may be: numbers within a range, words of a fixed set.

A CSAT of 500 or a negative number of tokens is a mistake of whoever wrote it. As a KPI it would move every average,
and counters would go backwards. It stays an attribute, and the span's ``quality`` says ``csat_out_of_range``.
One length of 1e300 s would have a price that no sum holds, and no report of its window would say any cost.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.spans.attributes import Mask
from otel_voicebot.spans.values import offsets

__all__ = ["CHOICES", "FIRST_CHUNK_OF_ERROR", "RANGES", "note", "rule_of", "with_rules", "within"]

FIRST_CHUNK_OF_ERROR: Final = "llm_ttfb_of_error"
"""Rule: what a framework gives as the first chunk of a call that failed is the time until it failed."""

_STAGE_S: Final = (0.0, 60.0)
"""As ``LONGEST_STAGE_NS`` of the models. A framework's own gap isn't here: they judge it as they do one they derive."""
_COUNT: Final = (0.0, 1e12)
"""Of one operation; millions of them add up in 64 bits."""
_WEEK_S: Final = 604_800.0

RANGES: Final[dict[str, tuple[float, float]]] = {
    "csat": (1.0, 5.0),
    "nps": (0.0, 10.0),
    "mos": (1.0, 5.0),
    "confidence": (0.0, 1.0),
    "audio_s": (0.0, _WEEK_S),
    "time_to_first_chunk_s": _STAGE_S,
    "transcription_delay_s": _STAGE_S,
    "endpointing_delay_s": _STAGE_S,
    "endpointing_setting_s": _STAGE_S,
    "input_tokens": _COUNT,
    "output_tokens": _COUNT,
    "cached_input_tokens": _COUNT,
    "characters": _COUNT,
    "user_words": _COUNT,
    "bot_words": _COUNT,
    "wer_errors": _COUNT,
    "wer_words": _COUNT,
}
"""Least and greatest value of a column, both included."""

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    semconv.SESSION_OUTCOME: semconv.OUTCOMES,
    semconv.ENDPOINTING_OUTCOME: semconv.ENDPOINTING_OUTCOMES,
    semconv.HANDOFF_REQUESTED_BY: semconv.REQUESTERS,
}
"""The words that an attribute may be; by attribute, as two of them share the column ``outcome``."""


def rule_of(column: str) -> str:
    """Name of the quality rule that a value breaks which its column may not hold."""
    return f"{column}_out_of_range"


def within(values: npt.NDArray[np.int64] | npt.NDArray[np.float64], bounds: tuple[float, float]) -> Mask:
    """Which values lie in a range."""
    low, high = bounds
    inside: Mask = (values >= low) & (values <= high)
    return inside


def note(broken: dict[str, Mask], rule: str, rows: npt.NDArray[np.integer], size: int) -> None:
    """Note under the rule's name which rows break it, of a batch of so many."""
    if len(rows):
        broken.setdefault(rule, np.zeros(size, dtype=bool))[rows] = True


def with_rules(quality: pa.ListArray, broken: Mapping[str, Mask]) -> pa.ListArray:
    """The lists of rules, and behind them the names of those that each row breaks."""
    rows = [np.asarray(pc.list_parent_indices(quality), dtype=np.intp)]
    names = [pc.list_flatten(quality)]
    for name, mask in broken.items():
        found = np.flatnonzero(mask)
        rows.append(found)
        names.append(pa.array([name] * len(found), pa.string()))
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    return pa.ListArray.from_arrays(offsets(row[order], len(quality)), pa.concat_arrays(names).take(pa.array(order)))
