"""Numbers and cells that the scripts beside this one share. Standard library only."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

__all__ = ["Cell", "Key", "Value", "cells", "mean", "number", "once", "percentile", "ratio", "seconds", "text"]

Key = tuple[str, str, str]
Cell = tuple[str, list[str]]
Value = Fraction | int | str | bool | None


def number(value: Fraction | int) -> str:
    """A whole number or a fraction, as a person writes it."""
    exact = Fraction(value)
    return str(exact.numerator) if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}"


def text(value: Value) -> str:
    """As it stands in a cell; a dash where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value)


def cells(section: str, row: str, names: Iterable[str], **measures: Value) -> dict[Key, Cell]:
    """The cells of a row, all of the same sessions."""
    of = once(names)
    return {(section, row, measure): (text(value), of) for measure, value in measures.items()}


def seconds(nano: int) -> Fraction:
    """Exactly."""
    return Fraction(nano, 10**9)


def once(names: Iterable[str]) -> list[str]:
    """Each name once, in order."""
    return sorted(set(names))


def ratio(above: Fraction | int, below: Fraction | int) -> Fraction | None:
    """None where there is nothing to divide by."""
    return Fraction(above) / Fraction(below) if below else None


def mean(found: Sequence[Fraction]) -> Fraction | None:
    """None of nothing."""
    return ratio(sum(found, Fraction(0)), len(found))


def percentile(found: Sequence[Fraction], at: Fraction) -> Fraction | None:
    """Linear interpolation between the nearest two; None of nothing."""
    if not found:
        return None
    ordered, place = sorted(found), at * (len(found) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)
