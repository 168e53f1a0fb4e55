"""How alike two dotted names are: which unknown one may be the new name of one that is missing."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final

__all__ = ["ALIKE", "HOLDS_IT", "VERY_ALIKE", "nearest", "unnumbered"]

ALIKE: Final = 0.6
"""Of what is missing for sure, something that resembles it so far may be its new name;"""
VERY_ALIKE: Final = 0.75
"""of what may be missing, something that resembles it so far;"""
HOLDS_IT: Final = 0.9
"""of what is seldom written, only a name that nearly is it, or in which it stands whole."""
_SHORTEST: Final = 4
"""Letters that a name has to have to count as a part of another."""
_NUMBER: Final = re.compile(r"\.\d+(?=\.|$)")


def nearest(name: str, others: Iterable[str], least: float) -> tuple[float, str]:
    """The likest of other names and how alike it is, 0 to 1; 0 and empty where none is alike so far."""
    found = max(((_likeness(_bare(name), _bare(one)), one) for one in sorted(others)), default=(0.0, ""))
    return found if found[0] >= least else (0.0, "")


def unnumbered(name: str) -> str:
    """The name without numbers: all entries of a list that was flattened are one attribute."""
    return _NUMBER.sub(".*", name)


def _bare(name: str) -> str:
    """Without what only the way of writing makes: ``toolCount`` is ``tool_count``."""
    return name.replace("_", "").replace("-", "").lower()


def _likeness(one: str, other: str) -> float:
    """0 to 1, of what two dotted names don't begin with alike; a name inside the other is alike."""
    pairs = zip(one.split(".")[:-1], other.split(".")[:-1], strict=False)
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    first, second = (".".join(name.split(".")[same:]) for name in (one, other))
    short, long = sorted((first, second), key=len)
    longer = "." in one and (one.startswith(other) or other.startswith(one))
    ratio = SequenceMatcher(None, first, second).ratio()
    if longer or (len(short) >= _SHORTEST and short in long):
        return max(ratio, 0.8 + 0.2 * SequenceMatcher(None, one, other).ratio())  # the more, the less is added
    return ratio
